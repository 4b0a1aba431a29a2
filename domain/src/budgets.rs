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

/// What a budget is for.
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
    /// How long a budget's money must last.
    Window {
        /// For ever.
        Lifetime = "lifetime",
        /// A UTC day.
        Day = "day",
        /// An ISO 8601 week in UTC.
        Week = "week",
        /// A UTC month.
        Month = "month",
    }
}

impl Window {
    /// The period that a moment falls into.
    #[must_use]
    pub fn period(self, at: Timestamp) -> String {
        match self {
            Self::Lifetime => "lifetime".to_owned(),
            Self::Day => at.date(),
            Self::Week => at.week(),
            Self::Month => at.month(),
        }
    }
}

impl BudgetId {
    /// The one budget of a scope and window.
    #[must_use]
    pub fn of(business: BusinessId, scope: &Scope, window: Window) -> Self {
        Self(business.derive_id(&format!("budget:{scope}:{window}")))
    }
}

events!("budgets" {
    /// A scope got a limit.
    LimitSet = "limit_set" v 1 on Budget, Public {
        /// What it is for.
        #[schemars(extend("x-class" = "internal"))]
        scope: Scope,
        /// How long it must last.
        window: Window,
        /// How much.
        limit: Money,
    }

    /// The limit grew.
    Raised = "raised" v 1 on Budget, Public {
        /// By how much.
        by: Money,
        /// To how much.
        limit: Money,
    }

    /// Money was set aside.
    Reserved = "reserved" v 2 on Budget, Public {
        /// Under this id.
        reservation: ReservationId,
        /// How much.
        amount: Money,
        /// In which period of the window.
        #[schemars(extend("x-class" = "internal"))]
        period: String,
        /// Every budget it is set aside in, this one among them.
        budgets: Vec<BudgetId>,
        /// The agent on whose work it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// From then on anybody who may release may free it; absent = never.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    }

    /// What was set aside was spent, in whole or in part.
    Settled = "settled" v 1 on Budget, Public {
        /// Which reservation.
        reservation: ReservationId,
        /// What was spent.
        amount: Money,
    }

    /// What was set aside is free again.
    Released = "released" v 1 on Budget, Public {
        /// Which reservation.
        reservation: ReservationId,
    }

    /// More was spent than was set aside.
    Overrun = "overrun" v 1 on Budget, Public {
        /// Which reservation.
        reservation: ReservationId,
        /// What was set aside.
        reserved: Money,
        /// What was spent.
        spent: Money,
        /// The approval to raise the budget that was asked for, now or for an overrun before and
        /// still open, where the approval policy wants one.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    }
});

/// What is set aside under one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How much.
    pub amount: Amount,
    /// In which period.
    pub period: String,
    /// Every budget it is set aside in.
    pub budgets: Vec<BudgetId>,
    /// The principal that set it aside; with the owners and the owner of its agent it alone closes
    /// it.
    pub holder: PrincipalId,
    /// The agent on whose work it is.
    pub agent: Option<AgentId>,
    /// From then on anybody who may release may free it.
    pub expires_at: Option<Timestamp>,
}

/// A budget as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// How much; `None` before it is set.
    pub limit: Option<Money>,
    /// What it is for.
    pub scope: Option<Scope>,
    /// How long it must last.
    pub window: Option<Window>,
    /// What is set aside now.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    /// Set aside or spent, by period.
    pub used: BTreeMap<String, Amount>,
    /// The approval of a raise that an overrun asked for last.
    pub raise_asked: Option<ApprovalId>,
}

impl Budget {
    /// Set aside or spent in that period.
    #[must_use]
    pub fn used_in(&self, period: &str) -> Amount {
        self.used.get(period).copied().unwrap_or_default()
    }

    /// The currency it reckons in.
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
