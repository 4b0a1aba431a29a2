//! Integrations: a call is intended (and paid for) before it is made, and its outcome reported once.

use domain::approvals::ActionFacts;
use domain::ids::{AgentId, CallId, DecisionId, ReservationId, TaskId};
use domain::integrations::{Call, CallAmbiguous, CallFailed, CallIntended, CallStatus, CallSucceeded, OperationClass};
use domain::personal::Text;
use domain::values::Name;
use domain::{AggregateRef, Cost, Money, Personal, Usage};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Refusal;
use crate::agents::{acting_as, named, own_credentials};
use crate::budgets::{self, Purpose};
use crate::cost::CostInput;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("integrations" {
    /// Says that a call is about to be made.
    IntendCall = "intend_call" opens Call,
    /// Says that it is done.
    SucceedCall = "succeed_call" on Call,
    /// Says that it is not done.
    FailCall = "fail_call" on Call,
    /// Says that nobody knows.
    MarkCallAmbiguous = "mark_call_ambiguous" on Call,
});

/// Says that a call is about to be made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntendCall {
    /// The outside service.
    pub connector: Name,
    /// What it is asked to do.
    pub operation: Name,
    /// What that does to the world.
    pub class: OperationClass,
    /// The agent on whose work it is.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// The task it is for.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// The decision that led to it.
    #[serde(default)]
    pub decision: Option<DecisionId>,
    /// Its arguments, any JSON.
    pub arguments: Personal<Value>,
    /// The most it may cost; set aside in every budget that matches.
    #[serde(default)]
    pub cost_max: Option<Money>,
}

/// Says that it is done.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SucceedCall {
    /// The service's status code.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long it took.
    #[serde(default)]
    pub latency_ms: Option<u32>,
    /// What it answered.
    #[serde(default)]
    pub result: Option<Text>,
    /// What a model behind it used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What it cost; all that was set aside when it is left out.
    #[serde(default)]
    pub cost: Option<CostInput>,
}

/// Says that it is not done.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailCall {
    /// The service's status code.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long it took.
    #[serde(default)]
    pub latency_ms: Option<u32>,
    /// What went wrong.
    pub error: Text,
    /// What a model behind it used all the same.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What it cost all the same; nothing when it is left out.
    #[serde(default)]
    pub cost: Option<CostInput>,
}

/// Says that nobody knows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkCallAmbiguous {
    /// What was seen.
    pub reason: Text,
}

fn purpose(c: &IntendCall, seen: &Boundary) -> Purpose {
    Purpose { team: c.agent.and_then(|id| seen.agent(id).team), agent: c.agent, task: c.task, connector: Some(c.connector.clone()) }
}

fn intend(c: &IntendCall, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
    let id = CallId(ctx.target);
    if let Some(agent_id) = named(ctx, c.agent)? {
        let agent = seen.agent(agent_id);
        acting_as(ctx, agent_id, &agent)?;
        if !agent.permissions.connectors.contains(&c.connector) {
            return Err(Refusal::ConnectorNotAllowed { agent: agent_id, connector: c.connector.to_string() });
        }
    }
    let subject = match c.task {
        Some(task) if seen.task(task).status.is_none() => return Err(Refusal::Unknown { what: "task" }),
        Some(task) => seen.task(task).subject,
        None => ctx.business.as_subject(),
    };
    let reservation = ReservationId(ctx.target);
    let (budgets, mut changes) = match c.cost_max {
        Some(amount) => budgets::reserve(ctx, seen, &budgets::candidates(ctx.business, &purpose(c, seen)), reservation, amount)?,
        None => (Vec::new(), Changes::new()),
    };
    let arguments = c.arguments.clear().cloned().unwrap_or_default();
    let intended = CallIntended {
        connector: c.connector.clone(),
        operation: c.operation.clone(),
        class: c.class,
        agent: c.agent,
        task: c.task,
        decision: c.decision,
        arguments_digest: ctx.content_digest(0, subject, &arguments)?,
        arguments: Text::new(subject, arguments.to_string()),
        reservation: (!budgets.is_empty()).then_some(reservation),
        cost_max: c.cost_max,
        budgets,
        subject,
    };
    changes.insert(0, (id.into(), intended.into()));
    Ok(changes)
}

/// What becomes of the money set aside: spent as said, else in full or not at all.
fn pay(ctx: &Context, seen: &Boundary, call: &Call, cost: Option<Money>, spent_if_unsaid: bool) -> Result<Changes, Refusal> {
    let Some(reservation) = call.reservation else { return Ok(Changes::new()) };
    match cost.or(call.cost_max.filter(|_| spent_if_unsaid)) {
        Some(spent) => budgets::settle(ctx, seen, &call.budgets, reservation, spent),
        None => Ok(budgets::release(seen, &call.budgets, reservation)),
    }
}

fn open(call: &Call, ctx: &Context, seen: &Boundary) -> Result<(), Refusal> {
    if let Some(agent) = call.agent {
        own_credentials(ctx, agent, &seen.agent(agent))?;
    }
    match call.status {
        None => Err(Refusal::Unknown { what: "call" }),
        Some(CallStatus::Intended | CallStatus::Ambiguous) => Ok(()),
        Some(status @ (CallStatus::Succeeded | CallStatus::Failed)) => {
            Err(Refusal::WrongStatus { what: "call", status: status.as_str(), wanted: "intended or ambiguous" })
        }
    }
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, seen: &Boundary) -> Vec<AggregateRef> {
        let id = CallId(ctx.target);
        let mut reads = vec![id.into()];
        match self {
            Self::IntendCall(c) => {
                reads.extend(c.agent.map(AggregateRef::from));
                reads.extend(c.task.map(AggregateRef::from));
                if c.cost_max.is_some() {
                    reads.extend(budgets::candidates(ctx.business, &purpose(c, seen)).into_iter().map(AggregateRef::from));
                }
            }
            Self::SucceedCall(_) | Self::FailCall(_) => {
                let call = seen.call(id);
                reads.extend(call.agent.map(AggregateRef::from));
                if let Some(reservation) = call.reservation {
                    reads.extend(budgets::settle_reads(ctx.business, &call.budgets, reservation));
                }
            }
            Self::MarkCallAmbiguous(_) => reads.extend(seen.call(id).agent.map(AggregateRef::from)),
        }
        reads
    }

    fn facts(&self, facts: &mut ActionFacts) {
        if let Self::IntendCall(c) = self {
            facts.operation_class = Some(c.class);
            facts.connector = Some(c.connector.clone());
            facts.amount = c.cost_max;
            facts.amount_unsaid = c.cost_max.is_none();
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = CallId(ctx.target);
        let call = seen.call(id);
        let subject = call.subject;
        match self {
            Self::IntendCall(_) if call.status.is_some() => Err(Refusal::Exists { what: "call" }),
            Self::IntendCall(c) => intend(c, ctx, seen),
            Self::SucceedCall(c) => {
                open(&call, ctx, seen)?;
                let result_digest = match c.result.as_ref().and_then(|t| t.clear()) {
                    Some(text) => Some(ctx.content_digest(0, subject, text)?),
                    None => None,
                };
                let result = c.result.clone().map(|t| t.about(subject));
                let cost = c.cost.as_ref().map(CostInput::cost).transpose()?;
                let spent = cost.as_ref().map(Cost::money);
                let event = CallSucceeded { status: c.status, latency_ms: c.latency_ms, result, result_digest, usage: c.usage.clone(), cost, subject };
                let mut changes: Changes = vec![(id.into(), event.into())];
                changes.extend(pay(ctx, seen, &call, spent, true)?);
                Ok(changes)
            }
            Self::FailCall(c) => {
                open(&call, ctx, seen)?;
                let error = c.error.clone().about(subject);
                let cost = c.cost.as_ref().map(CostInput::cost).transpose()?;
                let spent = cost.as_ref().map(Cost::money);
                let event = CallFailed { status: c.status, latency_ms: c.latency_ms, error, usage: c.usage.clone(), cost, subject };
                let mut changes: Changes = vec![(id.into(), event.into())];
                changes.extend(pay(ctx, seen, &call, spent, false)?);
                Ok(changes)
            }
            Self::MarkCallAmbiguous(c) => {
                if call.status == Some(CallStatus::Ambiguous) {
                    return Ok(Changes::new());
                }
                open(&call, ctx, seen)?;
                Ok(vec![(id.into(), CallAmbiguous { reason: c.reason.clone().about(subject), subject }.into())])
            }
        }
    }
}
