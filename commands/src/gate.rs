//! The gate before every command of a business: is the business alive, and does an approval rule
//! ask for approval? A command that comes with one consumes it in its own append.

use std::collections::BTreeSet;

use domain::approvals::{ActionFacts, ApprovalStatus, Consumed};
use domain::businesses::Phase;
use domain::ids::INSTALLATION;
use domain::{AggregateRef, BusinessId, Event, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::approvals::policy_ref;
use crate::registry::AnyCommand;
use crate::root::{Boundary, Context, Decide};
use crate::{Refusal, businesses};

/// What an approval's digest is over.
#[must_use]
pub fn intended(business: BusinessId, command_type: &str, id: Uuid, data: &Value, approval_policy_version: u32, expires_at: Timestamp) -> Value {
    json!({
        "business": business, "type": command_type, "id": id, "data": data,
        "approval_policy_version": approval_policy_version, "expires_at": expires_at,
    })
}

/// What approval rules look at in a command.
pub(crate) fn facts_of(command: &AnyCommand, command_type: &str, ctx: &Context, facts: &mut ActionFacts) {
    command_type.clone_into(&mut facts.command_type);
    facts.actor_kind = Some(ctx.actor.kind);
    command.facts(facts);
}

/// What the gate reads, besides what the command reads.
pub(crate) fn reads(ctx: &Context) -> Vec<AggregateRef> {
    if ctx.business == INSTALLATION {
        return Vec::new();
    }
    let mut reads = vec![ctx.business.into(), policy_ref(ctx.business)];
    reads.extend(ctx.approval.map(AggregateRef::from));
    reads
}

/// Lets a command through, with the event that consumes its approval; or says what it lacks.
pub(crate) fn check(command: &AnyCommand, command_type: &str, ctx: &Context, seen: &Boundary) -> Result<Option<(AggregateRef, Event)>, Refusal> {
    if ctx.business == INSTALLATION {
        return Ok(None);
    }
    match seen.business(ctx.business).phase {
        None if matches!(command, AnyCommand::Businesses(businesses::Command::Register(_))) => return Ok(None),
        None => return Err(Refusal::NotRegistered),
        Some(Phase::WoundUp) => return Err(Refusal::WoundUp),
        Some(Phase::Idea | Phase::Planning | Phase::Approved | Phase::Building | Phase::Operating) => {}
    }
    let mut facts = ActionFacts::default();
    facts_of(command, command_type, ctx, &mut facts);
    let policy = seen.approval_policy(ctx.business);
    let rule = policy.rule_for(&facts);
    if let Some(rule) = rule.filter(|r| r.quorum == 0) {
        return Err(Refusal::Forbidden { rule: rule.name.to_string() });
    }
    let Some(id) = ctx.approval else {
        return match rule {
            Some(rule) => Err(Refusal::ApprovalRequired { rule: rule.name.to_string() }),
            None => Ok(None),
        };
    };
    let approval = seen.approval(id);
    let expired = Refusal::ApprovalExpired { approval: id, expires_at: approval.expires_at };
    match approval.status {
        None => return Err(Refusal::Unknown { what: "approval" }),
        Some(ApprovalStatus::Granted) if ctx.now >= approval.expires_at => return Err(expired),
        Some(ApprovalStatus::Granted) => {}
        Some(ApprovalStatus::Expired) => return Err(expired),
        Some(status @ (ApprovalStatus::Requested | ApprovalStatus::Rejected | ApprovalStatus::Withdrawn | ApprovalStatus::Consumed)) => {
            return Err(Refusal::WrongStatus { what: "approval", status: status.as_str(), wanted: "granted" });
        }
    }
    let Some(presented) = ctx.presented else { return Err(Refusal::ApprovalForgotten { approval: id }) };
    if approval.command_digest.as_ref().map(|d| d.digest) != Some(presented) {
        return Err(Refusal::ApprovalMismatch { approval: id });
    }
    // Whoever presents it, and whatever the policy says by now: it must ask for no more than was given.
    let enough = rule.is_none_or(|r| {
        let voters: BTreeSet<_> = r.roles.iter().chain(&r.escalate_to).collect();
        approval.approvals() >= usize::from(r.quorum)
            && approval.roles.iter().all(|role| voters.contains(role))
            && (approval.separation_of_duties || !r.separation_of_duties)
    });
    if !enough {
        return Err(Refusal::ApprovalOutdated { approval: id });
    }
    let command_type = command_type.parse().map_err(|_| Refusal::Unknown { what: "command" })?;
    Ok(Some((id.into(), Consumed { command_type, target: ctx.target }.into())))
}
