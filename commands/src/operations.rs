//! Operations: what was exported is on record, with the digest of what left.

use domain::AggregateRef;
use domain::ids::ExportId;
use domain::operations::{ExportFormat, Exported};
use domain::values::Digest;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("operations" {
    /// Says that a copy of the record was taken away.
    RecordExport = "record_export" opens Export,
});

/// Says that a copy of the record was taken away.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordExport {
    /// As what.
    pub format: ExportFormat,
    /// How many events, from the first on.
    pub events: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Root of the stream's Merkle tree with the last of them.
    pub root: Digest,
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        vec![ExportId(ctx.target).into()]
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = ExportId(ctx.target);
        match self {
            Self::RecordExport(_) if seen.export(id).recorded => Err(Refusal::Exists { what: "export" }),
            Self::RecordExport(c) => {
                let event = Exported { format: c.format, events: c.events, digest: c.digest, root: c.root };
                Ok(vec![(id.into(), event.into())])
            }
        }
    }
}
