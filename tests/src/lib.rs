//! What the integration tests, the torture and the benchmarks share: the laws of the log as one
//! suite for any store, a writer that is there to be killed, and an installation of one's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test code may"
)]

#[path = "../../commands/tests/stories/asking.rs"]
pub mod asking;
#[cfg(feature = "postgres")]
pub mod fleet;
pub mod installation;
pub mod laws;
pub mod ledger;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
#[cfg(feature = "amqp")]
pub mod rabbitmq;
pub mod samples;
pub mod sdl;
#[cfg(feature = "kurrentdb")]
pub mod streams;

/// What a person reads of an error: its text and those of its causes.
pub trait Said {
    /// All of it, on one line.
    fn said(&self) -> String;
}

impl<E: std::error::Error + 'static> Said for E {
    fn said(&self) -> String {
        event_log::chain(self).to_string()
    }
}
