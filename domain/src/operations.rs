//! Operations. Aggregates: `export`, one copy of a business's record that somebody took away;
//! `projection` (installation), a projection of one business whose broken event was passed over;
//! `clock` (installation), the servers' clocks, whose doubts operators accepted.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{BusinessId, ClockId, INSTALLATION, ProjectionId, SubjectId, names};
use crate::personal::Text;
use crate::values::{Digest, Name, Timestamp};

names! {
    /// What an export is written as.
    ExportFormat {
        /// The stored bytes, one event a line.
        Jsonl = "jsonl",
        /// CloudEvents 1.0, one event a line.
        Cloudevents = "cloudevents",
        /// A table.
        Csv = "csv",
    }
}

names! {
    /// What is wrong with a server's clock.
    ClockFault {
        /// It is behind the newest event of the log.
        Behind = "behind",
        /// It differs from the store's clock.
        Differs = "differs",
        /// It jumped against the time that goes by.
        Jumped = "jumped",
    }
}

events!("operations" {
    /// Somebody took a copy of the record away.
    Exported = "exported" v 1 on Export, Private {
        /// As what.
        format: ExportFormat,
        /// How many events, the first of the stream to this one.
        events: u64,
        /// SHA-256 of the file.
        digest: Digest,
        /// Root of the stream's Merkle tree with the last of them.
        root: Digest,
    }

    /// A projection was told to pass over an event that it can't apply.
    EventSkipped = "event_skipped" v 1 on Projection, Private {
        /// Which projection.
        projection: Name,
        /// Of which business.
        business: BusinessId,
        /// Which of its events.
        seq: u64,
        /// Why.
        reason: Text,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// An operator accepted a server's clock that was in doubt: what time alone decides goes on by
    /// it.
    ClockAccepted = "clock_accepted" v 1 on Clock, Private {
        /// What was wrong with it.
        fault: ClockFault,
        /// By how many milliseconds: behind the log, ahead of the store's clock, jumped ahead.
        by_ms: i64,
        /// When the newest event of the log that the server knew of was recorded.
        newest: Timestamp,
        /// Why.
        reason: Text,
        /// Whom the reason is about.
        subject: SubjectId,
    }
});

/// An export as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Export {
    /// Whether it is on record.
    pub recorded: bool,
}

impl Export {
    /// Folds one event in; those of others are not its own.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        self.recorded |= matches!(event, Event::Exported(_));
    }
}

/// A projection of one business as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Projection {
    /// Events that it passes over.
    pub skipped: BTreeSet<u64>,
}

impl Projection {
    /// Folds one event in; those of others are not its own.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::EventSkipped(e) => {
                self.skipped.insert(e.seq);
            }
            Event::Exported(_) | Event::ClockAccepted(_) => {}
        }
    }
}

/// The servers' clocks as the rules see them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// The latest time of recording that an operator accepted although a server's clock is behind
    /// it.
    pub accepted_newest: Timestamp,
}

impl Clock {
    /// Folds one event in; those of others are not its own.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::ClockAccepted(e) => self.accepted_newest = self.accepted_newest.max(e.newest),
            Event::Exported(_) | Event::EventSkipped(_) => {}
        }
    }
}

impl ClockId {
    /// The id of the installation's.
    #[must_use]
    pub fn only() -> Self {
        Self(INSTALLATION.derive_id("clock"))
    }
}

impl ProjectionId {
    /// The id of a projection of one business.
    #[must_use]
    pub fn of(business: BusinessId, projection: &str) -> Self {
        Self(business.derive_id(&format!("projection:{projection}")))
    }
}
