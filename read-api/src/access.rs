//! Members of a business: principals with their roles there.

use async_graphql::{Context, ID, Result};
use domain::BusinessId;

use crate::Viewer;
use crate::closed_sets::Role;
use crate::filter::filter;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;
use crate::page::client_error;
use crate::scalars::DateTime;

node! {
    /// A role that a principal has in a business.
    Member in "members" sorted by "n", agents see Never {
        /// Id of the principal that has the role.
        principal_id: ID = "principal",
        /// The role that the principal has in the business.
        role: Role,
        /// When the principal was given the role.
        since: DateTime,
        /// True if the principal is an operator of the installation.
        operator: bool,
    } money {}
}

links! { Member {
    one {}
    principals {
        /// The principal that has the role.
        principal = principal_id;
    }
    pages {}
    bounded {}
    fields {}
} }

filter! {
    /// Which members are asked for.
    MemberFilter {
        /// Members with one of these roles.
        role: Role, in "role";
        /// One of these principals.
        principal_id: ID, in "principal";
    }
}

fn may_see_members(ctx: &Context<'_>, business: BusinessId) -> Result<()> {
    if ctx.data::<Viewer>()?.reads_members(business) {
        return Ok(());
    }
    Err(client_error(
        "FORBIDDEN",
        "agents and services do not see who works here",
        "ask with a human's key",
    ))
}

lists! {
    /// The members of a business.
    MembersOfBusiness {
        /// The principals with a role in the business. Not for agents and services, for whom it is
        /// null, with an error.
        members: Member, by MemberFilter, if may_see_members;
    }
}
