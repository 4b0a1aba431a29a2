//! The views for their readers: read-only connections, progress, and requests to the runner.

mod error;
mod reading;

use domain::personal::Generation;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use event_log::{Position, Seq};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::ALL;
pub use error::ViewsError;
use reading::Served;
pub(crate) use reading::read_only;

/// A business in which a projection stopped at an event that it can't apply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Name of the projection.
    pub projection: String,
    /// Id of the business.
    pub business: String,
    /// The `seq` of the event at which the projection stopped.
    pub seq: Seq,
    /// Why the projection can't apply the event.
    pub error: String,
}

/// Purpose of a shadow build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The build replaces the current views.
    Rebuild,
    /// The previous views are brought up to date and replace the current ones.
    Rollback,
    /// The build is compared with the current views and then deleted.
    Audit,
}

impl Purpose {
    /// Name of the purpose, as it is stored and shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Rollback => "rollback",
            Self::Audit => "audit",
        }
    }
}

/// A shadow build in progress.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Building {
    /// Purpose of the build.
    pub purpose: Purpose,
    /// The last position that the build has applied.
    pub position: Position,
    /// The last position that the current views have applied.
    pub of: Position,
}

/// How the last shadow build ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// Purpose of the build.
    pub purpose: Purpose,
    /// The position at which the build was compared with the current views.
    pub position: Position,
    /// Names of the projections whose rows differed at that position.
    pub differed: Vec<String>,
    /// Why the build was given up; `None` if it was not.
    pub failed: Option<String>,
}

/// The state of the views as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ViewsHealth {
    /// Up to this position an audit found the rows equal to those that the log gives.
    pub verified: Option<Position>,
    /// How the last shadow build ended; `None` before the first.
    pub last: Option<Outcome>,
    /// True if the previous views are kept for a rollback.
    pub previous: bool,
    /// True while searchable tables are being filled, because the views began as a snapshot.
    pub search_pending: bool,
}

/// How far a projection has followed the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Name of the projection.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The last position it has applied.
    pub position: Position,
    /// Businesses in which the projection stopped at an event that it can't apply.
    pub failures: Vec<Failure>,
}

pub(crate) enum Request {
    Rebuild(Option<String>, oneshot::Sender<Result<(), ViewsError>>),
    Rollback(oneshot::Sender<Result<(), ViewsError>>),
    Audit(oneshot::Sender<Result<(), ViewsError>>),
    Retry(oneshot::Sender<Result<(), ViewsError>>),
    Purge(BusinessId, SubjectId, Generation, oneshot::Sender<Result<(), ViewsError>>),
    Tick,
    Forgotten(oneshot::Sender<bool>),
    Stop,
}

/// State that the runner publishes to readers.
#[derive(Clone, Default)]
pub(crate) struct PublishedState {
    served: Arc<Mutex<Served>>,
    reads: Arc<AtomicU64>,
    health: Arc<Mutex<ViewsHealth>>,
}

impl PublishedState {
    /// Has new readers use this file; whoever reads another file finishes there.
    pub(crate) fn serve(&self, path: PathBuf) {
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) =
            Served { path, idle: Vec::new() };
    }

    /// Changes the published state of the views.
    pub(crate) fn note(&self, change: impl FnOnce(&mut ViewsHealth)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How long searchable text is shown without a confirmation that none of its keys was destroyed.
const TEXT_AGE_MAX: Duration = Duration::from_secs(30);

/// The views of this process.
#[derive(Clone)]
pub struct Views {
    pub(crate) published: PublishedState,
    pub(crate) position: watch::Receiver<Position>,
    pub(crate) building: watch::Receiver<Option<Building>>,
    /// Why the views can't follow the log; `None` when they can.
    pub(crate) trouble: watch::Receiver<Option<String>>,
    /// When it was last confirmed that no searchable text belongs to a destroyed key.
    pub(crate) text: watch::Receiver<Instant>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Views {
    /// True if searchable text may be shown. False if for 30 s nobody could tell whether another
    /// process has destroyed keys, or text of a destroyed key could not be deleted.
    #[must_use]
    pub fn may_show_text(&self) -> bool {
        self.text.borrow().elapsed() < TEXT_AGE_MAX
    }

    /// The last position that every projection has applied.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Why the views can't follow the log at the moment; `None` when they can.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<String> {
        self.trouble.borrow().as_ref().map(|why| format!("the views can't follow the log: {why}"))
    }

    /// The last position that every projection has applied, as a channel that reports each move.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    /// Waits until the views have applied a position.
    ///
    /// # Errors
    /// [`ViewsError::Behind`] if they have not after `at_most`.
    pub async fn wait_for(&self, position: Position, at_most: Duration) -> Result<(), ViewsError> {
        let mut moved = self.position.clone();
        let waited = tokio::time::timeout(at_most, moved.wait_for(|at| *at >= position)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ViewsError::Stopped),
            Err(_) => Err(ViewsError::Behind { at: self.position(), wanted: position }),
        }
    }

    async fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<(), ViewsError>>) -> Request,
    ) -> Result<(), ViewsError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| ViewsError::Stopped)?;
        wait.await.unwrap_or(Err(ViewsError::Stopped))
    }

    /// The shadow build in progress; `None` if there is none.
    #[must_use]
    pub fn building(&self) -> Option<Building> {
        self.building.borrow().clone()
    }

    /// The state of the views as a whole.
    #[must_use]
    pub fn health(&self) -> ViewsHealth {
        self.published.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until no shadow build is in progress; returns how the last one ended.
    ///
    /// # Errors
    /// If a build takes longer than `at_most`, or the last one was given up.
    pub async fn settled(&self, at_most: Duration) -> Result<Option<Outcome>, ViewsError> {
        let mut building = self.building.clone();
        let waited = tokio::time::timeout(at_most, building.wait_for(Option::is_none)).await;
        match waited {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(ViewsError::Stopped),
            Err(_) => return Err(self.building().map_or(ViewsError::Stopped, ViewsError::Busy)),
        }
        let last = self.health().last;
        match last.as_ref().and_then(|l| l.failed.clone()) {
            Some(why) => Err(ViewsError::storage(why)),
            None => Ok(last),
        }
    }

    /// Begins to bring the previous views up to date, which then replace the current ones; returns
    /// once that has begun.
    ///
    /// # Errors
    /// If there are no previous views that this program can update.
    pub async fn rollback(&self) -> Result<(), ViewsError> {
        self.ask(Request::Rollback).await
    }

    /// Begins an audit: builds all projections from the log and compares them with the current
    /// views; returns once that has begun.
    ///
    /// # Errors
    /// If a shadow build is in progress.
    pub async fn audit(&self) -> Result<(), ViewsError> {
        self.ask(Request::Audit).await
    }

    /// Begins to rebuild one projection, or all if `name` is `None`, from the log beside the
    /// current views; returns once that has begun.
    ///
    /// # Errors
    /// If no projection has that name, or a shadow build is in progress.
    pub async fn rebuild(&self, name: Option<String>) -> Result<(), ViewsError> {
        self.ask(|answer| Request::Rebuild(name, answer)).await
    }

    /// Retries every business in which a projection stopped.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn retry(&self) -> Result<(), ViewsError> {
        self.ask(Request::Retry).await
    }

    /// Deletes searchable text that was sealed under a subject's keys up to a generation.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn purge(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<(), ViewsError> {
        self.ask(|answer| Request::Purge(business, subject, up_to, answer)).await
    }

    /// How far each projection has followed the log.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn status(&self) -> Result<Vec<Status>, ViewsError> {
        self.read(|c| {
            let failures = failures(c)?;
            let of = |(name, version, position): (String, u32, Position)| Status {
                failures: failures.iter().filter(|f| f.projection == name).cloned().collect(),
                name,
                version,
                position,
            };
            let mut query =
                c.prepare("SELECT name, version, position FROM projections ORDER BY name")?;
            let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            rows.map(|r| r.map(of).map_err(ViewsError::from)).collect()
        })
    }

    /// The digest of each projection's tables as they stand.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn digests(&self) -> Result<Vec<(String, Digest)>, ViewsError> {
        self.read(digests)
    }
}

pub(crate) fn digests(connection: &Connection) -> Result<Vec<(String, Digest)>, ViewsError> {
    ALL.iter().map(|p| Ok((p.name.to_owned(), crate::digest(connection, p)?))).collect()
}

pub(crate) fn failures(connection: &Connection) -> rusqlite::Result<Vec<Failure>> {
    connection
        .prepare_cached(
            "SELECT projection, business, seq, error FROM failures ORDER BY projection, business",
        )?
        .query_map([], |r| {
            Ok(Failure {
                projection: r.get(0)?,
                business: r.get(1)?,
                seq: r.get(2)?,
                error: r.get(3)?,
            })
        })?
        .collect()
}
