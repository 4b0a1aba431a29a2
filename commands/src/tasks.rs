//! Tasks, by their state table:
//!
//! planned → *offer* → offered → *lease* → leased → *submit* → submitted → *review* → completed
//! (passed) | offered as the next revision (changes requested) | failed (changes requested,
//! `final`). From offered, leased or submitted: *escalate* → escalated → *resolve* → offered,
//! submitted, completed, failed or cancelled. From leased: *release*, *expire* → offered; *fail*
//! (retryable → offered until attempts are used, else → failed); *quarantine* → quarantined →
//! *resolve*. From any open state: *cancel*.

mod commands;
mod history;
mod review;

pub use commands::*;
use domain::agents::AgentRole;
use domain::ids::{AgentId, HistoryId, TaskId};
use domain::personal::{ContentDigest, Text};
use domain::tasks::{
    AttemptFailed, Cancelled, Completed, Escalated, EscalationReason, Failed, FailureReason, LateResultRecorded, LeaseExpired, LeaseExtended, Leased, Offered,
    Planned, Quarantined, Released, Resolution, Resolved, Status, Submitted, Task,
};
use domain::values::{Role, Team};
use domain::{AggregateRef, Event, Personal, SubjectId};

use crate::Refusal;
use crate::agents::{acting_as, own_credentials};
use crate::cost::CostInput;
use crate::root::{Boundary, Changes, Context, Decide};

/// Lengths a lease may have, in seconds.
pub const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 120..=86_400;
/// Length of a lease when none is asked for.
pub const LEASE_SECONDS_DEFAULT: u32 = 900;
/// Rounds of rework when none are asked for.
pub const REWORK_ROUNDS_DEFAULT: u16 = 3;
/// Attempts when none are asked for.
pub const ATTEMPTS_DEFAULT: u16 = 3;

type Decided = Result<Vec<Event>, Refusal>;

fn wrong(status: Status, wanted: &'static str) -> Refusal {
    Refusal::WrongStatus { what: "task", status: status.as_str(), wanted }
}

/// The holder's token, or `lease_lost`.
fn holds(task: &Task, token: u32, ctx: &Context, seen: &Boundary) -> Result<(), Refusal> {
    match task.lease {
        // A token is a small number that anybody can guess; who holds it is known.
        Some(lease) if task.fencing_token == token => own_credentials(ctx, lease.agent, &seen.agent(lease.agent)),
        Some(_) | None => Err(Refusal::LeaseLost { token, current: task.fencing_token }),
    }
}

fn team_member(ctx: &Context, seen: &Boundary, id: AgentId, role: AgentRole, team: Option<Team>) -> Result<(), Refusal> {
    let agent = seen.agent(id);
    acting_as(ctx, id, &agent)?;
    if agent.role == Some(role) && agent.team == team { Ok(()) } else { Err(Refusal::WrongTeam { agent: id, wanted: role.as_str() }) }
}

fn plan(c: &Plan, ctx: &Context, seen: &Boundary) -> Decided {
    if c.priority.is_some_and(|p| p > 9) {
        return Err(Refusal::OutOfRange { field: "priority", rule: "0 to 9" });
    }
    if c.depends_on.len() > 100 {
        return Err(Refusal::OutOfRange { field: "depends_on", rule: "at most 100 tasks" });
    }
    // Only what exists can be waited for, and this task does not yet: so there is never a circle.
    if c.depends_on.iter().any(|id| seen.task(*id).status.is_none()) {
        return Err(Refusal::Unknown { what: "task to wait for" });
    }
    let attempts_max = c.attempts_max.unwrap_or(ATTEMPTS_DEFAULT);
    let rework_rounds_max = c.rework_rounds_max.unwrap_or(REWORK_ROUNDS_DEFAULT);
    if attempts_max == 0 || attempts_max > 100 || rework_rounds_max > 100 {
        return Err(Refusal::OutOfRange { field: "attempts_max and rework_rounds_max", rule: "1 to 100 and 0 to 100" });
    }
    let subject = c.serves.unwrap_or_else(|| ctx.business.as_subject());
    Ok(vec![
        Planned {
            title: c.title.clone().about(subject),
            instructions: c.instructions.clone().map(|t| t.about(subject)),
            team: c.team,
            subject,
            depends_on: c.depends_on.clone(),
            priority: c.priority.unwrap_or(5),
            rework_rounds_max,
            attempts_max,
        }
        .into(),
    ])
}

fn offer(task: &Task, status: Status, seen: &Boundary) -> Decided {
    match status {
        Status::Offered => return Ok(Vec::new()),
        Status::Planned => {}
        Status::Leased | Status::Submitted | Status::Escalated | Status::Quarantined | Status::Completed | Status::Failed | Status::Cancelled => {
            return Err(wrong(status, "planned"));
        }
    }
    if let Some(task) = task.depends_on.iter().find(|id| seen.task(**id).status != Some(Status::Completed)) {
        return Err(Refusal::Waiting { task: *task });
    }
    Ok(vec![Offered { team: task.team.unwrap_or(Team::Operations), revision: 1 }.into()])
}

fn lease(c: &Lease, task: &Task, status: Status, ctx: &Context, seen: &Boundary) -> Decided {
    let lease_seconds = c.lease_seconds.unwrap_or(LEASE_SECONDS_DEFAULT);
    if !LEASE_SECONDS.contains(&lease_seconds) {
        return Err(Refusal::OutOfRange { field: "lease_seconds", rule: "120 to 86400" });
    }
    team_member(ctx, seen, c.agent, AgentRole::Producer, task.team)?;
    let mut events = Vec::new();
    match (status, task.lease) {
        (Status::Offered, _) => {}
        // Nobody has to wait for the policy that expires leases: who wants the task may do it too.
        (Status::Leased, Some(held)) if held.expires_at <= ctx.now => {
            events.push(LeaseExpired { fencing_token: task.fencing_token, expired_at: held.expires_at }.into());
        }
        (Status::Leased, Some(held)) => return Err(Refusal::LeaseHeld { expires_at: held.expires_at }),
        (
            Status::Planned
            | Status::Leased
            | Status::Submitted
            | Status::Escalated
            | Status::Quarantined
            | Status::Completed
            | Status::Failed
            | Status::Cancelled,
            _,
        ) => {
            return Err(wrong(status, "offered"));
        }
    }
    let expires_at = ctx.now.plus_seconds(u64::from(lease_seconds));
    events.push(Leased { agent: c.agent, fencing_token: task.fencing_token + 1, lease_seconds, expires_at }.into());
    Ok(events)
}

fn heartbeat(c: &Heartbeat, task: &Task, ctx: &Context, seen: &Boundary) -> Decided {
    holds(task, c.fencing_token, ctx, seen)?;
    let Some(lease) = task.lease else { return Ok(Vec::new()) };
    if lease.expires_at.seconds_since(ctx.now) * 3 >= u64::from(lease.lease_seconds) {
        return Ok(Vec::new());
    }
    let expires_at = ctx.now.plus_seconds(u64::from(lease.lease_seconds));
    Ok(vec![LeaseExtended { fencing_token: c.fencing_token, expires_at }.into()])
}

/// Digest over what was made: what a review must name.
fn artifact_digest(ctx: &Context, subject: SubjectId, artifacts: &[domain::tasks::Artifact], result: Option<&Text>) -> Result<ContentDigest, Refusal> {
    ctx.content_digest(0, subject, &serde_json::json!({"artifacts": artifacts, "result": result.and_then(|t| t.clear())}))
}

fn submit(c: &Submit, task: &Task, ctx: &Context, seen: &Boundary) -> Decided {
    acting_as(ctx, c.agent, &seen.agent(c.agent))?;
    let cost = c.cost.as_ref().map(CostInput::cost).transpose()?;
    let result = c.result.clone().map(|t| t.about(task.subject));
    let current = task.fencing_token;
    if c.fencing_token == 0 || c.fencing_token > current {
        return Err(Refusal::LeaseLost { token: c.fencing_token, current });
    }
    let holder = task.lease.filter(|l| l.agent == c.agent && c.fencing_token == current);
    if holder.is_none() {
        return Ok(vec![LateResultRecorded { agent: c.agent, fencing_token: c.fencing_token, current_token: current, result, subject: task.subject }.into()]);
    }
    Ok(vec![
        Submitted {
            revision: task.revision,
            agent: c.agent,
            fencing_token: c.fencing_token,
            by_human: ctx.by_human(),
            artifact: artifact_digest(ctx, task.subject, &c.artifacts, result.as_ref())?,
            artifacts: (!c.artifacts.is_empty()).then(|| Personal::new(task.subject, c.artifacts.clone())),
            result,
            usage: c.usage.clone(),
            cost,
            subject: task.subject,
        }
        .into(),
    ])
}

fn fail(c: &Fail, task: &Task, ctx: &Context, seen: &Boundary) -> Decided {
    holds(task, c.fencing_token, ctx, seen)?;
    let error = c.error.clone().map(|t| t.about(task.subject));
    let mut events = vec![AttemptFailed { fencing_token: c.fencing_token, retryable: c.retryable, error, subject: task.subject }.into()];
    if !c.retryable {
        events.push(Failed { reason: FailureReason::NotRetryable }.into());
    } else if task.attempts_failed + 1 >= task.attempts_max {
        events.push(Failed { reason: FailureReason::AttemptsUsed }.into());
    }
    Ok(events)
}

fn escalate(c: &Escalate, task: &Task, status: Status, ctx: &Context, seen: &Boundary) -> Decided {
    let mut left = None;
    match status {
        Status::Escalated => return Ok(Vec::new()),
        Status::Offered | Status::Submitted => {}
        Status::Leased => {
            holds(task, c.fencing_token.unwrap_or(0), ctx, seen)?;
            if let Some(lease) = task.lease.filter(|_| c.result.is_some()) {
                let result = c.result.clone().map(|t| t.about(task.subject));
                left = Some((artifact_digest(ctx, task.subject, &[], result.as_ref())?, lease.agent));
            }
        }
        Status::Planned | Status::Quarantined | Status::Completed | Status::Failed | Status::Cancelled => {
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

fn resolve(c: &Resolve, task: &Task, status: Status, ctx: &Context) -> Decided {
    if ctx.actor.kind == domain::access::PrincipalKind::Agent {
        return Err(Refusal::HumanOnly);
    }
    match status {
        Status::Escalated | Status::Quarantined => {}
        Status::Planned | Status::Offered | Status::Leased | Status::Submitted | Status::Completed | Status::Failed | Status::Cancelled => {
            return Err(wrong(status, "escalated or quarantined"));
        }
    }
    let team = task.team.unwrap_or(Team::Operations);
    let then: Option<Event> = match c.resolution {
        Resolution::Offered => Some(Offered { team, revision: task.revision + u32::from(task.submission.is_some()) }.into()),
        Resolution::Submitted if task.submission.is_none() => return Err(Refusal::NothingSubmitted),
        Resolution::Submitted => None,
        Resolution::Completed => Some(Completed { revision: task.revision, without_human: false }.into()),
        Resolution::Failed => Some(Failed { reason: FailureReason::Resolved }.into()),
        Resolution::Cancelled => Some(Cancelled { reason: None, subject: task.subject }.into()),
    };
    let note = c.note.clone().map(|t| t.about(task.subject));
    let mut events = vec![Resolved { resolution: c.resolution, note, subject: task.subject }.into()];
    events.extend(then);
    Ok(events)
}

impl Command {
    fn on_task(&self, task: &Task, status: Status, ctx: &Context, seen: &Boundary) -> Decided {
        let subject = task.subject;
        match self {
            Self::Plan(_) => Err(Refusal::Exists { what: "task" }),
            Self::Offer(_) => offer(task, status, seen),
            Self::Lease(c) => lease(c, task, status, ctx, seen),
            Self::Heartbeat(c) => heartbeat(c, task, ctx, seen),
            Self::Release(c) => {
                holds(task, c.fencing_token, ctx, seen)?;
                let reason = c.reason.clone().map(|t| t.about(subject));
                Ok(vec![Released { fencing_token: c.fencing_token, reason, subject }.into()])
            }
            Self::Submit(c) => submit(c, task, ctx, seen),
            Self::Review(c) => review::review(c, task, status, ctx, seen),
            Self::Escalate(c) => escalate(c, task, status, ctx, seen),
            Self::Resolve(c) => resolve(c, task, status, ctx),
            Self::Fail(c) => fail(c, task, ctx, seen),
            Self::Quarantine(c) => {
                holds(task, c.fencing_token, ctx, seen)?;
                Ok(vec![Quarantined { fencing_token: c.fencing_token, reason: c.reason.clone().about(subject), subject }.into()])
            }
            Self::Cancel(_) if status == Status::Cancelled => Ok(Vec::new()),
            Self::Cancel(c) if status.is_open() => Ok(vec![Cancelled { reason: c.reason.clone().map(|t| t.about(subject)), subject }.into()]),
            Self::Cancel(_) => Err(wrong(status, "open")),
            Self::Expire(_) => match task.lease {
                Some(lease) if lease.expires_at <= ctx.now => Ok(vec![LeaseExpired { fencing_token: task.fencing_token, expired_at: lease.expires_at }.into()]),
                Some(lease) => Err(Refusal::LeaseHeld { expires_at: lease.expires_at }),
                None if status == Status::Offered => Ok(Vec::new()),
                None => Err(wrong(status, "leased")),
            },
            Self::RecordActivity(c) => history::record_activity(c, task),
            Self::OpenHistory(_) => Err(Refusal::WrongId { what: "history", expected: ctx.target }),
            Self::CloseHistory(c) => history::close(c, task, status),
        }
    }
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, seen: &Boundary) -> Vec<AggregateRef> {
        let id = TaskId(ctx.target);
        let mut reads = vec![id.into()];
        match self {
            Self::Plan(c) => reads.extend(c.depends_on.iter().map(|id| AggregateRef::from(*id))),
            Self::Offer(_) => reads.extend(seen.task(id).depends_on.iter().map(|id| AggregateRef::from(*id))),
            Self::Lease(c) => reads.push(c.agent.into()),
            Self::Submit(c) => reads.push(c.agent.into()),
            Self::Review(c) => {
                reads.push(c.reviewer.into());
                reads.extend(seen.task(id).submission.map(|s| AggregateRef::from(s.producer)));
            }
            Self::Heartbeat(_) | Self::Release(_) | Self::Escalate(_) | Self::Fail(_) | Self::Quarantine(_) => {
                reads.extend(seen.task(id).lease.map(|l| AggregateRef::from(l.agent)));
            }
            Self::OpenHistory(_) => return vec![HistoryId(ctx.target).into()],
            Self::Resolve(_) | Self::Cancel(_) | Self::Expire(_) | Self::RecordActivity(_) | Self::CloseHistory(_) => {}
        }
        reads
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        if let Self::OpenHistory(c) = self {
            return history::open(c, ctx, seen);
        }
        let id = TaskId(ctx.target);
        let task = seen.task(id);
        let events = match (self, task.status) {
            (Self::Plan(c), None) => plan(c, ctx, seen),
            (_, None) => Err(Refusal::Unknown { what: "task" }),
            (command, Some(status)) => command.on_task(&task, status, ctx, seen),
        }?;
        Ok(events.into_iter().map(|event| (id.into(), event)).collect())
    }
}
