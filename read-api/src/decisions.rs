//! Decisions.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::integrations::Call;
use crate::node::{JsonValue, node};
use crate::personal::PersonalText;

node! {
    /// A choice on record.
    Decision in "decisions" by "seq", agents see Own {
        /// Its id.
        id: String,
        /// The task it was made for.
        task: Option<String>,
        /// The agent that made it; null when a human did.
        agent: Option<String>,
        /// Who put it on record.
        actor: String,
        /// What was asked.
        question: Option<PersonalText>,
        /// What was chosen.
        choice: PersonalText,
        /// Why.
        rationale: Option<PersonalText>,
        /// How sure the decider was, 0 to 1.
        confidence: Option<String>,
        /// low, medium, high or critical.
        risk: String,
        /// Ids of events it rested on.
        evidence: JsonValue,
        /// The model that made it.
        model: Option<String>,
        /// Version of its prompt.
        prompt_version: Option<String>,
        /// Tokens read.
        input_tokens: Option<i64>,
        /// Tokens written.
        output_tokens: Option<i64>,
        /// Of the tokens read, those that the model still had.
        cached_tokens: Option<i64>,
        /// Of the tokens written, those that it wrote to itself.
        reasoning_tokens: Option<i64>,
        /// standing, superseded or reversed.
        status: String,
        /// The decision that took its place.
        superseded_by: Option<String>,
        /// What came of it.
        outcome: Option<PersonalText>,
        /// Whether that was what was wanted.
        as_wanted: Option<bool>,
        /// When.
        recorded_at: String,
    } money {
        /// What deciding cost.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Decision {
    /// Calls that it led to.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn calls(&self, ctx: &Context<'_>) -> Result<Vec<Call>> {
        children::all(ctx, &self.business, "decision", &self.id).await
    }
}
