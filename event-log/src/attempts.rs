//! Who tried what: every authenticated command with its outcome, beside the log and not in it (a
//! stranger must not be able to grow a business's proof). Never the command's data.
//!
//! A file of its own with one writing thread, or a table in the log's own database. Rows are
//! written in groups without waiting for the disk. What is kept is bounded by age and number, apart
//! for each business, and apart for what was accepted and what was refused: nobody can push out
//! another's attempts, and refused commands push out no evidence of what was done.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use domain::limits::{ATTEMPTS_PER_BUSINESS_MAX, ATTEMPTS_PER_PRINCIPAL_MAX, QUEUE_MAX};
use domain::{BusinessId, PrincipalId, Timestamp};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::log::LogError;

/// Days that an attempt is kept.
pub const AGE_DAYS_MAX: u64 = 400;
/// How many attempts are kept.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Of one business: so many that were accepted, and as many that were refused.
    pub per_business: usize,
    /// Refused ones of one principal in one business.
    pub per_principal: usize,
    /// New rows between two looks at what is too many or too old.
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

/// Longest that somebody waits to have one kept.
const KEEP_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(1);
/// How often, a second apart, keeping some is tried again while PostgreSQL is away. One whose
/// answer got lost may be there twice: better than not at all.
#[cfg(feature = "postgres")]
const KEEP_TRIES_MAX: u32 = 60;
/// How long a first row waits for others.
const COMPANY_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// Blanks, once, the keys that an earlier version kept as they were sent.
fn without_keys(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    if version == 0 {
        connection.execute_batch(
            "UPDATE attempts SET key = '' WHERE length(key) <> 64; PRAGMA \
            user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)",
        )?;
    }
    Ok(())
}

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL;
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
    /// Under which idempotency key, as an HMAC: callers write what they like into keys.
    pub key: String,
    /// `accepted`, `repeated`, `unchanged`, or the name of the refusal.
    pub outcome: String,
}

enum Job {
    Keep(Attempt),
    Flush(oneshot::Sender<()>),
}

enum Kept {
    File(Arc<Mutex<Connection>>, Mutex<Option<JoinHandle<()>>>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgPool, Mutex<Option<tokio::task::JoinHandle<()>>>),
}

/// The attempts of an installation.
pub struct Attempts {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    kept: Kept,
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
        Self::with(path, Caps::default())
    }

    /// The same with a look at what is too many after so many as the caps say, for tests at their
    /// edges; what is too many stands in the database (`attempt_caps`), where this program can't
    /// change it.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn with(path: &Path, caps: Caps) -> Result<Self, LogError> {
        let writer = Connection::open(path).map_err(|e| storage(&e))?;
        writer.execute_batch(SCHEMA).map_err(|e| storage(&e))?;
        without_keys(&writer).map_err(|e| storage(&e))?;
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|e| storage(&e))?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = crate::vital::thread("attempts", move || write(writer, jobs, caps))
            .map_err(|e| LogError::Storage(e.to_string()))?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            kept: Kept::File(Arc::new(Mutex::new(reader)), Mutex::new(Some(thread))),
        })
    }

    /// Those of a log in PostgreSQL.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn in_postgres(log: &crate::postgres::PostgresLog) -> Self {
        Self::in_postgres_with(log, Caps::default())
    }

    /// The same with caps of one's own, for tests at their edges.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn in_postgres_with(log: &crate::postgres::PostgresLog, caps: Caps) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let pool = log.pool().clone();
        let task = crate::vital::task("attempts", write_to_postgres(pool.clone(), jobs, caps));
        Self { queue: Mutex::new(Some(queue)), kept: Kept::Postgres(pool, Mutex::new(Some(task))) }
    }

    fn queue(&self) -> Option<mpsc::Sender<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps one attempt; waits a moment while the queue is full. The answer to a command does not
    /// wait for a store that is away.
    pub async fn keep(&self, attempt: Attempt) {
        if let Some(queue) = self.queue()
            && tokio::time::timeout(KEEP_WAIT_MAX, queue.send(Job::Keep(attempt))).await.is_err()
        {
            tracing::error!("an attempt was not kept: too many wait to be written");
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
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        match &self.kept {
            Kept::File(_, thread) => {
                let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                let _ = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(_, task) => {
                let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(task) = task {
                    let _ = task.await;
                }
            }
        }
    }

    /// All attempts, oldest first, after so many: for moving house.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn oldest(&self, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError> {
        match &self.kept {
            Kept::File(reader, _) => {
                let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                let sql = "SELECT 0, at, actor, command_type, target, key, outcome, business FROM \
                    attempts ORDER BY n LIMIT ? OFFSET ?";
                let read = || -> rusqlite::Result<Vec<Attempt>> {
                    reader
                        .prepare_cached(sql)?
                        .query_map(params![limit, skip], |r| attempt(r, BusinessId(r.get(7)?)))?
                        .collect()
                };
                read().map_err(|e| storage(&e))
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(pool, _) => crate::postgres::attempts::oldest(pool, skip, limit).await,
        }
    }

    /// How many there are.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn count(&self) -> Result<u64, LogError> {
        match &self.kept {
            Kept::File(reader, _) => {
                let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                reader
                    .query_row("SELECT count(*) FROM attempts", [], |r| r.get(0))
                    .map_err(|e| storage(&e))
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(pool, _) => crate::postgres::attempts::all(pool).await,
        }
    }

    /// Attempts in a business, newest first, older than `before` where that is given; with each
    /// one's number, and how many there are in all.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn list(
        &self,
        business: BusinessId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
        match &self.kept {
            Kept::File(reader, _) => {
                let reader = Arc::clone(reader);
                let read = move || {
                    list(
                        &reader.lock().unwrap_or_else(PoisonError::into_inner),
                        business,
                        before,
                        limit,
                    )
                    .map_err(|e| storage(&e))
                };
                tokio::task::spawn_blocking(read)
                    .await
                    .unwrap_or_else(|e| Err(LogError::Storage(e.to_string())))
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(pool, _) => {
                crate::postgres::attempts::list(pool, business, before, limit).await
            }
        }
    }
}

fn list(
    reader: &Connection,
    business: BusinessId,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<(Vec<(u64, Attempt)>, u64)> {
    let mut query = reader.prepare_cached(
        "SELECT n, at, actor, command_type, target, key, outcome FROM \
            attempts WHERE business = ? AND n < ? ORDER BY n DESC LIMIT ?",
    )?;
    let before = before.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
    let rows = query.query_map(params![business.0, before, limit], |r| {
        Ok((r.get(0)?, attempt(r, business)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let total = reader.query_row(
        "SELECT count(*) FROM attempts WHERE business = ?",
        [business.0],
        |r| r.get(0),
    )?;
    Ok((rows, total))
}

fn attempt(r: &rusqlite::Row<'_>, business: BusinessId) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        at: Timestamp::from_micros(r.get(1)?),
        business,
        actor: PrincipalId(r.get(2)?),
        command_type: r.get(3)?,
        target: r.get(4)?,
        key: r.get(5)?,
        outcome: r.get(6)?,
    })
}

pub(crate) const AGE_MICROS_MAX: u64 = AGE_DAYS_MAX * 86_400_000_000;

#[cfg(feature = "postgres")]
async fn write_to_postgres(
    pool: sqlx::postgres::PgPool,
    mut jobs: mpsc::Receiver<Job>,
    caps: Caps,
) {
    let (mut since_prune, mut touched) = (0, BTreeSet::new());
    while let Some(first) = jobs.recv().await {
        fail::fail_point!("attempts");
        if matches!(first, Job::Keep(_)) && !jobs.is_closed() {
            tokio::time::sleep(COMPANY_WAIT).await;
        }
        let (mut group, mut flushes, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some(job) = next.take() {
            match job {
                Job::Keep(attempt) => group.push(attempt),
                Job::Flush(done) => flushes.push(done),
            }
            if group.len() < 1_000 {
                next = jobs.try_recv().ok();
            }
        }
        since_prune += group.len() as u64;
        touched.extend(group.iter().map(|a| a.business));
        let mut written = crate::postgres::attempts::keep(&pool, &group).await;
        for _ in 0..KEEP_TRIES_MAX {
            let Err(e) = &written else { break };
            if jobs.is_closed() {
                break;
            }
            tracing::warn!(error = %e, "attempts are kept again in a second");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            written = crate::postgres::attempts::keep(&pool, &group).await;
        }
        if written.is_ok() && since_prune >= caps.prune_every {
            since_prune = 0;
            written = crate::postgres::attempts::prune(&pool, &touched).await;
            touched.clear();
        }
        if let Err(e) = written {
            tracing::error!(error = %e, "attempts were not kept");
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}

/// Forgets of one business what is beyond its caps: ?1 the business, ?2 for all, ?3 for one
/// principal.
pub(crate) const PRUNE: &str = "
DELETE FROM attempts WHERE n IN (
  SELECT n FROM (
    SELECT n, refused, row_number() OVER (PARTITION BY refused ORDER BY n DESC) AS of_all,
           row_number() OVER (PARTITION BY actor, refused ORDER BY n DESC) AS of_actor
    FROM (SELECT n, actor, outcome <> 'accepted' AS refused FROM attempts WHERE business = ?1) a) b
  WHERE of_all > ?2 OR (refused AND of_actor > ?3))";

fn prune(
    connection: &Connection,
    touched: &BTreeSet<BusinessId>,
    caps: Caps,
) -> rusqlite::Result<()> {
    for business in touched {
        connection.prepare_cached(PRUNE)?.execute(params![
            business.0,
            caps.per_business,
            caps.per_principal
        ])?;
    }
    let age = i64::try_from(AGE_MICROS_MAX).unwrap_or(i64::MAX);
    connection
        .execute("DELETE FROM attempts WHERE at < (SELECT max(at) FROM attempts) - ?", [age])?;
    Ok(())
}

fn write(connection: Connection, mut jobs: mpsc::Receiver<Job>, caps: Caps) {
    let (mut since_prune, mut touched) = (0, BTreeSet::new());
    while let Some(first) = jobs.blocking_recv() {
        fail::fail_point!("attempts");
        // Nobody waits for these but who asks to: a moment's company saves most transactions.
        if matches!(first, Job::Keep(_)) && !jobs.is_closed() {
            std::thread::sleep(COMPANY_WAIT);
        }
        let mut flushes = Vec::new();
        let group = || -> rusqlite::Result<()> {
            connection.execute_batch("BEGIN")?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO attempts(at, business, actor, command_type, \
                    target, key, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Keep(a) => {
                        insert.execute(params![
                            a.at.as_micros(),
                            a.business.0,
                            a.actor.0,
                            a.command_type,
                            a.target,
                            a.key,
                            a.outcome
                        ])?;
                        touched.insert(a.business);
                        since_prune += 1;
                    }
                    Job::Flush(done) => flushes.push(done),
                }
                if since_prune < caps.prune_every {
                    next = jobs.try_recv().ok();
                }
            }
            if since_prune >= caps.prune_every {
                since_prune = 0;
                prune(&connection, &touched, caps)?;
                touched.clear();
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
