//! THE OUTSIDE: what others may know of what happens here, and how it gets to them.
//!
//! - [`public`]: the public form of events.
//! - [`consumer`]: acting on events from a durable place, one process at a time; `amqp`: the relay
//!   to RabbitMQ.

#[cfg(feature = "amqp")]
pub mod amqp;
pub mod consumer;
pub mod public;
