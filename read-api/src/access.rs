//! Members of a business: principals with their roles there.

use async_graphql::{ComplexObject, Context, Result};

use crate::node::node;
use crate::page::{Filter, all};
use crate::personal::PrincipalName;

node! {
    /// A role that a principal has in a business.
    Member in "roles JOIN principals USING (principal)" sorted by "principal", agents see Never {
        /// Id of the principal that has the role.
        principal: String,
        /// The role: owner, member, approver, auditor, agent or service.
        role: String,
        /// Kind of the principal: human, agent or service.
        kind: String,
        /// Name of the principal, for people.
        display_name: PrincipalName,
        /// When the principal was given the role.
        since: String,
    } money {}
}

#[ComplexObject]
impl Member {
    /// True if the principal is an operator of the installation.
    async fn operator(&self, ctx: &Context<'_>) -> Result<bool> {
        let sources = ctx.data::<crate::Sources>()?.clone();
        let principal = self.principal.clone();
        crate::allowance::read(&sources, move |c| {
            c.prepare_cached("SELECT operator FROM principals WHERE principal = ?")?
                .query_row([principal], |r| r.get(0))
        })
        .await
    }
}

pub(crate) async fn members(ctx: &Context<'_>, business: &str) -> Result<Vec<Member>> {
    all(ctx, Filter::of(business)).await
}
