//! Calls to outside services.

use async_graphql::ID;

use crate::agents::Agent;
use crate::closed_sets::{CallStatus, DataClass, OperationClass};
use crate::decisions::Decision;
use crate::filter::filter;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;
use crate::personal::PersonalText;
use crate::scalars::{DateTime, Digest};
use crate::tasks::Task;

node! {
    /// A call to an outside service.
    Call in "calls" by "seq", agents see Own {
        /// Id of the call.
        id: ID,
        /// Name of the outside service.
        connector: String,
        /// Name of the operation that the service is asked for.
        operation: String,
        /// What the operation does to the world.
        class: OperationClass,
        /// How secret the data is that the operation touches; null = not stated.
        data_class: Option<DataClass>,
        /// Id of the agent on whose work the call is made; null = no agent.
        agent_id: Option<ID> = "agent",
        /// Id of the task that the call is for; null = none.
        task_id: Option<ID> = "task",
        /// Id of the decision that led to the call; null = none.
        decision_id: Option<ID> = "decision",
        /// The arguments of the call, as JSON.
        arguments: PersonalText,
        /// Digest of the arguments of the call.
        arguments_digest: Digest,
        /// Where the call stands.
        status: CallStatus,
        /// Status code of the service's answer; null = not reported.
        status_code: Option<i64>,
        /// How long the call took, in milliseconds; null = not reported.
        latency_ms: Option<i64>,
        /// The service's answer; null = not reported.
        result: Option<PersonalText>,
        /// What went wrong, or why the outcome is unknown, in words; null = nothing was reported.
        error: Option<PersonalText>,
        /// When the call was announced.
        intended_at: DateTime,
        /// When the outcome of the call was reported; null before.
        ended_at: Option<DateTime>,
    } money {
        /// The most that the call may cost; null = not stated.
        cost_max = "cost_max", "cost_max_currency";
        /// The cost of the call; null = not stated.
        cost = "cost", "cost_currency";
    }
}

links! { Call {
    one {
        /// The agent on whose work the call is made.
        agent: Agent = agent_id;
        /// The task that the call is for.
        task: Task = task_id;
        /// The decision that led to the call.
        decision: Decision = decision_id;
    }
    principals {}
    pages {}
    bounded {}
    fields {
        /// True if the outcome of the call is not known yet: its status is `INTENDED` or
        /// `AMBIGUOUS`.
        async fn open(&self) -> bool {
            use domain::integrations::CallStatus as Status;
            matches!(self.status.0, Status::Intended | Status::Ambiguous)
        }
    }
} }

filter! {
    /// Which calls are asked for.
    CallFilter {
        /// Calls with one of these ids.
        id: ID, in "id";
        /// Calls with one of these statuses.
        status: CallStatus, in "status";
        /// Calls to one of these outside services.
        connector: String, in "connector";
        /// Calls of one of these operations.
        operation: String, in "operation";
        /// Calls whose operation does one of these things.
        class: OperationClass, in "class";
        /// Calls for one of these tasks.
        task_id: ID, in "task";
        /// Calls on the work of one of these agents.
        agent_id: ID, in "agent";
        /// Calls that one of these decisions led to.
        decision_id: ID, in "decision";
        /// Calls announced at this time or later.
        intended_from: DateTime, where "intended_at >= ?";
        /// Calls announced before this time.
        intended_before: DateTime, where "intended_at < ?";
    }
}

lists! {
    /// The calls of a business.
    CallsOfBusiness {
        /// The calls of the business to outside services.
        calls: Call, by CallFilter;
    }
}
