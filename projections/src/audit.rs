//! The audit trail: every event with its envelope, but without its data; and the Merkle tree of the
//! stream of each business, for proofs.

pub mod tiles;

use domain::ids::EventId;
use domain::{Kind, PrincipalId, Timestamp};
use event_log::Version;
use uuid::Uuid;

use crate::rows::{Place, Tables, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of the audit trail.
pub const PROJECTION: Projection = Projection {
    name: "audit",
    version: 5,
    sql: include_str!("audit.sql"),
    indexes: &[
        ("events_by_type", "events(event_type)"),
        ("events_by_aggregate", "events(id)"),
        ("events_by_correlation", "events(correlation)"),
        ("events_by_id", "events(event_id)"),
        ("events_by_causation", "events(causation) WHERE causation IS NOT NULL"),
    ],
    tables: &[("events", "place"), ("hash_tiles", "business, level, tile")],
    apply: Apply::Sealed(apply),
};

table! {
    /// The envelope of an event.
    Envelope<'a> in "events" {
        place: Place,
        event_id: EventId,
        event_type: &'a str,
        schema: u16,
        kind: Kind,
        id: Uuid,
        version: Version,
        recorded_at: Timestamp,
        occurred_at: Option<Timestamp>,
        actor: PrincipalId,
        on_behalf_of: Option<PrincipalId>,
        command_id: &'a str,
        causation: Option<EventId>,
        correlation: Uuid,
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let s = a.stored;
    tables.add(&Envelope {
        place: a.place,
        event_id: s.event_id,
        event_type: &s.r#type,
        schema: s.schema,
        kind: s.kind,
        id: s.id,
        version: s.version,
        recorded_at: s.recorded_at,
        occurred_at: s.occurred_at,
        actor: s.actor,
        on_behalf_of: s.on_behalf_of,
        command_id: &s.command_id,
        causation: s.causation,
        correlation: s.correlation,
    })?;
    tiles::add_leaf(tables, a)
}
