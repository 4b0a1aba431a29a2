//! Shadow builds: rebuilds, rollbacks and audits beside the views that are read.

mod compare;

use compare::Comparison;
use domain::personal::Generation;
use std::time::{Duration, Instant};

use domain::{BusinessId, SubjectId};
use event_log::{Position, chain};
use rusqlite::InterruptHandle;

use super::Runner;
use crate::ALL;
use crate::snapshots::Snapshots;
use crate::view_file::ViewFile;
use crate::views::{Building, Outcome, Purpose, ViewsError};

/// How often the runner asks whether a comparison is done.
const COMPARISON_ASKED_EVERY: Duration = Duration::from_millis(20);

/// How often a failing build is tried again, and the first pause; each further pause is longer.
const FAILURES_MAX: u32 = 5;
const FAILURE_PAUSE: Duration = Duration::from_millis(200);

/// A shadow build in progress.
pub(super) struct Build {
    number: u64,
    pub(super) fold: ViewFile,
    purpose: Purpose,
    /// True if every projection is built from the log.
    whole: bool,
    /// True once stale projections were compared, or if there are none.
    stale_compared: bool,
    compared: bool,
    comparison: Option<Comparison>,
    position: Position,
    differed: Vec<String>,
    /// How many attempts to advance failed in a row.
    failed: u32,
}

impl Build {
    pub(super) fn new(number: u64, fold: ViewFile, purpose: Purpose) -> Self {
        Self {
            number,
            fold,
            purpose,
            whole: purpose == Purpose::Audit,
            stale_compared: false,
            compared: false,
            comparison: None,
            position: Position::START,
            differed: Vec::new(),
            failed: 0,
        }
    }

    fn interrupt(&self) {
        self.comparison.iter().flat_map(|c| &c.interrupts).for_each(InterruptHandle::interrupt);
    }
}

impl Runner {
    /// Cancels an audit, which can be repeated; refuses if another build is in progress.
    pub(super) fn cancel_audit_or_busy(&mut self) -> Result<(), ViewsError> {
        match &self.build {
            None => Ok(()),
            Some(build) if build.purpose == Purpose::Audit => {
                self.drop_build();
                Ok(())
            }
            Some(_) => {
                Err(self.building.borrow().clone().map_or(ViewsError::Stopped, ViewsError::Busy))
            }
        }
    }

    /// Begins a build of some projections, or of all, that is to replace the current views.
    pub(super) fn begin_rebuild(&mut self, which: &[usize]) -> Result<(), ViewsError> {
        let number = self.generations.next();
        let path = self.generations.path(number);
        let anew: Vec<usize> =
            (0..ALL.len()).filter(|i| which.contains(i) || self.live.stale.contains(i)).collect();
        let whole = anew.len() == ALL.len();
        self.generations.begin(number)?;
        let begun = (|| {
            if !whole {
                self.live.copy_to(&path)?;
            }
            let mut fold = ViewFile::open(&path, &self.sources)?;
            if !whole {
                fold.remake(&anew)?;
            }
            Ok(fold)
        })();
        match begun {
            Ok(fold) => {
                self.build = Some(Build { whole, ..Build::new(number, fold, Purpose::Rebuild) });
                self.publish();
                Ok(())
            }
            Err(e) => {
                self.generations.give_up(number)?;
                Err(e)
            }
        }
    }

    /// Begins a build that is compared with the current views and then deleted.
    pub(super) fn begin_audit(&mut self) -> Result<(), ViewsError> {
        let number = self.generations.next();
        self.generations.give_up(number)?;
        let opened =
            ViewFile::open(&self.generations.path(number), &self.sources).and_then(|fold| {
                if fold.stale.is_empty() {
                    Ok(fold)
                } else {
                    Err(ViewsError::storage("a new file of views is not empty"))
                }
            });
        let fold = match opened {
            Ok(fold) => fold,
            Err(e) => {
                self.generations.give_up(number)?;
                return Err(e);
            }
        };
        self.build = Some(Build::new(number, fold, Purpose::Audit));
        self.publish();
        Ok(())
    }

    /// Begins to bring the previous views up to date, so that they can be read again.
    pub(super) fn rollback(&mut self) -> Result<(), ViewsError> {
        self.cancel_audit_or_busy()?;
        let none = |why: &str| ViewsError::NoRollback(why.to_owned());
        let previous = self.generations.previous().ok_or_else(|| {
            none("there are no earlier views: they are kept from a rebuild to the next")
        })?;
        let fold = ViewFile::open(&self.generations.path(previous), &self.sources)?;
        if let Some(projection) = fold.stale.first().and_then(|i| ALL.get(*i)) {
            return Err(none(&format!(
                "the earlier views were made by a program with another version of the projection \
                 `{}`; start that program: it goes on with them by itself",
                projection.name
            )));
        }
        self.build = Some(Build::new(previous, fold, Purpose::Rollback));
        self.publish();
        Ok(())
    }

    /// Begins an audit, or, if another version made some projections, their rebuild.
    pub(super) fn due(&mut self) {
        if self.build.is_some() {
            return;
        }
        let begun =
            if self.live.stale.is_empty() { self.begin_audit() } else { self.begin_rebuild(&[]) };
        if let Err(e) = begun {
            tracing::error!(error = %chain(&e), "the views could not be compared with the log");
        }
    }

    /// Advances the build a little; returns how long to wait before the next step, `None` without a
    /// build.
    pub(super) fn advance_build(&mut self) -> Option<Duration> {
        self.build.as_ref()?;
        let advanced = self.advance();
        self.publish();
        if let (Some(build), Err(e)) = (&mut self.build, &advanced)
            && build.failed < FAILURES_MAX
        {
            tracing::warn!(error = %chain(e), "what is built beside the views could not go on; trying \
                again");
            build.failed += 1;
            return Some(FAILURE_PAUSE * build.failed);
        }
        let pause = advanced.unwrap_or_else(|e| {
            let why = format!("{}; what is read stayed as it was", chain(&e));
            tracing::error!(error = %chain(&e), "what was built beside the views is given up");
            self.ended(Some(why));
            self.drop_build();
            Duration::ZERO
        });
        Some(pause)
    }

    fn advance(&mut self) -> Result<Duration, ViewsError> {
        let Some(build) = &mut self.build else { return Ok(Duration::ZERO) };
        if let Some(comparison) = build.comparison.take_if(|c| c.thread.is_finished()) {
            match comparison.thread.join() {
                Ok(Ok(differed)) => {
                    let done = if build.stale_compared {
                        &mut build.compared
                    } else {
                        &mut build.stale_compared
                    };
                    *done = true;
                    build.differed.extend(differed);
                }
                // For the sake of a purge: once more.
                Ok(Err(e)) if e.is_interrupted() => {
                    tracing::info!("comparing the views begins again")
                }
                Ok(Err(e)) if build.purpose == Purpose::Audit => return Err(e),
                // What is read can't be read: all the more reason to take what was built.
                Ok(Err(e)) => {
                    tracing::error!(error = %chain(&e), "the views that are read could not be compared");
                    build.stale_compared = true;
                    build.compared = true;
                    build.differed.push("unreadable".to_owned());
                }
                Err(_) => {
                    return Err(ViewsError::storage("comparing the views ended early"));
                }
            }
        }
        // Rows of another version stand still at their position: there they are compared, unless a
        // build that a restart went on with is beyond it.
        build.stale_compared |=
            self.live.is_of_this_version() || build.fold.position() > self.live.position();
        let up_to = if build.stale_compared { self.live.next() } else { self.live.position() };
        let began = Instant::now();
        if build.fold.step(up_to)? > 0 {
            build.failed = 0;
            return Ok(if build.purpose == Purpose::Audit {
                began.elapsed()
            } else {
                Duration::ZERO
            });
        }
        if build.comparison.is_some() {
            return Ok(COMPARISON_ASKED_EVERY);
        }
        if build.compared {
            self.finish()?;
            return Ok(Duration::ZERO);
        }
        let which = |i: &usize| build.stale_compared != self.live.stale.contains(i);
        let which: Vec<usize> = (0..ALL.len()).filter(which).collect();
        build.position = up_to;
        build.comparison = Some(self.live.compare(&build.fold, which)?);
        Ok(COMPARISON_ASKED_EVERY)
    }

    /// Ends a build that has caught up and was compared with the current views.
    fn finish(&mut self) -> Result<(), ViewsError> {
        let Some(build) = &self.build else { return Ok(()) };
        let (purpose, position, differed) = (build.purpose, build.position, build.differed.clone());
        if !differed.is_empty() {
            tracing::warn!(projections = ?differed, position = position.0,
                purpose = purpose.word(), "what was built beside the views has other rows");
        }
        self.ended(None);
        match purpose {
            Purpose::Audit => {
                self.published.note(|c| {
                    c.verified = if differed.is_empty() { Some(position) } else { c.verified }
                });
                self.drop_build();
            }
            Purpose::Rebuild | Purpose::Rollback => {
                let verified = Some(position).filter(|_| build.whole);
                self.flip()?;
                self.published.note(|c| c.verified = verified);
            }
        }
        Ok(())
    }

    /// Makes the build the views that are read from now on.
    pub(super) fn flip(&mut self) -> Result<(), ViewsError> {
        let Some(build) = &self.build else { return Ok(()) };
        self.generations.flip(build.number)?;
        let Some(build) = self.build.take() else { return Ok(()) };
        let before = std::mem::replace(&mut self.live, build.fold);
        if before.search_pending {
            drop(before);
            self.generations.forget_previous()?;
        }
        self.published.serve(self.generations.path(build.number));
        self.moved.send_replace(self.live.position());
        Ok(())
    }

    fn ended(&self, failed: Option<String>) {
        let Some(build) = &self.build else { return };
        let outcome = Outcome {
            purpose: build.purpose,
            position: build.position,
            differed: build.differed.clone(),
            failed,
        };
        self.published.note(|c| c.last = Some(outcome));
    }

    fn drop_build(&mut self) {
        let Some(build) = self.build.take() else { return };
        build.interrupt();
        drop(build.fold);
        if let Err(e) = self.generations.give_up(build.number) {
            tracing::error!(error = %chain(&e), "a file of views that is not needed could not be deleted");
        }
        self.publish();
    }

    /// Publishes the progress of the build.
    pub(super) fn publish(&self) {
        let previous = self.generations.previous().is_some();
        let search_pending = self.live.search_pending;
        self.published.note(|c| (c.previous, c.search_pending) = (previous, search_pending));
        let of = self.live.position();
        let now = self.build.as_ref().map(|b| Building {
            purpose: b.purpose,
            position: b.fold.position(),
            of,
        });
        self.building.send_if_modified(|known| std::mem::replace(known, now.clone()) != now);
    }

    /// Deletes a subject's text from every view file.
    pub(super) fn purge(
        &mut self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<(), ViewsError> {
        self.snapshots.iter().for_each(Snapshots::interrupt);
        let beside = self.build.as_ref().map_or(Ok(()), |build| {
            build.interrupt();
            build.fold.purge(business, subject, up_to)
        });
        let live = self.live.purge(business, subject, up_to);
        self.purge_previous();
        live.and(beside)
    }

    /// Deletes the text of subjects whose keys another process destroyed from every view file;
    /// returns false if some text could not be deleted.
    pub(super) fn purge_forgotten(&mut self) -> bool {
        self.snapshots.iter().for_each(Snapshots::interrupt);
        let beside = self.build.as_ref().map_or(Ok(()), |build| {
            build.interrupt();
            build.fold.purge_forgotten()
        });
        let live = if self.live.purges() { self.live.purge_forgotten() } else { Ok(()) };
        self.purge_previous();
        if let Err(e) = live.and(beside) {
            tracing::error!(error = %chain(&e), "text of forgotten subjects could not be deleted; it is \
                tried again");
            return false;
        }
        true
    }

    /// Opens the previous views once, which deletes text that nobody has a key for; if that fails,
    /// they are not kept.
    pub(super) fn purge_previous(&mut self) {
        let in_the_making = self.build.as_ref().map(|b| b.number);
        let Some(previous) = self.generations.previous().filter(|p| in_the_making != Some(*p))
        else {
            return;
        };
        let purged =
            ViewFile::open(&self.generations.path(previous), &self.sources).and_then(|fold| {
                if fold.purges() { fold.empty_wal() } else { Err(ViewsError::Stopped) }
            });
        if purged.is_err()
            && let Err(e) = self.generations.forget_previous()
        {
            tracing::error!(error = %chain(&e), "earlier views could not be deleted");
        }
        self.publish();
    }
}
