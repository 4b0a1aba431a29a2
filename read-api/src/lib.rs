//! QUESTIONS: GraphQL over the views. It reads; it can't write, and does not know the command bus.
//!
//! Every list is a connection in the order of the business's stream, with cursors that stay valid
//! while the stream grows. Who may not see a business gets `null`, as if it did not exist.
//! Personal text is opened in the answer, for readers who may see it, and nowhere else.

mod access;
mod agents;
mod allowance;
mod api;
mod approvals;
mod audit;
mod budgets;
mod businesses;
mod children;
mod decisions;
mod integrations;
mod limits;
mod memory;
mod metrics;
mod node;
mod operations;
mod page;
mod personal;
mod privacy;
mod query;
mod row;
mod selections;
mod sight;
mod store;
mod subscription;
mod tasks;

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

/// The schema that answers.
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
    /// Who tried what.
    pub attempts: Arc<Attempts>,
    /// Who signs checkpoints.
    pub signer: Arc<Signer>,
    /// What is wrong with the rules of an approval policy, by rule: one that was laid down before a
    /// check existed still counts, and is shown with its faults.
    pub rule_faults: fn(&[ApprovalRule]) -> Vec<(String, String)>,
    /// Room for proofs and verifications.
    pub proofs: Arc<Semaphore>,
    /// What the question may use that is being answered.
    pub allowance: Allowance,
}

/// Who asks, with the roles they have; one goes into the data of every request.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Who authenticated.
    pub principal: PrincipalId,
    /// What is known of it: its roles by business, and whether it runs the installation.
    pub known: Arc<Principal>,
}

impl Viewer {
    /// Whether it runs the installation.
    #[must_use]
    pub fn operator(&self) -> bool {
        self.known.operator
    }

    /// Whether it may know that the business exists.
    #[must_use]
    pub fn may_see(&self, business: BusinessId) -> bool {
        self.operator() || self.may_open(business)
    }

    /// Whether it may read personal text there, of what it sees: running the installation is not
    /// enough.
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

    /// Whether it sees everything there. An agent sees what its work needs: what it belongs to is
    /// said with each object.
    #[must_use]
    pub fn reads_all(&self, business: BusinessId) -> bool {
        self.operator()
            || self.has(
                business,
                &[Role::Owner, Role::Member, Role::Approver, Role::Auditor, Role::Service],
            )
    }

    /// Whether it sees who works there.
    #[must_use]
    pub fn reads_members(&self, business: BusinessId) -> bool {
        self.operator()
            || self.has(business, &[Role::Owner, Role::Member, Role::Approver, Role::Auditor])
    }

    /// Whether it sees who tried what there.
    #[must_use]
    pub fn reads_attempts(&self, business: BusinessId) -> bool {
        self.operator() || self.has(business, &[Role::Owner, Role::Auditor])
    }

    /// Whether there is a business that it owns.
    #[must_use]
    pub fn owns_any(&self) -> bool {
        self.known.roles.values().any(|roles| roles.contains(&Role::Owner))
    }

    /// Whether there is a business that it sees all of.
    #[must_use]
    pub fn reads_any(&self) -> bool {
        self.operator() || self.known.roles.keys().any(|business| self.reads_all(*business))
    }
}

/// The schema definition language of the whole, as it is committed.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, EmptyMutation, Subscription> {
    use domain::limits::{GRAPHQL_COST_MAX, GRAPHQL_DEPTH_MAX};
    Schema::build(Query, EmptyMutation, Subscription)
        .limit_depth(GRAPHQL_DEPTH_MAX)
        .limit_complexity(GRAPHQL_COST_MAX)
}
