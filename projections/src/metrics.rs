//! Metrics: samples that KPIs are folded from, each with its event; reported figures; definitions
//! and targets. Sums are kept by the hour and over all time.

pub mod definitions;
pub mod evaluate;
mod rows;
mod samples;

use domain::Event;
use domain::metrics::Event as Metrics;

use crate::rows::Tables;
use crate::{Applied, Apply, ApplyError, Projection};
use rows::{KpiDefinition, Measure, Target};

/// The projection of samples, reported figures, KPI definitions and targets.
pub const PROJECTION: Projection = Projection {
    name: "metrics",
    version: 4,
    sql: include_str!("metrics.sql"),
    indexes: &[
        ("samples_by_number", "samples(sample_kind, number)"),
        ("measures_by_name", "measures(business, measure, at)"),
    ],
    tables: &[
        ("sample_values", "sample, seq, n"),
        ("sample_hour_values", "sample, hour, unit, team, agent, model, connector, operation"),
        ("sample_total_values", "sample, unit"),
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
fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    match a.event {
        Event::Metrics(event) => reported(tables, a, event),
        Event::Agents(event) => samples::agents(tables, a, event),
        Event::Tasks(event) => samples::tasks(tables, a, event),
        Event::Decisions(event) => samples::decisions(tables, a, event),
        Event::Integrations(event) => samples::calls(tables, a, event),
        Event::Approvals(event) => samples::approvals(tables, a, event),
        Event::Budgets(event) => samples::budgets(tables, a, event),
        _ => Ok(()),
    }
}

fn reported(tables: &mut Tables<'_>, a: &Applied<'_>, event: &Metrics) -> Result<(), ApplyError> {
    match event {
        Metrics::Measured(e) => tables.add(&Measure {
            business: a.business,
            seq: a.recorded.seq,
            id: a.stored.id,
            measure: e.measure.as_str(),
            value: e.value,
            unit: e.unit.as_str(),
            dimension: e.dimension.as_ref().map(|d| d.as_str()),
            at: a.at(),
        }),
        Metrics::KpiDefined(e) => tables.add(&KpiDefinition {
            business: a.business,
            kpi: e.kpi.as_str(),
            version: e.definition_version,
            text: e.text.as_str(),
            measure: e.measure.as_str(),
            aggregation: e.aggregation,
            unit: e.unit.as_str(),
            direction: e.direction,
        }),
        Metrics::TargetSet(e) => {
            tables.set(Target { business: a.business, kpi: e.kpi.to_string(), target: e.target })
        }
    }
}
