//! The audit trail: every event with its envelope, but without its data.

use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of the audit trail.
pub const PROJECTION: Projection = Projection {
    name: "audit",
    version: 3,
    sql: include_str!("audit.sql"),
    indexes: &[
        ("events_by_type", "events(business, event_type, seq)"),
        ("events_by_aggregate", "events(business, id, seq)"),
        ("events_by_correlation", "events(business, correlation, seq)"),
        ("events_by_id", "events(event_id, business)"),
        ("events_by_causation", "events(business, causation, seq) WHERE causation IS NOT NULL"),
    ],
    tables: &[("events", "business, seq")],
    apply: Apply::Sealed(apply),
};

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let s = a.stored;
    run(
        tx,
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            &a.business(),
            &a.recorded.seq,
            &s.event_id.to_string(),
            &s.r#type,
            &s.schema,
            &s.kind.as_str(),
            &a.id(),
            &s.version,
            &s.recorded_at.to_string(),
            &s.occurred_at.map(|t| t.to_string()),
            &s.actor.to_string(),
            &s.on_behalf_of.map(|p| p.to_string()),
            &s.command_id,
            &s.causation.map(|c| c.to_string()),
            &s.correlation.to_string(),
        ],
    )
}
