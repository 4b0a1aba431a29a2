//! Who tried what: every authenticated command with its outcome, beside the log and not in it (a
//! stranger must not be able to grow a business's proof). Never the command's data.
//!
//! A file of its own with one writing thread. Rows are written in groups without waiting for the
//! disk; the newest [`ATTEMPTS_MAX`] are kept, at most [`AGE_DAYS_MAX`] days.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use domain::limits::{ATTEMPTS_MAX, QUEUE_MAX};
use domain::{BusinessId, PrincipalId, Timestamp};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::log::LogError;

/// Days that an attempt is kept.
pub const AGE_DAYS_MAX: u64 = 400;
/// Rows between two looks at what is too old.
const PRUNE_EVERY: u64 = 10_000;

/// How long a first row waits for others.
const COMPANY_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS attempts(
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, business BLOB NOT NULL, actor BLOB NOT NULL,
  command_type TEXT NOT NULL, target BLOB, key TEXT NOT NULL, outcome TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS attempts_by_business ON attempts(business, n);";

/// One authenticated attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// In which business.
    pub business: BusinessId,
    /// Who.
    pub actor: PrincipalId,
    /// What.
    pub command_type: String,
    /// On which aggregate, where one was named.
    pub target: Option<Uuid>,
    /// Under which idempotency key.
    pub key: String,
    /// `accepted`, `repeated`, `unchanged`, or the name of the refusal.
    pub outcome: String,
}

enum Job {
    Keep(Attempt),
    Flush(oneshot::Sender<()>),
}

/// The attempts of an installation.
pub struct Attempts {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    reader: Mutex<Connection>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn storage(e: &rusqlite::Error) -> LogError {
    LogError::Storage(format!("attempts: {e}"))
}

impl Attempts {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let writer = Connection::open(path).map_err(|e| storage(&e))?;
        writer.execute_batch(SCHEMA).map_err(|e| storage(&e))?;
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| storage(&e))?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread =
            std::thread::Builder::new().name("attempts".to_owned()).spawn(move || write(writer, jobs)).map_err(|e| LogError::Storage(e.to_string()))?;
        Ok(Self { queue: Mutex::new(Some(queue)), reader: Mutex::new(reader), thread: Mutex::new(Some(thread)) })
    }

    fn queue(&self) -> Option<mpsc::Sender<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps one attempt; waits while the queue is full.
    pub async fn keep(&self, attempt: Attempt) {
        if let Some(queue) = self.queue() {
            let _ = queue.send(Job::Keep(attempt)).await;
        }
    }

    /// Waits until everything given so far can be read.
    pub async fn flush(&self) {
        if let Some(queue) = self.queue() {
            let (done, wait) = oneshot::channel();
            if queue.send(Job::Flush(done)).await.is_ok() {
                let _ = wait.await;
            }
        }
    }

    /// Writes what is queued and closes the file.
    pub fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Attempts in a business, newest first, older than `before` where that is given; with each
    /// one's number, and how many there are in all.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn list(&self, business: BusinessId, before: Option<u64>, limit: usize) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || -> rusqlite::Result<_> {
            let mut query = reader
                .prepare_cached("SELECT n, at, actor, command_type, target, key, outcome FROM attempts WHERE business = ? AND n < ? ORDER BY n DESC LIMIT ?")?;
            let before = before.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
            let rows = query.query_map(params![business.0, before, limit], |r| {
                let attempt = Attempt {
                    at: Timestamp::from_micros(r.get(1)?),
                    business,
                    actor: PrincipalId(r.get(2)?),
                    command_type: r.get(3)?,
                    target: r.get(4)?,
                    key: r.get(5)?,
                    outcome: r.get(6)?,
                };
                Ok((r.get(0)?, attempt))
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let total = reader.query_row("SELECT count(*) FROM attempts WHERE business = ?", [business.0], |r| r.get(0))?;
            Ok((rows, total))
        };
        read().map_err(|e| storage(&e))
    }
}

fn write(connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut since_prune = 0;
    while let Some(first) = jobs.blocking_recv() {
        // Nobody waits for these but who asks to: a moment's company saves most transactions.
        if matches!(first, Job::Keep(_)) && !jobs.is_closed() {
            std::thread::sleep(COMPANY_WAIT);
        }
        let mut flushes = Vec::new();
        let group = || -> rusqlite::Result<()> {
            connection.execute_batch("BEGIN")?;
            let mut insert =
                connection.prepare_cached("INSERT INTO attempts(at, business, actor, command_type, target, key, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)")?;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Keep(a) => {
                        insert.execute(params![a.at.as_micros(), a.business.0, a.actor.0, a.command_type, a.target, a.key, a.outcome])?;
                        since_prune += 1;
                    }
                    Job::Flush(done) => flushes.push(done),
                }
                if since_prune < PRUNE_EVERY {
                    next = jobs.try_recv().ok();
                }
            }
            if since_prune >= PRUNE_EVERY {
                since_prune = 0;
                let age = i64::try_from(AGE_DAYS_MAX * 86_400_000_000).unwrap_or(i64::MAX);
                connection.execute("DELETE FROM attempts WHERE n <= (SELECT max(n) FROM attempts) - ?", [ATTEMPTS_MAX])?;
                connection.execute("DELETE FROM attempts WHERE at < (SELECT max(at) FROM attempts) - ?", [age])?;
            }
            connection.execute_batch("COMMIT")
        };
        if let Err(e) = group() {
            let _ = connection.execute_batch("ROLLBACK");
            tracing::error!(error = %e, "attempts were not kept");
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}
