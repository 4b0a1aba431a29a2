//! Operations: what was exported is on record, with the digest of what left.

use domain::approvals::CarriedInputs;
use domain::ids::{ClockId, ExportId, ProjectionId};
use domain::operations::{ClockAccepted, ClockFault, EventSkipped, ExportFormat, Exported};
use domain::personal::Text;
use domain::values::{Digest, Name};
use domain::{AggregateRef, BusinessId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::clock_watch::{ClockDoubt, ClockInDoubt};
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

commands!("operations" {
    /// Says that a copy of the record was taken away.
    RecordExport = "record_export" opens Export {
        from: [Owner, Member, Auditor, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The file format in which the copy was written.
        format: ExportFormat,
        /// How many events, from the first on.
        events: u64,
        /// SHA-256 of the file.
        digest: Digest,
        /// Root of the stream's Merkle tree with the last of them.
        root: Digest,
    }

    /// Tells a projection to pass over an event that it can't apply; of the installation.
    SkipEvent = "skip_event" sets Projection {
        from: [Operator] of Installation,
        target: Target::Derived(|c, _| ProjectionId::of(c.business, c.projection.as_str()).0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// Which projection.
        projection: Name,
        /// Of which business.
        business: BusinessId,
        /// Which of its events: the one it stopped at.
        seq: u64,
        /// Why.
        reason: Text,
    }

    /// Accepts the clock of the server that is asked, which is in doubt: what time alone decides
    /// goes on by it. Of the installation.
    AcceptClock = "accept_clock" sets Clock {
        from: [Operator] of Installation,
        target: Target::Derived(|_, _| ClockId::only().0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// Why.
        reason: Text,
    }
});

impl ContextRules for Command {
    fn reads(&self, _: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        Vec::new()
    }

    fn carried_inputs(&self, _: &mut CarriedInputs) {}

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        match self {
            Self::RecordExport(c) => {
                let event =
                    Exported { format: c.format, events: c.events, digest: c.digest, root: c.root };
                Ok(vec![(ExportId(ctx.target).into(), event.into())])
            }
            Self::SkipEvent(c) => {
                let id = ProjectionId(ctx.target);
                if loaded.get(id)?.skipped.contains(&c.seq) {
                    return Ok(Changes::new());
                }
                let subject = ctx.business.as_subject();
                let reason = c.reason.clone().about(subject);
                let event = EventSkipped {
                    projection: c.projection.clone(),
                    business: c.business,
                    seq: c.seq,
                    reason,
                    subject,
                };
                Ok(vec![(id.into(), event.into())])
            }
            Self::AcceptClock(c) => {
                let Some(ClockInDoubt { doubt, newest }) = ctx.clock_doubt else {
                    return Ok(Changes::new());
                };
                let (fault, by_ms) = match doubt {
                    ClockDoubt::Behind(ms) => (ClockFault::Behind, ms),
                    ClockDoubt::Differs(ms) => (ClockFault::Differs, ms),
                    ClockDoubt::Jumped(ms) => (ClockFault::Jumped, ms),
                };
                let subject = ctx.business.as_subject();
                let event = ClockAccepted {
                    fault,
                    by_ms,
                    newest,
                    reason: c.reason.clone().about(subject),
                    subject,
                };
                Ok(vec![(ClockId(ctx.target).into(), event.into())])
            }
        }
    }
}
