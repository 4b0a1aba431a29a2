//! Budgets with what is reserved and spent in each period.

use async_graphql::{ComplexObject, ID};
use domain::budgets::Window;

use crate::closed_sets::BudgetWindow;
use crate::filter::filter;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;

use crate::scalars::{Date, Decimal};

node! {
    /// The money that one scope may spend in one window.
    Budget in "budgets" by "seq", agents see Never {
        /// Id of the budget.
        id: ID,
        /// What the budget is for: `business`, `team:…`, `agent:…`, `task:…` or `connector:…`.
        scope: String,
        /// Window that the limit applies to.
        window: BudgetWindow,
        /// How often more was spent than was reserved.
        overruns: i64,
    } money {
        /// The most that may be spent in one window.
        limit = "amount", "currency";
    }
}

node! {
    /// What is reserved and spent of a budget in one period; amounts in the budget's currency.
    BudgetPeriod in "budget_periods" sorted by "n", agents see Never {
        /// The period: `lifetime`, or a day, week or month such as 2026-11-22, 2026-W47 or 2026-11.
        period: String,
        /// Amount that is reserved now and not settled or released yet.
        reserved: Decimal,
        /// Amount that was spent in the period.
        spent: Decimal,
    } money {}
}

#[ComplexObject]
impl BudgetPeriod {
    /// True if the budget has one period without an end.
    async fn lifetime(&self) -> bool {
        self.period == "lifetime"
    }

    /// The first day of the period; null if it has no end.
    async fn starts_on(&self) -> Option<Date> {
        Window::first_day(&self.period).map(Date)
    }
}

links! { Budget {
    one {}
    principals {}
    pages {
        /// What is reserved and spent of the budget, by period.
        periods: BudgetPeriod, where "budget" = id;
    }
    bounded {}
    fields {}
} }

filter! {
    /// Which budgets are asked for.
    BudgetFilter {
        /// Budgets with one of these ids.
        id: ID, in "id";
        /// Budgets of one of these scopes, such as `team:finance`.
        scope: String, in "scope";
        /// Budgets of one of these windows.
        window: BudgetWindow, in "window";
    }
}

lists! {
    /// The budgets of a business.
    BudgetsOfBusiness {
        /// The budgets of the business.
        budgets: Budget, by BudgetFilter;
    }
}
