//! An append: events of one business that are stored together or not at all.

use domain::ids::EventId;
use domain::limits::{APPEND_BYTES_MAX, EVENT_BYTES_MAX};
use domain::{AggregateRef, BusinessId};
use tokio::sync::oneshot;

use crate::cause::Cause;
use crate::keyring::KeyEpoch;
use crate::place::{Position, Seq, Version};

/// An event to be appended, its bytes final.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The aggregate that the event belongs to.
    pub aggregate: AggregateRef,
    /// Version of the aggregate with this event.
    pub version: Version,
    /// Id of the event.
    pub event_id: EventId,
    /// Bytes of the event, as they are stored.
    pub bytes: Vec<u8>,
}

/// Events of one business that are stored together or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The business whose stream the events are appended to.
    pub business: BusinessId,
    /// Aggregates with the versions that they must still have; those written to need not be named.
    pub reads: Vec<(AggregateRef, Version)>,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// The lane and epoch that decided the append, so that it is refused after an earlier refusal
    /// of the same chain; `None` outside lanes.
    pub chain: Option<Chain>,
    /// The key epoch in which the personal fields were sealed; `None` if none was sealed
    /// with a key of the keyring.
    pub key_epoch: Option<KeyEpoch>,
}

/// Appends that were decided one on another: when one of them is refused, those behind it are too,
/// because a version number alone does not say *whose* event was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The lane that decided, unique in its process.
    pub lane: u64,
    /// How often that lane had dropped its state by then.
    pub epoch: LaneEpoch,
}

/// Counts how often a lane dropped its state. Appends of one lane and epoch were decided on each
/// other: when one is refused, the store refuses those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LaneEpoch(pub u64);

impl LaneEpoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Append {
    /// Checks law 8 of [`crate::log`]: the limits of size.
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

/// The place of a stored append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// `seq` of the append's first event; the others follow without a gap.
    pub first_seq: Seq,
    /// Position of the append's last event.
    pub position: Position,
    /// True if the append had been stored before.
    pub repeated: bool,
}

/// Why an append was not stored. Nothing of it was, except that nobody knows after
/// [`AppendError::OutcomeUnknown`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An aggregate has another version than the decision saw.
    #[error("{aggregate} is at version {actual}, the decision was made at version {expected}")]
    Conflict {
        /// The aggregate whose version differs.
        aggregate: AggregateRef,
        /// Version that the decision was made on.
        expected: Version,
        /// Version that the aggregate has.
        actual: Version,
    },
    /// An event with this id is stored already, with other bytes.
    #[error("event {0} is stored already, with other content")]
    IdTaken(EventId),
    /// An append that this one was decided on was refused.
    #[error("an append before this one was refused; decide again")]
    ChainBroken,
    /// Keys were destroyed after the append was sealed, perhaps its own.
    #[error(
        "keys were destroyed after the fields of this append were sealed; seal the fields \
        again with the current keys"
    )]
    KeysDestroyed,
    /// The append is a copy from another store, and its first `seq` is not the next one here.
    #[error(
        "the event to append has seq {seq}, but the next seq of the stream is {next}; append \
        the events in the order of their seq, without a gap"
    )]
    OutOfPlace {
        /// `seq` of the append's first event in the other store.
        seq: Seq,
        /// The `seq` that comes next in this store.
        next: Seq,
    },
    /// An event or the whole append is larger than a limit.
    #[error("{what} of {bytes} bytes is beyond the limit of {max}; send less at once")]
    TooLarge {
        /// The part that is too large, in words.
        what: &'static str,
        /// Size of that part, in bytes.
        bytes: usize,
        /// Largest size that is allowed, in bytes.
        max: usize,
    },
    /// The append has no events.
    #[error("an append needs at least one event")]
    Empty,
    /// The disk is full.
    #[error("the disk is full: nothing was written; free some space and send it again")]
    DiskFull,
    /// The store is shutting down or gone.
    #[error("the log is closed: {0}")]
    Closed(String),
    /// The store failed.
    #[error("the log could not be written")]
    Storage(#[source] Cause),
    /// The store gave no answer: the append is stored as a whole, or not at all. The same events
    /// may be sent again.
    #[error("whether the append was stored is not known; send it again under the same key")]
    OutcomeUnknown(#[source] Cause),
}

impl AppendError {
    /// Makes [`AppendError::Storage`] from a sentence, or from the store's own error.
    pub fn storage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(Cause::of(cause))
    }
}

/// The answer to an append that waits for the disk.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Committed, AppendError>>);

impl Pending {
    /// The answer that a store sends over `answer` once the append is durable or refused.
    #[must_use]
    pub fn new(answer: oneshot::Receiver<Result<Committed, AppendError>>) -> Self {
        Self(answer)
    }

    /// Waits until the append is durable or refused.
    ///
    /// # Errors
    /// [`AppendError`]; `OutcomeUnknown` when the store ended without an answer.
    pub async fn done(self) -> Result<Committed, AppendError> {
        let silent = |_| Err(AppendError::OutcomeUnknown(Cause::of("the log's writer stopped")));
        self.0.await.unwrap_or_else(silent)
    }
}
