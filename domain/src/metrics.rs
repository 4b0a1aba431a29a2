//! Metrics. Aggregates: `measure`, one figure that somebody reported; `kpi`, a business's own
//! definition of a KPI over reported figures, and its target for that KPI or a built-in one. What
//! the built-in KPIs are stands in `projections/src/metrics/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{KpiId, names};
use crate::values::{Amount, Name};

names! {
    /// Which way is better.
    Direction {
        /// More.
        Up = "up",
        /// Less.
        Down = "down",
    }
}
names! {
    /// How reported figures become one.
    Aggregation {
        /// Their sum.
        Sum = "sum",
        /// Their mean.
        Mean = "mean",
        /// The last one.
        Last = "last",
        /// The smallest.
        Min = "min",
        /// The largest.
        Max = "max",
        /// How many there are.
        Count = "count",
    }
}

/// Names of the KPIs that every business has. What each is stands where it is counted.
pub const BUILT_IN: &[&str] = &[
    "agent_completion",
    "agent_completion_of_all",
    "human_intervention_rate",
    "first_pass_yield",
    "rework_rounds",
    "defect_proxy",
    "throughput",
    "cycle_time",
    "call_error_rate",
    "call_latency_p50",
    "call_latency_p95",
    "approval_latency_p50",
    "approval_latency_p95",
    "approval_expiry_rate",
    "approval_override_rate",
    "rubber_stamp_index",
    "cost",
    "cost_per_accepted_result",
    "input_tokens",
    "output_tokens",
    "budget_burn",
];

events!("metrics" {
    /// Somebody reported a figure.
    Measured = "measured" v 1 on Measure, Public {
        /// What of, such as `revenue` or `nps_answer`.
        measure: Name,
        /// The figure.
        value: Amount,
        /// Its unit: ISO 4217 for money, else a word.
        unit: Name,
        /// What it was for, such as a plan or a channel.
        #[serde(skip_serializing_if = "Option::is_none")]
        dimension: Option<Name>,
    }

    /// A KPI over reported figures was defined.
    KpiDefined = "kpi_defined" v 1 on Kpi, Public {
        /// Its name.
        kpi: Name,
        /// 1, 2, 3 …: a new one counts all of history anew.
        definition_version: u32,
        /// What it says, in a sentence.
        text: Name,
        /// The figures it is made of.
        measure: Name,
        /// How.
        aggregation: Aggregation,
        /// Unit of the result.
        unit: Name,
        /// Which way is better.
        direction: Direction,
    }

    /// What a KPI should reach was set.
    TargetSet = "target_set" v 1 on Kpi, Public {
        /// Which KPI.
        kpi: Name,
        /// What it should reach.
        target: Amount,
    }
});

/// A reported figure as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measure {
    /// Whether it was reported.
    pub reported: bool,
}

impl Measure {
    /// Folds one event in; those of KPIs are not its own.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        self.reported |= matches!(event, Event::Measured(_));
    }
}

/// A KPI's own definition and target as the rules see them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kpi {
    /// Version of its definition; 0 = the business did not define it.
    pub definition_version: u32,
    /// The figures and how, as last defined.
    pub definition: Option<(Name, Aggregation, Name, Direction, Name)>,
    /// What it should reach.
    pub target: Option<Amount>,
}

impl Kpi {
    /// Folds one event in; reported figures are not its own.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::Measured(_) => {}
            Event::KpiDefined(e) => {
                self.definition_version = e.definition_version;
                self.definition = Some((
                    e.measure.clone(),
                    e.aggregation,
                    e.unit.clone(),
                    e.direction,
                    e.text.clone(),
                ));
            }
            Event::TargetSet(e) => self.target = Some(e.target),
        }
    }
}

impl KpiId {
    /// The id of a KPI of that name in a business.
    #[must_use]
    pub fn of(business: crate::BusinessId, kpi: &str) -> Self {
        Self(business.derive_id(&format!("kpi:{kpi}")))
    }
}
