//! The messages of graphql-transport-ws, and why a connection is closed.

use async_graphql::Response;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    ConnectionInit { payload: Option<Value> },
    Ping { payload: Option<Value> },
    Pong {},
    Subscribe { id: String, payload: Operation },
    Complete { id: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    /// Empty where the id of a trusted document stands for it.
    #[serde(default)]
    pub(super) query: String,
    /// Id of a trusted document.
    pub(super) document_id: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<serde_json::Map<String, Value>>,
}

/// Close code of the protocol, and the reason why a connection ends.
pub(super) struct Close(pub(super) u16, pub(super) String);

pub(super) fn close(code: u16, reason: impl Into<String>) -> Close {
    Close(code, reason.into())
}

pub(super) fn next(id: &str, response: &Response) -> Value {
    json!({"id": id, "type": "next", "payload": response})
}
