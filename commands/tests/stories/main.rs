//! The rules, told as stories: given facts, when a command, then facts or a refusal; and what the
//! command bus adds to them, on a log of its own. No server, no views, no door: the smallest loop
//! from a rule to its test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests may"
)]

mod agents;
mod approvals;
#[allow(unreachable_pub, reason = "it is a module of another crate too")]
mod asking;
mod budgets;
mod bus;
mod businesses;
mod clock;
mod cqrs_traps;
mod deadline;
mod decisions;
mod gate;
mod integrations;
#[allow(unreachable_pub, reason = "it is a module of another crate")]
#[path = "../../../tests/src/laws.rs"]
mod laws;
mod log;
mod memory;
mod metrics;
mod operations;
mod presented;
mod privacy;
mod receipts;
mod root_aggregate;
#[allow(unreachable_pub, reason = "it is a module of another crate")]
#[path = "../../../tests/src/samples.rs"]
mod samples;
mod sealing;
mod second_human;
mod senders;
mod story;
mod tasks;
