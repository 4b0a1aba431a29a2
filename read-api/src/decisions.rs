//! Decisions.

use async_graphql::{Context, ID, Result};

use crate::agents::Agent;
use crate::audit::{Event, events_by_id};
use crate::closed_sets::{DecisionStatus, RiskTier};
use crate::filter::filter;
use crate::integrations::Call;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;

use crate::personal::PersonalText;
use crate::scalars::{DateTime, Decimal};
use crate::tasks::Task;

node! {
    /// A decision: a choice that an agent or a human made, on record.
    Decision in "decisions" by "seq", agents see Own {
        /// Id of the decision.
        id: ID,
        /// Id of the task that the decision was made for; null = none.
        task_id: Option<ID> = "task",
        /// Id of the agent that made it; null when a human did.
        agent_id: Option<ID> = "agent",
        /// Id of the principal that recorded the decision.
        recorded_by_id: ID = "actor",
        /// The question that was decided; null = not stated.
        question: Option<PersonalText>,
        /// The option that was chosen.
        choice: PersonalText,
        /// Why this option was chosen; null = not stated.
        rationale: Option<PersonalText>,
        /// How sure the decider was, from 0 to 1; null = not stated.
        confidence: Option<Decimal>,
        /// How much harm a wrong choice would do.
        risk: RiskTier,
        /// Ids of the events that the decision rested on.
        evidence_ids: Vec<ID> = "evidence",
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
        /// Whether the decision still stands.
        status: DecisionStatus,
        /// Id of the decision that took the place of this one; null = none.
        superseded_by_id: Option<ID> = "superseded_by",
        /// The outcome that was observed, in words; null = none yet.
        outcome: Option<PersonalText>,
        /// Whether the outcome was wanted; null = not stated.
        as_wanted: Option<bool>,
        /// When the decision was made.
        recorded_at: DateTime,
    } money {
        /// The cost of making the decision; null = not stated.
        cost = "cost", "cost_currency";
    }
}

impl Decision {
    async fn read_evidence(&self, ctx: &Context<'_>) -> Result<Vec<Event>> {
        events_by_id(ctx, &self.business, &self.evidence_ids).await
    }
}

links! { Decision {
    one {
        /// The task that the decision was made for.
        task: Task = task_id;
        /// The agent that made the decision.
        agent: Agent = agent_id;
        /// The decision that took the place of this one.
        superseded_by: Decision = superseded_by_id;
    }
    principals {
        /// The principal that recorded the decision.
        recorded_by = recorded_by_id;
    }
    pages {
        /// Calls to outside services that the decision led to.
        calls: Call, where "decision" = id;
    }
    bounded {
        /// The events that the decision rested on, as far as you see them; the first 50.
        evidence: Event = read_evidence;
    }
    fields {
    }
} }

filter! {
    /// Which decisions are asked for.
    DecisionFilter {
        /// Decisions with one of these ids.
        id: ID, in "id";
        /// Decisions for one of these tasks.
        task_id: ID, in "task";
        /// Decisions of one of these agents.
        agent_id: ID, in "agent";
        /// Decisions of one of these risks.
        risk: RiskTier, in "risk";
        /// Decisions with one of these statuses.
        status: DecisionStatus, in "status";
        /// Decisions that one of these models made.
        model: String, in "model";
        /// Decisions made at this time or later.
        recorded_from: DateTime, where "recorded_at >= ?";
        /// Decisions made before this time.
        recorded_before: DateTime, where "recorded_at < ?";
    }
}

lists! {
    /// The decisions of a business.
    DecisionsOfBusiness {
        /// The decisions of the business.
        decisions: Decision, by DecisionFilter;
    }
}
