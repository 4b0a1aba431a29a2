//! How a task goes on from a lease: submitted, failed, escalated, resolved, cancelled.

use super::commands::*;
use super::lease::holds;
use super::{Decided, wrong};
use crate::Refusal;
use crate::agents::{acting_as, own_team};
use crate::cost::CostInput;
use crate::root::{Context, LoadedAggregates};
use domain::personal::{ContentDigest, Text};
use domain::tasks::{
    AttemptFailed, Cancelled, Completed, Escalated, EscalationReason, Failed, FailureReason,
    LateResultRecorded, Offered, Resolution, Resolved, Status, Submitted, Task,
};
use domain::values::{Role, Team};
use domain::{Event, Personal, SubjectId};

/// Digest of a result's files and words; a review must name it.
pub(super) fn artifact_digest(
    ctx: &Context,
    subject: SubjectId,
    artifacts: &[domain::tasks::Artifact],
    result: Option<&Text>,
) -> Result<ContentDigest, Refusal> {
    ctx.content_digest(
        0,
        subject,
        &serde_json::json!({"artifacts": artifacts, "result": result.and_then(|t| t.clear())}),
    )
}

pub(super) fn submit(c: &Submit, task: &Task, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
    acting_as(ctx, loaded, c.agent)?;
    let cost = c.cost.as_ref().map(CostInput::cost).transpose()?;
    let result = c.result.clone().map(|t| t.about(task.subject));
    let current = task.fencing_token;
    if c.fencing_token == 0 || c.fencing_token > current {
        return Err(Refusal::LeaseLost { token: c.fencing_token, current });
    }
    let holder = task.lease.filter(|l| l.agent == c.agent && c.fencing_token == current);
    if holder.is_none() {
        let held_by = usize::try_from(c.fencing_token - 1).ok().and_then(|n| task.holders.get(n));
        if held_by != Some(&c.agent) {
            return Err(Refusal::NeverHeld { agent: c.agent, token: c.fencing_token });
        }
        return Ok(vec![
            LateResultRecorded {
                agent: c.agent,
                fencing_token: c.fencing_token,
                current_token: current,
                result,
                subject: task.subject,
            }
            .into(),
        ]);
    }
    Ok(vec![
        Submitted {
            revision: task.revision,
            agent: c.agent,
            fencing_token: c.fencing_token,
            by_human: ctx.by_human(),
            artifact: artifact_digest(ctx, task.subject, &c.artifacts, result.as_ref())?,
            artifacts: (!c.artifacts.is_empty())
                .then(|| Personal::new(task.subject, c.artifacts.clone())),
            result,
            usage: c.usage.clone(),
            cost,
            subject: task.subject,
        }
        .into(),
    ])
}

pub(super) fn fail(c: &Fail, task: &Task, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
    holds(task, c.fencing_token, ctx, loaded)?;
    let error = c.error.clone().map(|t| t.about(task.subject));
    let mut events = vec![
        AttemptFailed {
            fencing_token: c.fencing_token,
            retryable: c.retryable,
            error,
            subject: task.subject,
        }
        .into(),
    ];
    if !c.retryable {
        events.push(Failed { reason: FailureReason::NotRetryable }.into());
    } else if task.attempts_failed + 1 >= task.attempts_max {
        events.push(Failed { reason: FailureReason::AttemptsUsed }.into());
    }
    Ok(events)
}

pub(super) fn escalate(
    c: &Escalate,
    task: &Task,
    status: Status,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Decided {
    let mut left = None;
    match status {
        Status::Escalated => return Ok(Vec::new()),
        Status::Offered | Status::Submitted => own_team(ctx, loaded, None, task.team)?,
        Status::Leased => {
            let lease = holds(task, c.fencing_token.unwrap_or(0), ctx, loaded)?;
            if c.result.is_some() {
                let result = c.result.clone().map(|t| t.about(task.subject));
                left =
                    Some((artifact_digest(ctx, task.subject, &[], result.as_ref())?, lease.agent));
            }
        }
        Status::Planned
        | Status::Quarantined
        | Status::Completed
        | Status::Failed
        | Status::Cancelled => {
            return Err(wrong(status, "offered, leased or submitted"));
        }
    }
    let (artifact, producer) = left.unzip();
    Ok(vec![
        Escalated {
            from: status,
            reason: EscalationReason::Requested,
            to_role: c.to_role.unwrap_or(Role::Owner),
            note: c.note.clone().map(|t| t.about(task.subject)),
            result: c.result.clone().filter(|_| artifact.is_some()).map(|t| t.about(task.subject)),
            artifact,
            producer,
            subject: task.subject,
        }
        .into(),
    ])
}

/// Refuses everybody but an owner and a human of the role that the task was escalated to; an
/// importer resolves as its source says.
pub(super) fn may_resolve(task: &Task, status: Status, ctx: &Context) -> Result<(), Refusal> {
    if ctx.actor.historic {
        return Ok(());
    }
    if !ctx.by_human() {
        return Err(Refusal::HumanOnly);
    }
    // What an escalation said before the task was quarantined is not said of the quarantine.
    let role = task.escalated_to.filter(|_| status != Status::Quarantined).unwrap_or(Role::Owner);
    if ctx.by_owner() || ctx.actor.roles.contains(&role) {
        Ok(())
    } else {
        Err(Refusal::NotEscalatedToYou { role: role.as_str() })
    }
}

pub(super) fn resolve(c: &Resolve, task: &Task, status: Status, ctx: &Context) -> Decided {
    may_resolve(task, status, ctx)?;
    match status {
        Status::Escalated | Status::Quarantined => {}
        Status::Planned
        | Status::Offered
        | Status::Leased
        | Status::Submitted
        | Status::Completed
        | Status::Failed
        | Status::Cancelled => {
            return Err(wrong(status, "escalated or quarantined"));
        }
    }
    let team = task.team.unwrap_or(Team::Operations);
    let then: Option<Event> = match c.resolution {
        Resolution::Offered => Some(
            Offered { team, revision: task.revision + u32::from(task.submission.is_some()) }.into(),
        ),
        Resolution::Submitted if task.submission.is_none() => {
            return Err(Refusal::NothingSubmitted);
        }
        Resolution::Submitted => None,
        Resolution::Completed => {
            Some(Completed { revision: task.revision, without_human: false }.into())
        }
        Resolution::Failed => Some(Failed { reason: FailureReason::Resolved }.into()),
        Resolution::Cancelled => Some(Cancelled { reason: None, subject: task.subject }.into()),
    };
    let note = c.note.clone().map(|t| t.about(task.subject));
    let mut events =
        vec![Resolved { resolution: c.resolution, note, subject: task.subject }.into()];
    events.extend(then);
    Ok(events)
}

/// An owner cancels every task, a member what they planned.
pub(super) fn cancel(c: &Cancel, task: &Task, status: Status, ctx: &Context) -> Decided {
    if !ctx.by_owner() && task.planned_by != ctx.actor.principal {
        return Err(Refusal::NotYours { who: "whoever planned it, or an owner" });
    }
    if status == Status::Cancelled {
        return Ok(Vec::new());
    }
    if !status.is_open() {
        return Err(wrong(status, "open"));
    }
    Ok(vec![
        Cancelled {
            reason: c.reason.clone().map(|t| t.about(task.subject)),
            subject: task.subject,
        }
        .into(),
    ])
}
