//! FACTS: ids, values, events, and the state that events fold into.
//!
//! No async, no I/O, no clock, no randomness. Each bounded context is one file (or folder) that
//! reads top-down: the aggregate, its events, its state, `evolve`. `evolve` never fails and has no
//! rules; rules live in `commands`.
#![warn(missing_docs)]

mod aggregates;

pub mod access;
pub mod agents;
pub mod approvals;
pub mod budgets;
pub mod businesses;
pub mod decisions;
mod event;
pub mod ids;
pub mod integrations;
pub mod limits;
pub mod memory;
pub mod metrics;
pub mod operations;
pub mod personal;
pub mod privacy;
mod rates;
mod state;
pub mod tasks;
pub mod upcast;
mod usage;
pub mod values;

pub use event::{DecodeError, Event, EventType, Reach};
pub use ids::{AggregateRef, BusinessId, Kind, PrincipalId, SubjectId};
pub use personal::Personal;
pub use state::{AggregateId, Meta, State};
pub use usage::{Cost, Usage};
pub use values::{Money, Timestamp};
