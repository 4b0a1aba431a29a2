//! Tasks. Aggregate: `task`, one piece of work from plan to end; its state table stands in
//! `commands/src/tasks.rs`, where the rules are.

mod events;
mod state;

pub use events::*;
pub use state::{Lease, Submission, Task};
