//! What an import brought, as the receipts say it.

use std::collections::{BTreeMap, BTreeSet};

use domain::values::Amount;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

/// A record that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The file it is in.
    #[serde(default)]
    pub file: String,
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
    /// What the work cost us, to 6 places.
    pub cost: String,
    /// The same, unrounded.
    pub cost_exact: Amount,
    /// What was in the source, by its own words.
    #[serde(flatten)]
    pub source: BTreeMap<String, u64>,
    /// Activities that occur, by name.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub activity_names: BTreeSet<String>,
    /// Events that are new.
    pub events_written: u64,
    /// Commands that had been accepted before.
    pub commands_repeated: u64,
    /// Records that could not be taken, at most [`BROKEN_TOLD_MAX`] of them; the others were taken.
    pub broken: Vec<Broken>,
    /// How many more could not be taken.
    #[serde(default, skip_serializing_if = "is_none")]
    pub broken_untold: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_none(n: &u64) -> bool {
    *n == 0
}

/// Broken records of one import that are told one by one.
pub const BROKEN_TOLD_MAX: usize = 1_000;
/// Names of activities, and words of a source, that are counted one by one.
const WORDS_MAX: usize = 10_000;

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

    /// Counts something of the source.
    pub fn source(&mut self, word: &str, n: u64) {
        if self.source.len() < WORDS_MAX || self.source.contains_key(word) {
            *self.source.entry(word.to_owned()).or_default() += n;
        }
    }

    /// Adds a cost in the source's notation; what is no number is refused by the command bus.
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
