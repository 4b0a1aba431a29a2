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
mod lease;
mod review;

pub use commands::*;
use domain::agents::AgentRole;
use domain::approvals::CarriedInputs;
use domain::ids::{AgentId, TaskId};
use domain::personal::{ContentDigest, Text};
use domain::tasks::{
    AttemptFailed, Cancelled, Completed, Escalated, EscalationReason, Failed, FailureReason,
    LateResultRecorded, Offered, Planned, Quarantined, Released, Resolution, Resolved, Status,
    Submitted, Task,
};
use domain::values::{Role, Team};
use domain::{AggregateRef, Event, Personal, SubjectId};

use self::lease::holds;
use crate::Refusal;

use crate::agents::{acting_as, own_team};
use crate::budgets::{self, Spending};
use crate::cost::CostInput;
use crate::registry::ContextRules;
use crate::root::{Changes, Context, LoadedAggregates};

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

fn team_member(
    ctx: &Context,
    loaded: &LoadedAggregates,
    id: AgentId,
    role: AgentRole,
    team: Option<Team>,
) -> Result<(), Refusal> {
    let agent = acting_as(ctx, loaded, id)?;
    if agent.role == Some(role) && agent.team == team {
        Ok(())
    } else {
        Err(Refusal::WrongTeam { agent: id, wanted: role.as_str() })
    }
}

fn plan(c: &Plan, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
    if c.priority.is_some_and(|p| p > 9) {
        return Err(Refusal::OutOfRange { field: "priority", rule: "0 to 9" });
    }
    if c.depends_on.len() > 100 {
        return Err(Refusal::OutOfRange { field: "depends_on", rule: "at most 100 tasks" });
    }
    // Only what exists can be waited for, and this task does not yet: so there is never a circle.
    for id in &c.depends_on {
        if loaded.get(*id)?.status.is_none() {
            return Err(Refusal::Unknown { what: "task to wait for" });
        }
    }
    let attempts_max = c.attempts_max.unwrap_or(ATTEMPTS_DEFAULT);
    let rework_rounds_max = c.rework_rounds_max.unwrap_or(REWORK_ROUNDS_DEFAULT);
    if attempts_max == 0 || attempts_max > 100 || rework_rounds_max > 100 {
        return Err(Refusal::OutOfRange {
            field: "attempts_max and rework_rounds_max",
            rule: "1 to 100 and 0 to 100",
        });
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

fn offer(task: &Task, status: Status, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
    own_team(ctx, loaded, None, task.team)?;
    match status {
        Status::Offered => return Ok(Vec::new()),
        Status::Planned => {}
        Status::Leased
        | Status::Submitted
        | Status::Escalated
        | Status::Quarantined
        | Status::Completed
        | Status::Failed
        | Status::Cancelled => {
            return Err(wrong(status, "planned"));
        }
    }
    for id in &task.depends_on {
        if loaded.get(*id)?.status != Some(Status::Completed) {
            return Err(Refusal::Waiting { task: *id });
        }
    }
    Ok(vec![Offered { team: task.team.unwrap_or(Team::Operations), revision: 1 }.into()])
}

/// Digest over what was made: what a review must name.
fn artifact_digest(
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

fn submit(c: &Submit, task: &Task, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
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

fn fail(c: &Fail, task: &Task, ctx: &Context, loaded: &LoadedAggregates) -> Decided {
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

fn escalate(
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

/// A human of the role that the task was escalated to, or an owner; work that was done elsewhere is
/// resolved as its source says.
fn may_resolve(task: &Task, status: Status, ctx: &Context) -> Result<(), Refusal> {
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

fn resolve(c: &Resolve, task: &Task, status: Status, ctx: &Context) -> Decided {
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
fn cancel(c: &Cancel, task: &Task, status: Status, ctx: &Context) -> Decided {
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

/// What an activity or a result cost is spent, whether or not it was set aside; by the agent whose
/// credentials say so, else by the one that is named, else by who holds the task.
fn spent(
    cost: Option<&CostInput>,
    agent: Option<AgentId>,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    match cost {
        Some(cost) => budgets::charge(
            ctx,
            loaded,
            &Spending::of(loaded, ctx.own_agent().or(agent), Some(TaskId(ctx.target)), None),
            cost.cost()?.money(),
        ),
        None => Ok(Changes::new()),
    }
}

impl Command {
    /// What the command says was spent, and by which agent.
    fn cost(&self) -> (Option<&CostInput>, Option<AgentId>) {
        match self {
            Self::Submit(c) => (c.cost.as_ref(), Some(c.agent)),
            Self::RecordActivity(c) => (c.cost.as_ref(), None),
            Self::Plan(_)
            | Self::Offer(_)
            | Self::Lease(_)
            | Self::Heartbeat(_)
            | Self::Release(_)
            | Self::Review(_)
            | Self::Escalate(_)
            | Self::Resolve(_)
            | Self::Fail(_)
            | Self::Quarantine(_)
            | Self::Cancel(_)
            | Self::Expire(_)
            | Self::OpenHistory(_)
            | Self::CloseHistory(_) => (None, None),
        }
    }

    fn on_task(
        &self,
        task: &Task,
        status: Status,
        ctx: &Context,
        loaded: &LoadedAggregates,
    ) -> Decided {
        let subject = task.subject;
        match self {
            Self::Plan(c) => plan(c, ctx, loaded),
            Self::Offer(_) => offer(task, status, ctx, loaded),
            Self::Lease(c) => lease::lease(c, task, status, ctx, loaded),
            Self::Heartbeat(c) => lease::heartbeat(c, task, ctx, loaded),
            Self::Release(c) => {
                holds(task, c.fencing_token, ctx, loaded)?;
                let reason = c.reason.clone().map(|t| t.about(subject));
                Ok(vec![Released { fencing_token: c.fencing_token, reason, subject }.into()])
            }
            Self::Submit(c) => submit(c, task, ctx, loaded),
            Self::Review(c) => review::review(c, task, status, ctx, loaded),
            Self::Escalate(c) => escalate(c, task, status, ctx, loaded),
            Self::Resolve(c) => resolve(c, task, status, ctx),
            Self::Fail(c) => fail(c, task, ctx, loaded),
            Self::Quarantine(c) => {
                holds(task, c.fencing_token, ctx, loaded)?;
                Ok(vec![
                    Quarantined {
                        fencing_token: c.fencing_token,
                        reason: c.reason.clone().about(subject),
                        subject,
                    }
                    .into(),
                ])
            }
            Self::Cancel(c) => cancel(c, task, status, ctx),
            Self::Expire(_) => lease::expire(task, status, ctx),
            Self::RecordActivity(c) => {
                own_team(ctx, loaded, None, task.team)?;
                history::record_activity(c, task)
            }
            Self::CloseHistory(c) => history::close(c, task, status),
            Self::OpenHistory(_) => Err(Refusal::Unknown { what: "task" }),
        }
    }
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        let id = TaskId(ctx.target);
        let task = || loaded.if_loaded(id);
        let waits_for =
            |ids: &[TaskId]| ids.iter().map(|id| AggregateRef::from(*id)).collect::<Vec<_>>();
        let mut reads = match self {
            Self::Plan(c) => waits_for(&c.depends_on),
            Self::Offer(_) => task().map_or_else(Vec::new, |t| waits_for(&t.depends_on)),
            Self::Lease(c) => {
                let mut reads = waits_for(&ctx.leases.iter().copied().collect::<Vec<_>>());
                reads.extend(c.spending(id, loaded).reads(ctx));
                reads
            }
            Self::Submit(c) => vec![c.agent.into()],
            Self::Review(c) => {
                let producer =
                    task().and_then(|t| t.submission).map(|s| AggregateRef::from(s.producer));
                producer.into_iter().chain([c.reviewer.into()]).collect()
            }
            Self::Heartbeat(_)
            | Self::Release(_)
            | Self::Escalate(_)
            | Self::Fail(_)
            | Self::Quarantine(_) => task()
                .and_then(|t| t.lease)
                .map(|l| AggregateRef::from(l.agent))
                .into_iter()
                .collect(),
            Self::OpenHistory(_)
            | Self::Resolve(_)
            | Self::Cancel(_)
            | Self::Expire(_)
            | Self::RecordActivity(_)
            | Self::CloseHistory(_) => Vec::new(),
        };
        if let (Some(_), agent) = self.cost() {
            reads.extend(
                Spending::of(loaded, ctx.own_agent().or(agent), Some(id), None)
                    .charge_reads(ctx, loaded),
            );
        }
        reads
    }

    fn task(&self, ctx: &Context) -> Option<TaskId> {
        match self {
            Self::OpenHistory(_) => None,
            Self::Plan(_)
            | Self::Offer(_)
            | Self::Lease(_)
            | Self::Heartbeat(_)
            | Self::Release(_)
            | Self::Submit(_)
            | Self::Review(_)
            | Self::Escalate(_)
            | Self::Resolve(_)
            | Self::Fail(_)
            | Self::Quarantine(_)
            | Self::Cancel(_)
            | Self::Expire(_)
            | Self::RecordActivity(_)
            | Self::CloseHistory(_) => Some(TaskId(ctx.target)),
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        inputs.amount = self.cost().0.and_then(CostInput::money);
        inputs.in_the_name_of_an_agent = match self {
            Self::Lease(_)
            | Self::Heartbeat(_)
            | Self::Release(_)
            | Self::Submit(_)
            | Self::Review(_)
            | Self::Fail(_)
            | Self::Quarantine(_) => true,
            Self::Escalate(c) => c.fencing_token.is_some(),
            Self::Plan(_)
            | Self::Offer(_)
            | Self::Resolve(_)
            | Self::Cancel(_)
            | Self::Expire(_)
            | Self::RecordActivity(_)
            | Self::OpenHistory(_)
            | Self::CloseHistory(_) => false,
        };
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        if let Self::OpenHistory(c) = self {
            return Ok(history::open(c, ctx));
        }
        let id = TaskId(ctx.target);
        let task = loaded.get(id)?;
        let status = task.status.unwrap_or(Status::Planned);
        let events = self.on_task(task, status, ctx, loaded)?;
        let (cost, agent) = self.cost();
        // A late result changes nothing of the task, and so spends nothing for it.
        let late = matches!(
            events.first(),
            Some(Event::Tasks(domain::tasks::Event::LateResultRecorded(_)))
        );
        let spent = if late { Changes::new() } else { spent(cost, agent, ctx, loaded)? };
        Ok(events.into_iter().map(|e| (id.into(), e)).chain(spent).collect())
    }
}
