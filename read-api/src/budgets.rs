//! Budgets with what is reserved and spent in each period.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::node::node;

node! {
    /// The money that one scope may spend in one window.
    Budget in "budgets" by "seq", agents see Never {
        /// Its id.
        id: String,
        /// business, team:…, agent:…, task:… or connector:….
        scope: String,
        /// lifetime, day, week or month.
        window: String,
        /// How often more was spent than was set aside.
        overruns: i64,
    } money {
        /// How much, per window.
        limit = "amount", "currency";
    }
}

node! {
    /// What is reserved and spent of a budget in one period; amounts in the budget's currency.
    BudgetPeriod in "budget_periods" sorted by "period", agents see Never {
        /// The period: lifetime, 2026-11-22, 2026-W47 or 2026-11.
        period: String,
        /// Set aside now.
        reserved: String,
        /// Spent.
        spent: String,
    } money {}
}

#[ComplexObject]
impl BudgetPeriod {
    /// True for the period without an end.
    async fn lifetime(&self) -> bool {
        self.period == "lifetime"
    }
}

#[ComplexObject]
impl Budget {
    /// What is reserved and spent, by period.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn periods(&self, ctx: &Context<'_>) -> Result<Vec<BudgetPeriod>> {
        children::all(ctx, &self.business, "budget", &self.id).await
    }
}
