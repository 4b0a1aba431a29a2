//! Metrics: samples that KPIs are folded from, each with its event; reported figures; definitions
//! and targets. Sums are kept by the hour and over all time.

pub mod definitions;
pub mod evaluate;
mod samples;
mod sums;

pub(crate) use sums::Sums;

use domain::Event;
use domain::metrics::Event as Metrics;
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of samples, reported figures, KPI definitions and targets.
pub const PROJECTION: Projection = Projection {
    name: "metrics",
    version: 3,
    sql: include_str!("metrics.sql"),
    indexes: &[
        ("samples_by_number", "samples(business, sample, number)"),
        ("measures_by_name", "measures(business, measure, at)"),
    ],
    tables: &[
        ("samples", "business, sample, seq, n"),
        ("sample_hours", "business, sample, hour, unit, team, agent, model, connector, operation"),
        ("sample_totals", "business, sample, unit"),
        ("kpi_agents", "business, agent"),
        ("kpi_tasks", "business, task"),
        ("kpi_calls", "business, call"),
        ("kpi_approvals", "business, approval"),
        ("kpi_budgets", "business, budget"),
        ("measures", "business, seq"),
        ("kpi_definitions", "business, kpi, version"),
        ("kpi_targets", "business, kpi"),
    ],
    apply: Apply::Sealed(apply),
};

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a context counts towards KPIs where it is named here"
)]
fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    match a.event {
        Event::Metrics(event) => reported(tx, a, event),
        Event::Agents(event) => samples::agents(tx, a, event),
        Event::Tasks(event) => samples::tasks(tx, a, event),
        Event::Decisions(event) => samples::decisions(tx, a, event),
        Event::Integrations(event) => samples::calls(tx, a, event),
        Event::Approvals(event) => samples::approvals(tx, a, event),
        Event::Budgets(event) => samples::budgets(tx, a, event),
        _ => Ok(()),
    }
}

fn reported(tx: &Connection, a: &Applied<'_>, event: &Metrics) -> Result<(), ApplyError> {
    match event {
        Metrics::Measured(e) => run(
            tx,
            "INSERT INTO measures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                &a.business(),
                &a.recorded.seq,
                &a.id(),
                &e.measure.as_str(),
                &e.value.to_string(),
                &e.unit.as_str(),
                &e.dimension.as_ref().map(|d| d.to_string()),
                &a.at(),
            ],
        ),
        Metrics::KpiDefined(e) => run(
            tx,
            "INSERT INTO kpi_definitions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                &a.business(),
                &e.kpi.as_str(),
                &e.definition_version,
                &e.text.as_str(),
                &e.measure.as_str(),
                &e.aggregation.as_str(),
                &e.unit.as_str(),
                &e.direction.as_str(),
            ],
        ),
        Metrics::TargetSet(e) => run(
            tx,
            "INSERT OR REPLACE INTO kpi_targets VALUES (?, ?, ?)",
            &[&a.business(), &e.kpi.as_str(), &e.target.to_string()],
        ),
    }
}
