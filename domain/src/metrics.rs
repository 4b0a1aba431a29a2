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
    /// Whether a higher or a lower figure is better.
    Direction {
        /// A higher figure is better.
        Up = "up",
        /// A lower figure is better.
        Down = "down",
    }
}
names! {
    /// How the reported figures become one number.
    Aggregation {
        /// The sum of the figures.
        Sum = "sum",
        /// The mean of the figures.
        Mean = "mean",
        /// The last of the figures.
        Last = "last",
        /// The smallest figure.
        Min = "min",
        /// The largest figure.
        Max = "max",
        /// The number of figures.
        Count = "count",
    }
}

/// Names of the KPIs that every business has; `projections/src/metrics/` defines them.
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
        /// Name of the measure, such as `revenue` or `nps_answer`.
        measure: Name,
        /// The figure that was reported.
        value: Amount,
        /// Unit of the figure: an ISO 4217 code for money, else a word.
        unit: Name,
        /// The group that the figure is for, such as a plan or a channel; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        dimension: Option<Name>,
    }

    /// A business defined a KPI over reported figures.
    KpiDefined = "kpi_defined" v 1 on Kpi, Public {
        /// Name of the KPI.
        kpi: Name,
        /// Version of the definition: 1, 2, 3 …; a new version counts all of history anew.
        definition_version: u32,
        /// What the KPI says, in a sentence.
        text: Name,
        /// Name of the measure whose figures the KPI counts.
        measure: Name,
        /// How the reported figures become one number.
        aggregation: Aggregation,
        /// Unit of the KPI.
        unit: Name,
        /// Whether a higher or a lower figure is better.
        direction: Direction,
    }

    /// A business set its target for a KPI.
    TargetSet = "target_set" v 1 on Kpi, Public {
        /// Name of the KPI, built-in or the business's own.
        kpi: Name,
        /// The figure that the KPI should reach.
        target: Amount,
    }
});

/// A reported figure as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measure {
    /// True once the figure was reported.
    pub reported: bool,
}

impl Measure {
    /// Folds one event in; events of KPIs change nothing.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        self.reported |= matches!(event, Event::Measured(_));
    }
}

/// A KPI's own definition and target as the rules see them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kpi {
    /// Version of the definition; 0 if the business has not defined the KPI.
    pub definition_version: u32,
    /// Measure, aggregation, unit, direction and sentence; `None` if the business defined none.
    pub definition: Option<(Name, Aggregation, Name, Direction, Name)>,
    /// The figure that the KPI should reach; `None` if the business has set no target.
    pub target: Option<Amount>,
}

impl Kpi {
    /// Folds one event in; reported figures change nothing.
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
