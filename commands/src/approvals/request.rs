//! Requests for approval: of one exact command, which is tried first. What would be refused when it
//! is sent is refused before anybody is asked to approve it.

use domain::approvals::{CarriedInputs, Requested};
use domain::ids::EventId;
use domain::personal::{Text, collect};
use domain::values::Name;
use domain::{AggregateRef, SubjectId};
use serde_json::Value;

use super::{IntendedCommand, Request};
use crate::Refusal;
use crate::approval_check::{self, Asked, intended};
use crate::registry::{AnyCommand, Stream};
use crate::root::{Changes, Context, Decide as _, LoadedAggregates};

fn parse(command: &IntendedCommand) -> Result<AnyCommand, Refusal> {
    let data = command.data.clear().cloned().unwrap_or_default();
    let raw = serde_json::value::to_raw_value(&data).unwrap_or_default();
    let sendable =
        |_| Refusal::OutOfRange { field: "command", rule: "one that could be sent as it is" };
    AnyCommand::parse(command.r#type.as_str(), &raw).map_err(sendable)
}

/// The context in which the command would be decided if it were sent now.
fn sent(command: &AnyCommand, intended: &IntendedCommand, ctx: &Context) -> Context {
    Context {
        target: intended.id,
        command: command.command_type(),
        approval: None,
        presented_digest: None,
        ..ctx.clone()
    }
}

/// Aggregates that the request reads: the policy, the business and those that its command reads.
pub(super) fn reads(c: &Request, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
    let mut reads = vec![ctx.business.approval_policy().into(), ctx.business.into()];
    if let Ok(command) = parse(&c.command) {
        reads.extend(command.reads(&sent(&command, &c.command, ctx), loaded));
    }
    reads
}

/// The events that the request and its command say they rest on.
pub(super) fn rests_on(c: &Request) -> Vec<EventId> {
    let of_command = parse(&c.command).map(|command| command.rests_on()).unwrap_or_default();
    c.evidence.iter().copied().chain(of_command).collect()
}

/// The data subject that the command would forget, where it forgets one.
pub(super) fn forgets(c: &Request, ctx: &Context) -> Option<SubjectId> {
    let command = parse(&c.command).ok()?;
    command.forgets(&sent(&command, &c.command, ctx))
}

pub(super) fn request(
    c: &Request,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Requested, Refusal> {
    let command = parse(&c.command)?;
    let ctx_sent = sent(&command, &c.command, ctx);
    let command_type = command.command_type();
    if command_type.stream == Stream::Installation || !command_type.is_allowed_to(&ctx.actor) {
        return Err(Refusal::RequesterMayNot { command: command_type.name });
    }
    if let Some(expected) = command.derived_target(ctx.business).filter(|id| *id != c.command.id) {
        return Err(Refusal::WrongId { what: command_type.kind.as_str(), expected });
    }
    approval_check::business_allows(&command, &ctx_sent, loaded)?;
    let asked =
        approval_check::asked(&command, &ctx_sent, loaded)?.ok_or(Refusal::NoApprovalNeeded)?;
    let changes = command.decide(&ctx_sent, loaded)?;
    if changes.is_empty() {
        return Err(Refusal::NothingToApprove);
    }
    let task = command.task(&ctx_sent);
    // Whom the command is about is known from what it would write, and from its task; what the
    // caller says comes after that: a preview must not outlive the person that it is about.
    let business = ctx.business.as_subject();
    let of_task =
        task.and_then(|id| loaded.if_loaded(id)).filter(|t| t.status.is_some()).map(|t| t.subject);
    let subject = subject_of(&changes, ctx)
        .or(of_task.filter(|s| *s != business))
        .or(ctx.person_behind)
        .or(c.serves)
        .unwrap_or(business);
    let mut inputs = CarriedInputs::default();
    command.carried_inputs(&mut inputs);
    let opened = Opened { asked, inputs, subject, effects: effects(&changes) };
    let requested = open(ctx, loaded, 0, &c.command, opened)?;
    Ok(Requested { evidence: c.evidence.clone(), task, ..requested })
}

/// The event of a request that a rule makes after a budget overrun, in the overrun's own append.
pub(crate) fn request_of_a_rule(
    ctx: &Context,
    loaded: &LoadedAggregates,
    n: u8,
    command: &IntendedCommand,
) -> Result<Requested, Refusal> {
    let parsed = parse(command)?;
    let asked = approval_check::asked(&parsed, &sent(&parsed, command, ctx), loaded)?
        .ok_or(Refusal::NoApprovalNeeded)?;
    let mut inputs = CarriedInputs::default();
    parsed.carried_inputs(&mut inputs);
    let effects = "budgets.raised".parse().into_iter().collect();
    open(
        ctx,
        loaded,
        n,
        command,
        Opened { asked, inputs, subject: ctx.business.as_subject(), effects },
    )
}

/// The person that the text of these events is about; `None` when they are about nobody but the
/// business.
fn subject_of(changes: &Changes, ctx: &Context) -> Option<SubjectId> {
    let (_, texts) = collect(|| {
        changes.iter().map(|(_, event)| serde_json::to_vec(&event.data())).collect::<Vec<_>>()
    });
    texts.iter().map(|text| text.subject).find(|subject| *subject != ctx.business.as_subject())
}

fn effects(changes: &Changes) -> Vec<Name> {
    changes.iter().filter_map(|(_, event)| event.name().parse().ok()).collect()
}

/// The parts of a request that come from its rule and its command.
struct Opened {
    asked: Asked,
    inputs: CarriedInputs,
    subject: SubjectId,
    effects: Vec<Name>,
}

fn open(
    ctx: &Context,
    loaded: &LoadedAggregates,
    n: u8,
    command: &IntendedCommand,
    opened: Opened,
) -> Result<Requested, Refusal> {
    let Opened { asked: Asked { rule, built_in, .. }, inputs, subject, effects } = opened;
    if rule.quorum == 0 {
        return Err(Refusal::Forbidden { rule: rule.name.to_string() });
    }
    let version = loaded.get(ctx.business.approval_policy())?.version;
    let data: Value = command.data.clear().cloned().unwrap_or_default();
    let expires_at = ctx.now.plus_seconds(u64::from(rule.expires_after_seconds));
    let intended =
        intended(ctx.business, command.r#type.as_str(), command.id, &data, version, expires_at);
    Ok(Requested {
        command_type: command.r#type.clone(),
        target: command.id,
        command_digest: ctx.content_digest(n, subject, &intended)?,
        preview: Text::new(subject, data.to_string()),
        approval_policy_version: version,
        rule: rule.name.clone(),
        quorum: rule.quorum,
        roles: rule.roles.clone(),
        separation_of_duties: rule.separation_of_duties,
        escalate_to: rule.escalate_to.clone(),
        amount: inputs.amount,
        risk: inputs.risk,
        evidence: Vec::new(),
        requested_by: ctx.actor.principal,
        expires_at,
        built_in,
        effects,
        task: None,
        subject,
    })
}
