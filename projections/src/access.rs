//! Principals and their roles. Their API keys are in no view: only the directory reads the hashes.

use domain::Event;
use domain::access::Event as Access;
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of principals and their roles.
pub const PROJECTION: Projection = Projection {
    name: "access",
    version: 3,
    sql: include_str!("access.sql"),
    indexes: &[
        ("roles_by_principal", "roles(principal)"),
        ("roles_by_seq", "roles(business, seq)"),
    ],
    tables: &[("principals", "principal"), ("roles", "business, principal, role")],
    apply: Apply::Sealed(apply),
};

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Access(event) = a.event else { return Ok(()) };
    match event {
        Access::PrincipalAdded(e) => run(
            tx,
            "INSERT INTO principals VALUES (?, ?, ?, ?, ?)",
            &[
                &e.principal.to_string(),
                &e.kind.as_str(),
                &e.operator,
                &a.field("/data/display_name"),
                &a.at(),
            ],
        ),
        Access::RoleGranted(e) => run(
            tx,
            "INSERT OR IGNORE INTO roles VALUES (?, ?, ?, ?, ?)",
            &[&e.business.to_string(), &a.recorded.seq, &a.id(), &e.role.as_str(), &a.at()],
        ),
        Access::RoleRevoked(e) => run(
            tx,
            "DELETE FROM roles WHERE business = ? AND principal = ? AND role = ?",
            &[&e.business.to_string(), &a.id(), &e.role.as_str()],
        ),
        Access::RateProfileSet(_) | Access::KeyIssued(_) | Access::KeyRevoked(_) => Ok(()),
    }
}
