//! An append: events of one business that are stored together or not at all.

use domain::ids::EventId;
use domain::limits::{APPEND_BYTES_MAX, EVENT_BYTES_MAX};
use domain::{AggregateRef, BusinessId};
use tokio::sync::oneshot;

use crate::cause::Cause;
use crate::keyring::KeyEpoch;

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
    /// The lane and epoch that decided the append, so that it is refused after an earlier refusal
    /// of the same chain; `None` outside lanes.
    pub chain: Option<Chain>,
    /// The keyring's epoch in which its fields were sealed; `None` when none is.
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
    /// Law 8 of [`crate::log`]: the caps.
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

/// Why an append was not stored. Nothing of it was, except that nobody knows after
/// [`AppendError::OutcomeUnknown`].
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
        /// The `seq` of its first event in the other store.
        seq: u64,
        /// The `seq` that comes next in this store.
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
    #[error("the log could not be written")]
    Storage(#[source] Cause),
    /// The store gave no answer: the append is stored as a whole, or not at all. The same events
    /// may be sent again.
    #[error("whether the append was stored is not known; send it again under the same key")]
    OutcomeUnknown(#[source] Cause),
}

impl AppendError {
    /// The store failed: a sentence, or the store's own error.
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
