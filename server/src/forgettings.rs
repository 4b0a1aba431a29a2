//! Forgettings: what the log says of subjects that are forgotten, applied to the keys, to the
//! searchable text, and to the list beside what wraps the keys.
//!
//! The fact comes first (`privacy.subject_forgotten`), then the list, then the key: whoever dies in
//! between finds the rest in the log at the next start. Log and keys that are restored together from
//! before a forgetting know nothing of it. The list does, because a restore takes it along with what
//! wraps the keys: its lines are applied to the keys again, and appended to the log again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use commands::{Actor, Desk, Submission};
use domain::ids::{ErasureId, INSTALLATION};
use domain::{AggregateRef, BusinessId, Event, SubjectId, privacy};
use event_log::{EventLog, Keyring, KeyringError};
use projections::Views;
use serde_json::json;
use tokio::sync::Mutex;

use crate::app::{AppError, operator};
use crate::forgotten_list::{ForgottenList, Line};

/// Events that are read at once.
const PAGE: usize = 500;
/// How often other servers' forgettings are looked for, and what failed is tried again.
const EVERY: Duration = Duration::from_secs(1);
/// How long the views are waited for between the two purges of what is searchable.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(60);

/// What applies the forgettings of a log.
pub(crate) struct Forgettings {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    /// One at a time applies, and writes to the list.
    list: Mutex<ForgottenList>,
}

/// Where the list lies: beside the file that wraps the keys, or in the data folder.
pub(crate) fn list_file(data: &Path, key_file: &Path) -> PathBuf {
    let beside = if key_file.as_os_str().is_empty() { Some(data) } else { key_file.parent() };
    beside.unwrap_or(data).join("forgotten")
}

impl Forgettings {
    /// # Errors
    /// When the list can't be read.
    pub(crate) fn open(file: PathBuf, log: Arc<dyn EventLog>, keyring: Arc<dyn Keyring>) -> Result<Self, AppError> {
        Ok(Self { log, keyring, list: Mutex::new(ForgottenList::open(file)?) })
    }

    /// Applies what the log says and was not applied here; says how many keys were destroyed. Every key
    /// that can be destroyed is, also where one can't.
    ///
    /// # Errors
    /// The first failure; what it concerns is tried again by the next call.
    pub(crate) async fn apply(&self, views: Option<&Views>) -> Result<u32, AppError> {
        let mut list = self.list.lock().await;
        let Some(log) = self.log.identity().await? else { return Ok(0) };
        let (applied, listed) = (self.position(self.keyring.applied(log).await?), self.position(list.position(log)));
        let (mut destroyed, mut failed, mut after, mut done) = (0, None, applied.min(listed), applied);
        loop {
            let events = self.log.read_erasures(after, PAGE).await?;
            let Some(last) = events.last().map(|e| e.position) else { break };
            for recorded in &events {
                let stored = recorded.stored().map_err(AppError::other)?;
                let Event::Privacy(privacy::Event::SubjectForgotten(e)) = stored.event().map_err(AppError::other)? else { continue };
                let line = Line { log, position: recorded.position, business: stored.business, subject: e.subject, generation: e.generation };
                match self.forget(&line, &mut list, views).await {
                    Ok(keys) => destroyed += keys,
                    Err(e) => failed = failed.or(Some(e)),
                }
            }
            after = last;
            if failed.is_none() {
                done = done.max(last);
            }
        }
        if done > applied {
            self.keyring.set_applied(log, done).await?;
        }
        failed.map_or(Ok(destroyed), Err)
    }

    /// A position that this log has; 0 for one beyond its end: the log was put back to an earlier day.
    fn position(&self, known: u64) -> u64 {
        if known > *self.log.position().borrow() { 0 } else { known }
    }

    /// Puts it on the list, destroys the keys, and deletes what is searchable: each also where another fails.
    async fn forget(&self, line: &Line, list: &mut ForgottenList, views: Option<&Views>) -> Result<u32, AppError> {
        let Line { business, subject, generation, .. } = *line;
        let listed = list.add(line);
        let destroyed = destroy(&*self.keyring, business, subject, generation).await;
        let purged = match views {
            Some(views) => self.purge(views, line).await,
            None => Ok(()),
        };
        listed?;
        let keys = destroyed?;
        purged?;
        if keys > 0 {
            tracing::info!(business.id = %business, subject.id = %subject, keys, "a subject's keys were destroyed");
        }
        Ok(keys)
    }

    async fn purge(&self, views: &Views, line: &Line) -> Result<(), AppError> {
        views.purge(line.business, line.subject, line.generation).await?;
        // What the runner read before the key was gone may still be on its way into the tables.
        let end = *self.log.position().borrow();
        views.wait_for(end, CAUGHT_UP_MAX).await?;
        Ok(views.purge(line.business, line.subject, line.generation).await?)
    }

    /// Applies the list: the keys go, and what the log does not have is appended to it again.
    ///
    /// # Errors
    /// When the log or the keys can't be used.
    pub(crate) async fn restore(&self, desk: &Desk) -> Result<(), AppError> {
        let Some(log) = self.log.identity().await? else { return Ok(()) };
        let applied = self.position(self.keyring.applied(log).await?);
        let lines = self.list.lock().await.after(log, applied);
        for line in lines {
            let Line { business, subject, generation, .. } = line;
            match destroy(&*self.keyring, business, subject, generation).await {
                Ok(_) | Err(KeyringError::NotYetDestroyed) => {}
                Err(e) => return Err(e.into()),
            }
            let erasure = ErasureId::of(business, subject);
            let known = self.log.load(business, AggregateRef::from(erasure)).await?;
            let fenced = matches!(&known.1, domain::State::Erasure(e) if e.fenced >= generation);
            if fenced || self.log.head(business).await?.is_none() {
                continue;
            }
            desk.submit(again(business, subject, generation)).await?;
            tracing::warn!(business.id = %business, subject.id = %subject, "the log did not know that this subject is forgotten; it says so again");
        }
        Ok(())
    }

    /// Goes on applying what other servers of the log forget, and what failed, until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, views: Views, mut stop: tokio::sync::watch::Receiver<bool>) {
        // What failed while the process started is tried first.
        let (mut moved, mut failed, mut told) = (self.log.position(), true, false);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = moved.changed(), if !failed => if changed.is_err() { return },
                () = tokio::time::sleep(EVERY), if failed => {}
            }
            match self.apply(Some(&views)).await {
                Ok(_) => (failed, told) = (false, false),
                Err(e) => {
                    if !told {
                        tracing::error!(error = %e, "what is forgotten on record could not be applied; it is tried again every second");
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

/// Destroys the keys of a subject; with those of the business itself goes the secret of its imports.
async fn destroy(keyring: &dyn Keyring, business: BusinessId, subject: SubjectId, generation: u32) -> Result<u32, KeyringError> {
    let own = subject == business.as_subject();
    let with_it = if own { keyring.destroy(business, privacy::import_secret(business), generation).await.map(|_| ()) } else { Ok(()) };
    let destroyed = keyring.destroy(business, subject, generation).await?;
    with_it.map(|()| destroyed)
}

/// The command that forgets somebody again, as the log would have it had it not been put back.
fn again(business: BusinessId, subject: SubjectId, generation: u32) -> Submission {
    let kind = domain::access::PrincipalKind::Human;
    let actor = Actor { principal: operator(), kind, operator: true, historic: false, restores: true, roles: Default::default() };
    let (name, data) = if business == INSTALLATION {
        ("privacy.forget_name", json!({"principal": subject, "generation": generation}))
    } else {
        ("privacy.forget_subject", json!({"subject": subject, "generation": generation}))
    };
    let key = format!("forgotten:{subject}:{generation}");
    Submission::new(business, actor, key, name, Some(ErasureId::of(business, subject).0), &data)
}

/// Applies every forgetting of a log to keys that were just put beside it.
///
/// # Errors
/// When either can't be used.
pub(crate) async fn apply_all(log: &dyn EventLog, keyring: &dyn Keyring) -> Result<(), AppError> {
    let mut after = 0;
    loop {
        let events = log.read_erasures(after, PAGE).await?;
        let Some(last) = events.last().map(|e| e.position) else { return Ok(()) };
        for recorded in &events {
            let stored = recorded.stored().map_err(AppError::other)?;
            if let Event::Privacy(privacy::Event::SubjectForgotten(e)) = stored.event().map_err(AppError::other)? {
                destroy(keyring, stored.business, e.subject, e.generation).await?;
            }
        }
        after = last;
    }
}
