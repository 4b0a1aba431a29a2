//! Budgets with what is reserved and spent in each period.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::node::node;

node! {
    /// The money that one scope may spend in one window.
    Budget in "budgets" by "seq", agents see Never {
        /// Id of the budget.
        id: String,
        /// What the budget is for: business, team:…, agent:…, task:… or connector:….
        scope: String,
        /// Window that the limit applies to: lifetime, day, week or month.
        window: String,
        /// How often more was spent than was reserved.
        overruns: i64,
    } money {
        /// The most that may be spent in one window.
        limit = "amount", "currency";
    }
}

node! {
    /// What is reserved and spent of a budget in one period; amounts in the budget's currency.
    BudgetPeriod in "budget_periods" sorted by "period", agents see Never {
        /// The period: lifetime, or a day, week or month such as 2026-11-22, 2026-W47 or 2026-11.
        period: String,
        /// Amount that is reserved now and not settled or released yet, a decimal.
        reserved: String,
        /// Amount that was spent in the period, a decimal.
        spent: String,
    } money {}
}

#[ComplexObject]
impl BudgetPeriod {
    /// True if the budget has one period without an end.
    async fn lifetime(&self) -> bool {
        self.period == "lifetime"
    }
}

#[ComplexObject]
impl Budget {
    /// What is reserved and spent of the budget, by period.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn periods(&self, ctx: &Context<'_>) -> Result<Vec<BudgetPeriod>> {
        children::all(ctx, &self.business, "budget", &self.id).await
    }
}
