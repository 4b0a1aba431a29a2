//! The definitions of the built-in KPIs. A definition is data: a sentence, a version, and the
//! samples that it folds. A changed definition gets a higher version, and the projection a new one,
//! so that all of history is counted anew.

use domain::metrics::Direction;

/// How samples are folded into a KPI's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formula {
    /// Sum of the values of one kind of sample.
    Sum(&'static str),
    /// Sum of one kind of sample divided by the sum of another; no value if the divisor is 0.
    Ratio(&'static str, &'static str),
    /// The percentile of one kind of sample, by nearest rank: 95 = the value that 95 % do not
    /// exceed.
    Percentile(&'static str, u8),
}

impl Formula {
    /// The kinds of samples that the formula folds.
    #[must_use]
    pub fn samples(self) -> Vec<&'static str> {
        match self {
            Self::Sum(of) | Self::Percentile(of, _) => vec![of],
            Self::Ratio(of, over) => vec![of, over],
        }
    }
}

/// The definition of a KPI that every business has.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Name of the KPI.
    pub id: &'static str,
    /// Version of the definition: 1, 2, 3 …
    pub version: u32,
    /// What the KPI measures, in a sentence.
    pub text: &'static str,
    /// Unit of the value; `money` stands for the business's currency.
    pub unit: &'static str,
    /// Whether a higher or a lower value is better.
    pub direction: Direction,
    /// The target until the business sets another; `None` = no target.
    pub target: Option<&'static str>,
    /// How the value is computed from samples.
    pub formula: Formula,
}

use Direction::{Down, Up};
use Formula::{Percentile, Ratio, Sum};

macro_rules! definitions {
    ($($id:literal $unit:literal $direction:ident $target:expr, $formula:expr, $text:literal;)*) =>
        {
        /// Every built-in KPI.
        pub const DEFINITIONS: &[Definition] = &[$(Definition {
            id: $id, version: 1, text: $text, unit: $unit, direction: $direction, target: $target,
                formula: $formula,
        },)*];
    };
}

definitions! {
    "agent_completion" "ratio" Up Some("0.95"), Ratio("completed_alone", "completed"),
        "Tasks completed by review or by a human without escalation, human vote, edit or takeover \
         / tasks completed so. Work done elsewhere is not counted.";
    "agent_completion_of_all" "ratio" Up Some("0.95"), Ratio("completed_alone", "closed"),
        "Tasks completed without a human / all closed tasks (completed, failed or cancelled). Work \
         done elsewhere is not counted.";
    "human_intervention_rate" "ratio" Down None, Ratio("closed_with_human", "closed"),
        "Closed tasks that were escalated, quarantined, resolved or handed in by a human / all \
         closed tasks.";
    "first_pass_yield" "ratio" Up None, Ratio("first_review_passed", "first_review"),
        "Tasks whose first review passed / tasks that were reviewed.";
    "rework_rounds" "rounds" Down None, Ratio("rework", "completed"),
        "Reviews that asked for changes on tasks that were completed in the end / tasks completed.";
    "defect_proxy" "ratio" Down Some("0.01"), Ratio("review_failed", "review"),
        "Reviews that asked for changes / reviews. It stands in for the defect rate, which counts \
         what is found after QA.";
    "throughput" "tasks" Up None, Sum("done"),
        "Tasks completed, work done elsewhere included, at the time they were completed.";
    "cycle_time" "seconds" Down None, Ratio("cycle_seconds", "done"),
        "Mean time from planning (for work done elsewhere: from its first activity) to completion \
         (to its last activity).";
    "call_error_rate" "ratio" Down None, Ratio("call_failed", "call"),
        "Calls that failed or are ambiguous / calls that ended.";
    "call_latency_p50" "ms" Down Some("200"), Percentile("call_latency", 50),
        "Median of the latency that was reported with calls.";
    "call_latency_p95" "ms" Down Some("200"), Percentile("call_latency", 95),
        "95th percentile (nearest rank) of the latency that was reported with calls.";
    "approval_latency_p50" "seconds" Down None, Percentile("approval_seconds", 50),
        "Median time from request to grant or rejection.";
    "approval_latency_p95" "seconds" Down None, Percentile("approval_seconds", 95),
        "95th percentile (nearest rank) of the time from request to grant or rejection.";
    "approval_expiry_rate" "ratio" Down None, Ratio("approval_expired", "approval_ended"),
        "Requests for approval that ran out / requests granted, rejected or run out.";
    "approval_override_rate" "ratio" Down None, Ratio("approval_rejected", "approval_decided"),
        "Requests for approval that humans rejected / requests granted or rejected.";
    "rubber_stamp_index" "ratio" Down None, Ratio("stamped", "approved"),
        "Votes to approve less than 5 seconds after the request / votes to approve.";
    "cost" "money" Down None, Sum("cost"),
        "Cost of decisions, calls, activities and results in the currency of the business, each \
         counted once, where it stands.";
    "cost_per_accepted_result" "money" Down None, Ratio("cost", "completed"),
        "Cost in the currency of the business / tasks completed.";
    "input_tokens" "tokens" Down None, Sum("input_tokens"),
        "Tokens that models read.";
    "output_tokens" "tokens" Down None, Sum("output_tokens"),
        "Tokens that models wrote.";
    "budget_burn" "ratio" Down Some("1"), Ratio("budget_spent", "budget_limit"),
        "Money settled in budgets / their limits, in every period in which something was settled.";
}

/// The built-in KPI with this name; `None` if there is none.
#[must_use]
pub fn definition(id: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|d| d.id == id)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_names_are_those_that_are_promised() {
        let names: Vec<&str> = super::DEFINITIONS.iter().map(|d| d.id).collect();
        let mut promised = domain::metrics::BUILT_IN.to_vec();
        promised.sort_unstable();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, promised);
    }
}
