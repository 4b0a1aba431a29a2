//! Calls to outside services and their outcomes.

use domain::ids::{AgentId, DecisionId, TaskId};
use domain::integrations::{
    CallIntended, CallStatus, DataClass, Event as Integrations, OperationClass,
};
use domain::values::{Amount, Currency, Digest};
use domain::{Cost, Event, Timestamp};

use crate::rows::{Field, Tables, aggregate_table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of calls to outside services.
pub const PROJECTION: Projection = Projection {
    name: "integrations",
    version: 6,
    sql: include_str!("integrations.sql"),
    indexes: &[
        ("calls_by_status", "calls(status)"),
        ("calls_by_task", "calls(task) WHERE task IS NOT NULL"),
        ("calls_by_agent", "calls(agent) WHERE agent IS NOT NULL"),
        ("calls_by_decision", "calls(decision) WHERE decision IS NOT NULL"),
    ],
    tables: &[("calls", "place")],
    apply: Apply::Sealed(apply),
};

aggregate_table! {
    /// A call to an outside service.
    Call in "calls" {
        connector: String,
        operation: String,
        class: OperationClass,
        agent: Option<AgentId>,
        task: Option<TaskId>,
        decision: Option<DecisionId>,
        arguments: Field,
        arguments_digest: Digest,
        cost_max: Option<Amount>,
        cost_max_currency: Option<Currency>,
        status: CallStatus,
        status_code: Option<u16>,
        latency_ms: Option<u32>,
        result: Option<Field>,
        error: Option<Field>,
        cost: Option<Amount>,
        cost_currency: Option<Currency>,
        intended_at: Timestamp,
        ended_at: Option<Timestamp>,
        data_class: Option<DataClass>,
    }
}

fn intended(a: &Applied<'_>, e: &CallIntended) -> Call {
    let (cost_max, cost_max_currency) = e.cost_max.map(|m| (m.amount, m.currency)).unzip();
    Call {
        place: a.place,
        id: a.stored.id,
        connector: e.connector.to_string(),
        operation: e.operation.to_string(),
        class: e.class,
        agent: e.agent,
        task: e.task,
        decision: e.decision,
        arguments: a.field("/data/arguments"),
        arguments_digest: e.arguments_digest.digest,
        cost_max,
        cost_max_currency,
        status: CallStatus::Intended,
        status_code: None,
        latency_ms: None,
        result: None,
        error: None,
        cost: None,
        cost_currency: None,
        intended_at: a.at(),
        ended_at: None,
        data_class: e.data_class,
    }
}

impl Call {
    /// Takes what the service answered.
    fn answered(&mut self, code: Option<u16>, latency_ms: Option<u32>, cost: Option<&Cost>) {
        (self.status_code, self.latency_ms) = (code, latency_ms);
        (self.cost, self.cost_currency) = cost.map(|c| (c.amount, c.currency)).unzip();
    }

    fn end(&mut self, a: &Applied<'_>, status: CallStatus) {
        (self.status, self.ended_at) = (status, Some(a.at()));
        (self.result, self.error) = (None, None);
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Integrations(event) = a.event else { return Ok(()) };
    if let Integrations::CallIntended(e) = event {
        return tables.put(intended(a, e));
    }
    let Some(call) = tables.change::<Call>(&a.aggregate())? else { return Ok(()) };
    match event {
        Integrations::CallIntended(_) => {}
        Integrations::CallSucceeded(e) => {
            call.end(a, CallStatus::Succeeded);
            call.answered(e.status, e.latency_ms, e.cost.as_ref());
            call.result = a.optional_field(e.result.as_ref(), "/data/result");
        }
        Integrations::CallFailed(e) => {
            call.end(a, CallStatus::Failed);
            call.answered(e.status, e.latency_ms, e.cost.as_ref());
            call.error = Some(a.field("/data/error"));
        }
        Integrations::CallAmbiguous(_) => {
            call.end(a, CallStatus::Ambiguous);
            call.answered(None, None, None);
            call.error = Some(a.field("/data/reason"));
        }
    }
    Ok(())
}
