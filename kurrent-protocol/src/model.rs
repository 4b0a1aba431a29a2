//! Streams as the protocol sees them, and the trait of what can be read and written through it.

use std::sync::Arc;

use async_trait::async_trait;
use prost::bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use crate::Refusal;

/// A stream's name: UTF-8, not empty. `$$name` is the metadata stream of `name`.
pub type StreamName = Arc<str>;

/// An event that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id of the event.
    pub id: Uuid,
    /// Name of the stream that the event is in.
    pub stream: StreamName,
    /// Number of the event in its stream: 0, 1, 2 …
    pub revision: u64,
    /// Position of the event in `$all`; positions grow, with gaps.
    pub position: u64,
    /// When the event was written, in units of 100 ns since 1970.
    pub created: i64,
    /// Type of the event.
    pub event_type: Arc<str>,
    /// Content type of the data, such as `application/json` or `application/octet-stream`.
    pub content_type: Arc<str>,
    /// Metadata of the event, as the writer sent it.
    pub metadata: Bytes,
    /// Data of the event.
    pub data: Bytes,
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Id of the event; sending the same event again at the same place gets the first answer.
    pub id: Uuid,
    /// Type of the event.
    pub event_type: String,
    /// Content type of the data, such as `application/json` or `application/octet-stream`.
    pub content_type: String,
    /// Metadata of the event.
    pub metadata: Bytes,
    /// Data of the event.
    pub data: Bytes,
}

/// What the writer expects of the stream that it appends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream may be in any state.
    Any,
    /// The stream must not exist.
    NoStream,
    /// The stream must exist.
    Exists,
    /// The stream's last event must have this revision.
    Revision(u64),
}

/// An accepted append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the append's last event; `None` if it had no events and there is no stream.
    pub revision: Option<u64>,
    /// Position of the append's last event; `None` if it had no events.
    pub position: Option<u64>,
}

/// The direction of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest event first.
    Forwards,
    /// The newest event first.
    Backwards,
}

/// Where a page begins. In a stream a number is a revision, and the page begins with it in either
/// direction. In `$all` it is a position: forwards the page begins with it, backwards before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Before the first event.
    Start,
    /// After the last event.
    End,
    /// At this revision of a stream, or this position of `$all`.
    At(u64),
}

/// A page of a stream or of `$all`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The events that the caller may see.
    pub events: Vec<Event>,
    /// How many events were looked at, also those that the caller may not see.
    pub looked_at: u32,
    /// Position of the last event that was looked at; `None` if there was none.
    pub reached: Option<u64>,
    /// Where the next page begins; `None` if there are no more events now. Then a reader forwards
    /// continues at [`Page::resume`].
    pub next: Option<u64>,
    /// Forwards: where events begin that come later.
    pub resume: u64,
    /// Of a stream: its first and last revision; `None` for `$all`.
    pub ends: Option<(u64, u64)>,
}

/// Credentials of a caller, from HTTP's basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user.
    pub user: String,
    /// Password of the user.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, not shown)", self.user)
    }
}

/// A store that clients read, follow and perhaps write to through the protocol.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A caller that was authenticated.
    type Caller: Clone + Send + Sync + 'static;
    /// A number that tells the place of an event in the store.
    type Place: Copy + Into<u64> + Send + Sync + 'static;

    /// Authenticates a caller; called again for each page that a follower reads.
    async fn admit(&self, credentials: Option<&Credentials>) -> Result<Self::Caller, Refusal>;

    /// Refuses if nothing can be written at all; then no append is received just to be refused.
    fn writable(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Refuses a position in `$all` that this store can't have given to anybody.
    async fn check_place(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    /// Reads a page of a stream; `None` if there is no such stream.
    async fn stream(
        &self,
        caller: &Self::Caller,
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Page>, Refusal>;

    /// Reads a page of `$all`.
    async fn all(
        &self,
        caller: &Self::Caller,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Refusal>;

    /// A channel that changes after each write, and closes with the store.
    fn moved(&self) -> watch::Receiver<Self::Place>;

    /// Appends all of the events or none.
    async fn append(
        &self,
        caller: &Self::Caller,
        name: &str,
        expected: Expected,
        events: Vec<Proposed>,
    ) -> Result<Appended, Refusal>;

    /// Deletes a stream so that it can be written to again, or `forever`. Returns the position of
    /// the deletion.
    async fn delete(
        &self,
        caller: &Self::Caller,
        name: &str,
        expected: Expected,
        forever: bool,
    ) -> Result<Option<u64>, Refusal>;
}
