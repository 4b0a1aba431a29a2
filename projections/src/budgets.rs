//! Budgets: limits, and what is reserved and spent in each period.

use domain::Event;
use domain::budgets::Event as Budgets;
use domain::ids::ReservationId;
use domain::values::Amount;
use rusqlite::{Connection, OptionalExtension as _};

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of budgets.
pub const PROJECTION: Projection = Projection {
    name: "budgets",
    version: 2,
    sql: include_str!("budgets.sql"),
    indexes: &[("budgets_by_seq", "budgets(business, seq)")],
    tables: &[
        ("budgets", "business, id"),
        ("budget_periods", "business, budget, period"),
        ("reservations", "business, budget, reservation"),
    ],
    apply: Apply::Sealed(apply),
};

/// Parses an amount from a table; a sum may have more digits than the amount of one event.
fn amount(text: &str) -> Result<Amount, ApplyError> {
    text.parse().map(Amount::rounded).map_err(|_| ApplyError::value(format!("`{text}` is no sum")))
}

/// Adds to the reserved and spent sums of a period; either addend may be negative.
fn add(
    tx: &Connection,
    a: &Applied<'_>,
    period: &str,
    reserved: Amount,
    spent: Amount,
) -> Result<(), ApplyError> {
    let row: Option<(String, String)> = tx
        .prepare_cached(
            "SELECT reserved, spent FROM budget_periods WHERE business = ? AND budget \
            = ? AND period = ?",
        )?
        .query_row([a.business(), a.id(), period], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let (old_reserved, old_spent) = row.unwrap_or_else(|| ("0".to_owned(), "0".to_owned()));
    let sum = |old: &str, more: Amount| {
        amount(old)?.plus(more).ok_or_else(|| ApplyError::value("a sum is too large"))
    };
    let (reserved, spent) = (sum(&old_reserved, reserved)?, sum(&old_spent, spent)?);
    run(
        tx,
        "INSERT OR REPLACE INTO budget_periods VALUES (?, ?, ?, ?, ?)",
        &[&a.business(), &a.id(), &period, &reserved.to_string(), &spent.to_string()],
    )
}

fn close(
    tx: &Connection,
    a: &Applied<'_>,
    reservation: ReservationId,
    spent: Amount,
) -> Result<(), ApplyError> {
    let open: Option<(String, String)> = tx
        .prepare_cached(
            "SELECT amount, period FROM reservations WHERE business = ? AND budget = ? \
            AND reservation = ?",
        )?
        .query_row([a.business(), a.id(), &reservation.to_string()], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((reserved, period)) = open else { return Ok(()) };
    run(
        tx,
        "DELETE FROM reservations WHERE business = ? AND budget = ? AND reservation = ?",
        &[&a.business(), &a.id(), &reservation.to_string()],
    )?;
    let back = Amount::ZERO.minus(amount(&reserved)?).unwrap_or_default();
    add(tx, a, &period, back, spent)
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Budgets(event) = a.event else { return Ok(()) };
    let limit = |limit: domain::Money| {
        run(
            tx,
            "UPDATE budgets SET amount = ? WHERE business = ? AND id = ?",
            &[&limit.amount.to_string(), &a.business(), &a.id()],
        )
    };
    match event {
        Budgets::LimitSet(e) => {
            run(
                tx,
                "INSERT OR IGNORE INTO budgets(business, id, seq, scope, window, amount, currency) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                &[
                    &a.business(),
                    &a.id(),
                    &a.recorded.seq,
                    &e.scope.to_string(),
                    &e.window.as_str(),
                    &e.limit.amount.to_string(),
                    &e.limit.currency.to_string(),
                ],
            )?;
            limit(e.limit)
        }
        Budgets::Raised(e) => limit(e.limit),
        Budgets::Reserved(e) => {
            run(
                tx,
                "INSERT INTO reservations VALUES (?, ?, ?, ?, ?)",
                &[
                    &a.business(),
                    &a.id(),
                    &e.reservation.to_string(),
                    &e.amount.amount.to_string(),
                    &e.period,
                ],
            )?;
            add(tx, a, &e.period, e.amount.amount, Amount::ZERO)
        }
        Budgets::Settled(e) => close(tx, a, e.reservation, e.amount.amount),
        Budgets::Released(e) => close(tx, a, e.reservation, Amount::ZERO),
        Budgets::Overrun(_) => run(
            tx,
            "UPDATE budgets SET overruns = overruns + 1 WHERE business = ? AND id = ?",
            &[&a.business(), &a.id()],
        ),
    }
}
