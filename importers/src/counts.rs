//! The counts of an import, taken from the receipts of its commands.

use std::collections::{BTreeMap, BTreeSet};

use domain::values::Amount;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

/// A record that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Name of the file that has the record.
    #[serde(default)]
    pub file: String,
    /// Number of the record in the file, from 1.
    pub record: u64,
    /// Line on which the record begins, from 1.
    pub line: u64,
    /// Why the record could not be imported.
    pub why: String,
}

/// The counts of an import, taken from the receipts: a repeated run gives the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tasks that were planned.
    pub tasks: u64,
    /// Decisions that were recorded.
    pub decisions: u64,
    /// Calls that were announced.
    pub calls: u64,
    /// Calls that failed.
    pub calls_failed: u64,
    /// Tasks that were escalated.
    pub escalated: u64,
    /// Tasks whose review passed.
    pub passed: u64,
    /// Tasks that were escalated before their review passed.
    pub passed_escalated: u64,
    /// Cost for those whom the work served, rounded to 6 places.
    pub customer_cost: String,
    /// Cost for those whom the work served, not rounded.
    pub customer_cost_exact: Amount,
    /// Currency of the costs.
    pub currency: String,
    /// Records that do not state a cost for those whom the work served.
    pub customer_cost_unknown: u64,
    /// Cost of the work for the business, rounded to 6 places.
    pub cost: String,
    /// Cost of the work for the business, not rounded.
    pub cost_exact: Amount,
    /// How often the source has each thing, by the source's own word for it.
    #[serde(flatten)]
    pub source: BTreeMap<String, u64>,
    /// Names of the activities that occur.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub activity_names: BTreeSet<String>,
    /// Events that this run wrote.
    pub events_written: u64,
    /// Commands that an earlier run had sent.
    pub commands_repeated: u64,
    /// Records that could not be imported, at most [`BROKEN_TOLD_MAX`]; all others were imported.
    pub broken: Vec<Broken>,
    /// How many more records could not be imported.
    #[serde(default, skip_serializing_if = "is_none")]
    pub broken_untold: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_none(n: &u64) -> bool {
    *n == 0
}

/// Most broken records of one import that are listed.
pub const BROKEN_TOLD_MAX: usize = 1_000;
/// Most names of activities, and most words of a source, that are counted separately.
const WORDS_MAX: usize = 10_000;

impl Counts {
    /// Adds the counts of another record.
    pub fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.decisions += other.decisions;
        self.calls += other.calls;
        self.calls_failed += other.calls_failed;
        self.escalated += other.escalated;
        self.passed += other.passed;
        self.passed_escalated += other.passed_escalated;
        self.customer_cost_exact = self
            .customer_cost_exact
            .plus(other.customer_cost_exact)
            .unwrap_or(self.customer_cost_exact);
        self.customer_cost_unknown += other.customer_cost_unknown;
        self.events_written += other.events_written;
        self.commands_repeated += other.commands_repeated;
        let room = BROKEN_TOLD_MAX.saturating_sub(self.broken.len());
        self.broken.extend(other.broken.iter().take(room).cloned());
        self.broken_untold += other.broken_untold + other.broken.len().saturating_sub(room) as u64;
        self.cost_exact = self.cost_exact.plus(other.cost_exact).unwrap_or(self.cost_exact);
        for (word, n) in &other.source {
            self.source(word, *n);
        }
        let room = WORDS_MAX.saturating_sub(self.activity_names.len());
        self.activity_names.extend(other.activity_names.iter().take(room).cloned());
        if !self.activity_names.is_empty() {
            self.source.insert("activities".to_owned(), self.activity_names.len() as u64);
        }
        let rounded = |exact: Amount| {
            format!(
                "{:.6}",
                exact.get().round_dp_with_strategy(6, RoundingStrategy::MidpointNearestEven)
            )
        };
        self.customer_cost = rounded(self.customer_cost_exact);
        self.cost = rounded(self.cost_exact);
    }

    /// Counts `n` things of the source under `word`.
    pub fn source(&mut self, word: &str, n: u64) {
        if self.source.len() < WORDS_MAX || self.source.contains_key(word) {
            *self.source.entry(word.to_owned()).or_default() += n;
        }
    }

    /// Adds a cost in the source's notation; a text that is no number adds 0.
    pub fn spend(&mut self, text: &str) {
        let amount = commands::cost::source_amount(text).unwrap_or_default();
        self.cost_exact = self.cost_exact.plus(amount).unwrap_or(self.cost_exact);
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
