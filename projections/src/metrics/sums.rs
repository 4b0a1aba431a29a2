//! Sums of samples by the hour and over all time. A batch adds to them in memory and writes each
//! once: many events of a batch add to the same sum.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::values::Amount;
use rusqlite::{Connection, OptionalExtension as _, params};
use rust_decimal::Decimal;

use super::samples::Dimensions;
use crate::{ApplyError, run};

/// What one sum is of; without an hour and dimensions it is the sum over all time.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SumOf {
    pub(super) business: String,
    pub(super) sample: &'static str,
    pub(super) unit: String,
    /// The hour as `2026-11-22T20`, with what the samples are about.
    pub(super) hour: Option<(String, Dimensions)>,
}

/// A sum as a batch has it so far.
#[derive(Clone, Copy)]
struct Sum {
    /// How many samples the batch added.
    added: i64,
    total: Decimal,
}

/// The sums that the events of a batch added to.
#[derive(Default)]
pub(crate) struct Sums {
    of_batch: HashMap<SumOf, Sum>,
    /// What the sums were before the event that is being applied; `None` = not touched yet.
    before_event: Vec<(SumOf, Option<Sum>)>,
}

impl Sums {
    /// Adds a sample to a sum.
    pub(super) fn add(
        &mut self,
        tx: &Connection,
        of: SumOf,
        value: Amount,
    ) -> Result<(), ApplyError> {
        let known = self.of_batch.get(&of).copied();
        let sum = match known {
            Some(sum) => sum,
            None => Sum { added: 0, total: stored(tx, &of)? },
        };
        let total = sum
            .total
            .checked_add(value.get())
            .ok_or_else(|| ApplyError::value("a sum is too large"))?;
        self.before_event.push((of.clone(), known));
        self.of_batch.insert(of, Sum { added: sum.added + 1, total });
        Ok(())
    }

    /// Keeps what an event added, or, if it could not be applied, takes it back.
    pub(crate) fn end_event(&mut self, applied: bool) {
        for (of, before) in self.before_event.drain(..).rev().filter(|_| !applied) {
            match (self.of_batch.entry(of), before) {
                (Entry::Occupied(mut now), Some(before)) => drop(now.insert(before)),
                (Entry::Occupied(now), None) => drop(now.remove()),
                (Entry::Vacant(_), _) => {}
            }
        }
    }

    /// Writes the sums, in the transaction of the batch, and begins anew.
    pub(crate) fn write(&mut self, tx: &Connection) -> Result<(), ApplyError> {
        for (of, sum) in self.of_batch.drain() {
            let total = sum.total.to_string();
            let SumOf { business, sample, unit, hour } = of;
            let Some((hour, about)) = hour else {
                run(
                    tx,
                    "INSERT INTO sample_totals VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
                     count = count + excluded.count, total = excluded.total",
                    &[&business, &sample, &unit, &sum.added, &total],
                )?;
                continue;
            };
            run(
                tx,
                "INSERT INTO sample_hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count, total = excluded.total",
                &[
                    &business,
                    &sample,
                    &hour,
                    &unit,
                    &about.team,
                    &about.agent,
                    &about.model,
                    &about.connector,
                    &about.operation,
                    &sum.added,
                    &total,
                ],
            )?;
        }
        Ok(())
    }

    /// Forgets what a batch added that is rolled back.
    pub(crate) fn clear(&mut self) {
        self.of_batch.clear();
        self.before_event.clear();
    }
}

/// The sum in its table; 0 if there is none.
fn stored(tx: &Connection, of: &SumOf) -> Result<Decimal, ApplyError> {
    let known: Option<String> = match &of.hour {
        None => tx
            .prepare_cached(
                "SELECT total FROM sample_totals WHERE business = ? AND sample = ? AND unit = ?",
            )?
            .query_row(params![of.business, of.sample, of.unit], |r| r.get(0))
            .optional()?,
        Some((hour, d)) => tx
            .prepare_cached(
                "SELECT total FROM sample_hours WHERE business = ? AND sample = ? AND hour = ? AND \
                 unit = ? AND team = ? AND agent = ? AND model = ?
                 AND connector = ? AND operation = ?",
            )?
            .query_row(
                params![
                    of.business,
                    of.sample,
                    hour,
                    of.unit,
                    d.team,
                    d.agent,
                    d.model,
                    d.connector,
                    d.operation
                ],
                |r| r.get(0),
            )
            .optional()?,
    };
    let known = known.as_deref().unwrap_or("0");
    known.parse().map_err(|_| ApplyError::value("a sum does not read"))
}
