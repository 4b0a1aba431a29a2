//! One integration binary, through the real doors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "tests may"
)]

mod access;
mod alike;
mod approvals;
mod attempts;
mod bad_input;
mod batch;
mod budgets;
mod businesses;
mod clock;
mod command_bus;
#[cfg(feature = "postgres")]
mod consumers;
mod contracts;
#[cfg(feature = "postgres")]
mod copying;
mod crash;
mod damaged_imports;
mod dependencies;
mod door;
mod drivers;
mod entrance;
mod faults;
mod feed;
#[cfg(feature = "postgres")]
mod filling;
mod fleet;
mod generators;
mod golden_imports;
mod graphql;
mod hostile_imports;
mod import;
mod import_ids;
#[cfg(all(feature = "kurrentdb", feature = "postgres"))]
mod kurrent;
#[cfg(feature = "kurrentdb")]
mod kurrentdb_door;
#[cfg(feature = "kurrentdb")]
mod kurrentdb_streams;
mod laws;
mod limits;
mod listing;
mod lists;
mod logs;
mod memory;
mod metrics;
mod operations;
mod operators;
mod permissions;
mod places;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_es;
mod presence;
mod privacy;
#[cfg(feature = "postgres")]
mod privileges;
#[cfg(feature = "postgres")]
mod processes;
mod proofs;
mod questions;
mod rates;
mod reading;
mod rebuild;
mod runbook;
#[cfg(feature = "postgres")]
mod schema;
mod sealing;
mod shape;
#[cfg(feature = "postgres")]
mod snapshots;
mod sources;
#[cfg(any(feature = "postgres", feature = "kurrentdb"))]
mod standstill;
mod surroundings;
mod trusted;
mod verify;
mod view_versions;
mod views;
mod waiting;
mod whole_life;
