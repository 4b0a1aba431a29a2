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
use domain::limits::{APPEND_BYTES_MAX, EVENT_BYTES_MAX, PAGE_BYTES_MAX};
use domain::values::Digest;
use domain::{AggregateRef, BusinessId, Timestamp};
use proof::tree::{Hash, leaf_hash};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::envelope::Recorded;
use crate::loaded::{Loaded, typed};

/// An event to be appended, its bytes final.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its aggregate.
    pub aggregate: AggregateRef,
    /// The aggregate's version with it.
    pub version: u64,
    /// Its id.
    pub event_id: EventId,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// Events of one business that are stored together or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub business: BusinessId,
    /// Aggregates that must still have that version; those written to need not be named.
    pub reads: Vec<(AggregateRef, u64)>,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// What it was decided on besides what is durable; `None` when on nothing.
    pub chain: Option<Chain>,
    /// The keyring's epoch in which its fields were sealed; `None` when none is.
    pub keys: Option<u64>,
}

/// Appends that were decided one on another: when one of them is refused, those behind it are too,
/// because a version number alone does not say *whose* event was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Who decided.
    pub lane: u64,
    /// Its state; it begins a new one after a refusal.
    pub epoch: u64,
}

impl Append {
    /// Law 8.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`] or [`AppendError::Empty`].
    pub fn check_caps(&self) -> Result<(), AppendError> {
        if self.events.is_empty() {
            return Err(AppendError::Empty);
        }
        let mut total = 0;
        for event in &self.events {
            if event.bytes.len() > EVENT_BYTES_MAX {
                return Err(AppendError::TooLarge {
                    what: "an event",
                    bytes: event.bytes.len(),
                    max: EVENT_BYTES_MAX,
                });
            }
            total += event.bytes.len();
        }
        if total > APPEND_BYTES_MAX {
            return Err(AppendError::TooLarge {
                what: "an append",
                bytes: total,
                max: APPEND_BYTES_MAX,
            });
        }
        Ok(())
    }
}

/// Where an append went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// `seq` of its first event; the others follow without a gap.
    pub first_seq: u64,
    /// Position of its last event.
    pub position: u64,
    /// True when it had been stored before.
    pub repeated: bool,
}

/// Why an append was not stored. In every case nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An aggregate has another version than the decision saw.
    #[error("{aggregate} is at version {actual}, the decision was made at version {expected}")]
    Conflict {
        /// Which one.
        aggregate: AggregateRef,
        /// What the decision saw.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// An event with this id is stored already, with other bytes.
    #[error("event {0} is stored already, with other content")]
    IdTaken(EventId),
    /// An append that this one was decided on was refused.
    #[error("an append before this one was refused; decide again")]
    ChainBroken,
    /// Keys were destroyed after it was sealed, perhaps its own.
    #[error("keys were destroyed since this was sealed; seal again")]
    KeysDestroyed,
    /// What is copied from another store does not follow on what is there.
    #[error("an event has the seq {seq}, and {next} comes next")]
    OutOfPlace {
        /// Where it is elsewhere.
        seq: u64,
        /// Where the stream ends here.
        next: u64,
    },
    /// Beyond a cap.
    #[error("{what} of {bytes} bytes is beyond the limit of {max}; send less at once")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// No events in it.
    #[error("an append needs at least one event")]
    Empty,
    /// The disk is full.
    #[error("the disk is full: nothing was written; free some space and send it again")]
    DiskFull,
    /// The store is shutting down or gone.
    #[error("the log is closed: {0}")]
    Closed(String),
    /// The store failed.
    #[error("the log could not be written: {0}")]
    Storage(String),
}

/// Why the log could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Another process has the data folder.
    #[error("{0}")]
    Locked(String),
    /// The file is damaged.
    #[error(
        "the log's file is damaged ({0}); run `minutebook verify`, then restore the last good \
         backup"
    )]
    Corrupt(String),
    /// The store failed.
    #[error("the log could not be read: {0}")]
    Storage(String),
}

/// The end of a business's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The stream.
    pub business: BusinessId,
    /// Its last `seq`.
    pub seq: u64,
    /// The root of its Merkle tree.
    pub root: Hash,
}

/// A row as it lies in the store; what it claims of its bytes is not believed.
#[derive(Debug, Clone)]
pub struct RawRow {
    /// Place in the whole log.
    pub position: u64,
    /// The stream it claims.
    pub business: Uuid,
    /// The place in it that it claims.
    pub seq: u64,
    /// The aggregate's kind that it claims.
    pub kind: String,
    /// The aggregate's id that it claims.
    pub id: Uuid,
    /// The version that it claims.
    pub version: u64,
    /// The event id that it claims.
    pub event_id: Uuid,
    /// The leaf hash that it claims.
    pub leaf: Vec<u8>,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// The answer to an append that waits for the disk.
#[derive(Debug)]
pub struct Pending(pub(crate) oneshot::Receiver<Result<Committed, AppendError>>);

impl Pending {
    /// Waits until the append is durable or refused.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was stored then.
    pub async fn done(self) -> Result<Committed, AppendError> {
        self.0.await.unwrap_or_else(|_| Err(AppendError::Closed("its writer stopped".to_owned())))
    }
}

/// Whether what was read of the log, with that limit, is all there is: a page is also full when its
/// events have [`PAGE_BYTES_MAX`] bytes together.
#[must_use]
pub fn is_last(page: &[Recorded], limit: usize) -> bool {
    page.len() < limit && page.iter().map(|r| r.bytes.len()).sum::<usize>() < PAGE_BYTES_MAX
}

/// Events that are read at once when an aggregate is loaded.
const LOAD_PAGE: usize = 1_000;

/// The log of one installation. What is read of it comes in pages: at most `limit` events, and no
/// more once they have [`PAGE_BYTES_MAX`] bytes together.
#[async_trait]
pub trait EventLog: Send + Sync {
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
        after: u64,
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
        let last = self.read_business(business, head.seq - 1, 1).await?;
        last.first()
            .map_or(Ok(Timestamp::default()), |recorded| Ok(typed(&recorded.bytes)?.0.recorded_at))
    }

    /// The clock of the store, where it has one of its own.
    async fn store_time(&self) -> Result<Option<Timestamp>, LogError> {
        Ok(None)
    }

    /// What says which log this is: the leaf hash of its first event. `None` while it has none.
    async fn identity(&self) -> Result<Option<Digest>, LogError> {
        Ok(self.read_all(0, 1).await?.first().map(|first| Digest(leaf_hash(&first.bytes))))
    }

    /// The events of erasures in the whole log after a position, at most `limit`: through an index,
    /// so that a start does not grow with the log.
    async fn read_erasures(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// A business's events after a `seq`, at most `limit`.
    async fn read_business(
        &self,
        business: BusinessId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError>;

    /// The whole installation's events after a position, at most `limit`.
    async fn read_all(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// The whole installation's events before a position, the newest first, at most `limit`.
    async fn read_back(&self, before: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let high = before.saturating_sub(1).min(self.end());
        let mut after = high.saturating_sub(limit as u64);
        loop {
            let mut page =
                self.read_all(after, usize::try_from(high - after).unwrap_or(limit)).await?;
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

    /// Whether somebody can have been told that position as its place: 0, or that of an event.
    async fn is_place(&self, position: u64) -> Result<bool, LogError> {
        // What is there may be seen before it is told.
        Ok(position <= self.end() || !self.read_all(position - 1, 1).await?.is_empty())
    }

    /// How many events lie after a position: positions may have gaps.
    async fn lag(&self, position: u64) -> Result<u64, LogError> {
        Ok(self.end().saturating_sub(position))
    }

    /// Why the store can't be reached at the moment; `None` when all is well, as far as is known.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Whether positions have gaps, so that they must not be counted with.
    fn sparse(&self) -> bool {
        false
    }

    /// The end of a business's stream; `None` when it has none.
    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError>;

    /// The ends of all streams, ordered by business.
    async fn heads(&self) -> Result<Vec<Head>, LogError>;

    /// The last position that is durable, as it moves.
    fn position(&self) -> watch::Receiver<u64>;

    /// The last position that is durable now.
    fn end(&self) -> u64 {
        *self.position().borrow()
    }

    /// Why another process may have other keys for this log than this one: then none may be
    /// destroyed here.
    fn keys_elsewhere(&self) -> Option<String> {
        None
    }

    /// Whether other processes append too: what is remembered of an aggregate may be old.
    fn shared(&self) -> bool {
        false
    }

    /// Waits until everything that any process has appended to a business before this call is what
    /// is read here: for a store that reads from a copy.
    async fn catch_up(&self, _business: BusinessId) -> Result<(), LogError> {
        Ok(())
    }

    /// The versions of these aggregates now, 0 for one that is not there: everything that any
    /// process has appended before this call is counted, and from then on is found by
    /// [`EventLog::find`] too.
    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<u64>, LogError>;

    /// Every row as it lies in the store, after a position: for verification.
    async fn raw_rows(&self, after: u64, limit: usize) -> Result<Vec<RawRow>, LogError>;

    /// The ends of all streams and the last position, of one moment; and how many rows lie where no
    /// reader looks.
    async fn ends(&self) -> Result<(Vec<Head>, u64, u64), LogError>;

    /// Whether the store's indexes agree with its rows; else a position that is concerned, and why.
    async fn check_indexes(&self) -> Result<Option<(u64, String)>, LogError> {
        Ok(None)
    }

    /// Commits what is queued, then closes the store. What comes later is refused.
    async fn close(&self);
}
