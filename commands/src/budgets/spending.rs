//! Money that is set aside, spent or freed, in every budget that counts it and in the same append
//! as the event that it pays for.

use std::collections::BTreeSet;

use domain::approvals::{ApprovalStatus, Requested};
use domain::budgets::{Budget, Overrun, Released, Reserved, Scope, Settled, Window};
use domain::ids::{AgentId, ApprovalId, BudgetId, ReservationId, TaskId};
use domain::values::{Amount, Name, Team};
use domain::{AggregateRef, BusinessId, Money, Timestamp};

use crate::Refusal;
use crate::approvals;
use crate::root::{Changes, Context, LoadedAggregates};

/// Most expired reservations of one budget that one new reservation frees.
const EXPIRED_MAX: usize = 100;

/// What money is spent for. Each part adds its budgets to those that count the money.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spending {
    /// Teams of the agent, of the task and of the holder, and a team that the command names.
    pub(crate) teams: BTreeSet<Team>,
    pub(crate) agent: Option<AgentId>,
    /// The agent that holds the task, if a service or a human named another agent.
    pub(crate) holder: Option<AgentId>,
    pub(crate) task: Option<TaskId>,
    pub(crate) connector: Option<Name>,
}

impl Spending {
    /// Takes the teams from the agent and the task, as far as these are loaded. If no agent is
    /// named, the holder of the task counts as the agent.
    pub(crate) fn of(
        loaded: &LoadedAggregates,
        agent: Option<AgentId>,
        task: Option<TaskId>,
        connector: Option<Name>,
    ) -> Self {
        let at_task = task.and_then(|id| loaded.if_loaded(id));
        let agent = agent.or(at_task.and_then(|t| t.lease).map(|lease| lease.agent));
        let of_agent = agent.and_then(|id| loaded.if_loaded(id)).and_then(|a| a.team);
        let teams = of_agent.into_iter().chain(at_task.and_then(|t| t.team)).collect();
        Self { teams, agent, holder: None, task, connector }
    }

    /// Adds the task's holder, whose budgets must have room too: a service or human that names
    /// another agent does not spare the holder's budget. For an agent nothing is added, because its
    /// credentials say who spends.
    pub(crate) fn with_holder(mut self, ctx: &Context, loaded: &LoadedAggregates) -> Self {
        let held = self
            .task
            .and_then(|id| loaded.if_loaded(id))
            .and_then(|task| task.lease)
            .map(|lease| lease.agent);
        self.holder =
            held.filter(|holder| ctx.own_agent().is_none() && Some(*holder) != self.agent);
        self.teams
            .extend(self.holder.and_then(|id| loaded.if_loaded(id)).and_then(|agent| agent.team));
        self
    }

    /// Ids of all budgets that could match: of the business and of each part, for each window.
    pub(crate) fn budgets(&self, business: BusinessId) -> Vec<BudgetId> {
        let mut scopes = vec![Scope::Business {}];
        scopes.extend(self.teams.iter().copied().map(Scope::Team));
        scopes.extend(self.agent.into_iter().chain(self.holder).map(Scope::Agent));
        scopes.extend(self.task.map(Scope::Task));
        scopes.extend(self.connector.clone().map(Scope::Connector));
        scopes
            .iter()
            .flat_map(|scope| Window::ALL.iter().map(|w| BudgetId::of(business, scope, *w)))
            .collect()
    }

    /// Aggregates that must be read to set money aside.
    pub(crate) fn reads(&self, ctx: &Context) -> Vec<AggregateRef> {
        let budgets = self.budgets(ctx.business).into_iter().map(AggregateRef::from);
        budgets.chain(self.agent.into_iter().chain(self.holder).map(AggregateRef::from)).collect()
    }

    /// Aggregates that must be read to spend money that was not set aside.
    pub(crate) fn charge_reads(
        &self,
        ctx: &Context,
        loaded: &LoadedAggregates,
    ) -> Vec<AggregateRef> {
        let reservation = ReservationId(ctx.target);
        let mut reads = settle_reads(ctx, loaded, &self.budgets(ctx.business), reservation);
        reads.extend(self.agent.map(AggregateRef::from));
        reads
    }

    /// The matching budgets that have a limit, each with its limit and window.
    fn set<'a>(
        &self,
        ctx: &Context,
        loaded: &'a LoadedAggregates,
    ) -> Result<Vec<(BudgetId, &'a Budget, Money, Window)>, Refusal> {
        let mut set = Vec::new();
        for id in self.budgets(ctx.business) {
            let budget = loaded.get(id)?;
            if let (Some(limit), Some(window)) = (budget.limit, budget.window) {
                set.push((id, budget, limit, window));
            }
        }
        Ok(set)
    }

    /// True if a matching budget has a limit.
    pub(crate) fn is_counted(
        &self,
        ctx: &Context,
        loaded: &LoadedAggregates,
    ) -> Result<bool, Refusal> {
        self.set(ctx, loaded).map(|set| !set.is_empty())
    }
}

/// A reservation to be made.
pub(crate) struct Aside {
    pub(crate) reservation: ReservationId,
    pub(crate) agent: Option<AgentId>,
    /// When the reservation expires; `None` = it stands until its call has an outcome.
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) fn positive(field: &'static str, money: Money) -> Result<(), Refusal> {
    if money.amount > Amount::ZERO {
        Ok(())
    } else {
        Err(Refusal::OutOfRange { field, rule: "more than zero" })
    }
}

/// Id of the approval that an overrun of this reservation would ask for. It depends on what the
/// budget has used, so the next overrun has another id.
fn overrun_approval(reservation: ReservationId, id: BudgetId, budget: &Budget) -> ApprovalId {
    let used: Vec<String> =
        budget.used.iter().map(|(period, amount)| format!("{period}={amount}")).collect();
    ApprovalId(uuid::Uuid::new_v5(&reservation.0, format!("{id} {}", used.join(" ")).as_bytes()))
}

/// Aggregates that settling reads: the budgets, the approvals that it may open or has opened, and
/// the approval policy.
pub(crate) fn settle_reads(
    ctx: &Context,
    loaded: &LoadedAggregates,
    ids: &[BudgetId],
    reservation: ReservationId,
) -> Vec<AggregateRef> {
    let approval = |id: &BudgetId| {
        loaded.if_loaded(*id).map(|budget| overrun_approval(reservation, *id, budget).into())
    };
    let asked = |id: &BudgetId| {
        loaded.if_loaded(*id).and_then(|budget| budget.raise_asked).map(AggregateRef::from)
    };
    let each = ids.iter().flat_map(|id| [Some(AggregateRef::from(*id)), approval(id), asked(id)]);
    each.flatten().chain([ctx.business.approval_policy().into()]).collect()
}

/// Refuses new work of a scope whose budget is used up: spent and set aside reach the limit.
pub(crate) fn used_up(
    ctx: &Context,
    loaded: &LoadedAggregates,
    spending: &Spending,
) -> Result<(), Refusal> {
    for (id, budget, limit, window) in spending.set(ctx, loaded)? {
        let period = window.period(ctx.now);
        let lapsed = budget.reservations.values().filter(|r| {
            r.period == period && r.expires_at.is_some_and(|at| ctx.has_surely_come(at))
        });
        let used =
            lapsed.fold(budget.used_in(&period), |used, r| used.minus(r.amount).unwrap_or(used));
        if used >= limit.amount {
            return Err(Refusal::BudgetUsedUp { budget: id });
        }
    }
    Ok(())
}

/// Sets money aside in every matching budget that has a limit, or in none if one lacks room.
/// Frees the expired reservations of those budgets first.
pub(crate) fn reserve(
    ctx: &Context,
    loaded: &LoadedAggregates,
    spending: &Spending,
    aside: &Aside,
    amount: Money,
) -> Result<(Vec<BudgetId>, Changes), Refusal> {
    positive("amount", amount)?;
    let set = spending.set(ctx, loaded)?;
    let budgets: Vec<BudgetId> = set.iter().map(|(id, ..)| *id).collect();
    let mut changes = Changes::new();
    for (id, budget, limit, window) in set {
        if limit.currency != amount.currency {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: amount.currency });
        }
        if budget.reservations.contains_key(&aside.reservation) {
            return Err(Refusal::Exists { what: "reservation" });
        }
        let period = window.period(ctx.now);
        let mut used = budget.used_in(&period);
        // Each is freed in this budget; in its other ones the next reservation there does it.
        let expired = budget
            .reservations
            .iter()
            .filter(|(_, r)| r.expires_at.is_some_and(|at| ctx.has_surely_come(at)));
        for (reservation, open) in expired.take(EXPIRED_MAX) {
            if open.period == period {
                used = used.minus(open.amount).unwrap_or(used);
            }
            changes.push((id.into(), Released { reservation: *reservation }.into()));
        }
        let left = limit.amount.minus(used).unwrap_or_default();
        if used >= limit.amount {
            return Err(Refusal::BudgetUsedUp { budget: id });
        }
        if amount.amount > left {
            return Err(Refusal::BudgetExceeded {
                budget: id,
                left: Money { amount: left, ..limit },
                wanted: amount,
            });
        }
        let (reservation, agent, expires_at) = (aside.reservation, aside.agent, aside.expires_at);
        changes.push((
            id.into(),
            Reserved { reservation, amount, period, budgets: budgets.clone(), agent, expires_at }
                .into(),
        ));
    }
    Ok((budgets, changes))
}

/// Closes a reservation with what was spent; beyond what was set aside, an overrun is put on record
/// and, where the approval policy wants it, approval of a raise is asked for.
pub(crate) fn settle(
    ctx: &Context,
    loaded: &LoadedAggregates,
    ids: &[BudgetId],
    reservation: ReservationId,
    spent: Money,
) -> Result<Changes, Refusal> {
    if spent.is_negative() {
        return Err(Refusal::OutOfRange { field: "amount", rule: "zero or more" });
    }
    let mut changes = Changes::new();
    for (n, id) in (1..).zip(ids) {
        let budget = loaded.get(*id)?;
        // A reservation that expired may be freed in one of its budgets and still stand in another.
        let (Some(open), Some(limit)) = (budget.reservations.get(&reservation), budget.limit)
        else {
            continue;
        };
        if limit.currency != spent.currency {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: spent.currency });
        }
        changes.push(((*id).into(), Settled { reservation, amount: spent }.into()));
        if let Some(over) = spent.amount.minus(open.amount).filter(|over| *over > Amount::ZERO) {
            let reserved = Money { amount: open.amount, ..limit };
            changes.extend(overrun(
                ctx,
                loaded,
                n,
                *id,
                Overran { reservation, reserved, spent, over },
            )?);
        }
    }
    if changes.is_empty() { Err(Refusal::ReservationUnknown { reservation }) } else { Ok(changes) }
}

/// Counts money that was spent without being set aside, in every matching budget: what fits is
/// reserved and settled at once, what does not fit is an overrun.
pub(crate) fn charge(
    ctx: &Context,
    loaded: &LoadedAggregates,
    spending: &Spending,
    spent: Money,
) -> Result<Changes, Refusal> {
    if ctx.actor.historic || spent.amount == Amount::ZERO {
        return Ok(Changes::new());
    }
    let reservation = ReservationId(ctx.target);
    let set = spending.set(ctx, loaded)?;
    let budgets: Vec<BudgetId> = set.iter().map(|(id, ..)| *id).collect();
    let mut changes = Changes::new();
    for (n, (id, budget, limit, window)) in (1..).zip(set) {
        if limit.currency != spent.currency {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: spent.currency });
        }
        let period = window.period(ctx.now);
        let left = limit
            .amount
            .minus(budget.used_in(&period))
            .filter(|left| *left > Amount::ZERO)
            .unwrap_or(Amount::ZERO);
        let amount = Money { amount: spent.amount.min(left), ..limit };
        changes.push((
            id.into(),
            Reserved {
                reservation,
                amount,
                period,
                budgets: budgets.clone(),
                agent: spending.agent,
                expires_at: None,
            }
            .into(),
        ));
        changes.push((id.into(), Settled { reservation, amount: spent }.into()));
        if let Some(over) = spent.amount.minus(amount.amount).filter(|over| *over > Amount::ZERO) {
            changes.extend(overrun(
                ctx,
                loaded,
                n,
                id,
                Overran { reservation, reserved: amount, spent, over },
            )?);
        }
    }
    Ok(changes)
}

/// A reservation that was overrun, and by how much.
struct Overran {
    reservation: ReservationId,
    reserved: Money,
    spent: Money,
    over: Amount,
}

fn overrun(
    ctx: &Context,
    loaded: &LoadedAggregates,
    n: u8,
    id: BudgetId,
    overran: Overran,
) -> Result<Changes, Refusal> {
    let Overran { reservation, reserved, spent, over } = overran;
    let by = Money { amount: over, currency: spent.currency };
    let raise = approvals::IntendedCommand {
        r#type: "budgets.raise".parse().map_err(|_| Refusal::Unknown { what: "command" })?,
        id: id.0,
        data: serde_json::json!({"by": by}).into(),
    };
    let budget = loaded.get(id)?;
    // One request at a time: who overruns again and again does not flood the approvers.
    if let Some(open) = budget.raise_asked {
        let asked = loaded.get(open)?;
        if asked.status == Some(ApprovalStatus::Requested) && ctx.now < asked.expires_at {
            return Ok(vec![(
                id.into(),
                Overrun { reservation, reserved, spent, approval: Some(open) }.into(),
            )]);
        }
    }
    let approval = overrun_approval(reservation, id, budget);
    let request: Option<Requested> = match approvals::request_of_a_rule(ctx, loaded, n, &raise) {
        Ok(event) => Some(event),
        Err(Refusal::NoApprovalNeeded | Refusal::Forbidden { .. }) => None,
        Err(other) => return Err(other),
    };
    let asked = request.is_some().then_some(approval);
    let mut changes: Changes =
        vec![(id.into(), Overrun { reservation, reserved, spent, approval: asked }.into())];
    changes.extend(request.map(|event| (approval.into(), event.into())));
    Ok(changes)
}

/// Frees a reservation in its budgets; budgets that no longer hold it are skipped.
pub(crate) fn release(
    loaded: &LoadedAggregates,
    ids: &[BudgetId],
    reservation: ReservationId,
) -> Result<Changes, Refusal> {
    let mut changes = Changes::new();
    for id in ids {
        if loaded.get(*id)?.reservations.contains_key(&reservation) {
            changes.push(((*id).into(), Released { reservation }.into()));
        }
    }
    Ok(changes)
}
