//! Shadow builds: rebuilds, rollbacks and audits beside the views that are read.

mod beside;

use std::time::{Duration, Instant};

use beside::{Comparison, Indexing};
use event_log::{Position, chain};

use super::Runner;
use crate::view_file::{Slot, ViewFile, Writing};
use crate::views::{Building, Outcome, Purpose, ViewsError};

/// How often the runner asks whether what another thread does for the build is done.
const THREAD_ASKED_EVERY: Duration = Duration::from_millis(20);

/// How often a failing build is tried again, and the first pause; each further pause is longer.
const FAILURES_MAX: u32 = 5;
const FAILURE_PAUSE: Duration = Duration::from_millis(200);

/// How far a build is. Another thread compares and makes indexes; this one goes on meanwhile.
enum Phase {
    /// Applies events up to where the rows of another version stand still.
    CatchingUpWithStale,
    /// Compares these rows with those that are built, both at that position.
    ComparingStale(Comparison),
    /// Applies events up to where the current views are.
    CatchingUp,
    /// Makes the indexes that only readers need and brings the file to the disk.
    Indexing(Indexing),
    /// Compares the other rows.
    Comparing(Comparison),
    /// Replaces the current views, or is deleted, as soon as it is where they are.
    Compared,
}

/// A shadow build in progress.
pub(super) struct Build {
    pub(super) number: u64,
    pub(super) file: ViewFile,
    purpose: Purpose,
    request: u64,
    /// True if every projection is built from the log.
    whole: bool,
    phase: Phase,
    /// Where the rows were compared.
    position: Position,
    differed: Vec<String>,
    /// How many attempts to advance failed in a row.
    failed: u32,
}

impl Build {
    pub(super) fn new(number: u64, file: ViewFile, purpose: Purpose, request: u64) -> Self {
        Self {
            number,
            file,
            purpose,
            request,
            whole: purpose == Purpose::Audit,
            phase: Phase::CatchingUpWithStale,
            position: Position::START,
            differed: Vec::new(),
            failed: 0,
        }
    }

    /// Ends what another thread does for the build; it begins again with the next step.
    pub(super) fn interrupt(&mut self) {
        match &mut self.phase {
            Phase::ComparingStale(work) | Phase::Comparing(work) => work.interrupt(),
            Phase::Indexing(work) => work.interrupt(),
            Phase::CatchingUpWithStale | Phase::CatchingUp | Phase::Compared => {}
        }
    }

    /// Retries every business in which a projection of the build stopped.
    pub(super) fn retry(&mut self) -> Result<(), ViewsError> {
        self.interrupt();
        self.file.retry()
    }

    /// Takes the result of a comparison, if it is done; returns the phase that follows.
    fn compared(
        &mut self,
        comparison: Comparison,
        same: fn(Comparison) -> Phase,
        again: Phase,
        next: Phase,
    ) -> Result<Phase, ViewsError> {
        Ok(match comparison.result() {
            Err(comparison) => same(comparison),
            Ok(Ok(differed)) => {
                self.differed.extend(differed);
                next
            }
            Ok(Err(e)) if e.is_interrupted() => again,
            Ok(Err(e)) if self.purpose == Purpose::Audit => return Err(e),
            // What is read can't be read: all the more reason to take what was built.
            Ok(Err(e)) => {
                tracing::error!(error = %chain(&e), "the views that are read could not be \
                compared");
                self.differed.push("unreadable".to_owned());
                next
            }
        })
    }
}

impl Runner {
    /// Cancels an audit, which can be repeated; refuses if another build is in progress.
    pub(super) fn cancel_audit_or_busy(&mut self) -> Result<(), ViewsError> {
        match &self.build {
            None if !self.live.is_bulk() => Ok(()),
            Some(build) if build.purpose == Purpose::Audit => {
                self.drop_build();
                Ok(())
            }
            None | Some(_) => {
                Err(self.building.borrow().clone().map_or(ViewsError::Stopped, ViewsError::Busy))
            }
        }
    }

    /// Begins a build of some projections, or of all, that is to replace the current views. What
    /// another version made is built anew, too.
    pub(super) fn begin_rebuild(
        &mut self,
        which: impl Fn(&Slot) -> bool,
        request: u64,
    ) -> Result<(), ViewsError> {
        let number = self.generations.next();
        let anew: Vec<bool> = self.live.slots.iter().map(|s| s.stale || which(s)).collect();
        let whole = anew.iter().all(|anew| *anew);
        // A file that nobody named may lie there.
        self.generations.give_up(number)?;
        let begun = (|| {
            if !whole {
                self.live.copy_to(&self.generations.path(number))?;
            }
            let mut file = self.open_file(number, Writing::Bulk)?;
            if !whole {
                file.remake(&anew)?;
            }
            // From here on the next process may go on with it.
            self.generations.begin(number)?;
            Ok(file)
        })();
        match begun {
            Ok(file) => {
                let build = Build::new(number, file, Purpose::Rebuild, request);
                self.build = Some(Build { whole, ..build });
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
    pub(super) fn begin_audit(&mut self, request: u64) -> Result<(), ViewsError> {
        let number = self.generations.next();
        self.generations.give_up(number)?;
        match self.open_file(number, Writing::Bulk) {
            Ok(file) => {
                self.build = Some(Build::new(number, file, Purpose::Audit, request));
                self.publish();
                Ok(())
            }
            Err(e) => {
                self.generations.give_up(number)?;
                Err(e)
            }
        }
    }

    /// Begins to bring the previous views up to date, which then replace the current ones.
    pub(super) fn rollback(&mut self, request: u64) -> Result<(), ViewsError> {
        self.cancel_audit_or_busy()?;
        let none = |why: &str| ViewsError::NoRollback(why.to_owned());
        let previous = self.generations.previous().ok_or_else(|| {
            none("there are no earlier views: they are kept from a rebuild to the next")
        })?;
        let file = self.open_file(previous, Writing::Kept)?;
        if let Some(slot) = file.slots.iter().find(|slot| slot.stale) {
            return Err(none(&format!(
                "the earlier views were made by a program with another version of the projection \
                 `{}`; start that program: it goes on with them by itself",
                slot.projection.name
            )));
        }
        self.build = Some(Build::new(previous, file, Purpose::Rollback, request));
        self.publish();
        Ok(())
    }

    /// Begins an audit, or, if another version made some projections, their rebuild.
    pub(super) fn due(&mut self) {
        if self.build.is_some() || self.live.is_bulk() {
            return;
        }
        let begun = if self.live.is_of_this_version() {
            self.begin_audit(0)
        } else {
            self.begin_rebuild(|_| false, 0)
        };
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

    /// Applies a batch to the build, or takes it to its next phase; returns how long to wait.
    fn advance(&mut self) -> Result<Duration, ViewsError> {
        let Some(mut build) = self.build.take() else { return Ok(Duration::ZERO) };
        let advanced = self.advance_phase(&mut build);
        let compared = matches!(build.phase, Phase::Compared);
        self.build = Some(build);
        match advanced? {
            None if compared => self.finish().map(|()| Duration::ZERO),
            pause => Ok(pause.unwrap_or_default()),
        }
    }

    /// Returns how long to wait; `None` if the phase is at its end.
    fn advance_phase(&mut self, build: &mut Build) -> Result<Option<Duration>, ViewsError> {
        let began = Instant::now();
        let (live, audit) = (&self.live, build.purpose == Purpose::Audit);
        // An audit is in no hurry: it leaves every other moment to others.
        let pause = || if audit { began.elapsed() } else { Duration::ZERO };
        let asked = Ok(Some(THREAD_ASKED_EVERY));
        let phase = std::mem::replace(&mut build.phase, Phase::CatchingUp);
        match phase {
            // A build that a restart went on with may be beyond it.
            Phase::CatchingUpWithStale
                if live.is_of_this_version() || build.file.position() > live.position() => {}
            Phase::CatchingUpWithStale => {
                build.phase = Phase::CatchingUpWithStale;
                if build.file.step(live.position())? > 0 {
                    build.failed = 0;
                    if build.file.position() < live.position() {
                        return Ok(Some(pause()));
                    }
                }
                let stale = live.compare(&build.file, |slot| slot.stale)?;
                build.phase = Phase::ComparingStale(stale);
            }
            Phase::ComparingStale(work) => {
                let again = Phase::CatchingUpWithStale;
                build.phase =
                    build.compared(work, Phase::ComparingStale, again, Phase::CatchingUp)?;
                return asked;
            }
            Phase::Indexing(work) => {
                build.phase = match work.result() {
                    Err(work) => Phase::Indexing(work),
                    Ok(Err(e)) if e.is_interrupted() => Phase::CatchingUp,
                    Ok(result) => {
                        result?;
                        build.file.keep()?;
                        Phase::CatchingUp
                    }
                };
                return asked;
            }
            phase @ (Phase::CatchingUp | Phase::Comparing(_) | Phase::Compared) => {
                build.phase = phase;
                // The current views may move with every turn: as far as they are now is enough.
                if build.file.step(live.next())? > 0 {
                    build.failed = 0;
                    if build.file.next() < live.next() {
                        return Ok(Some(pause()));
                    }
                }
                return self.after_catching_up(build);
            }
        }
        Ok(Some(Duration::ZERO))
    }

    /// What a build does that is where the current views are.
    fn after_catching_up(&self, build: &mut Build) -> Result<Option<Duration>, ViewsError> {
        let phase = std::mem::replace(&mut build.phase, Phase::CatchingUp);
        build.phase = if let Phase::Comparing(work) = phase {
            build.compared(work, Phase::Comparing, Phase::CatchingUp, Phase::Compared)?
        } else if matches!(phase, Phase::Compared) {
            Phase::Compared
        } else if build.file.is_bulk() && build.purpose != Purpose::Audit {
            Phase::Indexing(Indexing::of(&build.file, self.set)?)
        } else {
            build.position = build.file.next();
            Phase::Comparing(self.live.compare(&build.file, |slot| !slot.stale)?)
        };
        let done = matches!(build.phase, Phase::Compared);
        Ok((!done).then_some(THREAD_ASKED_EVERY))
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
        if purpose == Purpose::Audit {
            let verified = differed.is_empty().then_some(position);
            self.published.note(|c| c.verified = verified.or(c.verified));
            self.drop_build();
            return Ok(());
        }
        let verified = Some(position).filter(|_| build.whole);
        self.generations.flip(build.number)?;
        self.take_build();
        self.published.note(|c| c.verified = verified);
        Ok(())
    }

    /// Has readers use the build from now on.
    fn take_build(&mut self) {
        let Some(build) = self.build.take() else { return };
        self.published.serve(build.file.path());
        self.live = build.file;
        self.moved.send_replace(self.live.position());
    }

    /// Has readers use the build while it is still filled.
    pub(super) fn read_what_is_built(&mut self) -> Result<(), ViewsError> {
        self.generations.retire_current()?;
        self.take_build();
        Ok(())
    }

    fn ended(&self, failed: Option<String>) {
        let Some(build) = &self.build else { return };
        let outcome = Outcome {
            purpose: build.purpose,
            position: build.position,
            differed: build.differed.clone(),
            failed,
            request: build.request,
        };
        self.published.note(|c| c.last = Some(outcome));
    }

    fn drop_build(&mut self) {
        let Some(mut build) = self.build.take() else { return };
        build.interrupt();
        drop(build.file);
        if let Err(e) = self.generations.give_up(build.number) {
            tracing::error!(error = %chain(&e), "a file of views that is not needed could not be deleted");
        }
        self.publish();
    }

    /// Publishes the progress of the build.
    pub(super) fn publish(&self) {
        let previous = self.generations.previous().is_some();
        let search_pending = self.set.is_searchable() && self.live.is_bulk();
        self.published.note(|c| (c.previous, c.search_pending) = (previous, search_pending));
        let at = self.live.position();
        let filling =
            Some(Building { purpose: Purpose::Filling, position: at, of: self.sources.log.end() });
        let now = match &self.build {
            Some(b) => Some(Building { purpose: b.purpose, position: b.file.position(), of: at }),
            None => filling.filter(|_| self.live.is_bulk()),
        };
        self.building.send_if_modified(|known| std::mem::replace(known, now.clone()) != now);
    }
}
