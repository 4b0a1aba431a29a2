//! DECISIONS: the commands, the refusals and the events that commands make; and the command bus,
//! the one path that every command takes.
//!
//! A context file reads top-down: its commands, what each reads, `decide`. `decide` is synchronous
//! and pure: the time, the actor and randomness come in [`Context`], look-ups in
//! [`LoadedAggregates`].

pub mod access;
pub mod agents;
mod approval_check;
pub mod approvals;
pub mod authorize;
pub mod budgets;
pub mod businesses;
pub mod clock;
mod clock_watch;
mod command;
mod command_bus;
pub mod cost;
pub mod decisions;
mod directory;
pub mod integrations;
mod json;
mod lane;
mod leases;
pub mod memory;
pub mod metrics;
mod operation_classes;
pub mod operations;
pub mod privacy;
mod rates;
mod refusal;
mod registrations;
mod registry;
mod root;
pub mod tasks;

pub use approval_check::intended;
pub use authorize::Actor;
pub use clock::Clock;
pub use clock_watch::{ClockDoubt, ClockInDoubt, ClockWatch};
pub use command::{CommandError, Receipt, ReceiptEvent, Submission};
pub use command_bus::{BatchItem, CommandBus, CommandBusParts};
pub use directory::{Directory, Roster};
pub use json::from_json;
pub use leases::{NoLeases, OpenLeases};
pub use rates::{Admitted, RateLimits};
pub use refusal::Refusal;
pub use registry::{AnyCommand, CommandType, Sender, Stream, Verb, When, WhenFenced};
pub use root::{Changes, Context, Decide, LoadedAggregates};
