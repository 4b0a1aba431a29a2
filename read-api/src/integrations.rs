//! Calls to outside services.

use async_graphql::ComplexObject;

use crate::node::node;
use crate::personal::PersonalText;

node! {
    /// A call to an outside service.
    Call in "calls" by "seq", agents see Own {
        /// Id of the call.
        id: String,
        /// Name of the outside service.
        connector: String,
        /// Name of the operation that the service is asked for.
        operation: String,
        /// What the operation does: read, write, spending, publishing, contracting or deleting.
        class: String,
        /// How secret the data is that the operation touches: public, internal, confidential or
        /// restricted; null = not stated.
        data_class: Option<String>,
        /// The agent on whose work the call is made; null = no agent.
        agent: Option<String>,
        /// Id of the task that the call is for; null = none.
        task: Option<String>,
        /// Id of the decision that led to the call; null = none.
        decision: Option<String>,
        /// The arguments of the call, as JSON.
        arguments: PersonalText,
        /// Digest of the arguments of the call.
        arguments_digest: String,
        /// Status of the call: intended, succeeded, failed or ambiguous (nobody knows whether it is
        /// done).
        status: String,
        /// Status code of the service's answer; null = not reported.
        status_code: Option<i64>,
        /// How long the call took, in milliseconds; null = not reported.
        latency_ms: Option<i64>,
        /// The service's answer; null = not reported.
        result: Option<PersonalText>,
        /// What went wrong, or why the outcome is unknown, in words; null = nothing was reported.
        error: Option<PersonalText>,
        /// When the call was announced.
        intended_at: String,
        /// When the outcome of the call was reported; null before.
        ended_at: Option<String>,
    } money {
        /// The most that the call may cost; null = not stated.
        cost_max = "cost_max", "cost_max_currency";
        /// The cost of the call; null = not stated.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Call {
    /// True if the outcome of the call is not known yet: its status is intended or ambiguous.
    async fn open(&self) -> bool {
        matches!(self.status.as_str(), "intended" | "ambiguous")
    }
}
