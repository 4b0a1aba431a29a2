//! Leases: who holds a task, until when, and who may take it next.

use domain::agents::AgentRole;
use domain::ids::{AgentId, TaskId};
use domain::tasks::{Lease as HeldLease, LeaseExpired, LeaseExtended, Leased, Status, Task};

use super::{Decided, Heartbeat, LEASE_SECONDS, LEASE_SECONDS_DEFAULT, Lease, team_member, wrong};
use crate::Refusal;
use crate::agents::acting_as;
use crate::budgets::{self, Spending};
use crate::root::{Context, LoadedAggregates};

/// The lease with this token, or `lease_lost`. A token is a small number that anybody can guess:
/// the actor must be the holder, or act for the holder openly.
pub(super) fn holds(
    task: &Task,
    token: u32,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<HeldLease, Refusal> {
    match task.lease {
        Some(lease) if task.fencing_token == token => {
            acting_as(ctx, loaded, lease.agent)?;
            Ok(lease)
        }
        Some(_) | None => Err(Refusal::LeaseLost { token, current: task.fencing_token }),
    }
}

pub(super) fn lease(
    c: &Lease,
    task: &Task,
    status: Status,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Decided {
    let lease_seconds = c.lease_seconds.unwrap_or(LEASE_SECONDS_DEFAULT);
    if !LEASE_SECONDS.contains(&lease_seconds) {
        return Err(Refusal::OutOfRange { field: "lease_seconds", rule: "120 to 86400" });
    }
    team_member(ctx, loaded, c.agent, AgentRole::Producer, task.team)?;
    if !ctx.actor.historic {
        budgets::used_up(ctx, loaded, &c.spending(TaskId(ctx.target), loaded))?;
        leases_left(c.agent, ctx, loaded)?;
    }
    let mut events = Vec::new();
    match (status, task.lease) {
        (Status::Offered, _) => {}
        // Nobody has to wait for the policy that expires leases: who wants the task may do it too.
        (Status::Leased, Some(held)) if ctx.has_come(held.expires_at)? => {
            events.push(
                LeaseExpired { fencing_token: task.fencing_token, expired_at: held.expires_at }
                    .into(),
            );
        }
        (Status::Leased, Some(held)) => {
            return Err(Refusal::LeaseHeld { expires_at: held.expires_at });
        }
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
    events.push(
        Leased { agent: c.agent, fencing_token: task.fencing_token + 1, lease_seconds, expires_at }
            .into(),
    );
    Ok(events)
}

pub(super) fn heartbeat(
    c: &Heartbeat,
    task: &Task,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Decided {
    let lease = holds(task, c.fencing_token, ctx, loaded)?;
    // It counts for nothing any more, and so nothing may bring it back to life: who wants the task
    // leases it, within their concurrency and budgets.
    if ctx.has_ended(lease.expires_at)? {
        return Err(Refusal::LeaseLost { token: c.fencing_token, current: task.fencing_token });
    }
    if lease.expires_at.seconds_since(ctx.now) * 3 >= u64::from(lease.lease_seconds) {
        return Ok(Vec::new());
    }
    let expires_at = ctx.now.plus_seconds(u64::from(lease.lease_seconds));
    Ok(vec![LeaseExtended { fencing_token: c.fencing_token, expires_at }.into()])
}

pub(super) fn expire(task: &Task, status: Status, ctx: &Context) -> Decided {
    match task.lease {
        Some(lease) if ctx.has_come(lease.expires_at)? => Ok(vec![
            LeaseExpired { fencing_token: task.fencing_token, expired_at: lease.expires_at }.into(),
        ]),
        Some(lease) => Err(Refusal::LeaseHeld { expires_at: lease.expires_at }),
        None if status == Status::Offered => Ok(Vec::new()),
        None => Err(wrong(status, "leased")),
    }
}

/// Refuses an agent that holds as many tasks as its concurrency allows.
fn leases_left(id: AgentId, ctx: &Context, loaded: &LoadedAggregates) -> Result<(), Refusal> {
    let mut still = 0;
    for task in ctx.leases.iter().filter(|task| **task != TaskId(ctx.target)) {
        still += usize::from(
            loaded
                .get(*task)?
                .lease
                .is_some_and(|l| l.agent == id && !ctx.has_surely_come(l.expires_at)),
        );
    }
    if still >= usize::from(loaded.get(id)?.concurrency) {
        Err(Refusal::TooManyLeases { agent: id, held: still })
    } else {
        Ok(())
    }
}

impl Lease {
    pub(super) fn spending(&self, task: TaskId, loaded: &LoadedAggregates) -> Spending {
        Spending::of(loaded, Some(self.agent), Some(task), None)
    }
}
