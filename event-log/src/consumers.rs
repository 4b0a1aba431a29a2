//! The checkpoints of consumers: durable, in the log's store, and fenced, so that one process at a
//! time acts for a consumer. That process holds a lease and a fencing token, the epoch. When its
//! lease runs out, another process takes over with the next epoch, and the first one can't move the
//! checkpoint any more.
//!
//! Delivery is at least once and in order: if a process stops after it acted on an event and before
//! it moved the checkpoint, the next one acts on that event again. The receiver recognises a
//! duplicate by the event's id.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use uuid::Uuid;

use crate::cause::Cause;
use crate::log::LogError;
use crate::place::Position;

/// How long a lease lasts. If a process dies, another takes over after at most twice that time.
pub const LEASE: Duration = Duration::from_secs(4);

/// The right to act for a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Fencing token: goes up with every hand-over and every rewind.
    pub epoch: u64,
    /// Everything up to this position was acted on.
    pub position: Position,
}

/// The state of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Consumer {
    /// Name of the consumer.
    pub name: String,
    /// Everything up to this position was acted on.
    pub position: Position,
    /// Fencing token of the newest lease.
    pub epoch: u64,
    /// The process that holds the lease; `None` = no process holds it.
    pub owner: Option<Uuid>,
    /// True if the consumer is paused.
    pub paused: bool,
}

/// The checkpoints and leases of all consumers of a log.
#[async_trait]
pub trait Consumers: Send + Sync {
    /// Takes the lease of a consumer; `None` if another process holds it or the consumer is paused.
    async fn claim(&self, name: &str, owner: Uuid) -> Result<Option<Claim>, LogError>;

    /// Extends the lease; returns false if it is lost or the consumer is paused.
    async fn renew(&self, name: &str, epoch: u64) -> Result<bool, LogError>;

    /// Moves the checkpoint and extends the lease; returns false, and moves nothing, if the lease
    /// is lost.
    async fn advance(&self, name: &str, epoch: u64, position: Position) -> Result<bool, LogError>;

    /// Gives the lease back.
    async fn release(&self, name: &str, epoch: u64) -> Result<(), LogError>;

    /// Moves a consumer's checkpoint to a position and ends its lease; returns false if there is no
    /// consumer of that name.
    async fn rewind(&self, name: &str, position: Position) -> Result<bool, LogError>;

    /// Pauses a consumer or lets it go on; returns false if there is no consumer of that name.
    async fn pause(&self, name: &str, paused: bool) -> Result<bool, LogError>;

    /// All consumers, ordered by name.
    async fn list(&self) -> Result<Vec<Consumer>, LogError>;

    /// Stores a consumer with the checkpoint that it has in another store, for copying an
    /// installation; nobody holds its lease.
    async fn put(&self, consumer: &Consumer) -> Result<(), LogError>;
}

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS consumers(
  name TEXT PRIMARY KEY, position INTEGER NOT NULL, epoch INTEGER NOT NULL, owner BLOB, \
  lease_until INTEGER NOT NULL, paused INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/// The consumers of a data folder, in a file of their own.
pub struct LocalConsumers(Mutex<Connection>);

fn storage(e: rusqlite::Error) -> LogError {
    LogError::Storage(Cause::new("consumers", e))
}

/// Milliseconds since 1970; the one process of a folder has one clock.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

fn lease() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX)
}

impl LocalConsumers {
    /// Opens the file, or creates it. The caller holds the folder's lock, so that no earlier
    /// process can still hold a lease.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let connection = Connection::open(path).map_err(storage)?;
        connection.execute_batch(SCHEMA).map_err(storage)?;
        connection.execute("UPDATE consumers SET owner = NULL", []).map_err(storage)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, sql: &str, args: &[&dyn rusqlite::ToSql]) -> Result<bool, LogError> {
        self.connection()
            .prepare_cached(sql)
            .and_then(|mut q| q.execute(args))
            .map(|n| n > 0)
            .map_err(storage)
    }
}

#[async_trait]
impl Consumers for LocalConsumers {
    async fn claim(&self, name: &str, owner: Uuid) -> Result<Option<Claim>, LogError> {
        let connection = self.connection();
        connection
            .execute(
                "INSERT INTO consumers VALUES (?, 0, 0, NULL, 0, 0) ON CONFLICT DO NOTHING",
                [name],
            )
            .map_err(storage)?;
        let sql = "UPDATE consumers SET epoch = epoch + 1, owner = ?2, lease_until = ?3 + ?4
                   WHERE name = ?1 AND NOT paused AND (owner IS NULL OR owner = ?2 OR lease_until \
                   < ?3) RETURNING epoch, position";
        connection
            .query_row(sql, params![name, owner, now(), lease()], |r| {
                Ok(Claim { epoch: r.get(0)?, position: r.get(1)? })
            })
            .optional()
            .map_err(storage)
    }

    async fn renew(&self, name: &str, epoch: u64) -> Result<bool, LogError> {
        self.change(
            "UPDATE consumers SET lease_until = ?3 WHERE name = ?1 AND epoch = ?2 AND owner IS NOT \
             NULL AND NOT paused",
            &[&name, &epoch, &(now() + lease())],
        )
    }

    async fn advance(&self, name: &str, epoch: u64, position: Position) -> Result<bool, LogError> {
        let sql = "UPDATE consumers SET position = ?3, lease_until = ?4 WHERE name = ?1 AND epoch \
            = ?2 AND owner IS NOT NULL";
        self.change(sql, &[&name, &epoch, &position, &(now() + lease())])
    }

    async fn release(&self, name: &str, epoch: u64) -> Result<(), LogError> {
        self.change(
            "UPDATE consumers SET owner = NULL WHERE name = ?1 AND epoch = ?2",
            &[&name, &epoch],
        )
        .map(|_| ())
    }

    async fn rewind(&self, name: &str, position: Position) -> Result<bool, LogError> {
        self.change(
            "UPDATE consumers SET position = ?2, epoch = epoch + 1, owner = NULL WHERE name = ?1",
            &[&name, &position],
        )
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, LogError> {
        self.change("UPDATE consumers SET paused = ?2 WHERE name = ?1", &[&name, &paused])
    }

    async fn list(&self) -> Result<Vec<Consumer>, LogError> {
        let connection = self.connection();
        let mut query = connection
            .prepare_cached(
                "SELECT name, position, epoch, owner, \
            lease_until, paused FROM consumers ORDER BY name",
            )
            .map_err(storage)?;
        let at = now();
        let consumer = |r: &rusqlite::Row<'_>| {
            let held: i64 = r.get(4)?;
            let owner: Option<Uuid> = r.get(3)?;
            Ok(Consumer {
                name: r.get(0)?,
                position: r.get(1)?,
                epoch: r.get(2)?,
                owner: owner.filter(|_| held >= at),
                paused: r.get(5)?,
            })
        };
        query.query_map([], consumer).and_then(Iterator::collect).map_err(storage)
    }

    async fn put(&self, c: &Consumer) -> Result<(), LogError> {
        let sql = "INSERT INTO consumers VALUES (?1, ?2, ?3, NULL, 0, ?4) ON CONFLICT DO UPDATE \
            SET position = ?2, epoch = max(epoch, ?3) + 1, owner = NULL, paused = ?4";
        self.change(sql, &[&c.name, &c.position, &c.epoch, &c.paused]).map(|_| ())
    }
}
