//! Search in the texts of a business, and the head of its stream.

use crate::page::client_error;
use async_graphql::SimpleObject;

/// The end of a business's stream.
#[derive(SimpleObject)]
pub(super) struct StreamHead {
    /// Number of events.
    pub(super) seq: u64,
    /// Root of its RFC 6962 Merkle tree, hexadecimal.
    pub(super) root: String,
}

/// A place in a text that was found.
#[derive(SimpleObject)]
pub(super) struct SearchHit {
    /// The event it stands in.
    pub(super) seq: i64,
    /// The field, as a JSON pointer into the stored event.
    pub(super) pointer: String,
    /// Kind of the aggregate.
    pub(super) kind: String,
    /// Id of the aggregate.
    pub(super) id: String,
    /// The text around it, what was found in [brackets].
    pub(super) snippet: String,
}

pub(super) fn may_not_search() -> async_graphql::Error {
    client_error(
        "FORBIDDEN",
        "only who has a role in the business may search its text",
        "ask its owner for a role",
    )
}
