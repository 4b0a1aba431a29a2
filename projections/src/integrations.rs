//! Calls to outside services and their outcomes.

use domain::integrations::{CallIntended, CallStatus, Event as Integrations};
use domain::{Cost, Event, Money};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, cost_columns, run};

/// The projection of calls to outside services.
pub const PROJECTION: Projection = Projection {
    name: "integrations",
    version: 5,
    sql: include_str!("integrations.sql"),
    indexes: &[
        ("calls_by_seq", "calls(business, seq)"),
        ("calls_by_status", "calls(business, status, seq)"),
        ("calls_by_task", "calls(business, task, seq) WHERE task IS NOT NULL"),
        ("calls_by_agent", "calls(business, agent, seq) WHERE agent IS NOT NULL"),
        ("calls_by_decision", "calls(business, decision, seq) WHERE decision IS NOT NULL"),
    ],
    tables: &[("calls", "business, id")],
    apply: Apply::Sealed(apply),
};

fn parts(money: Option<Money>) -> (Option<String>, Option<String>) {
    money.map(|m| (m.amount.to_string(), m.currency.to_string())).unzip()
}

fn intended(tx: &Connection, a: &Applied<'_>, e: &CallIntended) -> Result<(), ApplyError> {
    let (cost_max, currency) = parts(e.cost_max);
    run(
        tx,
        "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, \
         NULL, NULL, NULL, ?, NULL, ?)",
        &[
            &a.business(),
            &a.id(),
            &a.recorded.seq,
            &e.connector.as_str(),
            &e.operation.as_str(),
            &e.class.as_str(),
            &e.agent.map(|i| i.to_string()),
            &e.task.map(|i| i.to_string()),
            &e.decision.map(|i| i.to_string()),
            &a.field("/data/arguments"),
            &e.arguments_digest.digest.to_string(),
            &cost_max,
            &currency,
            &CallStatus::Intended.as_str(),
            &a.at(),
            &e.data_class.map(|d| d.as_str()),
        ],
    )
}

/// The outcome of a call, as columns of its row.
struct End {
    status: CallStatus,
    code: Option<u16>,
    latency_ms: Option<u32>,
    result: Option<String>,
    error: Option<String>,
    cost: Option<Cost>,
}

fn end(tx: &Connection, a: &Applied<'_>, end: &End) -> Result<(), ApplyError> {
    let (cost, currency) = cost_columns(end.cost.as_ref());
    run(
        tx,
        "UPDATE calls SET status = ?, status_code = ?, latency_ms = ?, result = ?, error = ?, cost \
         = ?, cost_currency = ?, ended_at = ? WHERE business = ? AND id = ?",
        &[
            &end.status.as_str(),
            &end.code,
            &end.latency_ms,
            &end.result,
            &end.error,
            &cost,
            &currency,
            &a.at(),
            &a.business(),
            &a.id(),
        ],
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Integrations(event) = a.event else { return Ok(()) };
    match event {
        Integrations::CallIntended(e) => intended(tx, a, e),
        Integrations::CallSucceeded(e) => {
            let result = a.optional_field(e.result.as_ref(), "/data/result");
            end(
                tx,
                a,
                &End {
                    status: CallStatus::Succeeded,
                    code: e.status,
                    latency_ms: e.latency_ms,
                    result,
                    error: None,
                    cost: e.cost.clone(),
                },
            )
        }
        Integrations::CallFailed(e) => {
            let error = Some(a.field("/data/error"));
            end(
                tx,
                a,
                &End {
                    status: CallStatus::Failed,
                    code: e.status,
                    latency_ms: e.latency_ms,
                    result: None,
                    error,
                    cost: e.cost.clone(),
                },
            )
        }
        Integrations::CallAmbiguous(_) => {
            let error = Some(a.field("/data/reason"));
            end(
                tx,
                a,
                &End {
                    status: CallStatus::Ambiguous,
                    code: None,
                    latency_ms: None,
                    result: None,
                    error,
                    cost: None,
                },
            )
        }
    }
}
