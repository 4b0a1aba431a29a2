//! Applies forgettings: what the log says of forgotten subjects is applied to the keys, to the
//! searchable text, and to the list beside the file that wraps the keys.
//!
//! The event comes first (`privacy.subject_forgotten`), then the list, then the key: after a crash
//! in between, the next start finds the rest in the log. A log and keys that were both restored
//! from before a forgetting know nothing of it. The list does, because it is backed up with what
//! wraps the keys: its lines are applied to the keys again, and appended to the log again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::{Actor, CommandBus, Submission};
use domain::ids::{ErasureId, INSTALLATION};
use domain::personal::Generation;
use domain::{AggregateRef, BusinessId, Event, SubjectId, privacy};
use event_log::{EventLog, Keyring, KeyringError, Position, chain};
use projections::Views;
use serde_json::json;
use tokio::sync::Mutex;

use crate::app::{AppError, operator};
use crate::forgotten_list::{ForgottenList, Line};

/// How many events are read at once.
const PAGE: usize = 500;
/// How often other servers' forgettings are looked for, and failed work is tried again.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the views between the two purges of searchable text.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(60);

/// Applies the forgettings of a log.
pub(crate) struct Forgettings {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    /// Locked by whoever applies forgettings or writes to the list.
    state: Mutex<State>,
    /// True if a recorded forgetting could not be applied yet.
    pending: AtomicBool,
}

/// How far this process has applied the log. Keys are not counted here: other processes may share
/// the keyring, which knows itself which keys are destroyed.
struct State {
    list: ForgottenList,
    /// The position up to which the list has every forgetting; `None` before the first pass, when
    /// the list's own last position counts.
    listed: Option<Position>,
    /// The position up to which this process has purged searchable text; views that begin later
    /// hold no older text.
    purged: Position,
}

/// Path of the list: beside the file that wraps the keys, or in the data folder.
pub(crate) fn list_file(data: &Path, key_file: &Path) -> PathBuf {
    let beside = if key_file.as_os_str().is_empty() { Some(data) } else { key_file.parent() };
    beside.unwrap_or(data).join("forgotten")
}

impl Forgettings {
    /// # Errors
    /// If the list can't be read.
    pub(crate) fn open(
        file: PathBuf,
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
    ) -> Result<Self, AppError> {
        let state =
            State { list: ForgottenList::open(file)?, listed: None, purged: Position::START };
        Ok(Self { log, keyring, state: Mutex::new(state), pending: AtomicBool::new(false) })
    }

    /// True if a recorded forgetting could not be applied yet, for example because a reader keeps a
    /// key's bytes in the WAL, or the list can't be written.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Applies the forgettings of the log that this process has not applied; returns how many keys
    /// were destroyed. A key that can't be destroyed does not keep others from being destroyed.
    /// Without `views` no text is purged: views that begin later hold none of it.
    ///
    /// # Errors
    /// The first failure; the next call tries the failed part again.
    pub(crate) async fn apply(&self, views: Option<&Views>) -> Result<u32, AppError> {
        let applied = self.apply_now(views).await;
        self.pending.store(applied.is_err(), Ordering::Relaxed);
        applied
    }

    async fn apply_now(&self, views: Option<&Views>) -> Result<u32, AppError> {
        let mut state = self.state.lock().await;
        let Some(log) = self.log.identity().await? else { return Ok(0) };
        let applied = self.position(self.keyring.applied(log).await?);
        let listed = state.listed.unwrap_or_else(|| self.position(state.list.position(log)));
        let from = if views.is_some() {
            applied.min(listed).min(state.purged)
        } else {
            applied.min(listed)
        };
        let (mut destroyed, mut failed, mut unlisted, mut after, mut done) =
            (0, None, None, from, from);
        loop {
            let events = self.log.read_erasures(after, PAGE).await?;
            let Some(last) = events.last().map(|e| e.position) else { break };
            for recorded in &events {
                let stored = recorded.stored().map_err(AppError::other)?;
                let Event::Privacy(privacy::Event::SubjectForgotten(e)) =
                    stored.event().map_err(AppError::other)?
                else {
                    continue;
                };
                let line = Line {
                    log,
                    position: recorded.position,
                    business: stored.business,
                    subject: e.subject,
                    generation: e.generation,
                };
                // After a line that could not be added no later one is: the list must have no hole.
                if unlisted.is_none() {
                    unlisted = state.list.add(&line).err();
                }
                match self.forget(&line, views).await {
                    Ok(keys) => destroyed += keys,
                    Err(e) => failed = failed.or(Some(e)),
                }
            }
            after = last;
            if failed.is_none() && unlisted.is_none() {
                done = done.max(last);
            }
        }
        if done > applied {
            self.keyring.set_applied(log, done).await?;
        }
        state.listed = Some(if unlisted.is_none() { done.max(listed) } else { done.min(listed) });
        state.purged = state.purged.max(done);
        failed.or(unlisted).map_or(Ok(destroyed), Err)
    }

    /// The position `known` if the log has it, else 0: then the log was restored from an earlier
    /// day.
    fn position(&self, known: Position) -> Position {
        if known > self.log.end() { Position::START } else { known }
    }

    /// Destroys the keys and purges the searchable text; each is done even if the other fails.
    async fn forget(&self, line: &Line, views: Option<&Views>) -> Result<u32, AppError> {
        let Line { business, subject, generation, .. } = *line;
        let destroyed = destroy(&*self.keyring, business, subject, generation).await;
        let purged = match views {
            Some(views) => self.purge(views, line).await,
            None => Ok(()),
        };
        let keys = destroyed?;
        purged?;
        if keys > 0 {
            tracing::info!(business.id = %business, subject.id = %subject, keys, "a subject's keys \
                were destroyed");
        }
        Ok(keys)
    }

    async fn purge(&self, views: &Views, line: &Line) -> Result<(), AppError> {
        views.purge(line.business, line.subject, line.generation).await?;
        // What the runner read before the key was gone may still be on its way into the tables.
        let end = self.log.end();
        views.wait_for_text(end, CAUGHT_UP_MAX).await?;
        Ok(views.purge(line.business, line.subject, line.generation).await?)
    }

    /// Destroys the keys that the list names, before anything is served or read into views.
    ///
    /// # Errors
    /// When the keys can't be used.
    pub(crate) async fn destroy_listed(&self) -> Result<(), AppError> {
        let Some(log) = self.log.identity().await? else { return Ok(()) };
        let lines = self.state.lock().await.list.of(log);
        for line in lines {
            match destroy(&*self.keyring, line.business, line.subject, line.generation).await {
                Ok(_) | Err(KeyringError::NotYetDestroyed) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Checks that the list is complete, once it has every forgetting of the log.
    ///
    /// # Errors
    /// When its last line is cut off.
    pub(crate) async fn is_whole(&self) -> Result<(), AppError> {
        self.state.lock().await.list.is_whole()
    }

    /// Appends again the forgettings that the list has and the log does not: the log was restored
    /// from an earlier day.
    ///
    /// # Errors
    /// When the log can't be used.
    pub(crate) async fn append_listed(&self, bus: &CommandBus) -> Result<(), AppError> {
        let Some(log) = self.log.identity().await? else { return Ok(()) };
        let lines = self.state.lock().await.list.of(log);
        for Line { business, subject, generation, .. } in lines {
            let erasure = AggregateRef::from(ErasureId::of(business, subject));
            let state = self.log.load(business, erasure).await?.state;
            let fenced =
                matches!(&state, domain::State::Erasure(e) if e.fenced >= Some(generation));
            if fenced || self.log.head(business).await?.is_none() {
                continue;
            }
            bus.submit(again(business, subject, generation)).await?;
            tracing::warn!(business.id = %business, subject.id = %subject, "the log did not know \
                that this subject is forgotten; it says so again");
        }
        Ok(())
    }

    /// Applies what other servers forget, and repeats what failed, until the process is told to
    /// stop.
    pub(crate) async fn run(
        self: Arc<Self>,
        views: Views,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) {
        // What failed while the process started is tried first.
        let (mut moved, mut failed, mut told) = (self.log.position(), true, false);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = moved.changed(), if !failed => if changed.is_err() { return },
                () = tokio::time::sleep(EVERY), if failed => {}
            }
            fail::fail_point!("forgettings");
            match self.apply(Some(&views)).await {
                Ok(_) => (failed, told) = (false, false),
                Err(e) => {
                    if !told {
                        tracing::error!(error = %chain(&e), "what is forgotten on record could not be \
                            applied; it is tried again every second");
                    }
                    (failed, told) = (true, true);
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}

/// Destroys the keys of a subject. If an existing key of the business itself is among them, the
/// secret of its imports is destroyed too; a secret that was made later stays when an old
/// forgetting is applied again.
async fn destroy(
    keyring: &dyn Keyring,
    business: BusinessId,
    subject: SubjectId,
    generation: Generation,
) -> Result<u32, KeyringError> {
    let own = subject == business.as_subject()
        && keyring.opening_key(business, subject, generation).await?.is_some();
    let with_it = if own {
        keyring
            .destroy(business, privacy::import_secret(business), Generation::LAST)
            .await
            .map(|_| ())
    } else {
        Ok(())
    };
    let destroyed = keyring.destroy(business, subject, generation).await?;
    with_it.map(|()| destroyed)
}

/// The command that records a forgetting again, as the log had it before it was restored.
fn again(business: BusinessId, subject: SubjectId, generation: Generation) -> Submission {
    let kind = domain::access::PrincipalKind::Human;
    let actor = Actor {
        principal: operator(),
        kind,
        operator: true,
        historic: false,
        restores: true,
        rate_profile: domain::access::RateProfile::Bulk,
        roles: Default::default(),
    };
    let (name, data) = if business == INSTALLATION {
        ("privacy.forget_name", json!({"principal": subject, "generation": generation}))
    } else {
        ("privacy.forget_subject", json!({"subject": subject, "generation": generation}))
    };
    let key = format!("forgotten:{subject}:{generation}");
    Submission::new(business, actor, key, name, Some(ErasureId::of(business, subject).0), &data)
}

/// Applies every forgetting of a log, and the lines of the source's list, to keys that were just
/// copied to it.
///
/// # Errors
/// When either can't be used.
pub(crate) async fn apply_all(
    log: &dyn EventLog,
    keyring: &dyn Keyring,
    list: &[Line],
) -> Result<(), AppError> {
    for line in list {
        destroy(keyring, line.business, line.subject, line.generation).await?;
    }
    let mut after = Position::START;
    loop {
        let events = log.read_erasures(after, PAGE).await?;
        let Some(last) = events.last().map(|e| e.position) else { return Ok(()) };
        for recorded in &events {
            let stored = recorded.stored().map_err(AppError::other)?;
            if let Event::Privacy(privacy::Event::SubjectForgotten(e)) =
                stored.event().map_err(AppError::other)?
            {
                destroy(keyring, stored.business, e.subject, e.generation).await?;
            }
        }
        after = last;
    }
}
