//! Read-only connections, as many as are in use at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::EventId;
use domain::limits::PAGE_BYTES_MAX;
use domain::{AggregateRef, BusinessId};
use proof::tree::Frontier;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use super::bloom_filter::BloomFilter;
use super::log_error;
use crate::cause::{Cause, chain};
use crate::envelope::Recorded;
use crate::log::{Head, LogError, RawRow};
use crate::place::{Position, Seq, Version};

/// Bytes of the file that a reader maps instead of reading page by page.
const MAPPED_BYTES_MAX: u64 = 1 << 32;
/// Most idle connections that are kept for the next reads.
const IDLE_MAX: usize = 32;

#[derive(Clone)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        position: row.get(0)?,
        business: BusinessId(row.get(1)?),
        seq: row.get(2)?,
        bytes: row.get(3)?,
    })
}

fn head(row: &Row<'_>) -> rusqlite::Result<(Uuid, Seq, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn to_head((business, seq, frontier): (Uuid, Seq, Vec<u8>)) -> Result<Head, LogError> {
    let frontier = Frontier::from_bytes(seq.0, &frontier)
        .map_err(|e| LogError::Corrupt(Cause::new(format!("head of {business}"), e)))?;
    Ok(Head { business: BusinessId(business), seq, root: frontier.root() })
}

/// Reads rows until they have [`PAGE_BYTES_MAX`] bytes together; `read` returns each row's bytes.
fn page<T>(
    mut statement: CachedStatement<'_>,
    args: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(usize, T)>,
) -> rusqlite::Result<Vec<T>> {
    let (mut rows, mut all, mut bytes) = (statement.query(args)?, Vec::new(), 0);
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let (more, value) = read(row)?;
        bytes += more;
        all.push(value);
    }
    Ok(all)
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default() }
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection =
                    Connection::open_with_flags(&self.path, flags).map_err(log_error)?;
                connection.pragma_update(None, "mmap_size", MAPPED_BYTES_MAX).map_err(log_error)?;
                connection
            }
        };
        let result = read(&connection).map_err(log_error);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        result
    }

    fn list(&self, sql: &str, args: &[&dyn ToSql]) -> Result<Vec<Recorded>, LogError> {
        self.with(|c| {
            page(c.prepare_cached(sql)?, args, |row| recorded(row).map(|r| (r.bytes.len(), r)))
        })
    }

    pub(super) fn find(
        &self,
        business: BusinessId,
        id: EventId,
    ) -> Result<Option<Recorded>, LogError> {
        self.with(|c| {
            c.prepare_cached(
                "SELECT position, business, seq, bytes FROM events WHERE event_id = ? \
                AND business = ?",
            )?
            .query_row(params![id.0, business.0], recorded)
            .optional()
        })
    }

    pub(super) fn aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.list(
            "SELECT position, business, seq, bytes FROM events WHERE business = ? AND id = ? AND \
             kind = ? AND version > ? ORDER BY version LIMIT ?",
            &[&business.0, &aggregate.id, &aggregate.kind.as_str(), &after, &limit],
        )
    }

    pub(super) fn version(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Result<Version, LogError> {
        let version: Option<Version> = self.with(|c| {
            c.prepare_cached(
                "SELECT max(version) FROM events WHERE business = ? AND id = ? AND kind = ?",
            )?
            .query_row(params![business.0, aggregate.id, aggregate.kind.as_str()], |r| r.get(0))
        })?;
        Ok(version.unwrap_or_default())
    }

    pub(super) fn business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.list(
            "SELECT position, business, seq, bytes FROM events WHERE business = ? AND seq > \
            ? ORDER BY seq LIMIT ?",
            &[&business.0, &after, &limit],
        )
    }

    pub(super) fn events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError> {
        let seqs = format!("[{}]", seqs.iter().map(Seq::to_string).collect::<Vec<_>>().join(","));
        self.list(
            "SELECT position, business, e.seq, bytes FROM json_each(?2) wanted CROSS JOIN events e \
             ON e.business = ?1 AND e.seq = wanted.value",
            &[&business.0, &seqs],
        )
    }

    pub(super) fn all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.list(
            "SELECT position, business, seq, bytes FROM events WHERE position > ? ORDER BY \
            position LIMIT ?",
            &[&after, &limit],
        )
    }

    pub(super) fn erasures(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        // The kind stands in the text, as the partial index has it.
        self.list(
            "SELECT position, business, seq, bytes FROM events WHERE kind = 'erasure' AND \
            position > ? ORDER BY position LIMIT ?",
            &[&after, &limit],
        )
    }

    pub(super) fn back(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let before = before.min(Position(i64::MAX.cast_unsigned()));
        self.list(
            "SELECT position, business, seq, bytes FROM events WHERE position < ? ORDER BY \
            position DESC LIMIT ?",
            &[&before, &limit],
        )
    }

    pub(super) fn count_after(&self, position: Position) -> Result<u64, LogError> {
        self.with(|c| {
            c.prepare_cached("SELECT count(*) FROM events WHERE position > ?")?
                .query_row([position], |r| r.get(0))
        })
    }

    pub(super) fn has(&self, position: Position) -> Result<bool, LogError> {
        self.with(|c| {
            c.prepare_cached("SELECT 1 FROM events WHERE position = ?")?.exists([position])
        })
    }

    pub(super) fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError> {
        let row = self.with(|c| {
            c.prepare_cached("SELECT business, seq, frontier FROM heads WHERE business = ?")?
                .query_row([business.0], head)
                .optional()
        })?;
        row.map(to_head).transpose()
    }

    pub(super) fn heads(&self) -> Result<Vec<Head>, LogError> {
        let rows: Vec<_> = self.with(|c| {
            c.prepare_cached("SELECT business, seq, frontier FROM heads ORDER BY business")?
                .query_map([], head)?
                .collect()
        })?;
        rows.into_iter().map(to_head).collect()
    }

    pub(super) fn fill(&self, known: &BloomFilter) {
        if let Err(e) = self.with(|c| known.fill(c)) {
            tracing::warn!(error = %chain(&e), "the log's filter could not be filled; look-ups go to the \
                file");
        }
    }

    pub(super) fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError> {
        let (heads, end, unreadable_rows) = self.with(|c| {
            let tx = c.unchecked_transaction()?;
            let heads: Vec<_> = tx
                .prepare_cached("SELECT business, seq, frontier FROM heads ORDER BY business")?
                .query_map([], head)?
                .collect::<rusqlite::Result<_>>()?;
            let end: Option<Position> =
                tx.query_row("SELECT max(position) FROM events WHERE position > 0", [], |r| {
                    r.get(0)
                })?;
            let unreadable_rows: u64 =
                tx.query_row("SELECT count(*) FROM events WHERE position < 1", [], |r| r.get(0))?;
            Ok((heads, end.unwrap_or_default(), unreadable_rows))
        })?;
        Ok((heads.into_iter().map(to_head).collect::<Result<_, _>>()?, end, unreadable_rows))
    }

    pub(super) fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        self.with(|c| {
            let sql = "SELECT position, business, seq, kind, id, version, event_id, leaf, bytes \
                FROM events WHERE position > ? ORDER BY position LIMIT ?";
            page(c.prepare_cached(sql)?, &[&after, &limit], |r| {
                let row = RawRow {
                    position: r.get(0)?,
                    business: r.get(1)?,
                    seq: r.get(2)?,
                    kind: r.get(3)?,
                    id: r.get(4)?,
                    version: r.get(5)?,
                    event_id: r.get(6)?,
                    leaf: r.get(7)?,
                    bytes: r.get(8)?,
                };
                Ok((row.bytes.len(), row))
            })
        })
    }

    pub(super) fn check_indexes(&self) -> Result<Option<(Position, String)>, LogError> {
        let said: String =
            self.with(|c| c.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0)))?;
        if said == "ok" {
            return Ok(None);
        }
        // "row 17 missing from index events_by_seq"
        let mut words = said.split_whitespace().skip_while(|w| *w != "row").skip(1);
        let position = words.next().and_then(|n| n.parse().ok()).map(Position).unwrap_or_default();
        Ok(Some((position, format!("the file is damaged: {said}"))))
    }
}
