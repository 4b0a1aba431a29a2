//! How others learn what happens here: the public form of events, consumers, and streams.
//!
//! - [`public`]: the public form of events.
//! - [`consumer`]: acting on events from a durable place, one process at a time; `amqp`: the relay
//!   to RabbitMQ.
//! - `streams`: streams of any name in a file, behind KurrentDB's protocol.

#[cfg(feature = "amqp")]
pub mod amqp;
pub mod consumer;
pub mod public;
#[cfg(feature = "kurrentdb")]
pub mod streams;
