//! The log of all businesses, and the sealing of what is personal in it.
//!
//! - [`envelope`]: the stored event, its bytes and how they are read.
//! - [`sealing`], [`keyring`]: personal fields become ciphertext before they are hashed.
//! - [`append`]: events that are stored together. [`batch`]: appends that a store writes together.
//! - [`log`]: the traits of a store, with their laws.
//! - [`sqlite`]: the embedded store. The crate `log-postgres` has the store for several processes,
//!   `log-kurrentdb` the one in a KurrentDB cluster.
//! - [`subscription`]: catching up and going live on any store.
//! - [`prove`]: proofs of what is in the log. [`attempts`]: who tried what, beside the log.
//! - [`consumers`]: checkpoints of those who act on the log. [`cause`]: what led to an error, and
//!   how it is printed.

pub mod append;
pub mod attempts;
pub mod batch;
pub mod cause;
pub mod consumers;
pub mod envelope;
pub mod keyring;
mod loaded;
pub mod log;
mod place;
pub mod prove;
pub mod sealing;
pub mod sqlite;
pub mod subscription;
pub mod vital;

pub use append::{Append, AppendError, Chain, Committed, LaneEpoch, NewEvent, Pending};
pub use cause::{Cause, chain};
pub use envelope::{Draft, Prepared, Recorded, RequestDigest, SealError, Stored};
pub use keyring::{KeyEpoch, Keyring, KeyringError, SubjectKey};
pub use loaded::{Loaded, typed};
pub use log::{Capabilities, EventLog, Head, Inspect, Log, LogError, RawRow, is_last};
pub use place::{Position, Seq, Version};
pub use sealing::{Entropy, Seed, Unsealed, unseal};
pub use subscription::{Subscription, Update};
