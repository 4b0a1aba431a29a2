//! The check before every command of a business: does the business still take it, and does a rule
//! ask for approval? A command that comes with an approval consumes it in its own append.
//!
//! Two kinds of rules ask: those of the approval policy, and a few that are built in, which no
//! policy removes: changing the policy itself, winding the business up and destroying the key of
//! its own texts take the vote of a second human.

use std::collections::BTreeSet;

use domain::access::PrincipalKind;
use domain::approvals::{
    Approval, ApprovalInputs, ApprovalRule, ApprovalStatus, CarriedInputs, Choice, Consumed,
    Matcher,
};
use domain::businesses::Phase;
use domain::ids::{ApprovalId, CallId, INSTALLATION};
use domain::values::Role;
use domain::{AggregateRef, BusinessId, Event, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::registry::{AnyCommand, CommandType, Stream, When};
use crate::root::{Context, LoadedAggregates};
use crate::{Refusal, approvals, businesses, integrations};

/// How long a request that a built-in rule asked for stays open, in seconds.
const BUILT_IN_EXPIRES_SECONDS: u32 = 7 * 86_400;

/// The content that an approval's digest covers: the command, the policy version and the expiry.
#[must_use]
pub fn intended(
    business: BusinessId,
    command_type: &str,
    id: Uuid,
    data: &Value,
    approval_policy_version: u32,
    expires_at: Timestamp,
) -> Value {
    json!({
        "business": business, "type": command_type, "id": id, "data": data,
        "approval_policy_version": approval_policy_version, "expires_at": expires_at,
    })
}

/// A rule that asks for approval of a command.
pub(crate) struct Asked {
    pub(crate) rule: ApprovalRule,
    /// True when an operator may vote too, because a built-in rule alone asks.
    pub(crate) built_in: bool,
    /// True when a built-in rule asks, alone or beside the policy's: it wants a second human whom
    /// the requester did not make one, and no policy's rule takes that away.
    pub(crate) second_human: bool,
}

/// Aggregates that the check reads, besides those that the command reads.
pub(crate) fn reads(ctx: &Context) -> Vec<AggregateRef> {
    if ctx.business == INSTALLATION {
        return Vec::new();
    }
    let mut reads = vec![ctx.business.into(), ctx.business.approval_policy().into()];
    reads.extend(ctx.approval.map(AggregateRef::from));
    reads
}

/// True if no rule ever asks for approval of the command: it is for the installation's stream,
/// handles requests for approval, registers the business, or comes only from importers.
pub(crate) fn is_never_gated(command_type: &CommandType) -> bool {
    let approves = command_type.name.starts_with("approvals.")
        && command_type.name != "approvals.define_policy";
    approves
        || command_type.stream == Stream::Installation
        || command_type.name == "businesses.register"
        || command_type.from.is_empty()
}

/// The built-in rule that asks for approval of the command; `None` if none does.
#[allow(clippy::wildcard_enum_match_arm, reason = "a list of three commands among all")]
fn built_in(
    command: &AnyCommand,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Option<ApprovalRule>, Refusal> {
    let name = match command {
        AnyCommand::Approvals(approvals::Command::DefinePolicy(c)) => {
            // The first policy may be laid down without a second human while it is no laxer than
            // the one that is shipped.
            let first = loaded.get(ctx.business.approval_policy())?.version == 0;
            if first && approvals::covers_shipped(&c.rules) && c.operation_classes.is_empty() {
                return Ok(None);
            }
            "built in: another approval policy"
        }
        AnyCommand::Businesses(businesses::Command::Advance(c)) if c.to == Phase::WoundUp => {
            "built in: winding up"
        }
        AnyCommand::Businesses(businesses::Command::Forget(_)) => {
            "built in: forgetting the business's own texts"
        }
        _ => return Ok(None),
    };
    Ok(name.parse().ok().map(|name| ApprovalRule {
        name,
        when: Matcher::default(),
        quorum: 1,
        roles: vec![Role::Owner, Role::Approver],
        separation_of_duties: true,
        expires_after_seconds: BUILT_IN_EXPIRES_SECONDS,
        escalate_to: Vec::new(),
    }))
}

/// The approval inputs of a command; a call's classes are raised to those in the tables.
fn approval_inputs<'a>(
    command: &AnyCommand,
    ctx: &'a Context,
    loaded: &LoadedAggregates,
) -> Result<ApprovalInputs<'a>, Refusal> {
    let mut carried = CarriedInputs::default();
    command.carried_inputs(&mut carried);
    if let AnyCommand::Integrations(integrations::Command::IntendCall(c)) = command {
        integrations::raise_classes(c, ctx, loaded, &mut carried)?;
    }
    // A service speaks for agents also where it names none: on a task, or of a call, of theirs.
    if ctx.actor.kind == PrincipalKind::Service {
        let holder = command
            .task(ctx)
            .and_then(|id| loaded.if_loaded(id))
            .and_then(|task| task.lease)
            .is_some();
        let called = loaded.if_loaded(CallId(ctx.target)).is_some_and(|call| call.agent.is_some());
        carried.in_the_name_of_an_agent |= holder || called;
    }
    Ok(ApprovalInputs {
        command_type: ctx.command.name,
        carries: ctx.command.carries,
        actor_kind: ctx.actor.kind,
        carried,
    })
}

/// The rule that asks for approval of a command; `None` when none does.
pub(crate) fn asked(
    command: &AnyCommand,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Option<Asked>, Refusal> {
    if is_never_gated(ctx.command) || ctx.actor.historic || ctx.actor.restores {
        return Ok(None);
    }
    let built_in = built_in(command, ctx, loaded)?;
    let policy = loaded.get(ctx.business.approval_policy())?;
    // A policy must not stand in the way of its own repair: where its rule blocks that, an operator
    // is held up by the built-in rule alone.
    let mends = matches!(command, AnyCommand::Approvals(approvals::Command::DefinePolicy(_)))
        && ctx.actor.operator;
    let inputs = approval_inputs(command, ctx, loaded)?;
    let of_policy = policy.rule_for(&inputs).filter(|rule| !(mends && blocks(rule, ctx)));
    Ok(match (of_policy, built_in) {
        // Its voters are a part of those of the built-in rule.
        (Some(rule), Some(_)) => Some(Asked {
            rule: ApprovalRule { separation_of_duties: true, ..rule.clone() },
            built_in: false,
            second_human: true,
        }),
        (Some(rule), None) => {
            Some(Asked { rule: rule.clone(), built_in: false, second_human: false })
        }
        (None, Some(rule)) => Some(Asked { rule, built_in: true, second_human: true }),
        (None, None) => None,
    })
}

/// True if the quorum is 0, or if fewer humans than the quorum, besides the actor, have a role that
/// may vote.
fn blocks(rule: &ApprovalRule, ctx: &Context) -> bool {
    let voters = rule.roles.iter().chain(&rule.escalate_to).copied().collect();
    rule.quorum == 0
        || ctx.people.voters_besides(ctx.business, &voters, ctx.actor.principal)
            < usize::from(rule.quorum)
}

/// Refuses the command if the business is not registered, or is wound up and no longer takes it.
pub(crate) fn business_allows(
    command: &AnyCommand,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<(), Refusal> {
    match loaded.get(ctx.business)?.phase {
        None if matches!(command, AnyCommand::Businesses(businesses::Command::Register(_))) => {
            Ok(())
        }
        None => Err(Refusal::NotRegistered),
        Some(Phase::WoundUp) if ctx.command.after_end == When::Refused => Err(Refusal::WoundUp),
        Some(
            Phase::Idea
            | Phase::Planning
            | Phase::Approved
            | Phase::Building
            | Phase::Operating
            | Phase::WoundUp,
        ) => Ok(()),
    }
}

/// Checks a command. Returns the event that consumes its approval (`None` if it came without one
/// and needs none), or a refusal that says what the command lacks.
pub(crate) fn check(
    command: &AnyCommand,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Option<(AggregateRef, Event)>, Refusal> {
    if ctx.business == INSTALLATION {
        return Ok(None);
    }
    business_allows(command, ctx, loaded)?;
    let asked = asked(command, ctx, loaded)?;
    if let Some(asked) = asked.as_ref().filter(|a| a.rule.quorum == 0) {
        return Err(Refusal::Forbidden { rule: asked.rule.name.to_string() });
    }
    let Some(id) = ctx.approval else {
        return match asked {
            Some(asked) => {
                Err(Refusal::ApprovalRequired { rule: asked.rule.name.to_string(), id: ctx.target })
            }
            None => Ok(None),
        };
    };
    let approval = loaded.get(id)?;
    usable(id, approval, ctx)?;
    let Some(presented_digest) = ctx.presented_digest else {
        return Err(Refusal::ApprovalForgotten { approval: id });
    };
    if approval.command_digest.as_ref().map(|d| d.digest) != Some(presented_digest) {
        return Err(Refusal::ApprovalMismatch { approval: id });
    }
    if let Some(asked) = asked {
        if !is_enough(approval, &asked) {
            return Err(Refusal::ApprovalOutdated { approval: id });
        }
        if asked.second_human && !approval.built_in && !has_second_human(approval, ctx) {
            return Err(Refusal::MadeByRequester);
        }
    }
    let command_type =
        ctx.command.name.parse().map_err(|_| Refusal::Unknown { what: "command" })?;
    Ok(Some((id.into(), Consumed { command_type, target: ctx.target }.into())))
}

/// Refuses an approval that is not granted, or whose time has run out.
fn usable(id: ApprovalId, approval: &Approval, ctx: &Context) -> Result<(), Refusal> {
    let expired = Refusal::ApprovalExpired { approval: id, expires_at: approval.expires_at };
    match approval.status {
        None => Err(Refusal::Unknown { what: "approval" }),
        Some(ApprovalStatus::Granted) if ctx.has_ended(approval.expires_at)? => Err(expired),
        Some(ApprovalStatus::Granted) => Ok(()),
        Some(ApprovalStatus::Expired) => Err(expired),
        Some(
            status @ (ApprovalStatus::Requested
            | ApprovalStatus::Rejected
            | ApprovalStatus::Withdrawn
            | ApprovalStatus::Consumed),
        ) => Err(Refusal::WrongStatus {
            what: "approval",
            status: status.as_str(),
            wanted: "granted",
        }),
    }
}

/// True if a human approved who is not the requester, whom no requester made a voter, and who used
/// no right of such a human.
fn has_second_human(approval: &Approval, ctx: &Context) -> bool {
    let is_independent = |person| {
        !approval
            .requesters()
            .any(|r| r == person || ctx.people.is_made_by(person, ctx.business, r))
    };
    approval.votes.iter().any(|(right_holder, vote)| {
        vote.choice == Choice::Approve
            && is_independent(*right_holder)
            && is_independent(vote.voter)
    })
}

/// True if the approval, as it was granted, satisfies the rule that applies now: enough votes, no
/// voters that the rule excludes, and its separation of duties.
fn is_enough(approval: &Approval, asked: &Asked) -> bool {
    let rule = &asked.rule;
    let voters: BTreeSet<_> = rule.roles.iter().chain(&rule.escalate_to).collect();
    approval.approvals() >= usize::from(rule.quorum)
        && approval.roles.iter().all(|role| voters.contains(role))
        && (approval.separation_of_duties || !rule.separation_of_duties)
        && (asked.built_in || !approval.built_in)
}
