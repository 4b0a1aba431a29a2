//! `views.db` from the outside: read-only connections, how far it is, and requests to the runner.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use crate::ALL;

/// Why the views could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ViewsError {
    /// The file can't be read or written.
    #[error("the views could not be used: {0}; `minutebook projections rebuild` makes them anew")]
    Storage(String),
    /// They are not as far as was asked in the time there was.
    #[error("the views are at position {at}, {wanted} was asked for; try again")]
    Behind {
        /// How far they are.
        at: u64,
        /// How far they should be.
        wanted: u64,
    },
    /// No projection of that name.
    #[error("there is no projection `{0}`; `minutebook projections status` lists them")]
    Unknown(String),
    /// The runner stopped.
    #[error("the projections are not running")]
    Stopped,
}

impl From<rusqlite::Error> for ViewsError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Storage(e.to_string())
    }
}

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

/// How far a projection is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Which one.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The last position it has applied.
    pub position: u64,
    /// Events of the log that it has not seen yet, by position.
    pub lag: u64,
    /// Businesses it stopped at.
    pub failures: Vec<Failure>,
}

pub(crate) enum Request {
    Rebuild(Option<String>, oneshot::Sender<Result<(), ViewsError>>),
    Retry(oneshot::Sender<Result<(), ViewsError>>),
    Purge(BusinessId, SubjectId, oneshot::Sender<Result<(), ViewsError>>),
    Stop,
}

/// The views of this process.
#[derive(Clone)]
pub struct Views {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    pub(crate) position: watch::Receiver<u64>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Views {
    pub(crate) fn new(path: &Path, position: watch::Receiver<u64>, requests: mpsc::Sender<Request>) -> Self {
        Self { path: path.to_owned(), idle: Arc::default(), position, requests }
    }

    /// Reads with a connection of its own; call it where blocking is allowed.
    ///
    /// # Errors
    /// What `read` returns, or that the file can't be opened.
    pub fn read<T, E: From<rusqlite::Error>>(&self, read: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
                connection.set_prepared_statement_cache_capacity(64);
                connection.pragma_update(None, "mmap_size", 1_u64 << 32)?;
                connection
            }
        };
        let result = read(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    /// The last position that every projection has applied.
    #[must_use]
    pub fn position(&self) -> u64 {
        *self.position.borrow()
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

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<Result<(), ViewsError>>) -> Request) -> Result<(), ViewsError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| ViewsError::Stopped)?;
        wait.await.unwrap_or(Err(ViewsError::Stopped))
    }

    /// Builds one projection, or all, anew from the log; returns when it has begun.
    ///
    /// # Errors
    /// When there is none of that name.
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

    /// Deletes a subject's text from the searchable tables.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn purge(&self, business: BusinessId, subject: SubjectId) -> Result<(), ViewsError> {
        self.ask(|answer| Request::Purge(business, subject, answer)).await
    }

    /// How far each projection is, against the end of the log.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn status(&self, log_position: u64) -> Result<Vec<Status>, ViewsError> {
        self.read(|c| {
            let failures = failures(c)?;
            let of = |(name, version, position): (String, u32, u64)| Status {
                failures: failures.iter().filter(|f| f.projection == name).cloned().collect(),
                lag: log_position.saturating_sub(position),
                name,
                version,
                position,
            };
            let mut query = c.prepare("SELECT name, version, position FROM projections ORDER BY name")?;
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
        .prepare_cached("SELECT projection, business, seq, error FROM failures ORDER BY projection, business")?
        .query_map([], |r| Ok(Failure { projection: r.get(0)?, business: r.get(1)?, seq: r.get(2)?, error: r.get(3)? }))?
        .collect()
}
