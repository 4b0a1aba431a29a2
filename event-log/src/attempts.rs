//! Who tried what: every command that reached the bus within the rate limits, with its outcome,
//! beside the log and not in it (a stranger must not be able to grow a business's proof). Never the
//! command's data.
//!
//! A file of its own with one writing thread, or a table in the log's own database. Rows are
//! written in groups without waiting for the disk. What is kept is bounded by age and number, apart
//! for each business, and apart for what was accepted and what was refused: nobody can push out
//! another's attempts, and refused commands push out no evidence of what was done.

mod file;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::limits::{ATTEMPTS_PER_BUSINESS_MAX, ATTEMPTS_PER_PRINCIPAL_MAX, QUEUE_MAX};
use domain::{BusinessId, PrincipalId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::log::LogError;

/// Days that an attempt is kept.
pub const AGE_DAYS_MAX: u64 = 400;
/// Microseconds that an attempt is kept.
pub const AGE_MICROS_MAX: u64 = AGE_DAYS_MAX * 86_400_000_000;
/// How many attempts are kept.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// How many attempts with the outcome `accepted` are kept for one business, and as many with
    /// any other outcome.
    pub per_business: usize,
    /// How many attempts with another outcome than `accepted` are kept for one principal in one
    /// business.
    pub per_principal: usize,
    /// How many new rows the writer stores before it deletes those beyond the caps or too old.
    pub prune_every: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            per_business: ATTEMPTS_PER_BUSINESS_MAX,
            per_principal: ATTEMPTS_PER_PRINCIPAL_MAX,
            prune_every: 10_000,
        }
    }
}

/// Longest time that a caller waits for room in the queue of attempts.
const KEEP_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(1);
/// How long the writer waits after a first row for more rows of the same transaction.
pub const GROUP_COMMIT_LINGER: std::time::Duration = std::time::Duration::from_millis(10);

/// One authenticated attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When the command reached the command bus, by the server's clock.
    pub at: Timestamp,
    /// The business in whose list the attempt stands; a stranger's attempt stands in the
    /// installation's.
    pub business: BusinessId,
    /// The principal that sent the command.
    pub actor: PrincipalId,
    /// The command's type, or `(unknown)` if no command has that name.
    pub command_type: String,
    /// Id of the aggregate that the command named; `None` = it named none.
    pub target: Option<Uuid>,
    /// HMAC of the idempotency key, because callers write what they like into keys.
    pub key: String,
    /// `accepted`, `repeated`, `unchanged`, or the name of the error.
    pub outcome: String,
}

/// Work for the writer of attempts.
#[derive(Debug)]
pub enum AttemptWork {
    /// The writer stores this attempt.
    Keep(Attempt),
    /// The writer answers once all earlier attempts can be read.
    Flush(oneshot::Sender<()>),
}

/// A store of attempts. It is read through this trait; its writer takes its work from a queue.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// See [`Attempts::oldest`].
    async fn oldest(&self, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError>;
    /// See [`Attempts::count`].
    async fn count(&self) -> Result<u64, LogError>;
    /// See [`Attempts::list`].
    async fn list(
        &self,
        business: BusinessId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Attempt)>, u64), LogError>;
    /// Waits until the writer has written what is queued; the queue is closed already.
    async fn close(&self);
}

/// The attempts of an installation.
pub struct Attempts {
    queue: Mutex<Option<mpsc::Sender<AttemptWork>>>,
    store: Box<dyn AttemptStore>,
}

impl Attempts {
    /// Opens the file of attempts, or creates it.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        Self::with(path, Caps::default())
    }

    /// Opens the file with other caps than the default ones, for tests.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn with(path: &Path, caps: Caps) -> Result<Self, LogError> {
        let (queue, work) = mpsc::channel(QUEUE_MAX);
        Ok(Self::kept_in(queue, Box::new(file::FileStore::open(path, work, caps)?)))
    }

    /// Attempts in a store whose writer takes its work from the other end of `queue`.
    #[must_use]
    pub fn kept_in(queue: mpsc::Sender<AttemptWork>, store: Box<dyn AttemptStore>) -> Self {
        Self { queue: Mutex::new(Some(queue)), store }
    }

    fn queue(&self) -> Option<mpsc::Sender<AttemptWork>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps one attempt. While the queue is full it waits up to a second, then drops the attempt:
    /// the answer to a command does not wait for a store that is away.
    pub async fn keep(&self, attempt: Attempt) {
        if let Some(queue) = self.queue()
            && tokio::time::timeout(KEEP_WAIT_MAX, queue.send(AttemptWork::Keep(attempt)))
                .await
                .is_err()
        {
            tracing::error!("an attempt was not kept: too many wait to be written");
        }
    }

    /// Waits until every attempt that was given so far can be read.
    pub async fn flush(&self) {
        if let Some(queue) = self.queue() {
            let (done, wait) = oneshot::channel();
            if queue.send(AttemptWork::Flush(done)).await.is_ok() {
                let _ = wait.await;
            }
        }
    }

    /// Writes what is queued and closes the store.
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.store.close().await;
    }

    /// Attempts, oldest first, at most `limit` after the first `skip`: for copying an installation.
    ///
    /// # Errors
    /// When the attempts can't be read.
    pub async fn oldest(&self, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError> {
        self.store.oldest(skip, limit).await
    }

    /// How many attempts there are.
    ///
    /// # Errors
    /// When the attempts can't be read.
    pub async fn count(&self) -> Result<u64, LogError> {
        self.store.count().await
    }

    /// Attempts in a business, newest first, older than the one numbered `before` where that is
    /// given; with each one's number, and how many there are in all.
    ///
    /// # Errors
    /// When the attempts can't be read.
    pub async fn list(
        &self,
        business: BusinessId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
        self.store.list(business, before, limit).await
    }
}
