//! Importers: real work done elsewhere comes in through the desk, command by command, with keys of
//! its own; so a second run changes nothing, and an interrupted one goes on where it stopped.

pub mod records;
pub mod transcript;

use std::collections::BTreeMap;

use domain::values::{Amount, Currency};
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

/// What an import is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Slug of the business; it is registered when it is missing.
    pub business: String,
    /// Currency of amounts that come without one.
    pub currency: Currency,
}

/// A record that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its number in the file, from 1.
    pub record: u64,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

/// What came in, as the receipts say it: the same on every run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tasks planned.
    pub tasks: u64,
    /// Decisions recorded.
    pub decisions: u64,
    /// Calls intended.
    pub calls: u64,
    /// Of those, failed.
    pub calls_failed: u64,
    /// Tasks that were escalated.
    pub escalated: u64,
    /// Tasks whose review passed.
    pub passed: u64,
    /// Of those, escalated before.
    pub passed_escalated: u64,
    /// What the work cost those it was for, to 6 places.
    pub customer_cost: String,
    /// The same, unrounded.
    pub customer_cost_exact: Amount,
    /// Its currency.
    pub currency: String,
    /// Records that do not say what they cost.
    pub customer_cost_unknown: u64,
    /// Events that are new.
    pub events_written: u64,
    /// Commands that had been accepted before.
    pub commands_repeated: u64,
    /// Records that could not be taken; the others were.
    pub broken: Vec<Broken>,
}

impl Counts {
    /// Adds what another record brought.
    pub fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.decisions += other.decisions;
        self.calls += other.calls;
        self.calls_failed += other.calls_failed;
        self.escalated += other.escalated;
        self.passed += other.passed;
        self.passed_escalated += other.passed_escalated;
        self.customer_cost_exact = self.customer_cost_exact.plus(other.customer_cost_exact).unwrap_or(self.customer_cost_exact);
        self.customer_cost_unknown += other.customer_cost_unknown;
        self.events_written += other.events_written;
        self.commands_repeated += other.commands_repeated;
        self.broken.extend(other.broken.iter().cloned());
        let rounded = self.customer_cost_exact.get().round_dp_with_strategy(6, RoundingStrategy::MidpointNearestEven);
        self.customer_cost = format!("{rounded:.6}");
    }

    /// Counts the events of a receipt.
    pub fn count(&mut self, receipt: &commands::Receipt) {
        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        for event in &receipt.events {
            *types.entry(&event.r#type).or_default() += 1;
        }
        let of = |name: &str| types.get(name).copied().unwrap_or(0);
        self.tasks += of("tasks.planned");
        self.decisions += of("decisions.recorded");
        self.calls += of("integrations.call_intended");
        self.calls_failed += of("integrations.call_failed");
        self.escalated += of("tasks.escalated");
        self.passed += of("tasks.completed");
        if receipt.repeated {
            self.commands_repeated += 1;
        } else {
            self.events_written += receipt.events.len() as u64;
        }
    }
}
