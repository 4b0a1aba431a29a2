//! DECISIONS: what may be asked, what is refused, what becomes fact; and the desk, the one path
//! that every command takes.
//!
//! A context file reads top-down: its commands, what each reads, `decide`. `decide` is synchronous
//! and pure: the time, the actor and randomness come in [`Context`], look-ups in [`Boundary`].

pub mod access;
pub mod agents;
pub mod approvals;
pub mod authorize;
pub mod budgets;
pub mod businesses;
pub mod clock;
mod command;
pub mod cost;
pub mod decisions;
mod desk;
mod directory;
mod gate;
pub mod integrations;
mod lane;
pub mod memory;
pub mod metrics;
pub mod operations;
mod refusal;
mod registry;
mod root;
pub mod tasks;

pub use authorize::Actor;
pub use clock::Clock;
pub use command::{CommandError, Receipt, ReceiptEvent, Submission};
pub use desk::{Desk, DeskParts};
pub use directory::Directory;
pub use gate::intended;
pub use refusal::Refusal;
pub use registry::{AnyCommand, CommandType};
pub use root::{Boundary, Change, Changes, Context, Decide, Root};
