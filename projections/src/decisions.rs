//! Decisions and their outcomes.

use domain::Event;
use domain::decisions::{DecisionStatus, Event as Decisions, Recorded};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, cost_columns, run};

/// The projection of decisions.
pub const PROJECTION: Projection = Projection {
    name: "decisions",
    version: 4,
    sql: include_str!("decisions.sql"),
    indexes: &[
        ("decisions_by_seq", "decisions(business, seq)"),
        ("decisions_by_task", "decisions(business, task, seq)"),
        ("decisions_by_agent", "decisions(business, agent, seq) WHERE agent IS NOT NULL"),
    ],
    tables: &[("decisions", "business, id")],
    apply: Apply::Sealed(apply),
};

fn recorded(tx: &Connection, a: &Applied<'_>, e: &Recorded) -> Result<(), ApplyError> {
    let usage = e.usage.clone().unwrap_or_default();
    let (cost, currency) = cost_columns(e.cost.as_ref());
    run(
        tx,
        "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         ?, NULL, NULL, NULL, ?)",
        &[
            &a.business(),
            &a.id(),
            &a.recorded.seq,
            &e.task.map(|t| t.to_string()),
            &e.agent.map(|t| t.to_string()),
            &a.stored.actor.to_string(),
            &a.optional_field(e.question.as_ref(), "/data/question"),
            &a.field("/data/choice"),
            &a.optional_field(e.rationale.as_ref(), "/data/rationale"),
            &e.confidence.map(|c| c.to_string()),
            &e.risk.as_str(),
            &serde_json::to_string(&e.evidence)?,
            &usage.model.map(|m| m.to_string()),
            &usage.prompt_version.map(|v| v.to_string()),
            &usage.input_tokens,
            &usage.output_tokens,
            &usage.cached_tokens,
            &usage.reasoning_tokens,
            &cost,
            &currency,
            &DecisionStatus::Standing.as_str(),
            &a.at(),
        ],
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Decisions(event) = a.event else { return Ok(()) };
    match event {
        Decisions::Recorded(e) => recorded(tx, a, e),
        Decisions::Superseded(e) => run(
            tx,
            "UPDATE decisions SET status = ?, superseded_by = ? WHERE business = ? AND id = ?",
            &[&DecisionStatus::Superseded.as_str(), &e.by.to_string(), &a.business(), &a.id()],
        ),
        Decisions::Reversed(_) => run(
            tx,
            "UPDATE decisions SET status = ? WHERE business = ? AND id = ?",
            &[&DecisionStatus::Reversed.as_str(), &a.business(), &a.id()],
        ),
        Decisions::OutcomeObserved(e) => run(
            tx,
            "UPDATE decisions SET outcome = ?, as_wanted = ? WHERE business = ? AND id = ?",
            &[&a.field("/data/outcome"), &e.as_wanted, &a.business(), &a.id()],
        ),
    }
}
