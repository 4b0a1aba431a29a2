//! Decisions.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::integrations::Call;
use crate::node::{JsonValue, node};
use crate::personal::PersonalText;

node! {
    /// A decision: a choice that an agent or a human made, on record.
    Decision in "decisions" by "seq", agents see Own {
        /// Id of the decision.
        id: String,
        /// Id of the task that the decision was made for; null = none.
        task: Option<String>,
        /// The agent that made it; null when a human did.
        agent: Option<String>,
        /// The principal that recorded the decision.
        actor: String,
        /// The question that was decided; null = not stated.
        question: Option<PersonalText>,
        /// The option that was chosen.
        choice: PersonalText,
        /// Why this option was chosen; null = not stated.
        rationale: Option<PersonalText>,
        /// How sure the decider was, a decimal from 0 to 1; null = not stated.
        confidence: Option<String>,
        /// How much harm a wrong choice would do: low, medium, high or critical.
        risk: String,
        /// Ids of the events that the decision rested on, a JSON array.
        evidence: JsonValue,
        /// Name of the model that made the decision; null = not stated.
        model: Option<String>,
        /// Version of the agent's prompt; null = not stated.
        prompt_version: Option<String>,
        /// Tokens that the model read; null = not stated.
        input_tokens: Option<i64>,
        /// Tokens that the model wrote; null = not stated.
        output_tokens: Option<i64>,
        /// Tokens among `inputTokens` that the model read from its cache; null = not stated.
        cached_tokens: Option<i64>,
        /// Tokens among `outputTokens` that the model used for reasoning; null = not stated.
        reasoning_tokens: Option<i64>,
        /// Status of the decision: standing, superseded or reversed.
        status: String,
        /// Id of the decision that took the place of this one; null = none.
        superseded_by: Option<String>,
        /// The outcome that was observed, in words; null = none yet.
        outcome: Option<PersonalText>,
        /// Whether the outcome was wanted; null = not stated.
        as_wanted: Option<bool>,
        /// When the decision was made.
        recorded_at: String,
    } money {
        /// The cost of making the decision; null = not stated.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Decision {
    /// Calls to outside services that the decision led to.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn calls(&self, ctx: &Context<'_>) -> Result<Vec<Call>> {
        children::all(ctx, &self.business, "decision", &self.id).await
    }
}
