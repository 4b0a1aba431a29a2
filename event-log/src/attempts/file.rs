//! Attempts in a file of their own (SQLite), written by a thread of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use domain::{BusinessId, PrincipalId, Timestamp};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::mpsc;

use super::{AGE_MICROS_MAX, Attempt, AttemptStore, AttemptWork, Caps, GROUP_COMMIT_LINGER};
use crate::cause::{Cause, chain};
use crate::log::LogError;

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

pub(super) struct FileStore {
    reader: Arc<Mutex<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

fn storage(e: rusqlite::Error) -> LogError {
    LogError::Storage(Cause::new("attempts", e))
}

impl FileStore {
    pub(super) fn open(
        path: &Path,
        work: mpsc::Receiver<AttemptWork>,
        caps: Caps,
    ) -> Result<Self, LogError> {
        let writer = Connection::open(path).map_err(storage)?;
        writer.execute_batch(SCHEMA).map_err(storage)?;
        without_keys(&writer).map_err(storage)?;
        let reader =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(storage)?;
        let thread = crate::vital::thread("attempts", move || write(writer, work, caps))
            .map_err(LogError::storage)?;
        Ok(Self { reader: Arc::new(Mutex::new(reader)), writer: Mutex::new(Some(thread)) })
    }

    /// Reads on a thread where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let reader = Arc::clone(&self.reader);
        let read =
            move || read(&reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(storage);
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(LogError::storage(e)))
    }
}

#[async_trait]
impl AttemptStore for FileStore {
    async fn oldest(&self, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError> {
        let sql = "SELECT 0, at, actor, command_type, target, key, outcome, business FROM \
            attempts ORDER BY n LIMIT ? OFFSET ?";
        self.read(move |reader| {
            reader
                .prepare_cached(sql)?
                .query_map(params![limit, skip], |r| attempt(r, BusinessId(r.get(7)?)))?
                .collect()
        })
        .await
    }

    async fn count(&self) -> Result<u64, LogError> {
        self.read(|reader| reader.query_row("SELECT count(*) FROM attempts", [], |r| r.get(0)))
            .await
    }

    async fn list(
        &self,
        business: BusinessId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
        self.read(move |reader| list(reader, business, before, limit)).await
    }

    async fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join)).await;
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

/// SQL that deletes the attempts of one business beyond its caps. ?1 is the business, ?2 the cap
/// for all, ?3 the cap for one principal.
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

fn write(connection: Connection, mut jobs: mpsc::Receiver<AttemptWork>, caps: Caps) {
    let (mut since_prune, mut touched) = (0, BTreeSet::new());
    while let Some(first) = jobs.blocking_recv() {
        fail::fail_point!("attempts");
        // Nobody waits for these but who asks to: a moment's company saves most transactions.
        if matches!(first, AttemptWork::Keep(_)) && !jobs.is_closed() {
            std::thread::sleep(GROUP_COMMIT_LINGER);
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
                    AttemptWork::Keep(a) => {
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
                    AttemptWork::Flush(done) => flushes.push(done),
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
            tracing::error!(error = %chain(&e), "attempts were not kept");
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}
