//! THE OUTSIDE: what others may know of what happens here, and how it gets to them.
//!
//! - [`public`]: the public form of events.

pub mod public;
