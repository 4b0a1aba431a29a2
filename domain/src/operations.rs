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
    /// The file format of an export.
    ExportFormat {
        /// The stored bytes, one event a line.
        Jsonl = "jsonl",
        /// CloudEvents 1.0, one event a line.
        Cloudevents = "cloudevents",
        /// A table, one event a row.
        Csv = "csv",
    }
}

names! {
    /// The fault of a server's clock.
    ClockFault {
        /// The clock is behind the newest event of the log.
        Behind = "behind",
        /// The clock differs from the store's clock.
        Differs = "differs",
        /// The clock jumped against the elapsed time.
        Jumped = "jumped",
    }
}

events!("operations" {
    /// Somebody exported a business: they took a copy of its stream away.
    Exported = "exported" v 1 on Export, Private {
        /// The file format of the copy.
        format: ExportFormat,
        /// Number of events in the copy, from the first of the stream on.
        events: u64,
        /// SHA-256 of the exported file.
        digest: Digest,
        /// Root of the stream's Merkle tree over the events in the copy.
        root: Digest,
    }

    /// A projection was told to pass over an event that it can't apply.
    EventSkipped = "event_skipped" v 1 on Projection, Private {
        /// Name of the projection.
        projection: Name,
        /// The business in whose stream the event is.
        business: BusinessId,
        /// The `seq` of the event in that stream.
        seq: u64,
        /// Why the event is passed over.
        reason: Text,
        /// The data subject whose key seals the reason: the installation.
        subject: SubjectId,
    }

    /// An operator accepted a server's clock that was in doubt: rules about time rely on it again.
    ClockAccepted = "clock_accepted" v 1 on Clock, Private {
        /// The fault that the operator accepted.
        fault: ClockFault,
        /// Size in milliseconds; negative if the clock is behind the store's or jumped back.
        by_ms: i64,
        /// When the newest event that the server knew of was recorded.
        newest: Timestamp,
        /// Why the operator accepted the clock.
        reason: Text,
        /// The data subject whose key seals the reason: the installation.
        subject: SubjectId,
    }
});

/// An export as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Export {
    /// True once the export is on record.
    pub recorded: bool,
}

impl Export {
    /// Folds one event in; events of other aggregates change nothing.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        self.recorded |= matches!(event, Event::Exported(_));
    }
}

/// A projection of one business as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Projection {
    /// The `seq` of each event that the projection passes over.
    pub skipped: BTreeSet<u64>,
}

impl Projection {
    /// Folds one event in; events of other aggregates change nothing.
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
    /// Up to this time of recording an operator accepted that the log is ahead of a server's clock.
    pub accepted_newest: Timestamp,
}

impl Clock {
    /// Folds one event in; events of other aggregates change nothing.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::ClockAccepted(e) => self.accepted_newest = self.accepted_newest.max(e.newest),
            Event::Exported(_) | Event::EventSkipped(_) => {}
        }
    }
}

impl ClockId {
    /// The id of the one aggregate that stands for the clocks of the installation's servers.
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
