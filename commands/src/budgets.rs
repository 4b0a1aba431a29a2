//! Budgets: money is set aside before it is spent, in every budget that matches, in the append of
//! what it pays for; so two agents can't spend the same money.

use domain::approvals::ActionFacts;
use domain::budgets::{Budget, LimitSet, Overrun, Raised, Released, Reserved, Scope, Settled, Window};
use domain::ids::{AgentId, ApprovalId, BudgetId, CallId, ReservationId, TaskId};
use domain::values::{Amount, Name, Team};
use domain::{AggregateRef, BusinessId, Event, Money};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::approvals;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("budgets" {
    /// Gives a scope a limit; lowers it when there is one.
    Set = "set" opens Budget,
    /// Raises a limit.
    Raise = "raise" on Budget,
    /// Sets money aside in every budget that matches; `id` names the reservation.
    Reserve = "reserve" opens Budget,
    /// Says what was spent of it; `id` is one of the budgets.
    Settle = "settle" on Budget,
    /// Frees it; `id` is one of the budgets.
    Release = "release" on Budget,
});

/// Gives a scope a limit; lowers it when there is one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// What it is for.
    pub scope: Scope,
    /// How long it must last.
    pub window: Window,
    /// How much.
    pub limit: Money,
}

/// Raises a limit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// By how much.
    pub by: Money,
}

/// What money is for; each part that is named brings its budgets in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Purpose {
    /// A team.
    pub team: Option<Team>,
    /// An agent.
    pub agent: Option<AgentId>,
    /// A task.
    pub task: Option<TaskId>,
    /// An outside service.
    pub connector: Option<Name>,
}

/// Sets money aside in every budget that matches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// How much.
    pub amount: Money,
    /// What for; the whole business when it is left out.
    #[serde(default)]
    pub purpose: Purpose,
}

/// Says what was spent of a reservation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// Which reservation.
    pub reservation: ReservationId,
    /// What was spent.
    pub amount: Money,
}

/// Frees a reservation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which reservation.
    pub reservation: ReservationId,
}

/// Every budget that could match: the business and what the purpose names, in each window.
pub(crate) fn candidates(business: BusinessId, purpose: &Purpose) -> Vec<BudgetId> {
    let mut scopes = vec![Scope::Business {}];
    scopes.extend(purpose.team.map(Scope::Team));
    scopes.extend(purpose.agent.map(Scope::Agent));
    scopes.extend(purpose.task.map(Scope::Task));
    scopes.extend(purpose.connector.clone().map(Scope::Connector));
    scopes.iter().flat_map(|scope| Window::ALL.iter().map(|w| BudgetId::of(business, scope, *w))).collect()
}

fn positive(field: &'static str, money: Money) -> Result<(), Refusal> {
    if money.amount > Amount::ZERO { Ok(()) } else { Err(Refusal::OutOfRange { field, rule: "more than zero" }) }
}

/// The approval that an overrun of this reservation in this budget would ask for.
fn overrun_approval(reservation: ReservationId, budget: BudgetId) -> ApprovalId {
    ApprovalId(uuid::Uuid::new_v5(&reservation.0, budget.0.as_bytes()))
}

/// What settling reads: the budgets, the approvals it may open, and the approval policy.
pub(crate) fn settle_reads(business: BusinessId, ids: &[BudgetId], reservation: ReservationId) -> Vec<AggregateRef> {
    let each = ids.iter().flat_map(|id| [AggregateRef::from(*id), overrun_approval(reservation, *id).into()]);
    each.chain([approvals::policy_ref(business)]).collect()
}

/// Sets money aside in each of those budgets that is set; in none when it does not fit one.
pub(crate) fn reserve(
    ctx: &Context,
    seen: &Boundary,
    ids: &[BudgetId],
    reservation: ReservationId,
    amount: Money,
) -> Result<(Vec<BudgetId>, Changes), Refusal> {
    positive("amount", amount)?;
    let set: Vec<(BudgetId, Money, Window)> = ids
        .iter()
        .filter_map(|id| {
            let budget = seen.budget(*id);
            Some((*id, budget.limit?, budget.window?))
        })
        .collect();
    let budgets: Vec<BudgetId> = set.iter().map(|(id, _, _)| *id).collect();
    let mut changes = Changes::new();
    for (id, limit, window) in set {
        if limit.currency != amount.currency {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: amount.currency });
        }
        let budget = seen.budget(id);
        if budget.reservations.contains_key(&reservation) {
            return Err(Refusal::Exists { what: "reservation" });
        }
        let period = window.period(ctx.now);
        let left = limit.amount.minus(budget.used_in(&period)).unwrap_or_default();
        if amount.amount > left {
            return Err(Refusal::BudgetExceeded { budget: id, left: Money { amount: left, ..limit }, wanted: amount });
        }
        changes.push((id.into(), Reserved { reservation, amount, period, budgets: budgets.clone() }.into()));
    }
    Ok((budgets, changes))
}

/// Closes a reservation with what was spent; beyond what was set aside, an overrun is put on record
/// and, where the approval policy wants it, approval of a raise is asked for.
pub(crate) fn settle(ctx: &Context, seen: &Boundary, ids: &[BudgetId], reservation: ReservationId, spent: Money) -> Result<Changes, Refusal> {
    if spent.is_negative() {
        return Err(Refusal::OutOfRange { field: "amount", rule: "zero or more" });
    }
    let mut changes = Changes::new();
    for (n, id) in (1..).zip(ids) {
        let budget = seen.budget(*id);
        let (Some(open), Some(limit)) = (budget.reservations.get(&reservation), budget.limit) else {
            return Err(Refusal::ReservationUnknown { reservation });
        };
        if limit.currency != spent.currency {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: spent.currency });
        }
        changes.push(((*id).into(), Settled { reservation, amount: spent }.into()));
        if let Some(over) = spent.amount.minus(open.amount).filter(|over| *over > Amount::ZERO) {
            changes.extend(overrun(ctx, seen, n, *id, reservation, Money { amount: open.amount, ..limit }, spent, over)?);
        }
    }
    Ok(changes)
}

#[allow(clippy::too_many_arguments, reason = "one fact with many parts")]
fn overrun(
    ctx: &Context,
    seen: &Boundary,
    n: u8,
    id: BudgetId,
    reservation: ReservationId,
    reserved: Money,
    spent: Money,
    over: Amount,
) -> Result<Changes, Refusal> {
    let by = Money { amount: over, currency: spent.currency };
    let raise = approvals::IntendedCommand {
        r#type: "budgets.raise".parse().map_err(|_| Refusal::Unknown { what: "command" })?,
        id: id.0,
        data: serde_json::json!({"by": by}).into(),
    };
    let approval = overrun_approval(reservation, id);
    let asked = approvals::open_request(ctx, seen, n, &raise, Vec::new(), ctx.business.as_subject());
    let (approval, request): (Option<ApprovalId>, Option<Event>) = match asked {
        Ok(event) => (Some(approval), Some(event.into())),
        Err(Refusal::NoApprovalNeeded | Refusal::Forbidden { .. }) => (None, None),
        Err(other) => return Err(other),
    };
    let mut changes: Changes = vec![(id.into(), Overrun { reservation, reserved, spent, approval }.into())];
    changes.extend(approval.zip(request).map(|(a, event)| (a.into(), event)));
    Ok(changes)
}

/// Frees a reservation in each of those budgets.
pub(crate) fn release(seen: &Boundary, ids: &[BudgetId], reservation: ReservationId) -> Changes {
    let open = |id: &&BudgetId| seen.budget(**id).reservations.contains_key(&reservation);
    ids.iter().filter(open).map(|id| ((*id).into(), Released { reservation }.into())).collect()
}

fn set(c: &Set, ctx: &Context, budget: &Budget) -> Result<Vec<Event>, Refusal> {
    let expected = BudgetId::of(ctx.business, &c.scope, c.window);
    if expected.0 != ctx.target {
        return Err(Refusal::WrongId { what: "budget", expected: expected.0 });
    }
    if c.limit.is_negative() {
        return Err(Refusal::OutOfRange { field: "limit", rule: "zero or more" });
    }
    match budget.limit {
        Some(limit) if limit == c.limit => return Ok(Vec::new()),
        Some(limit) if limit.currency != c.limit.currency => return Err(Refusal::WrongCurrency { budget: limit.currency, given: c.limit.currency }),
        Some(limit) if c.limit.amount > limit.amount => return Err(Refusal::RaiseInstead { limit }),
        Some(_) | None => {}
    }
    Ok(vec![LimitSet { scope: c.scope.clone(), window: c.window, limit: c.limit }.into()])
}

fn raise(c: &Raise, budget: &Budget) -> Result<Vec<Event>, Refusal> {
    let Some(limit) = budget.limit else { return Err(Refusal::Unknown { what: "budget" }) };
    positive("by", c.by)?;
    if limit.currency != c.by.currency {
        return Err(Refusal::WrongCurrency { budget: limit.currency, given: c.by.currency });
    }
    let amount = limit.amount.plus(c.by.amount).ok_or(Refusal::OutOfRange { field: "by", rule: "small enough to be added" })?;
    Ok(vec![Raised { by: c.by, limit: Money { amount, ..limit } }.into()])
}

/// Every budget of a reservation, from one of them.
fn siblings(budget: &Budget, reservation: ReservationId) -> Vec<BudgetId> {
    budget.reservations.get(&reservation).map(|r| r.budgets.clone()).unwrap_or_default()
}

/// The budgets of a reservation that was made for itself, not for a call.
fn own_reservation(seen: &Boundary, budget: &Budget, reservation: ReservationId) -> Result<Vec<BudgetId>, Refusal> {
    let ids = siblings(budget, reservation);
    if ids.is_empty() {
        return Err(Refusal::ReservationUnknown { reservation });
    }
    if seen.call(CallId(reservation.0)).status.is_some() {
        return Err(Refusal::ReservationOfCall { reservation });
    }
    Ok(ids)
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, seen: &Boundary) -> Vec<AggregateRef> {
        let id = BudgetId(ctx.target);
        // A reservation of a call is settled by the call's outcome, and by nothing else.
        let closing = |reservation: ReservationId| {
            let budgets = [vec![id], siblings(&seen.budget(id), reservation)].concat();
            let mut reads = settle_reads(ctx.business, &budgets, reservation);
            reads.push(CallId(reservation.0).into());
            reads
        };
        match self {
            Self::Set(_) | Self::Raise(_) => vec![id.into()],
            Self::Reserve(c) => candidates(ctx.business, &c.purpose).into_iter().map(AggregateRef::from).collect(),
            Self::Settle(c) => closing(c.reservation),
            Self::Release(c) => closing(c.reservation),
        }
    }

    fn facts(&self, facts: &mut ActionFacts) {
        facts.amount = match self {
            Self::Set(c) => Some(c.limit),
            Self::Raise(c) => Some(c.by),
            Self::Reserve(c) => Some(c.amount),
            Self::Settle(c) => Some(c.amount),
            Self::Release(_) => None,
        };
        if let Self::Reserve(c) = self {
            facts.connector.clone_from(&c.purpose.connector);
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = BudgetId(ctx.target);
        let budget = seen.budget(id);
        let here = |events: Vec<Event>| events.into_iter().map(|e| (id.into(), e)).collect();
        match self {
            Self::Set(c) => set(c, ctx, &budget).map(here),
            Self::Raise(c) => raise(c, &budget).map(here),
            Self::Reserve(c) => {
                let (budgets, changes) = reserve(ctx, seen, &candidates(ctx.business, &c.purpose), ReservationId(ctx.target), c.amount)?;
                if budgets.is_empty() { Err(Refusal::NoBudget) } else { Ok(changes) }
            }
            Self::Settle(c) => {
                let ids = own_reservation(seen, &budget, c.reservation)?;
                settle(ctx, seen, &ids, c.reservation, c.amount)
            }
            Self::Release(c) => {
                let ids = own_reservation(seen, &budget, c.reservation)?;
                Ok(release(seen, &ids, c.reservation))
            }
        }
    }
}
