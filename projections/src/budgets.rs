//! Budgets: limits, and what is reserved and spent in each period.

use domain::Event;
use domain::budgets::{Event as Budgets, LimitSet, Window};
use domain::ids::ReservationId;
use domain::values::{Amount, Currency};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::rows::{BusinessNumber, Tables, aggregate_table, keyed_table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of budgets.
pub const PROJECTION: Projection = Projection {
    name: "budgets",
    version: 3,
    sql: include_str!("budgets.sql"),
    indexes: &[],
    tables: &[
        ("budgets", "place"),
        ("budget_periods", "business, budget, period"),
        ("reservations", "business, budget, reservation"),
    ],
    apply: Apply::Sealed(apply),
};

aggregate_table! {
    /// A budget with its limit as it is now; what was spent is in its periods.
    Budget in "budgets" {
        scope: String,
        window: Window,
        amount: Amount,
        currency: Currency,
        overruns: u32,
    }
}

keyed_table! {
    /// The sums that are reserved and spent of a budget in one period, such as a month. A sum may
    /// have more digits than the amount of one event.
    Period in "budget_periods" by (business: BusinessNumber, budget: Uuid, period: String) {
        reserved: Decimal,
        spent: Decimal,
    }
}

keyed_table! {
    /// An open reservation.
    Reservation in "reservations" by (business: BusinessNumber, budget: Uuid,
        reservation: ReservationId) {
        amount: Amount,
        period: String,
    }
}

/// Adds to the reserved and spent sums of a period; either addend may be negative.
fn add(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    period: &str,
    reserved: Decimal,
    spent: Amount,
) -> Result<(), ApplyError> {
    let key = (a.business, a.stored.id, period.to_owned());
    let new = || Period {
        business: a.business,
        budget: a.stored.id,
        period: period.to_owned(),
        reserved: Decimal::ZERO,
        spent: Decimal::ZERO,
    };
    let sums = tables.row_or(&key, new)?;
    let sum = |old: Decimal, more: Decimal| {
        let sum = Amount::rounded(old).get().checked_add(more);
        sum.ok_or_else(|| ApplyError::value("a sum is too large"))
    };
    (sums.reserved, sums.spent) = (sum(sums.reserved, reserved)?, sum(sums.spent, spent.get())?);
    Ok(())
}

fn close(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    reservation: ReservationId,
    spent: Amount,
) -> Result<(), ApplyError> {
    let key = (a.business, a.stored.id, reservation);
    let Some(open) = tables.remove::<Reservation>(&key)? else { return Ok(()) };
    let back = Amount::ZERO.minus(Amount::rounded(open.amount.get())).unwrap_or_default();
    add(tables, a, &open.period, back.get(), spent)
}

fn limit_set(a: &Applied<'_>, e: &LimitSet) -> Budget {
    Budget {
        place: a.place,
        id: a.stored.id,
        scope: e.scope.to_string(),
        window: e.window,
        amount: e.limit.amount,
        currency: e.limit.currency,
        overruns: 0,
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Budgets(event) = a.event else { return Ok(()) };
    match event {
        Budgets::LimitSet(e) => {
            tables.row_or(&a.aggregate(), || limit_set(a, e))?.amount = e.limit.amount;
        }
        Budgets::Raised(e) => {
            if let Some(budget) = tables.change::<Budget>(&a.aggregate())? {
                budget.amount = e.limit.amount;
            }
        }
        Budgets::Reserved(e) => {
            tables.put(Reservation {
                business: a.business,
                budget: a.stored.id,
                reservation: e.reservation,
                amount: e.amount.amount,
                period: e.period.to_string(),
            })?;
            add(tables, a, &e.period, e.amount.amount.get(), Amount::ZERO)?;
        }
        Budgets::Settled(e) => close(tables, a, e.reservation, e.amount.amount)?,
        Budgets::Released(e) => close(tables, a, e.reservation, Amount::ZERO)?,
        Budgets::Overrun(_) => {
            if let Some(budget) = tables.change::<Budget>(&a.aggregate())? {
                budget.overruns += 1;
            }
        }
    }
    Ok(())
}
