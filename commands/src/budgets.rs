//! Budgets: money is set aside before it is spent, in every budget that matches, in the append of
//! what it pays for; so two agents can't spend the same money.

use domain::approvals::CarriedInputs;
use domain::budgets::{Budget, LimitSet, Raised, Scope, Window};
use domain::ids::{AgentId, BudgetId, CallId, ReservationId, TaskId};
use domain::values::{Name, Team};
use domain::{AggregateRef, Event, Money};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::agents::{acting_as, own_team};
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

mod spending;

use spending::positive;
pub(crate) use spending::{
    Aside, Spending, charge, release, reserve, settle, settle_reads, used_up,
};

/// How long a reservation may stand, in seconds.
const RESERVATION_SECONDS: std::ops::RangeInclusive<u32> = 60..=7_776_000;
/// Seconds that a reservation stands if the command does not say how long: 7 days.
const RESERVATION_SECONDS_DEFAULT: u32 = 7 * 86_400;

commands!("budgets" {
    /// Sets the limit of a budget; a limit that is set already can only be lowered.
    Set = "set" sets Budget {
        from: [Owner] of Business,
        target: Target::Derived(|c, business| BudgetId::of(business, &c.scope, c.window).0),
        carries: [Amount],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The part of the business whose spending the budget limits.
        scope: Scope,
        /// How long the limit must last: the life of the business, or a UTC day, week or month.
        window: Window,
        /// The most that may be spent or set aside in one such period.
        limit: Money,
    }

    /// Raises the limit of a budget.
    Raise = "raise" acts Budget {
        from: [Owner] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Amount that is added to the limit.
        by: Money,
    }

    /// Sets money aside in every budget that matches.
    Reserve = "reserve" sets Budget {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount, Connector],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Amount to set aside.
        amount: Money,
        /// What the money is for; absent = the whole business.
        #[serde(default)]
        purpose: Purpose,
        /// How long the reservation stands, 60 to 7,776,000 seconds; absent = 7 days. Afterwards
        /// anybody may release it.
        #[serde(default)]
        expires_after_seconds: Option<u32>,
    }

    /// Closes a reservation with the amount that was spent.
    Settle = "settle" acts Budget {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The reservation to close.
        reservation: ReservationId,
        /// Amount that was spent.
        amount: Money,
    }

    /// Closes a reservation and frees its money.
    Release = "release" acts Budget {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The reservation to close.
        reservation: ReservationId,
    }
});

/// What money is for. Each part that is named adds its budgets to those that must have room.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Purpose {
    /// The team that the money is for; absent = none.
    pub team: Option<Team>,
    /// The agent that spends the money; absent = none.
    pub agent: Option<AgentId>,
    /// The task that the money is for; absent = none.
    pub task: Option<TaskId>,
    /// The outside service that the money is spent on; absent = none.
    pub connector: Option<Name>,
}

fn set(c: &Set, budget: &Budget) -> Result<Option<Event>, Refusal> {
    if c.limit.is_negative() {
        return Err(Refusal::OutOfRange { field: "limit", rule: "zero or more" });
    }
    match budget.limit {
        Some(limit) if limit == c.limit => return Ok(None),
        Some(limit) if limit.currency != c.limit.currency => {
            return Err(Refusal::WrongCurrency { budget: limit.currency, given: c.limit.currency });
        }
        Some(limit) if c.limit.amount > limit.amount => {
            return Err(Refusal::RaiseInstead { limit });
        }
        Some(_) | None => {}
    }
    Ok(Some(LimitSet { scope: c.scope.clone(), window: c.window, limit: c.limit }.into()))
}

fn raise(c: &Raise, budget: &Budget) -> Result<Option<Event>, Refusal> {
    let Some(limit) = budget.limit else { return Err(Refusal::Unknown { what: "budget" }) };
    positive("by", c.by)?;
    if limit.currency != c.by.currency {
        return Err(Refusal::WrongCurrency { budget: limit.currency, given: c.by.currency });
    }
    let amount = limit
        .amount
        .plus(c.by.amount)
        .filter(|sum| sum.is_storable())
        .ok_or(Refusal::OutOfRange { field: "by", rule: "small enough to be added" })?;
    Ok(Some(Raised { by: c.by, limit: Money { amount, ..limit } }.into()))
}

/// The budgets of a reservation that `budgets.reserve` made, not a call, if the actor may close it:
/// its holder, the owner of its agent or an owner of the business. Once the reservation has
/// expired, anybody may release it, but still nobody else may settle it.
fn own_reservation(
    ctx: &Context,
    loaded: &LoadedAggregates,
    reservation: ReservationId,
    frees: bool,
) -> Result<Vec<BudgetId>, Refusal> {
    let budget = loaded.get(BudgetId(ctx.target))?;
    let Some(open) = budget.reservations.get(&reservation) else {
        return Err(Refusal::ReservationUnknown { reservation });
    };
    if loaded.get(CallId(reservation.0))?.status.is_some() {
        return Err(Refusal::ReservationOfCall { reservation });
    }
    let actor = ctx.actor.principal;
    let agents_owner = match open.agent {
        Some(id) => loaded.get(id)?.owner == actor,
        None => false,
    };
    let expired = frees && open.expires_at.is_some_and(|at| ctx.has_surely_come(at));
    if open.holder == actor || agents_owner || ctx.by_owner() || expired {
        Ok(open.budgets.clone())
    } else {
        Err(Refusal::NotYours { who: "its holder, the owner of its agent, or an owner" })
    }
}

impl Reserve {
    /// The spending whose budgets must have room. An agent's credentials say which agent spends.
    fn spending(&self, ctx: &Context, loaded: &LoadedAggregates) -> Spending {
        let agent = ctx.own_agent().or(self.purpose.agent);
        let mut spending =
            Spending::of(loaded, agent, self.purpose.task, self.purpose.connector.clone())
                .with_holder(ctx, loaded);
        spending.teams.extend(self.purpose.team);
        spending
    }
}

fn reserve_for_itself(
    c: &Reserve,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    if let Some(task) = c.purpose.task {
        let task = loaded.get(task)?;
        if task.status.is_none() {
            return Err(Refusal::Unknown { what: "task" });
        }
        own_team(ctx, loaded, None, task.team)?;
    }
    if let Some(team) = c.purpose.team {
        own_team(ctx, loaded, None, Some(team))?;
    }
    if let Some(agent) = c.purpose.agent {
        acting_as(ctx, loaded, agent)?;
    }
    let seconds = c.expires_after_seconds.unwrap_or(RESERVATION_SECONDS_DEFAULT);
    if !RESERVATION_SECONDS.contains(&seconds) {
        return Err(Refusal::OutOfRange { field: "expires_after_seconds", rule: "60 to 7776000" });
    }
    let spending = c.spending(ctx, loaded);
    let aside = Aside {
        reservation: ReservationId(ctx.target),
        agent: spending.agent,
        expires_at: Some(ctx.now.plus_seconds(u64::from(seconds))),
    };
    let (budgets, changes) = reserve(ctx, loaded, &spending, &aside, c.amount)?;
    if budgets.is_empty() { Err(Refusal::NoBudget) } else { Ok(changes) }
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        // A reservation of a call is settled by the call's outcome, and by nothing else.
        let closing = |reservation: ReservationId| {
            let open = loaded
                .if_loaded(BudgetId(ctx.target))
                .and_then(|b| b.reservations.get(&reservation));
            let mut reads =
                settle_reads(ctx, loaded, open.map_or(&[][..], |r| &r.budgets), reservation);
            reads.extend(open.and_then(|r| r.agent).map(AggregateRef::from));
            reads.push(CallId(reservation.0).into());
            reads
        };
        match self {
            Self::Set(_) | Self::Raise(_) => Vec::new(),
            Self::Reserve(c) => {
                let mut reads = c.spending(ctx, loaded).reads(ctx);
                reads.extend(c.purpose.agent.map(AggregateRef::from));
                reads.extend(c.purpose.task.map(AggregateRef::from));
                reads
            }
            Self::Settle(c) => closing(c.reservation),
            Self::Release(c) => closing(c.reservation),
        }
    }

    fn task(&self, _: &Context) -> Option<TaskId> {
        match self {
            Self::Reserve(c) => c.purpose.task,
            Self::Set(_) | Self::Raise(_) | Self::Settle(_) | Self::Release(_) => None,
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            Self::Set(c) => inputs.amount = Some(c.limit),
            Self::Raise(c) => inputs.amount = Some(c.by),
            Self::Reserve(c) => {
                inputs.amount = Some(c.amount);
                inputs.connector.clone_from(&c.purpose.connector);
                inputs.in_the_name_of_an_agent = c.purpose.agent.is_some();
            }
            Self::Settle(c) => inputs.amount = Some(c.amount),
            Self::Release(_) => {}
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = BudgetId(ctx.target);
        let event: Option<Event> = match self {
            Self::Set(c) => set(c, loaded.get(id)?)?,
            Self::Raise(c) => raise(c, loaded.get(id)?)?,
            Self::Reserve(c) => return reserve_for_itself(c, ctx, loaded),
            Self::Settle(c) => {
                let ids = own_reservation(ctx, loaded, c.reservation, false)?;
                return settle(ctx, loaded, &ids, c.reservation, c.amount);
            }
            Self::Release(c) => {
                let ids = own_reservation(ctx, loaded, c.reservation, true)?;
                return release(loaded, &ids, c.reservation);
            }
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
