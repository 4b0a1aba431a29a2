//! How a call ended: what it cost, and who may say so.

use super::{FailCall, SucceedCall, pay};
use crate::Refusal;
use crate::agents::acting_as;
use crate::budgets::Spending;
use crate::cost::CostInput;
use crate::root::{Changes, Context, LoadedAggregates};
use domain::Cost;
use domain::ids::CallId;
use domain::integrations::{Call, CallFailed, CallStatus, CallSucceeded};

pub(super) fn spending_of(call: &Call, loaded: &LoadedAggregates) -> Spending {
    Spending::of(loaded, call.agent, call.task, call.connector.clone())
}

/// Refuses the report of an outcome unless the call is open, and the actor intended the call, is
/// the agent on whose work it is, or is an owner.
pub(super) fn reportable(
    call: &Call,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<(), Refusal> {
    let agents_own = match call.agent {
        Some(agent) => ctx.own_agent().is_some() && acting_as(ctx, loaded, agent).is_ok(),
        None => false,
    };
    if call.intended_by != ctx.actor.principal && !agents_own && !ctx.by_owner() {
        return Err(Refusal::NotYours {
            who: "who said that the call would be made, its agent, or an owner",
        });
    }
    match call.status {
        Some(CallStatus::Intended | CallStatus::Ambiguous) => Ok(()),
        Some(status @ (CallStatus::Succeeded | CallStatus::Failed)) => Err(Refusal::WrongStatus {
            what: "call",
            status: status.as_str(),
            wanted: "intended or ambiguous",
        }),
        None => Err(Refusal::Unknown { what: "call" }),
    }
}

pub(super) fn succeed(
    c: &SucceedCall,
    call: &Call,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    reportable(call, ctx, loaded)?;
    let subject = call.subject;
    let result_digest = match c.result.as_ref().and_then(|t| t.clear()) {
        Some(text) => Some(ctx.content_digest(0, subject, text)?),
        None => None,
    };
    let result = c.result.clone().map(|t| t.about(subject));
    // What was set aside counts where nothing is said: in the budgets and in the figures alike.
    let set_aside = || {
        call.reservation.and(call.cost_max).map(|m| Cost {
            amount: m.amount,
            currency: m.currency,
            source_text: None,
        })
    };
    let cost = c.cost.as_ref().map(CostInput::cost).transpose()?.or_else(set_aside);
    let spent = cost.as_ref().map(Cost::money);
    let event = CallSucceeded {
        status: c.status,
        latency_ms: c.latency_ms,
        result,
        result_digest,
        usage: c.usage.clone(),
        cost,
        subject,
    };
    Ok(std::iter::once((CallId(ctx.target).into(), event.into()))
        .chain(pay(ctx, loaded, call, spent)?)
        .collect())
}

pub(super) fn fail(
    c: &FailCall,
    call: &Call,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    reportable(call, ctx, loaded)?;
    let subject = call.subject;
    let error = c.error.clone().about(subject);
    let cost = c.cost.as_ref().map(CostInput::cost).transpose()?;
    let spent = cost.as_ref().map(Cost::money);
    let event = CallFailed {
        status: c.status,
        latency_ms: c.latency_ms,
        error,
        usage: c.usage.clone(),
        cost,
        subject,
    };
    Ok(std::iter::once((CallId(ctx.target).into(), event.into()))
        .chain(pay(ctx, loaded, call, spent)?)
        .collect())
}
