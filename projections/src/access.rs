//! Principals and their roles. Their API keys are in no view: only the directory reads the hashes.

use domain::access::{Event as Access, PrincipalKind};
use domain::values::Role;
use domain::{Event, PrincipalId, Timestamp};
use event_log::Seq;

use crate::rows::{BusinessNumber, Field, Tables, keyed_table, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of principals and their roles.
pub const PROJECTION: Projection = Projection {
    name: "access",
    version: 4,
    sql: include_str!("access.sql"),
    indexes: &[
        ("roles_by_principal", "roles(principal)"),
        ("roles_by_seq", "roles(business, seq)"),
    ],
    tables: &[("principals", "principal"), ("roles", "business, principal, role")],
    apply: Apply::Sealed(apply),
};

table! {
    /// A principal as the installation added it; its roles are rows of their own.
    Principal in "principals" {
        principal: PrincipalId,
        kind: PrincipalKind,
        operator: bool,
        display_name: Field,
        added_at: Timestamp,
    }
}

keyed_table! {
    /// A role of a principal in a business. `seq` is that of the event of the installation.
    RoleOf in "roles" by (business: BusinessNumber, principal: PrincipalId, role: Role) {
        seq: Seq,
        since: Timestamp,
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Access(event) = a.event else { return Ok(()) };
    let principal = PrincipalId(a.stored.id);
    match event {
        Access::PrincipalAdded(e) => tables.add(&Principal {
            principal: e.principal,
            kind: e.kind,
            operator: e.operator,
            display_name: a.field("/data/display_name"),
            added_at: a.at(),
        }),
        Access::RoleGranted(e) => {
            let (business, role) = (tables.business(e.business)?, e.role);
            let (seq, since) = (a.recorded.seq, a.at());
            let new = || RoleOf { business, principal, role, seq, since };
            tables.row_or(&(business, principal, role), new).map(drop)
        }
        Access::RoleRevoked(e) => {
            let business = tables.business(e.business)?;
            tables.remove::<RoleOf>(&(business, principal, e.role)).map(drop)
        }
        Access::RateProfileSet(_) | Access::KeyIssued(_) | Access::KeyRevoked(_) => Ok(()),
    }
}
