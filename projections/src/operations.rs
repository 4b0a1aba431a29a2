//! Operations: exports, which are copies of a business's stream that somebody took away.

use domain::Event;
use domain::operations::Event as Operations;
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of exports.
pub const PROJECTION: Projection = Projection {
    name: "operations",
    version: 2,
    sql: include_str!("operations.sql"),
    indexes: &[("exports_by_id", "exports(business, id, seq)")],
    tables: &[("exports", "business, seq")],
    apply: Apply::Sealed(apply),
};

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Operations(event) = a.event else { return Ok(()) };
    match event {
        Operations::Exported(e) => run(
            tx,
            "INSERT INTO exports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                &a.business(),
                &a.recorded.seq,
                &a.id(),
                &a.stored.actor.to_string(),
                &e.format.as_str(),
                &e.events,
                &e.digest.to_string(),
                &e.root.to_string(),
                &a.at(),
            ],
        ),
        // The runner acts on the one, the servers' clocks on the other.
        Operations::EventSkipped(_) | Operations::ClockAccepted(_) => Ok(()),
    }
}
