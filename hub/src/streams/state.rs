//! The state of a stream besides its events: its end and its metadata; and the rules that accept or
//! refuse an append.

use kurrent_protocol::{Expected, Refusal};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

/// `$tb` of a stream that was deleted and may be written to again.
pub(super) const DELETED: u64 = i64::MAX as u64;

/// The state of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) n: i64,
    /// Revision of the last event; `None` if only metadata was written.
    pub(super) last: Option<u64>,
    /// True if the stream was deleted for ever.
    pub(super) tombstoned: bool,
    /// `$tb`: events before this revision are gone.
    pub(super) truncate_before: u64,
    /// `$maxCount`: only this many of the newest events are kept; `None` = all.
    pub(super) max_count: Option<u64>,
    /// `$maxAge`: events older than this many seconds are gone; `None` = none.
    pub(super) max_age_seconds: Option<u64>,
}

fn stream(row: &Row<'_>) -> rusqlite::Result<Stream> {
    Ok(Stream {
        n: row.get(0)?,
        last: row.get(1)?,
        tombstoned: row.get(2)?,
        truncate_before: row.get(3)?,
        max_count: row.get(4)?,
        max_age_seconds: row.get(5)?,
    })
}

impl Stream {
    pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT n, last, tombstoned, truncate_before, max_count, max_age_seconds FROM \
            streams WHERE name = ?";
        connection.prepare_cached(sql)?.query_row([name], stream).optional()
    }

    pub(super) fn make(connection: &Connection, name: &str) -> rusqlite::Result<Self> {
        connection.prepare_cached("INSERT INTO streams(name) VALUES (?)")?.execute([name])?;
        let n = connection.last_insert_rowid();
        Ok(Self {
            n,
            last: None,
            tombstoned: false,
            truncate_before: 0,
            max_count: None,
            max_age_seconds: None,
        })
    }

    pub(super) fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE streams SET last = ?2, tombstoned = ?3, truncate_before = ?4, max_count \
            = ?5, max_age_seconds = ?6 WHERE n = ?1";
        let values = params![
            self.n,
            self.last,
            self.tombstoned,
            self.truncate_before,
            self.max_count,
            self.max_age_seconds
        ];
        connection.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    /// True if the stream was deleted and not written to since.
    pub(super) fn deleted(&self) -> bool {
        self.truncate_before == DELETED
    }

    /// Takes over the settings in a `$metadata` event.
    pub(super) fn configure(&mut self, data: &[u8]) {
        let members: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
        let number = |name: &str| members.get(name).and_then(Value::as_u64);
        self.truncate_before = number("$tb").unwrap_or(0).min(DELETED);
        self.max_count = number("$maxCount").map(|n| n.min(DELETED));
        self.max_age_seconds = number("$maxAge").map(|n| n.min(DELETED));
    }

    /// Revision of the first event that can still be read.
    pub(super) fn first(&self) -> u64 {
        let kept = self
            .max_count
            .zip(self.last)
            .map_or(0, |(count, last)| (last + 1).saturating_sub(count));
        kept.max(self.truncate_before)
    }
}

/// Where an append's events go, or where an earlier identical append may have put them.
pub(super) enum WritePosition {
    /// The events go after the last one.
    New,
    /// The events may be there from this revision on; if not, the append is refused.
    Perhaps(u64),
    /// The events may be anywhere in the stream; if the first is not there, they go after the last
    /// one.
    Anywhere,
}

/// Decides whether and where an append may be written.
pub(super) fn place(
    name: &str,
    stream: Option<&Stream>,
    expected: Expected,
) -> Result<WritePosition, Refusal> {
    let last = stream.and_then(|s| s.last);
    let deleted = stream.is_some_and(Stream::deleted);
    let wrong = || Refusal::WrongVersion { stream: name.to_owned(), expected, actual: last };
    if stream.is_some_and(|s| s.tombstoned) {
        return Err(Refusal::StreamDeleted(name.to_owned()));
    }
    match (expected, last) {
        (Expected::Any, _) => Ok(WritePosition::Anywhere),
        (Expected::Exists, Some(_)) if !deleted => Ok(WritePosition::Anywhere),
        // Its metadata alone make it one.
        (Expected::Exists, None) if stream.is_some() => Ok(WritePosition::New),
        (Expected::Exists, _) => Err(wrong()),
        (Expected::NoStream, None) => Ok(WritePosition::New),
        (Expected::NoStream, Some(_)) if deleted => Ok(WritePosition::New),
        (Expected::NoStream, Some(_)) => Ok(WritePosition::Perhaps(0)),
        (Expected::Revision(n), Some(last)) if n == last => Ok(WritePosition::New),
        (Expected::Revision(n), Some(last)) if n < last => Ok(WritePosition::Perhaps(n + 1)),
        (Expected::Revision(_), _) => Err(wrong()),
    }
}

/// Checks that a stream may be deleted. One that was never written to can only be deleted for ever.
pub(super) fn may_delete(
    name: &str,
    stream: Option<&Stream>,
    expected: Expected,
    forever: bool,
) -> Result<(), Refusal> {
    let last = stream.and_then(|s| s.last);
    if stream.is_some_and(|s| s.tombstoned || (s.deleted() && expected == Expected::Exists)) {
        return Err(Refusal::StreamDeleted(name.to_owned()));
    }
    let fits = match expected {
        Expected::Any => forever || last.is_some(),
        Expected::Exists => last.is_some(),
        Expected::NoStream => forever && last.is_none(),
        Expected::Revision(n) => last == Some(n),
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::WrongVersion { stream: name.to_owned(), expected, actual: last })
    }
}
