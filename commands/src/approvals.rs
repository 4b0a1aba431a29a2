//! Approvals: bound to one exact command by digest, voted on by others, used once.
//!
//! requested → granted | rejected | expired | withdrawn; granted → consumed | expired. Consuming
//! is no command: it happens in the append of the command that was approved (`approval_check.rs`).

mod commands;
mod request;
mod rules;
mod vote;

pub use commands::*;
use domain::approvals::{
    Approval, ApprovalStatus, CarriedInputs, Commented, Delegated, DelegationRevoked, Escalated,
    Expired, PolicyDefined, Withdrawn,
};
use domain::ids::{ApprovalId, EventId, TaskId};
use domain::values::Role;
use domain::{AggregateRef, Event, SubjectId};

pub(crate) use self::request::request_of_a_rule;
pub(crate) use self::rules::covers_shipped;
pub use self::rules::faults;
use crate::Refusal;
use crate::registry::{AnyCommand, ContextRules};
use crate::root::{Changes, Context, LoadedAggregates};

/// The roles among the senders of `approvals.vote` (operators may send it too). A member has no
/// right of its own and votes only with a delegated one.
const ROLES_THAT_MAY_SEND_VOTE: [Role; 3] = [Role::Owner, Role::Approver, Role::Member];

/// Names of the roles, separated by commas.
fn named(roles: impl IntoIterator<Item = Role>) -> String {
    roles.into_iter().map(Role::as_str).collect::<Vec<_>>().join(", ")
}

fn not_an_approver(approval: &Approval) -> Refusal {
    Refusal::NotAnApprover { roles: named(approval.roles.iter().copied()) }
}

/// Whether the actor may vote by a role of its own.
fn is_approver(approval: &Approval, ctx: &Context) -> bool {
    ctx.by_human()
        && (ctx.actor.roles.iter().any(|r| approval.roles.contains(r))
            || (approval.built_in && ctx.actor.operator))
}

/// Refuses the command unless the approval is open for votes and its time has not run out.
fn in_time(approval: &Approval, ctx: &Context) -> Result<(), Refusal> {
    match approval.status {
        Some(ApprovalStatus::Requested) if ctx.has_ended(approval.expires_at)? => {
            Err(Refusal::ApprovalExpired {
                approval: ApprovalId(ctx.target),
                expires_at: approval.expires_at,
            })
        }
        Some(ApprovalStatus::Requested) => Ok(()),
        status => Err(wrong(status, "requested")),
    }
}

fn wrong(status: Option<ApprovalStatus>, wanted: &'static str) -> Refusal {
    status.map_or(Refusal::Unknown { what: "approval" }, |status| Refusal::WrongStatus {
        what: "approval",
        status: status.as_str(),
        wanted,
    })
}

fn delegate(c: &Delegate, approval: &Approval, ctx: &Context) -> Result<Option<Event>, Refusal> {
    in_time(approval, ctx)?;
    let me = ctx.actor.principal;
    if approval.delegations.get(&(me, c.to)) == Some(&c.until) {
        return Ok(None);
    }
    if !is_approver(approval, ctx) {
        return Err(not_an_approver(approval));
    }
    if c.until <= ctx.now || c.to == me {
        return Err(Refusal::OutOfRange {
            field: "until",
            rule: "later than now, and `to` somebody else",
        });
    }
    if !ctx.people.is_known_in(c.to, ctx.business) {
        return Err(Refusal::PrincipalUnknown { principal: c.to });
    }
    let may_send = ctx.people.principal(c.to).is_some_and(|p| p.operator)
        || ctx.people.has_role(c.to, ctx.business, &ROLES_THAT_MAY_SEND_VOTE.into());
    if !may_send {
        return Err(Refusal::OutOfRange {
            field: "to",
            rule: "an owner, an approver or a member: nobody else may send a vote",
        });
    }
    Ok(Some(Delegated { from: me, to: c.to, until: c.until }.into()))
}

/// Lets more roles vote. An approver or an owner may do so at any time, a member once half of the
/// time has passed.
fn escalate(approval: &Approval, ctx: &Context) -> Result<Option<Event>, Refusal> {
    in_time(approval, ctx)?;
    if approval.escalated {
        return Ok(None);
    }
    if !is_approver(approval, ctx) && !ctx.by_owner() {
        let asked = approval.requested_at.unwrap_or(ctx.now);
        let at = asked.plus_seconds(approval.expires_at.seconds_since(asked) / 2);
        if !ctx.has_come(at)? {
            return Err(Refusal::TooEarly { at });
        }
    }
    Ok(Some(Escalated { to_roles: approval.escalate_to.iter().copied().collect() }.into()))
}

/// True if the actor may send the command that awaits approval. A requester who may not send it did
/// not make the request: a rule opened it in the requester's name, after a budget overrun, and the
/// requester can't withdraw it.
fn may_send_it(approval: &Approval, ctx: &Context) -> bool {
    let command =
        approval.command_type.as_ref().and_then(|name| AnyCommand::type_named(name.as_str()));
    command.is_some_and(|command| command.is_allowed_to(&ctx.actor))
}

fn withdraw(approval: &Approval, ctx: &Context) -> Result<Option<Event>, Refusal> {
    match approval.status {
        Some(ApprovalStatus::Withdrawn) => Ok(None),
        Some(ApprovalStatus::Requested)
            if ctx.actor.principal == approval.requested_by && may_send_it(approval, ctx) =>
        {
            Ok(Some(Withdrawn {}.into()))
        }
        Some(ApprovalStatus::Requested) => Err(Refusal::NotTheRequester),
        status => Err(wrong(status, "requested")),
    }
}

fn expire(approval: &Approval, ctx: &Context) -> Result<Option<Event>, Refusal> {
    match approval.status {
        Some(ApprovalStatus::Expired) => Ok(None),
        Some(ApprovalStatus::Requested | ApprovalStatus::Granted)
            if ctx.has_come(approval.expires_at)? =>
        {
            Ok(Some(Expired { expired_at: approval.expires_at }.into()))
        }
        Some(ApprovalStatus::Requested | ApprovalStatus::Granted) => {
            Err(Refusal::NotYetExpired { expires_at: approval.expires_at })
        }
        status => Err(wrong(status, "requested or granted")),
    }
}

fn define_policy(
    c: &DefinePolicy,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    rules::check(c, ctx)?;
    let id = ctx.business.approval_policy();
    let policy = loaded.get(id)?;
    if policy.version > 0
        && policy.rules == c.rules
        && policy.operation_classes == c.operation_classes
    {
        return Ok(Changes::new());
    }
    let defined = PolicyDefined {
        approval_policy_version: policy.version + 1,
        rules: c.rules.clone(),
        operation_classes: c.operation_classes.clone(),
    };
    Ok(vec![(id.into(), defined.into())])
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        match self {
            Self::Request(c) => request::reads(c, ctx, loaded),
            Self::Vote(_) => loaded
                .if_loaded(ApprovalId(ctx.target))
                .and_then(|a| a.task)
                .map(AggregateRef::from)
                .into_iter()
                .collect(),
            Self::DefinePolicy(_)
            | Self::Comment(_)
            | Self::Delegate(_)
            | Self::RevokeDelegation(_)
            | Self::Escalate(_)
            | Self::Withdraw(_)
            | Self::Expire(_) => Vec::new(),
        }
    }

    fn task(&self, _: &Context) -> Option<TaskId> {
        None
    }

    fn rests_on(&self) -> Vec<EventId> {
        match self {
            Self::Request(c) => request::rests_on(c),
            Self::DefinePolicy(_)
            | Self::Vote(_)
            | Self::Comment(_)
            | Self::Delegate(_)
            | Self::RevokeDelegation(_)
            | Self::Escalate(_)
            | Self::Withdraw(_)
            | Self::Expire(_) => Vec::new(),
        }
    }

    fn forgets(&self, ctx: &Context) -> Option<SubjectId> {
        match self {
            Self::Request(c) => request::forgets(c, ctx),
            Self::DefinePolicy(_)
            | Self::Vote(_)
            | Self::Comment(_)
            | Self::Delegate(_)
            | Self::RevokeDelegation(_)
            | Self::Escalate(_)
            | Self::Withdraw(_)
            | Self::Expire(_) => None,
        }
    }

    fn carried_inputs(&self, _: &mut CarriedInputs) {}

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = ApprovalId(ctx.target);
        let approval = || loaded.get(id);
        let event: Option<Event> = match self {
            Self::DefinePolicy(c) => return define_policy(c, ctx, loaded),
            Self::Request(c) => Some(request::request(c, ctx, loaded)?.into()),
            Self::Vote(c) => return vote::vote(c, approval()?, ctx, loaded),
            Self::Comment(c) => {
                let subject = approval()?.subject;
                Some(Commented { comment: c.comment.clone().about(subject), subject }.into())
            }
            Self::Delegate(c) => delegate(c, approval()?, ctx)?,
            Self::RevokeDelegation(c) => {
                let me = ctx.actor.principal;
                approval()?
                    .delegations
                    .contains_key(&(me, c.to))
                    .then(|| DelegationRevoked { from: me, to: c.to }.into())
            }
            Self::Escalate(_) => escalate(approval()?, ctx)?,
            Self::Withdraw(_) => withdraw(approval()?, ctx)?,
            Self::Expire(_) => expire(approval()?, ctx)?,
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
