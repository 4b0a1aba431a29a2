//! Operations: what was exported is on record, with the digest of what left.

use domain::ids::{ExportId, INSTALLATION, ProjectionId};
use domain::operations::{EventSkipped, ExportFormat, Exported};
use domain::personal::Text;
use domain::values::{Digest, Name};
use domain::{AggregateRef, BusinessId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("operations" {
    /// Says that a copy of the record was taken away.
    RecordExport = "record_export" opens Export,
    /// Tells a projection to pass over an event that it can't apply.
    SkipEvent = "skip_event" on Projection,
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

/// Tells a projection to pass over an event that it can't apply; of the installation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipEvent {
    /// Which projection.
    pub projection: Name,
    /// Of which business.
    pub business: BusinessId,
    /// Which of its events: the one it stopped at.
    pub seq: u64,
    /// Why.
    pub reason: Text,
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        match self {
            Self::RecordExport(_) => vec![ExportId(ctx.target).into()],
            Self::SkipEvent(_) => vec![ProjectionId(ctx.target).into()],
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = ExportId(ctx.target);
        match self {
            Self::RecordExport(_) if seen.export(id).recorded => Err(Refusal::Exists { what: "export" }),
            Self::RecordExport(c) => {
                let event = Exported { format: c.format, events: c.events, digest: c.digest, root: c.root };
                Ok(vec![(id.into(), event.into())])
            }
            // Views stand above businesses: what they pass over is no business's own affair.
            Self::SkipEvent(_) if ctx.business != INSTALLATION => Err(Refusal::Unknown { what: "projection in a business; send it to the installation" }),
            Self::SkipEvent(c) => {
                let id = ProjectionId(ctx.target);
                if seen.projection(id).skipped.contains(&c.seq) {
                    return Ok(Changes::new());
                }
                let subject = ctx.business.as_subject();
                let reason = c.reason.clone().about(subject);
                let event = EventSkipped { projection: c.projection.clone(), business: c.business, seq: c.seq, reason, subject };
                Ok(vec![(id.into(), event.into())])
            }
        }
    }
}
