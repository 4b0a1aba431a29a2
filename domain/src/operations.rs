//! Operations. Aggregate: `export`, one copy of a business's record that somebody took away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::names;
use crate::values::Digest;

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

events!("operations" {
    /// Somebody took a copy of the record away.
    Exported = "exported" v 1 on Export,
});

/// Somebody took a copy of the record away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// As what.
    pub format: ExportFormat,
    /// How many events, the first of the stream to this one.
    pub events: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Root of the stream's Merkle tree with the last of them.
    pub root: Digest,
}

/// An export as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Export {
    /// Whether it is on record.
    pub recorded: bool,
}

impl Export {
    /// Folds one event in.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::Exported(_) => self.recorded = true,
        }
    }
}
