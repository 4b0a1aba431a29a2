//! The GraphQL API over the views. It only reads, and does not know the command bus.
//!
//! Every list is a connection in the order of the business's stream, with cursors that stay valid
//! while the stream grows. A viewer who may not see a business gets `null`, as if it did not exist.
//! Personal text is unsealed in the answer, for viewers who may read it, and nowhere else.

mod access;
mod agents;
mod allowance;
mod api;
mod approval_policies;
mod approvals;
mod attempts;
mod audit;
mod budgets;
mod businesses;
mod by_text;
mod children;
mod closed_sets;
mod completion;
mod decisions;
mod errors;
mod filter;
mod inclusion;
mod integrations;
mod limits;
mod links;
mod lists;
mod memory;
mod meter;
mod metrics;
mod node;
mod of_business;
mod operations;
mod page;
mod personal;
mod principals;
mod privacy;
mod query;
mod row;
mod scalars;
mod search;
mod selections;
mod sight;
mod store;
mod stored;
mod subscription;
mod tasks;
mod trusted;
mod views;
mod waiting;

use std::sync::Arc;

use async_graphql::EmptyMutation;
use domain::access::Principal;
use domain::approvals::ApprovalRule;
use domain::values::Role;
use domain::{BusinessId, PrincipalId};
use event_log::attempts::Attempts;
use event_log::{EventLog, Keyring};
use projections::Views;
use proof::checkpoint::Signer;
use tokio::sync::Semaphore;

pub use allowance::Allowance;
pub use api::Api;
pub use query::Query;
pub use subscription::Subscription;
pub use trusted::TrustedDocuments;

/// The GraphQL schema: queries and subscriptions, no mutations.
type Schema = async_graphql::Schema<Query, EmptyMutation, Subscription>;

/// What the schema reads from.
#[derive(Clone)]
pub struct Sources {
    /// The views of this process.
    pub views: Views,
    /// The log, for what only it holds.
    pub log: Arc<dyn EventLog>,
    /// The keys that open personal fields.
    pub keyring: Arc<dyn Keyring>,
    /// The attempts: authenticated commands with their outcomes.
    pub attempts: Arc<Attempts>,
    /// The key that signs checkpoints.
    pub signer: Arc<Signer>,
    /// Finds the faults of an approval policy's rules: pairs of a rule's name and its fault. A rule
    /// that was defined before a check existed still counts, and is shown with its faults.
    pub rule_faults: fn(&[ApprovalRule]) -> Vec<(String, String)>,
    /// Bounds how many proofs and verifications run at once.
    pub proofs: Arc<Semaphore>,
    /// The limits of the request that is being answered.
    pub allowance: Allowance,
}

/// The principal that asks, with its roles; every request carries one in its data.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The principal that authenticated.
    pub principal: PrincipalId,
    /// The principal's roles by business, and whether it is an operator.
    pub known: Arc<Principal>,
}

impl Viewer {
    /// True if the principal is an operator of the installation.
    #[must_use]
    pub fn operator(&self) -> bool {
        self.known.operator
    }

    /// True if the principal may know that the business exists.
    #[must_use]
    pub fn may_see(&self, business: BusinessId) -> bool {
        self.operator() || self.may_open(business)
    }

    /// Ids of the businesses that the principal may know of; `None` = all there are.
    #[must_use]
    pub fn visible_businesses(&self) -> Option<Vec<String>> {
        let with_a_role = self.known.roles.iter().filter(|(_, roles)| !roles.is_empty());
        (!self.operator()).then(|| with_a_role.map(|(id, _)| id.to_string()).collect())
    }

    /// True if the principal may read the personal texts that it sees in the business: it needs a
    /// role there; to be an operator is not enough.
    #[must_use]
    pub fn may_open(&self, business: BusinessId) -> bool {
        self.known.roles.get(&business).is_some_and(|roles| !roles.is_empty())
    }

    fn has(&self, business: BusinessId, roles: &[Role]) -> bool {
        self.known
            .roles
            .get(&business)
            .is_some_and(|has| roles.iter().any(|role| has.contains(role)))
    }

    /// True if the principal sees everything in the business. An agent sees only what its work
    /// needs: each object's declaration says which rows.
    #[must_use]
    pub fn reads_all(&self, business: BusinessId) -> bool {
        self.operator()
            || self.has(
                business,
                &[Role::Owner, Role::Member, Role::Approver, Role::Auditor, Role::Service],
            )
    }

    /// True if the principal sees the members of the business.
    #[must_use]
    pub fn reads_members(&self, business: BusinessId) -> bool {
        self.operator()
            || self.has(business, &[Role::Owner, Role::Member, Role::Approver, Role::Auditor])
    }

    /// True if the principal sees the attempts of the business.
    #[must_use]
    pub fn reads_attempts(&self, business: BusinessId) -> bool {
        self.operator() || self.has(business, &[Role::Owner, Role::Auditor])
    }

    /// True if the principal owns any business.
    #[must_use]
    pub fn owns_any(&self) -> bool {
        self.known.roles.values().any(|roles| roles.contains(&Role::Owner))
    }

    /// True if the principal sees all of any business.
    #[must_use]
    pub fn reads_any(&self) -> bool {
        self.operator() || self.known.roles.keys().any(|business| self.reads_all(*business))
    }
}

/// The whole schema in the schema definition language, as it is committed.
#[must_use]
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new().include_specified_by();
    builder().finish().sdl_with_options(options)
}

fn builder() -> async_graphql::SchemaBuilder<Query, EmptyMutation, Subscription> {
    builder_without_cost().limit_complexity(domain::limits::GRAPHQL_COST_MAX)
}

fn builder_without_cost() -> async_graphql::SchemaBuilder<Query, EmptyMutation, Subscription> {
    Schema::build(Query::default(), EmptyMutation, Subscription::default())
        .limit_depth(domain::limits::GRAPHQL_DEPTH_MAX)
}
