//! Budgets. Aggregate: `budget`, the money that one scope may spend in one window. There is one
//! budget per scope and window, and its id says which, so that a reservation finds every budget
//! that matches it without a search.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{
    AgentId, ApprovalId, BudgetId, BusinessId, PrincipalId, ReservationId, TaskId, names,
};
use crate::values::{Amount, Currency, Money, Name, Team, Timestamp};

/// The part of a business whose spending a budget limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// The whole business.
    Business {},
    /// One team.
    Team(Team),
    /// One agent.
    Agent(AgentId),
    /// One task.
    Task(TaskId),
    /// One outside service.
    Connector(Name),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Business {} => f.write_str("business"),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Task(id) => write!(f, "task:{id}"),
            Self::Connector(name) => write!(f, "connector:{name}"),
        }
    }
}

names! {
    /// How long the money of a budget must last.
    Window {
        /// The money must last for the life of the business.
        Lifetime = "lifetime",
        /// The money must last for a UTC day.
        Day = "day",
        /// The money must last for an ISO 8601 week in UTC.
        Week = "week",
        /// The money must last for a UTC month.
        Month = "month",
    }
}

impl Window {
    /// The period that a moment falls into, such as `2026-11` for a month.
    #[must_use]
    pub fn period(self, at: Timestamp) -> String {
        match self {
            Self::Lifetime => "lifetime".to_owned(),
            Self::Day => at.date(),
            Self::Week => at.week(),
            Self::Month => at.month(),
        }
    }

    /// The first day of a period, in UTC, such as `2026-11-16` for `2026-W47`; `None` for a period
    /// without an end.
    #[must_use]
    pub fn first_day(period: &str) -> Option<String> {
        let day = |text: &str| text.parse::<jiff::civil::Date>().ok();
        let first = match period.split_once("-W") {
            Some((year, week)) => {
                let (year, week) = (year.parse().ok()?, week.parse().ok()?);
                let monday = jiff::civil::Weekday::Monday;
                jiff::civil::ISOWeekDate::new(year, week, monday).ok()?.date()
            }
            None => day(period).or_else(|| day(&format!("{period}-01")))?,
        };
        Some(first.to_string())
    }
}

impl BudgetId {
    /// The id of the one budget of a scope and window.
    #[must_use]
    pub fn of(business: BusinessId, scope: &Scope, window: Window) -> Self {
        Self(business.derive_id(&format!("budget:{scope}:{window}")))
    }
}

events!("budgets" {
    /// A limit was set for a scope and window: a first one, or a lower one.
    LimitSet = "limit_set" v 1 on Budget, Public {
        /// The part of the business whose spending is limited.
        #[schemars(extend("x-class" = "internal"))]
        scope: Scope,
        /// How long the money must last.
        window: Window,
        /// The most that may be spent in each period of the window.
        limit: Money,
    }

    /// The limit of a budget was raised.
    Raised = "raised" v 1 on Budget, Public {
        /// The amount by which the limit was raised.
        by: Money,
        /// The new limit.
        limit: Money,
    }

    /// Money was set aside in a budget.
    Reserved = "reserved" v 2 on Budget, Public {
        /// The id of the reservation, the same in every budget.
        reservation: ReservationId,
        /// The amount that was set aside in this budget.
        amount: Money,
        /// The period in which the budget counts the money, such as `2026-11` for a month.
        #[schemars(extend("x-class" = "internal"))]
        period: String,
        /// Every budget in which the money is set aside, this one among them.
        budgets: Vec<BudgetId>,
        /// The agent whose work the money is for; absent = no agent.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// From this time on anybody who may release may free the money; absent = never.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    }

    /// A reservation was settled: the amount that was spent counts in its place.
    Settled = "settled" v 1 on Budget, Public {
        /// The id of the reservation that was settled.
        reservation: ReservationId,
        /// The amount that was spent; it can be more than was set aside.
        amount: Money,
    }

    /// A reservation was released: the money that was set aside is free again.
    Released = "released" v 1 on Budget, Public {
        /// The id of the reservation that was released.
        reservation: ReservationId,
    }

    /// A reservation was overrun: more was spent than was set aside.
    Overrun = "overrun" v 1 on Budget, Public {
        /// The id of the reservation that was overrun.
        reservation: ReservationId,
        /// The amount that was set aside in this budget.
        reserved: Money,
        /// The amount that was spent.
        spent: Money,
        /// The open request for approval to raise the budget, made now or at an earlier overrun;
        /// absent = no rule asks for one, or a rule forbids it.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    }
});

/// Money that is set aside in a budget under one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The amount that is set aside, in the currency of the budget.
    pub amount: Amount,
    /// The period in which the budget counts the money.
    pub period: String,
    /// Every budget in which the money is set aside.
    pub budgets: Vec<BudgetId>,
    /// The principal that set the money aside; it may close the reservation, as may the owner of
    /// its agent and the owners of the business.
    pub holder: PrincipalId,
    /// The agent whose work the money is for; `None` = no agent.
    pub agent: Option<AgentId>,
    /// From this time on anybody who may release may free the money; `None` = never.
    pub expires_at: Option<Timestamp>,
}

/// A budget as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// The most that may be spent in each period; `None` before the limit is set.
    pub limit: Option<Money>,
    /// The part of the business whose spending is limited; `None` before the limit is set.
    pub scope: Option<Scope>,
    /// How long the money must last; `None` before the limit is set.
    pub window: Option<Window>,
    /// The open reservations.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    /// Money set aside or spent in each period, in the currency of the budget.
    pub used: BTreeMap<String, Amount>,
    /// The last request for approval of a raise that an overrun made; `None` = none so far.
    pub raise_asked: Option<ApprovalId>,
}

impl Budget {
    /// Money set aside or spent in that period, in the currency of the budget.
    #[must_use]
    pub fn used_in(&self, period: &str) -> Amount {
        self.used.get(period).copied().unwrap_or_default()
    }

    /// The currency of the budget; `None` before the limit is set.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.limit.map(|l| l.currency)
    }

    fn close(&mut self, id: ReservationId, spent: Amount) {
        if let Some(open) = self.reservations.remove(&id) {
            let used = self.used_in(&open.period);
            let left = used.minus(open.amount).and_then(|rest| rest.plus(spent)).unwrap_or(used);
            self.used.insert(open.period, left);
        }
    }

    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::LimitSet(e) => {
                self.limit = Some(e.limit);
                self.scope = Some(e.scope.clone());
                self.window = Some(e.window);
            }
            Event::Raised(e) => self.limit = Some(e.limit),
            Event::Reserved(e) => {
                let used = self.used_in(&e.period);
                self.used.insert(e.period.clone(), used.plus(e.amount.amount).unwrap_or(used));
                self.reservations.insert(
                    e.reservation,
                    Reservation {
                        amount: e.amount.amount,
                        period: e.period.clone(),
                        budgets: e.budgets.clone(),
                        holder: meta.actor,
                        agent: e.agent,
                        expires_at: e.expires_at,
                    },
                );
            }
            Event::Settled(e) => self.close(e.reservation, e.amount.amount),
            Event::Released(e) => self.close(e.reservation, Amount::ZERO),
            Event::Overrun(e) => self.raise_asked = e.approval.or(self.raise_asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_begins_on_its_first_day() {
        for (period, first) in [
            ("2026-11-22", Some("2026-11-22")),
            ("2026-11", Some("2026-11-01")),
            ("2026-W47", Some("2026-11-16")),
            ("2027-W53", None),
            ("lifetime", None),
        ] {
            assert_eq!(Window::first_day(period).as_deref(), first, "{period}");
        }
    }
}
