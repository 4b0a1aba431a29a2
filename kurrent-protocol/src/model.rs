//! Streams as the protocol sees them, and the trait of what can be read and written through it.

use std::sync::Arc;

use async_trait::async_trait;
use prost::bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use crate::Refusal;

/// A stream's name: UTF-8, not empty. `$$name` is the metadata stream of `name`.
pub type StreamName = Arc<str>;

/// An event as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// The stream it is in.
    pub stream: StreamName,
    /// Its place there: 0, 1, 2 …
    pub revision: u64,
    /// Its place in `$all`; grows from event to event, with gaps.
    pub position: u64,
    /// When it was written, in units of 100 ns since 1970.
    pub created: i64,
    /// Its type.
    pub event_type: Arc<str>,
    /// `application/json`, `application/octet-stream`, …
    pub content_type: Arc<str>,
    /// The writer's metadata.
    pub metadata: Bytes,
    /// Its data.
    pub data: Bytes,
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its id: who sends it again under the same id at the same place gets the first answer.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// `application/json`, `application/octet-stream`, …
    pub content_type: String,
    /// The writer's metadata.
    pub metadata: Bytes,
    /// Its data.
    pub data: Bytes,
}

/// What the writer expects of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Any,
    /// That there is none.
    NoStream,
    /// That there is one.
    Exists,
    /// That its last event has this revision.
    Revision(u64),
}

/// An accepted append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The revision of its last event; `None` when it had none and there is no stream.
    pub revision: Option<u64>,
    /// The position of its last event, where it had one.
    pub position: Option<u64>,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest first.
    Forwards,
    /// The newest first.
    Backwards,
}

/// Where a page begins. Of a stream a number is a revision, and the page begins with it either way.
/// Of `$all` it is a position: forwards the page begins with it, backwards with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Before the first.
    Start,
    /// After the last.
    End,
    /// At a place.
    At(u64),
}

/// A part of a stream or of `$all`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What the caller may see of it.
    pub events: Vec<Event>,
    /// How many were looked at, and where the last of them was (a position).
    pub looked_at: u32,
    /// See [`Page::looked_at`].
    pub reached: Option<u64>,
    /// Where the next page begins; `None` when there is nothing more now. Forwards, reading goes on
    /// from [`Page::resume`] when there is.
    pub next: Option<u64>,
    /// Forwards: where what comes later begins.
    pub resume: u64,
    /// Of a stream: its first and last revision.
    pub ends: Option<(u64, u64)>,
}

/// What a caller says of itself: HTTP's basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, not shown)", self.user)
    }
}

/// What can be read, followed and perhaps written through the protocol.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Who calls, once it is known.
    type Caller: Clone + Send + Sync + 'static;

    /// Lets a caller in; asked again for each page that somebody follows.
    async fn admit(&self, credentials: Option<&Credentials>) -> Result<Self::Caller, Refusal>;

    /// Whether anything can be written at all; when not, nothing is taken in to be refused.
    fn writable(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Refuses a place in `$all` that nobody can have been told of here.
    async fn check_place(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    /// A part of a stream; `None` when there is no such stream.
    async fn stream(
        &self,
        caller: &Self::Caller,
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Page>, Refusal>;

    /// A part of everything.
    async fn all(
        &self,
        caller: &Self::Caller,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Refusal>;

    /// Moves whenever something was written; closed when the store is.
    fn moved(&self) -> watch::Receiver<u64>;

    /// Appends, all or nothing.
    async fn append(
        &self,
        caller: &Self::Caller,
        name: &str,
        expected: Expected,
        events: Vec<Proposed>,
    ) -> Result<Appended, Refusal>;

    /// Deletes a stream: so that it may be written again, or `forever`. Says the position of the
    /// deed.
    async fn delete(
        &self,
        caller: &Self::Caller,
        name: &str,
        expected: Expected,
        forever: bool,
    ) -> Result<Option<u64>, Refusal>;
}
