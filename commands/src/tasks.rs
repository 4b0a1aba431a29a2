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
mod outcomes;
mod review;

pub use commands::*;
use domain::agents::AgentRole;
use domain::approvals::CarriedInputs;
use domain::ids::{AgentId, TaskId};
use domain::tasks::{Offered, Planned, Quarantined, Released, Status, Task};
use domain::values::Team;
use domain::{AggregateRef, Event};
use outcomes::{cancel, escalate, fail, resolve, submit};

use self::lease::holds;
use crate::Refusal;

use crate::agents::{acting_as, own_team};
use crate::budgets::{self, Spending};
use crate::cost::CostInput;
use crate::registry::ContextRules;
use crate::root::{Changes, Context, LoadedAggregates};

/// Lengths a lease may have, in seconds.
pub const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 120..=86_400;
/// Length of a lease if the command does not say, in seconds.
pub const LEASE_SECONDS_DEFAULT: u32 = 900;
/// Rounds of rework that a task may have if the command does not say.
pub const REWORK_ROUNDS_DEFAULT: u16 = 3;
/// Attempts that a task may have if the command does not say.
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

/// Counts what an activity or a result cost in the budgets, whether or not it was set aside. The
/// agent whose credentials sent the command spent it, else the named agent, else the holder.
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
    fn check_fields(&self) -> Result<(), Refusal> {
        self.cost().0.map(CostInput::cost).transpose()?;
        match self {
            Self::RecordActivity(c) => history::check_activity(c),
            Self::CloseHistory(c) => history::check_attributes(c.attributes.as_ref()),
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
            | Self::OpenHistory(_) => Ok(()),
        }
    }

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

    #[allow(clippy::wildcard_enum_match_arm, reason = "`on_task` names every command")]
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
