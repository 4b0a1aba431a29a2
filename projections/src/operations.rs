//! Operations: exports, which are copies of a business's stream that somebody took away.

use domain::operations::{Event as Operations, ExportFormat};
use domain::values::Digest;
use domain::{Event, PrincipalId, Timestamp};
use uuid::Uuid;

use crate::rows::{Place, Tables, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of exports.
pub const PROJECTION: Projection = Projection {
    name: "operations",
    version: 3,
    sql: include_str!("operations.sql"),
    indexes: &[("exports_by_id", "exports(id)")],
    tables: &[("exports", "place")],
    apply: Apply::Sealed(apply),
};

table! {
    /// An export.
    Export in "exports" {
        place: Place,
        id: Uuid,
        actor: PrincipalId,
        format: ExportFormat,
        events: u64,
        digest: Digest,
        root: Digest,
        at: Timestamp,
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Operations(event) = a.event else { return Ok(()) };
    match event {
        Operations::Exported(e) => tables.add(&Export {
            place: a.place,
            id: a.stored.id,
            actor: a.stored.actor,
            format: e.format,
            events: e.events,
            digest: e.digest,
            root: e.root,
            at: a.at(),
        }),
        // The runner acts on the one, the servers' clocks on the other.
        Operations::EventSkipped(_) | Operations::ClockAccepted(_) => Ok(()),
    }
}
