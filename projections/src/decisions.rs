//! Decisions and their outcomes.

use domain::decisions::{DecisionStatus, Event as Decisions, Recorded};
use domain::ids::{AgentId, DecisionId, TaskId};
use domain::values::{Amount, Currency, Ratio, RiskTier};
use domain::{Event, PrincipalId, Timestamp};

use crate::rows::{Field, Tables, aggregate_table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of decisions.
pub const PROJECTION: Projection = Projection {
    name: "decisions",
    version: 5,
    sql: include_str!("decisions.sql"),
    indexes: &[
        ("decisions_by_task", "decisions(task)"),
        ("decisions_by_agent", "decisions(agent) WHERE agent IS NOT NULL"),
    ],
    tables: &[("decisions", "place")],
    apply: Apply::Sealed(apply),
};

aggregate_table! {
    /// A decision with its status and outcome as they are now. `evidence` is a JSON array of ids.
    Decision in "decisions" {
        task: Option<TaskId>,
        agent: Option<AgentId>,
        actor: PrincipalId,
        question: Option<Field>,
        choice: Field,
        rationale: Option<Field>,
        confidence: Option<Ratio>,
        risk: RiskTier,
        evidence: String,
        model: Option<String>,
        prompt_version: Option<String>,
        input_tokens: Option<u32>,
        output_tokens: Option<u32>,
        cached_tokens: Option<u32>,
        reasoning_tokens: Option<u32>,
        cost: Option<Amount>,
        cost_currency: Option<Currency>,
        status: DecisionStatus,
        superseded_by: Option<DecisionId>,
        outcome: Option<Field>,
        as_wanted: Option<bool>,
        recorded_at: Timestamp,
    }
}

fn recorded(a: &Applied<'_>, e: &Recorded) -> Result<Decision, ApplyError> {
    let usage = e.usage.clone().unwrap_or_default();
    let (cost, cost_currency) = e.cost.as_ref().map(|c| (c.amount, c.currency)).unzip();
    Ok(Decision {
        place: a.place,
        id: a.stored.id,
        task: e.task,
        agent: e.agent,
        actor: a.stored.actor,
        question: a.optional_field(e.question.as_ref(), "/data/question"),
        choice: a.field("/data/choice"),
        rationale: a.optional_field(e.rationale.as_ref(), "/data/rationale"),
        confidence: e.confidence,
        risk: e.risk,
        evidence: serde_json::to_string(&e.evidence)?,
        model: usage.model.map(|m| m.to_string()),
        prompt_version: usage.prompt_version.map(|v| v.to_string()),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: usage.cached_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        cost,
        cost_currency,
        status: DecisionStatus::Standing,
        superseded_by: None,
        outcome: None,
        as_wanted: None,
        recorded_at: a.at(),
    })
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Decisions(event) = a.event else { return Ok(()) };
    if let Decisions::Recorded(e) = event {
        return tables.put(recorded(a, e)?);
    }
    let Some(decision) = tables.change::<Decision>(&a.aggregate())? else { return Ok(()) };
    match event {
        Decisions::Recorded(_) => {}
        Decisions::Superseded(e) => {
            decision.status = DecisionStatus::Superseded;
            decision.superseded_by = Some(e.by);
        }
        Decisions::Reversed(_) => decision.status = DecisionStatus::Reversed,
        Decisions::OutcomeObserved(e) => {
            decision.outcome = Some(a.field("/data/outcome"));
            decision.as_wanted = e.as_wanted;
        }
    }
    Ok(())
}
