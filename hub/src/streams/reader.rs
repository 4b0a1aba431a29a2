//! Read-only connections, as many as are needed at the same time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kurrent_protocol::{Cursor, Direction, Event, Page, Refusal};
use rusqlite::{Connection, Row, params};

use super::state::{DELETED, Stream};
use super::{connect_to_read, storage};

/// Most bytes of a page, unless a single event has more.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Most idle connections that are kept for later readers.
const IDLE_MAX: usize = 32;

/// Most names of streams that a connection caches.
const NAMES_MAX: usize = 50_000;

struct Reader {
    connection: Connection,
    names: HashMap<i64, Arc<str>>,
}

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

/// The current time in units of 100 ns since 1970.
pub(super) fn ticks() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX)
}

fn event(row: &Row<'_>, stream: Arc<str>) -> rusqlite::Result<Event> {
    let text = |n: usize| row.get_ref(n).and_then(|v| Ok(Arc::<str>::from(v.as_str()?)));
    Ok(Event {
        stream,
        position: row.get(0)?,
        revision: row.get(2)?,
        id: row.get(3)?,
        created: row.get(4)?,
        event_type: text(5)?,
        content_type: text(6)?,
        metadata: row.get::<_, Vec<u8>>(7)?.into(),
        data: row.get::<_, Vec<u8>>(8)?.into(),
    })
}

const COLUMNS: &str = "position, stream, revision, id, created, type, content_type, metadata, data";

impl Reader {
    fn name(&mut self, n: i64) -> rusqlite::Result<Arc<str>> {
        if let Some(name) = self.names.get(&n) {
            return Ok(Arc::clone(name));
        }
        let name: String = self
            .connection
            .prepare_cached("SELECT name FROM streams WHERE n = ?")?
            .query_row([n], |r| r.get(0))?;
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let name: Arc<str> = name.into();
        self.names.insert(n, Arc::clone(&name));
        Ok(name)
    }

    /// Reads events in order, up to the limits of a page, and whether there are more.
    fn events(
        &mut self,
        sql: &str,
        args: &[&dyn rusqlite::ToSql],
        limit: usize,
    ) -> rusqlite::Result<(Vec<Event>, bool)> {
        let mut found: Vec<(i64, Event)> = Vec::new();
        let mut bytes = 0;
        let more = {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(args)?;
            let unnamed: Arc<str> = "".into();
            loop {
                let Some(row) = rows.next()? else { break false };
                if found.len() >= limit || bytes >= PAGE_BYTES_MAX {
                    break true;
                }
                let event = event(row, Arc::clone(&unnamed))?;
                bytes += event.data.len()
                    + event.metadata.len()
                    + event.event_type.len()
                    + event.content_type.len();
                found.push((row.get(1)?, event));
            }
        };
        let named = found.into_iter().map(|(n, mut event)| {
            event.stream = self.name(n)?;
            Ok(event)
        });
        Ok((named.collect::<rusqlite::Result<_>>()?, more))
    }

    fn stream(
        &mut self,
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> rusqlite::Result<Result<Option<Page>, Refusal>> {
        let target = name.strip_prefix("$$");
        if let Some(target) = target
            && Stream::find(&self.connection, target)?.is_some_and(|s| s.tombstoned)
        {
            return Ok(Err(Refusal::StreamDeleted(target.to_owned())));
        }
        let Some(stream) = Stream::find(&self.connection, name)? else { return Ok(Ok(None)) };
        if stream.tombstoned {
            return Ok(Err(Refusal::StreamDeleted(name.to_owned())));
        }
        let Some(last) = stream.last.filter(|_| !stream.deleted()) else { return Ok(Ok(None)) };
        // Of metadata the newest is kept.
        let first = if target.is_some() { last } else { stream.first() };
        let oldest = stream.max_age_seconds.map_or(i64::MIN, |s| {
            ticks().saturating_sub(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(10_000_000))
        });
        let (order, low, high) = match (direction, from) {
            (Direction::Forwards, Cursor::Start) => ("ASC", first, last),
            (Direction::Forwards, Cursor::At(n)) => ("ASC", n.max(first), last),
            (Direction::Forwards, Cursor::End) => ("ASC", last + 1, last),
            (Direction::Backwards, Cursor::End) => ("DESC", first, last),
            (Direction::Backwards, Cursor::At(n)) => ("DESC", first, n.min(last)),
            (Direction::Backwards, Cursor::Start) => ("DESC", first, 0),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE stream = ? AND revision BETWEEN ? AND ? AND \
             created >= ? ORDER BY revision {order} LIMIT ?"
        );
        let (low, high) = (low.min(DELETED), high.min(DELETED));
        let (events, more) =
            self.events(&sql, &[&stream.n, &low, &high, &oldest, &(limit + 1)], limit)?;
        let end = events.last().map(|e| e.revision);
        let next = end.filter(|_| more).and_then(|n| {
            if direction == Direction::Forwards { Some(n + 1) } else { n.checked_sub(1) }
        });
        let resume =
            next.unwrap_or(if direction == Direction::Forwards { low.max(last + 1) } else { 0 });
        let looked_at = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let reached = events.last().map(|e| e.position);
        Ok(Ok(Some(Page { events, looked_at, reached, next, resume, ends: Some((first, last)) })))
    }

    fn all(&mut self, from: Cursor, direction: Direction, limit: usize) -> rusqlite::Result<Page> {
        let at = match from {
            Cursor::Start => 0,
            Cursor::At(n) => i64::try_from(n).unwrap_or(i64::MAX),
            Cursor::End => i64::MAX,
        };
        let (beyond, order) =
            if direction == Direction::Forwards { (">=", "ASC") } else { ("<", "DESC") };
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE position {beyond} ? ORDER BY position {order} \
             LIMIT ?"
        );
        let (events, more) = self.events(&sql, params![at, limit + 1], limit)?;
        let end = events.last().map(|e| e.position);
        let next =
            end.filter(|_| more).map(|n| if direction == Direction::Forwards { n + 1 } else { n });
        let resume = end.map_or(at.cast_unsigned(), |n| n + 1);
        Ok(Page {
            looked_at: u32::try_from(events.len()).unwrap_or(u32::MAX),
            reached: end,
            next,
            resume,
            ends: None,
            events,
        })
    }
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    fn with<T>(&self, read: impl FnOnce(&mut Reader) -> rusqlite::Result<T>) -> Result<T, Refusal> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader {
                connection: connect_to_read(&self.path).map_err(|e| storage(&e))?,
                names: HashMap::new(),
            },
        };
        let result = read(&mut reader).map_err(|e| storage(&e));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(reader);
        }
        result
    }

    pub(super) fn stream(
        &self,
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Page>, Refusal> {
        self.with(|r| r.stream(name, from, direction, limit))?
    }

    pub(super) fn all(
        &self,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Refusal> {
        self.with(|r| r.all(from, direction, limit))
    }
}
