//! KurrentDB's gRPC protocol (v1), the server's side of a subset: reading, following and writing
//! streams, and what clients ask for when they connect.
//!
//! The protocol is here once, over the trait [`Store`]; who implements it and calls [`listen`] can
//! be read by any KurrentDB client. Written from what the MIT- and BSD-licensed clients send and
//! expect, and from KurrentDB's public documentation. What is not there answers `UNIMPLEMENTED`.

mod batch;
mod convert;
mod filter;
mod listen;
mod model;
mod prompt;
mod read;
mod refusal;
mod service;
mod wire;

pub use listen::{ListenError, Listening, Tls, listen};
pub use model::{
    Appended, Credentials, Cursor, Direction, Event, Expected, Page, Proposed, Store, StreamName,
};
pub use refusal::Refusal;

/// Largest message, in bytes, in either direction.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Largest append with its metadata, in bytes.
pub const APPEND_BYTES_MAX: usize = 16 << 20;
