//! Metrics: figures are reported once, a business defines KPIs over them and sets targets.

use domain::AggregateRef;
use domain::ids::{KpiId, MeasureId};
use domain::metrics::{Aggregation, Direction, KpiDefined, Measured, TargetSet};
use domain::values::{Amount, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("metrics" {
    /// Reports a figure.
    Report = "report" opens Measure,
    /// Defines a KPI over reported figures.
    DefineKpi = "define_kpi" on Kpi,
    /// Says what a KPI should reach.
    SetTarget = "set_target" on Kpi,
});

/// Reports a figure; `occurred_at` of the command says when it held.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What of, such as `revenue`.
    pub measure: Name,
    /// The figure.
    pub value: Amount,
    /// Its unit: ISO 4217 for money, else a word.
    pub unit: Name,
    /// What it was for, such as a plan or a channel.
    #[serde(default)]
    pub dimension: Option<Name>,
}

/// Defines a KPI over reported figures; the same again changes nothing, another one is a new version.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineKpi {
    /// Its name; the names of the built-in KPIs are taken.
    pub kpi: Name,
    /// What it says, in a sentence.
    pub text: Name,
    /// The figures it is made of.
    pub measure: Name,
    /// How.
    pub aggregation: Aggregation,
    /// Unit of the result.
    pub unit: Name,
    /// Which way is better.
    pub direction: Direction,
}

/// Says what a KPI, built-in or own, should reach.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTarget {
    /// Which KPI.
    pub kpi: Name,
    /// What it should reach.
    pub target: Amount,
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        match self {
            Self::Report(_) => vec![MeasureId(ctx.target).into()],
            Self::DefineKpi(_) | Self::SetTarget(_) => vec![KpiId(ctx.target).into()],
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = KpiId(ctx.target);
        match self {
            Self::Report(_) if seen.measure(MeasureId(ctx.target)).reported => Err(Refusal::Exists { what: "figure" }),
            Self::Report(c) => {
                let event = Measured { measure: c.measure.clone(), value: c.value, unit: c.unit.clone(), dimension: c.dimension.clone() };
                Ok(vec![(MeasureId(ctx.target).into(), event.into())])
            }
            Self::DefineKpi(c) => {
                if domain::metrics::BUILT_IN.contains(&c.kpi.as_str()) {
                    return Err(Refusal::Exists { what: "KPI" });
                }
                let kpi = seen.kpi(id);
                let same = (c.measure.clone(), c.aggregation, c.unit.clone(), c.direction, c.text.clone());
                if kpi.definition.as_ref() == Some(&same) {
                    return Ok(Changes::new());
                }
                let event = KpiDefined {
                    kpi: c.kpi.clone(),
                    definition_version: kpi.definition_version + 1,
                    text: c.text.clone(),
                    measure: c.measure.clone(),
                    aggregation: c.aggregation,
                    unit: c.unit.clone(),
                    direction: c.direction,
                };
                Ok(vec![(id.into(), event.into())])
            }
            Self::SetTarget(c) => {
                let kpi = seen.kpi(id);
                if kpi.definition_version == 0 && !domain::metrics::BUILT_IN.contains(&c.kpi.as_str()) {
                    return Err(Refusal::Unknown { what: "KPI" });
                }
                if kpi.target == Some(c.target) {
                    return Ok(Changes::new());
                }
                Ok(vec![(id.into(), TargetSet { kpi: c.kpi.clone(), target: c.target }.into())])
            }
        }
    }
}
