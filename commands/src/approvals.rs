//! Approvals: bound to one exact command by digest, voted on by others, used once.
//!
//! requested → granted | rejected | expired | withdrawn; granted → consumed | expired. Consuming
//! is no command: it happens in the append of the command that was approved (`gate.rs`).

mod commands;

pub use commands::*;
use domain::approvals::{
    ActionFacts, Approval, ApprovalRule, ApprovalStatus, Choice, Commented, Delegated, DelegationRevoked, Escalated, Expired, Granted, PolicyDefined, Rejected,
    Requested, Voted, Withdrawn,
};
use domain::ids::{ApprovalId, EventId};
use domain::{AggregateRef, BusinessId, Event, Kind, SubjectId};

use crate::Refusal;
use crate::gate::{self, intended};
use crate::registry::AnyCommand;
use crate::root::{Boundary, Changes, Context, Decide};

/// Most rules of an approval policy.
const RULES_MAX: usize = 100;
/// Most votes that a rule may ask for.
const QUORUM_MAX: u8 = 20;

/// The aggregate of a business's approval policy; there is one a business.
#[must_use]
pub fn policy_ref(business: BusinessId) -> AggregateRef {
    AggregateRef::new(Kind::ApprovalPolicy, business.0)
}

/// The event that opens a request for approval of that command.
pub(crate) fn open_request(
    ctx: &Context,
    seen: &Boundary,
    n: u8,
    command: &IntendedCommand,
    evidence: Vec<EventId>,
    subject: SubjectId,
) -> Result<Requested, Refusal> {
    let policy = seen.approval_policy(ctx.business);
    let data = command.data.clear().cloned().unwrap_or_default();
    let raw = serde_json::value::to_raw_value(&data).unwrap_or_default();
    let parsed =
        AnyCommand::parse(command.r#type.as_str(), &raw).map_err(|_| Refusal::OutOfRange { field: "command", rule: "one that could be sent as it is" })?;
    let mut facts = ActionFacts::default();
    gate::facts_of(&parsed, command.r#type.as_str(), ctx, &mut facts);
    let Some(rule) = policy.rule_for(&facts) else { return Err(Refusal::NoApprovalNeeded) };
    if rule.quorum == 0 {
        return Err(Refusal::Forbidden { rule: rule.name.to_string() });
    }
    let expires_at = ctx.now.plus_seconds(u64::from(rule.expires_after_seconds));
    let intended = intended(ctx.business, command.r#type.as_str(), command.id, &data, policy.version, expires_at);
    Ok(Requested {
        command_type: command.r#type.clone(),
        target: command.id,
        command_digest: ctx.content_digest(n, subject, &intended)?,
        preview: domain::personal::Text::new(subject, data.to_string()),
        approval_policy_version: policy.version,
        rule: rule.name.clone(),
        quorum: rule.quorum,
        roles: rule.roles.clone(),
        separation_of_duties: rule.separation_of_duties,
        escalate_to: rule.escalate_to.clone(),
        amount: facts.amount,
        risk: facts.risk,
        evidence,
        requested_by: ctx.actor.principal,
        expires_at,
        subject,
    })
}

fn check_rules(rules: &[ApprovalRule]) -> Result<(), Refusal> {
    // No command says yet which classes of data it touches: such a rule would never apply.
    if rules.iter().any(|r| !r.when.data_classes.is_empty()) {
        return Err(Refusal::OutOfRange { field: "data_classes", rule: "empty: not supported yet" });
    }
    let sound = |r: &ApprovalRule| r.quorum <= QUORUM_MAX && (r.quorum == 0 || !r.roles.is_empty()) && r.expires_after_seconds >= 60;
    let mut names: Vec<_> = rules.iter().map(|r| &r.name).collect();
    names.sort_unstable();
    names.dedup();
    if rules.len() > RULES_MAX || names.len() != rules.len() || !rules.iter().all(sound) {
        let rule = "at most 100, each with a name of its own, a quorum of at most 20, roles unless it forbids, and at least 60 seconds";
        return Err(Refusal::OutOfRange { field: "rules", rule });
    }
    Ok(())
}

fn vote(c: &Vote, approval: &Approval, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let voter = ctx.actor.principal;
    if !ctx.by_human() {
        return Err(Refusal::HumanOnly);
    }
    let right = c.delegated_by.unwrap_or(voter);
    if approval.separation_of_duties && (voter == approval.requested_by || right == approval.requested_by) {
        return Err(Refusal::OwnRequest);
    }
    let roles = || approval.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let allowed = match c.delegated_by {
        Some(from) => approval.delegations.get(&(from, voter)).is_some_and(|until| ctx.now < *until),
        None => ctx.actor.roles.iter().any(|r| approval.roles.contains(r)),
    };
    if !allowed {
        return Err(Refusal::NotAnApprover { roles: roles() });
    }
    match approval.votes.get(&right) {
        Some(cast) if cast.choice == c.choice => return Ok(Vec::new()),
        Some(_) => return Err(Refusal::VotedAlready),
        None => {}
    }
    let comment = c.comment.clone().map(|t| t.about(approval.subject));
    let mut events: Vec<Event> = vec![Voted { voter, delegated_by: c.delegated_by, choice: c.choice, comment, subject: approval.subject }.into()];
    let yes = u8::try_from(approval.approvals() + 1).unwrap_or(u8::MAX);
    match c.choice {
        Choice::Reject => events.push(Rejected { by: voter }.into()),
        Choice::Approve if yes >= approval.quorum => events.push(Granted { votes: yes }.into()),
        Choice::Approve => {}
    }
    Ok(events)
}

impl Command {
    fn on_request(&self, approval: &Approval, status: ApprovalStatus, ctx: &Context) -> Result<Vec<Event>, Refusal> {
        let id = ApprovalId(ctx.target);
        let wrong = |wanted| Refusal::WrongStatus { what: "approval", status: status.as_str(), wanted };
        let in_votes = || match status {
            ApprovalStatus::Requested if ctx.now >= approval.expires_at => Err(Refusal::ApprovalExpired { approval: id, expires_at: approval.expires_at }),
            ApprovalStatus::Requested => Ok(()),
            ApprovalStatus::Granted | ApprovalStatus::Rejected | ApprovalStatus::Expired | ApprovalStatus::Withdrawn | ApprovalStatus::Consumed => {
                Err(wrong("requested"))
            }
        };
        let me = ctx.actor.principal;
        match self {
            Self::DefinePolicy(_) => Ok(Vec::new()),
            Self::Request(_) => Err(Refusal::Exists { what: "approval" }),
            Self::Vote(c) => {
                let same = approval.votes.get(&c.delegated_by.unwrap_or(me)).is_some_and(|v| v.choice == c.choice && v.voter == me);
                if same {
                    return Ok(Vec::new());
                }
                in_votes()?;
                vote(c, approval, ctx)
            }
            Self::Comment(c) => Ok(vec![Commented { comment: c.comment.clone().about(approval.subject), subject: approval.subject }.into()]),
            Self::Delegate(c) => {
                in_votes()?;
                if approval.delegations.get(&(me, c.to)) == Some(&c.until) {
                    return Ok(Vec::new());
                }
                if !ctx.by_human() || !ctx.actor.roles.iter().any(|r| approval.roles.contains(r)) {
                    return Err(Refusal::NotAnApprover { roles: approval.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") });
                }
                if c.until <= ctx.now || c.to == me {
                    return Err(Refusal::OutOfRange { field: "until", rule: "later than now, and `to` somebody else" });
                }
                Ok(vec![Delegated { from: me, to: c.to, until: c.until }.into()])
            }
            Self::RevokeDelegation(c) => {
                if !approval.delegations.contains_key(&(me, c.to)) {
                    return Ok(Vec::new());
                }
                Ok(vec![DelegationRevoked { from: me, to: c.to }.into()])
            }
            Self::Escalate(_) => {
                in_votes()?;
                if approval.escalated {
                    return Ok(Vec::new());
                }
                Ok(vec![Escalated { to_roles: approval.escalate_to.iter().copied().collect() }.into()])
            }
            Self::Withdraw(_) => match status {
                ApprovalStatus::Withdrawn => Ok(Vec::new()),
                ApprovalStatus::Requested if me == approval.requested_by => Ok(vec![Withdrawn {}.into()]),
                ApprovalStatus::Requested => Err(Refusal::NotTheRequester),
                ApprovalStatus::Granted | ApprovalStatus::Rejected | ApprovalStatus::Expired | ApprovalStatus::Consumed => Err(wrong("requested")),
            },
            Self::Expire(_) => match status {
                ApprovalStatus::Expired => Ok(Vec::new()),
                ApprovalStatus::Requested | ApprovalStatus::Granted if ctx.now >= approval.expires_at => {
                    Ok(vec![Expired { expired_at: approval.expires_at }.into()])
                }
                ApprovalStatus::Requested | ApprovalStatus::Granted => Err(Refusal::NotYetExpired { expires_at: approval.expires_at }),
                ApprovalStatus::Rejected | ApprovalStatus::Withdrawn | ApprovalStatus::Consumed => Err(wrong("requested or granted")),
            },
        }
    }
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        match self {
            Self::DefinePolicy(_) => vec![policy_ref(ctx.business)],
            Self::Request(_) => vec![ApprovalId(ctx.target).into(), policy_ref(ctx.business)],
            Self::Vote(_) | Self::Comment(_) | Self::Delegate(_) | Self::RevokeDelegation(_) | Self::Escalate(_) | Self::Withdraw(_) | Self::Expire(_) => {
                vec![ApprovalId(ctx.target).into()]
            }
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = ApprovalId(ctx.target);
        let approval = seen.approval(id);
        match (self, approval.status) {
            (Self::DefinePolicy(c), _) => {
                check_rules(&c.rules)?;
                let policy = seen.approval_policy(ctx.business);
                if policy.version > 0 && policy.rules == c.rules {
                    return Ok(Changes::new());
                }
                Ok(vec![(policy_ref(ctx.business), PolicyDefined { approval_policy_version: policy.version + 1, rules: c.rules.clone() }.into())])
            }
            (Self::Request(c), None) => {
                let subject = c.serves.unwrap_or_else(|| ctx.business.as_subject());
                Ok(vec![(id.into(), open_request(ctx, seen, 0, &c.command, c.evidence.clone(), subject)?.into())])
            }
            (_, None) => Err(Refusal::Unknown { what: "approval" }),
            (command, Some(status)) => Ok(command.on_request(&approval, status, ctx)?.into_iter().map(|e| (id.into(), e)).collect()),
        }
    }
}
