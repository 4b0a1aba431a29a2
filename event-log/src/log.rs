//! What a store of events must do.
//!
//! The laws, checked by one suite against every store (`tests/it/laws.rs`):
//! 1. `seq` is dense per business, `version` dense per aggregate.
//! 2. No late arrivals: once a reader has seen position P, nothing ≤ P appears later.
//! 3. An append is atomic, and contiguous in `seq`.
//! 4. The same ids with the same bytes give the first answer again; with other bytes a refusal.
//! 5. Acknowledged = durable.
//! 6. Bytes out = bytes in.
//! 7. A subscription is at-least-once, in order, ends only with an error, and says when it has
//!    caught up.
//! 8. Caps on an event and on an append, with a clear error beyond.

use async_trait::async_trait;
use domain::ids::EventId;
use domain::limits::PAGE_BYTES_MAX;
use domain::values::Digest;
use domain::{AggregateRef, BusinessId, Timestamp};
use proof::tree::{Hash, leaf_hash};
use tokio::sync::watch;
use uuid::Uuid;

use crate::append::{Append, AppendError, Committed, Pending};
use crate::cause::Cause;
use crate::envelope::Recorded;
use crate::loaded::{Loaded, typed};
use crate::place::{Position, Seq, Version};

/// Why the log could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Another process uses the data folder.
    #[error("{0}")]
    Locked(String),
    /// The file is damaged.
    #[error(
        "the log's file is damaged; run `minutebook verify`, then restore the last good backup"
    )]
    Corrupt(#[source] Cause),
    /// The store failed.
    #[error("the log could not be read")]
    Storage(#[source] Cause),
}

impl LogError {
    /// Makes [`LogError::Storage`] from a sentence, or from the store's own error.
    pub fn storage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(Cause::of(cause))
    }

    /// Makes [`LogError::Corrupt`] from a sentence, or from the error that found the damage.
    pub fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt(Cause::of(cause))
    }
}

/// The end of a business's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The business whose stream it is.
    pub business: BusinessId,
    /// `seq` of the stream's last event.
    pub seq: Seq,
    /// Root of the stream's Merkle tree.
    pub root: Hash,
}

/// A row as it lies in the store; what it claims of its bytes is not believed.
#[derive(Debug, Clone)]
pub struct RawRow {
    /// Position of the row in the whole log.
    pub position: Position,
    /// The business that the row claims.
    pub business: Uuid,
    /// The `seq` that the row claims.
    pub seq: Seq,
    /// The aggregate's kind that the row claims.
    pub kind: String,
    /// The aggregate's id that the row claims.
    pub id: Uuid,
    /// The aggregate's version that the row claims.
    pub version: Version,
    /// The event id that the row claims.
    pub event_id: Uuid,
    /// The leaf hash that the row claims.
    pub leaf: Vec<u8>,
    /// Bytes of the event, as they are stored.
    pub bytes: Vec<u8>,
}

/// True if `page` is the last one: it has fewer events than `limit`, and their bytes together are
/// fewer than [`PAGE_BYTES_MAX`].
#[must_use]
pub fn is_last(page: &[Recorded], limit: usize) -> bool {
    page.len() < limit && page.iter().map(|r| r.bytes.len()).sum::<usize>() < PAGE_BYTES_MAX
}

/// Events that are read at once when an aggregate is loaded.
const LOAD_PAGE: usize = 1_000;

/// Appending to the log and reading it by business, aggregate, id and position: all that deciding
/// and projecting need. A read returns a page: at most `limit` events, and no more once they have
/// [`PAGE_BYTES_MAX`] bytes together.
#[async_trait]
pub trait Log: Send + Sync {
    /// Hands an append to the writer, in the order of the calls; waits while its queue is full.
    async fn enqueue(&self, append: Append) -> Result<Pending, AppendError>;

    /// Appends and waits until it is durable.
    async fn append(&self, append: Append) -> Result<Committed, AppendError> {
        self.enqueue(append).await?.done().await
    }

    /// An event by its id, within one business.
    async fn find(&self, business: BusinessId, id: EventId) -> Result<Option<Recorded>, LogError>;

    /// An aggregate's events after a version, at most `limit`.
    async fn read_aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError>;

    /// An aggregate, folded from all its events.
    async fn load(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Result<Loaded, LogError> {
        let mut loaded = Loaded::empty(aggregate.kind);
        loop {
            let events =
                self.read_aggregate(business, aggregate, loaded.version, LOAD_PAGE).await?;
            for recorded in &events {
                loaded.evolve(&recorded.bytes)?;
            }
            if is_last(&events, LOAD_PAGE) {
                return Ok(loaded);
            }
        }
    }

    /// When the newest event of a business was recorded; 1970 when there is none.
    async fn newest(&self, business: BusinessId) -> Result<Timestamp, LogError> {
        let Some(head) = self.head(business).await? else { return Ok(Timestamp::default()) };
        // What came after the head was asked for is newer still; it is not waited for.
        let last = self.read_business(business, head.seq.previous(), 1).await?;
        last.first()
            .map_or(Ok(Timestamp::default()), |recorded| Ok(typed(&recorded.bytes)?.0.recorded_at))
    }

    /// A business's events after a `seq`, at most `limit`.
    async fn read_business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError>;

    /// The events of a business with these `seq`s, which ascend; a `seq` without an event is left
    /// out. Whoever gets an event before the last `seq` as the last one asks again for the rest.
    async fn read_events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError>;

    /// The whole installation's events after a position, at most `limit`.
    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The end of a business's stream; `None` when it has none.
    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError>;

    /// The versions of these aggregates now, 0 for one that is not there: everything that any
    /// process has appended before this call is counted, and from then on is found by
    /// [`EventLog::find`] too.
    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<Version>, LogError>;

    /// The last durable position, as a value to watch.
    fn position(&self) -> watch::Receiver<Position>;

    /// The last position that is durable now.
    fn end(&self) -> Position {
        *self.position().borrow()
    }

    /// Waits until reads of a business show every append that any process made before this call;
    /// only a store that reads from a copy has to wait.
    async fn catch_up(&self, _business: BusinessId) -> Result<(), LogError> {
        Ok(())
    }

    /// Commits what is queued, then closes the store. What comes later is refused.
    async fn close(&self);
}

/// Reads of the log as a whole, for verification, copies, operations and the list of forgettings.
/// No command is decided on them.
#[async_trait]
pub trait Inspect: Log {
    /// The whole installation's events before a position, the newest first, at most `limit`.
    async fn read_back(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let high = before.previous().min(self.end());
        let mut after = Position(high.0.saturating_sub(limit as u64));
        loop {
            let room = usize::try_from(high.0 - after.0).unwrap_or(limit);
            let mut page = self.read_all(after, room).await?;
            match page.last().map(|r| r.position) {
                // Full of bytes before it is there: what is nearest is what was asked for.
                Some(last) if last < high => after = last,
                Some(_) | None => {
                    page.reverse();
                    return Ok(page);
                }
            }
        }
    }

    /// The events of erasures in the whole log after a position, at most `limit`. They are read
    /// through an index, so that a start takes no longer with a longer log.
    async fn read_erasures(&self, after: Position, limit: usize)
    -> Result<Vec<Recorded>, LogError>;

    /// The ends of all streams, ordered by business.
    async fn heads(&self) -> Result<Vec<Head>, LogError>;

    /// The ends of all streams and the last position, read at one moment, and how many rows have a
    /// position below 1, which no reader reaches.
    async fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError>;

    /// True if a consumer or a reader can have that position as its checkpoint.
    async fn is_place(&self, position: Position) -> Result<bool, LogError> {
        // What is there may be seen before it is told.
        Ok(position <= self.end() || !self.read_all(position.previous(), 1).await?.is_empty())
    }

    /// How many events lie after a position: positions may have gaps.
    async fn lag(&self, position: Position) -> Result<u64, LogError> {
        Ok(self.end().0.saturating_sub(position.0))
    }

    /// Identifies the log by the leaf hash of its first event; `None` while the log is empty.
    async fn identity(&self) -> Result<Option<Digest>, LogError> {
        Ok(self
            .read_all(Position::START, 1)
            .await?
            .first()
            .map(|first| Digest(leaf_hash(&first.bytes))))
    }

    /// Every row as it lies in the store, after a position: for verification.
    async fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError>;

    /// Checks the store's indexes against its rows. `None` if they agree, else a position where
    /// they don't, and why.
    async fn check_indexes(&self) -> Result<Option<(Position, String)>, LogError> {
        Ok(None)
    }
}

/// What one kind of store can and can't do, and how it is at the moment. The defaults are those of
/// an embedded store that one process has for itself.
#[async_trait]
pub trait Capabilities: Send + Sync {
    /// Whether other processes append too: what is remembered of an aggregate may be old.
    fn shared(&self) -> bool {
        false
    }

    /// True if positions have gaps, so that events can't be counted by their positions.
    fn positions_have_gaps(&self) -> bool {
        false
    }

    /// Why this process can't rule out that another process serves the log with other keys; if
    /// there is a reason, this process must not destroy any key.
    fn keys_elsewhere(&self) -> Option<String> {
        None
    }

    /// Why the store can't be reached at the moment; `None` when all is well, as far as is known.
    fn unavailable_reason(&self) -> Option<String> {
        None
    }

    /// The time of the store's own clock; `None` if it has none.
    async fn store_time(&self) -> Result<Option<Timestamp>, LogError> {
        Ok(None)
    }
}

/// A whole store: the three traits that every store implements.
pub trait EventLog: Log + Inspect + Capabilities {}
impl<L: Log + Inspect + Capabilities> EventLog for L {}
