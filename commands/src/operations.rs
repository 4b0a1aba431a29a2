//! Operations: records exports, events that a projection skips, and an accepted clock.

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
    /// Records that a copy of the business's events was exported.
    RecordExport = "record_export" opens Export {
        from: [Owner, Member, Auditor, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The file format in which the copy was written.
        format: ExportFormat,
        /// Number of exported events, from the first event on.
        events: u64,
        /// SHA-256 of the exported file.
        digest: Digest,
        /// Root of the stream's Merkle tree with the last exported event.
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
        /// Name of the projection.
        projection: Name,
        /// The business whose event is skipped.
        business: BusinessId,
        /// `seq` of the skipped event: the one that the projection stopped at.
        seq: u64,
        /// Why the event is skipped.
        reason: Text,
    }

    /// Accepts the server's clock although it is in doubt, so that commands that depend on time
    /// alone are decided again; of the installation.
    AcceptClock = "accept_clock" sets Clock {
        from: [Operator] of Installation,
        target: Target::Derived(|_, _| ClockId::only().0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// Why the clock is accepted.
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
