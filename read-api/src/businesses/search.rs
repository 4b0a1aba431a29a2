//! Search in the texts of a business, and the head of its stream.

use crate::page::client_error;
use async_graphql::SimpleObject;

/// The end of a business's stream.
#[derive(SimpleObject)]
pub(super) struct StreamHead {
    /// Number of events in the stream.
    pub(super) seq: u64,
    /// Root of the stream's RFC 6962 Merkle tree, hexadecimal.
    pub(super) root: String,
}

/// A text that matched a search.
#[derive(SimpleObject)]
pub(super) struct SearchHit {
    /// The `seq` of the event that has the text.
    pub(super) seq: i64,
    /// JSON pointer to the text in the stored event.
    pub(super) pointer: String,
    /// Kind of the event's aggregate.
    pub(super) kind: String,
    /// Id of the event's aggregate.
    pub(super) id: String,
    /// The text around the match, with the matched words in [brackets].
    pub(super) snippet: String,
}

pub(super) fn may_not_search() -> async_graphql::Error {
    client_error(
        "FORBIDDEN",
        "only who has a role in the business may search its text",
        "ask its owner for a role",
    )
}
