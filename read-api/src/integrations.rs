//! Calls to outside services.

use async_graphql::ComplexObject;

use crate::node::node;
use crate::personal::PersonalText;

node! {
    /// A call to an outside service.
    Call in "calls" by "seq", agents see Own {
        /// Its id.
        id: String,
        /// The outside service.
        connector: String,
        /// What it was asked to do.
        operation: String,
        /// read, write, spending, publishing, contracting or deleting.
        class: String,
        /// public, internal, confidential or restricted: the data it touched; null where nobody
        /// said.
        data_class: Option<String>,
        /// The agent on whose work it was.
        agent: Option<String>,
        /// The task it was for.
        task: Option<String>,
        /// The decision that led to it.
        decision: Option<String>,
        /// JSON of the arguments.
        arguments: PersonalText,
        /// Digest of the arguments.
        arguments_digest: String,
        /// intended, succeeded, failed or ambiguous.
        status: String,
        /// The service's status code.
        status_code: Option<i64>,
        /// How long it took.
        latency_ms: Option<i64>,
        /// What it answered.
        result: Option<PersonalText>,
        /// What went wrong.
        error: Option<PersonalText>,
        /// When it was intended.
        intended_at: String,
        /// When its outcome was known.
        ended_at: Option<String>,
    } money {
        /// The most it may cost.
        cost_max = "cost_max", "cost_max_currency";
        /// What it cost.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Call {
    /// True when nobody knows yet what became of it.
    async fn open(&self) -> bool {
        matches!(self.status.as_str(), "intended" | "ambiguous")
    }
}
