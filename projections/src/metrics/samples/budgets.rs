//! Samples of budgets: the limit of each period in which something was spent, and what was spent.

use domain::Money;
use domain::budgets::Event as Budgets;
use domain::values::Amount;

use super::{About, SampleWriter};
use crate::metrics::rows::KpiBudget;
use crate::rows::Tables;
use crate::{Applied, ApplyError};

fn count(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    sample: &'static str,
    of: Money,
) -> Result<(), ApplyError> {
    SampleWriter::new(tables, a, About::default()).value(
        sample,
        of.amount,
        &of.currency.to_string(),
    )
}

fn limit(tables: &mut Tables<'_>, a: &Applied<'_>, limit: Money) -> Result<(), ApplyError> {
    let Some(budget) = tables.change::<KpiBudget>(&(a.business, a.stored.id))? else {
        return Ok(());
    };
    let known = std::mem::replace(&mut budget.amount, limit.amount);
    budget.currency = limit.currency;
    if budget.period != budget.window.period(a.stored.recorded_at) {
        return Ok(());
    }
    // This period's limit was counted as it was: the difference is counted too.
    let difference = limit.amount.minus(known);
    let amount = difference.ok_or_else(|| ApplyError::value("a limit is too large"))?;
    count(tables, a, "budget_limit", Money { amount, currency: limit.currency })
}

fn settled(tables: &mut Tables<'_>, a: &Applied<'_>, spent: Amount) -> Result<(), ApplyError> {
    let Some(budget) = tables.change::<KpiBudget>(&(a.business, a.stored.id))? else {
        return Ok(());
    };
    let (limit, period) = (
        Money { amount: budget.amount, currency: budget.currency },
        budget.window.period(a.stored.recorded_at),
    );
    let mut writer = if budget.period == period {
        SampleWriter::new(tables, a, About::default())
    } else {
        budget.period = period.to_string();
        let mut writer = SampleWriter::new(tables, a, About::default());
        writer.value("budget_limit", limit.amount, &limit.currency.to_string())?;
        writer
    };
    writer.value("budget_spent", spent, &limit.currency.to_string())
}

pub(in super::super) fn budgets(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Budgets,
) -> Result<(), ApplyError> {
    match event {
        Budgets::LimitSet(e) => {
            let new = || KpiBudget {
                business: a.business,
                budget: a.stored.id,
                window: e.window,
                amount: Amount::ZERO,
                currency: e.limit.currency,
                period: String::new(),
            };
            tables.row_or(&(a.business, a.stored.id), new)?;
            limit(tables, a, e.limit)
        }
        Budgets::Raised(e) => limit(tables, a, e.limit),
        Budgets::Settled(e) => settled(tables, a, e.amount.amount),
        Budgets::Reserved(_) | Budgets::Released(_) | Budgets::Overrun(_) => Ok(()),
    }
}
