//! Tasks. Aggregate: `task`, one piece of work from plan to end; its state table stands in
//! `commands/src/tasks.rs`, where the rules are.

mod attribute;
mod events;
mod state;

pub use attribute::{Attribute, AttributeType};
pub use events::*;
pub use state::{History, Lease, SubmittedResult, Task};
