//! The views from the outside: read-only connections, how far they are, and requests to the runner.

mod error;
mod reading;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::ALL;
pub use error::ViewsError;
use reading::Served;
pub(crate) use reading::read_only;

/// A business that a projection stopped at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Which projection.
    pub projection: String,
    /// Which business.
    pub business: String,
    /// At which of its events.
    pub seq: u64,
    /// Why.
    pub error: String,
}

/// Why views are built beside those that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To take their place.
    Rebuild,
    /// The earlier ones catch up, to take their place again.
    Rollback,
    /// To be compared with them and thrown away.
    Audit,
}

impl Purpose {
    /// As a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Rollback => "rollback",
            Self::Audit => "audit",
        }
    }
}

/// What is being built beside the views that are read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Building {
    /// What for.
    pub purpose: Purpose,
    /// How far it is.
    pub position: u64,
    /// How far the views are that are read.
    pub of: u64,
}

/// How the last build beside the views ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// What it was for.
    pub purpose: Purpose,
    /// The position at which both were compared.
    pub position: u64,
    /// Projections whose rows were not the same there.
    pub differed: Vec<String>,
    /// Why it was given up, if it was.
    pub failed: Option<String>,
}

/// What is known of the views as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ViewsHealth {
    /// The position up to which the rows that are read are known to be those that the log gives.
    pub verified: Option<u64>,
    /// How the last build beside them ended.
    pub last: Option<Outcome>,
    /// Whether the ones before them are kept, for a rollback.
    pub previous: bool,
    /// Whether they began as a snapshot, and what is searchable is still being filled.
    pub search_pending: bool,
}

/// How far a projection is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Which one.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The last position it has applied.
    pub position: u64,
    /// Businesses it stopped at.
    pub failures: Vec<Failure>,
}

pub(crate) enum Request {
    Rebuild(Option<String>, oneshot::Sender<Result<(), ViewsError>>),
    Rollback(oneshot::Sender<Result<(), ViewsError>>),
    Audit(oneshot::Sender<Result<(), ViewsError>>),
    Retry(oneshot::Sender<Result<(), ViewsError>>),
    Purge(BusinessId, SubjectId, u32, oneshot::Sender<Result<(), ViewsError>>),
    Tick,
    Forgotten(oneshot::Sender<bool>),
    Stop,
}

/// What the runner tells those who read.
#[derive(Clone, Default)]
pub(crate) struct PublishedState {
    served: Arc<Mutex<Served>>,
    reads: Arc<AtomicU64>,
    health: Arc<Mutex<ViewsHealth>>,
}

impl PublishedState {
    /// From now on this file is read; who reads another finishes there.
    pub(crate) fn serve(&self, path: PathBuf) {
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) =
            Served { path, idle: Vec::new() };
    }

    /// Changes what is known.
    pub(crate) fn note(&self, change: impl FnOnce(&mut ViewsHealth)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How long text that is searchable in the clear is shown without knowing that no key of it was
/// destroyed.
const TEXT_AGE_MAX: Duration = Duration::from_secs(30);

/// The views of this process.
#[derive(Clone)]
pub struct Views {
    pub(crate) published: PublishedState,
    pub(crate) position: watch::Receiver<u64>,
    pub(crate) building: watch::Receiver<Option<Building>>,
    /// Why what is in the log can't be written to the views.
    pub(crate) trouble: watch::Receiver<Option<String>>,
    /// When it was last known that nothing searchable is of a destroyed key.
    pub(crate) text: watch::Receiver<Instant>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Views {
    /// Whether what is searchable in the clear may be shown: for a while nobody could say whether
    /// another process has destroyed keys, or what is of such a key could not be deleted.
    #[must_use]
    pub fn may_show_text(&self) -> bool {
        self.text.borrow().elapsed() < TEXT_AGE_MAX
    }

    /// The last position that every projection has applied.
    #[must_use]
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Why the views can't follow the log at the moment; `None` when they can.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<String> {
        self.trouble.borrow().as_ref().map(|why| format!("the views can't follow the log: {why}"))
    }

    /// The last position that every projection has applied, as it moves.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.position.clone()
    }

    /// Waits until the views are that far.
    ///
    /// # Errors
    /// [`ViewsError::Behind`] when they are not in time.
    pub async fn wait_for(&self, position: u64, at_most: Duration) -> Result<(), ViewsError> {
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

    /// What is being built beside the views that are read, if anything is.
    #[must_use]
    pub fn building(&self) -> Option<Building> {
        self.building.borrow().clone()
    }

    /// What is known of the views as a whole.
    #[must_use]
    pub fn health(&self) -> ViewsHealth {
        self.published.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until nothing is being built; says how the last build ended.
    ///
    /// # Errors
    /// When it takes longer than that, or the last build was given up.
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

    /// Goes back to the views before the last rebuild, once they have caught up; returns when it
    /// has begun.
    ///
    /// # Errors
    /// When there are none that this program can keep up.
    pub async fn rollback(&self) -> Result<(), ViewsError> {
        self.ask(Request::Rollback).await
    }

    /// Builds all projections from the log and compares them with those that are read; returns when
    /// it has begun.
    ///
    /// # Errors
    /// When something is being built already.
    pub async fn audit(&self) -> Result<(), ViewsError> {
        self.ask(Request::Audit).await
    }

    /// Builds one projection, or all, anew from the log, beside those that are read; returns when
    /// it has begun.
    ///
    /// # Errors
    /// When there is none of that name, or something is being built already.
    pub async fn rebuild(&self, name: Option<String>) -> Result<(), ViewsError> {
        self.ask(|answer| Request::Rebuild(name, answer)).await
    }

    /// Tries every business that a projection stopped at once more.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn retry(&self) -> Result<(), ViewsError> {
        self.ask(Request::Retry).await
    }

    /// Deletes from the searchable tables what was sealed under a subject's keys up to a
    /// generation.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn purge(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: u32,
    ) -> Result<(), ViewsError> {
        self.ask(|answer| Request::Purge(business, subject, up_to, answer)).await
    }

    /// How far each projection is.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn status(&self) -> Result<Vec<Status>, ViewsError> {
        self.read(|c| {
            let failures = failures(c)?;
            let of = |(name, version, position): (String, u32, u64)| Status {
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

    /// The digest of each projection as it stands.
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
