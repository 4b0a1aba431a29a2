//! Members of a business: principals with their roles there.

use async_graphql::{Context, ID, Object, Result};

use crate::Viewer;
use crate::closed_sets::Role;
use crate::filter::{Filter, ListFilter as _, filter};
use crate::links::links;
use crate::node::node;
use crate::page::{List, ListOrder, Page, client_error, list};
use crate::scalars::DateTime;

node! {
    /// A role that a principal has in a business.
    Member in "members" sorted by "seq", agents see Never {
        /// Id of the principal that has the role.
        principal_id: ID = "principal",
        /// The role.
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

/// The members of a business.
#[derive(Clone)]
pub(crate) struct MembersOfBusiness(pub(crate) String);

/// The members of a business.
#[Object]
impl MembersOfBusiness {
    /// The principals with a role in the business. Not for agents and services, for whom it
    /// is null, with an error.
    #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "The order of the rows; OLDEST_FIRST when left out.")] order_by: Option<
            ListOrder,
        >,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<MemberFilter>,
    ) -> Result<Option<List<Member>>> {
        if !ctx.data::<Viewer>()?.reads_members(self.0.parse()?) {
            return Err(client_error(
                "FORBIDDEN",
                "agents and services do not see who works here",
                "ask with a human's key",
            ));
        }
        let page = Page {
            first,
            after,
            last,
            before,
            order: order_by.unwrap_or_default(),
            ..Page::default()
        };
        list(ctx, filter.unwrap_or_default().add_to(Filter::of(&self.0))?, page).await.map(Some)
    }
}
