//! Errors of requests: each has a code, and a hint that says what to do.

use async_graphql::{ErrorExtensionValues, ServerError};
use domain::limits::{GRAPHQL_COST_MAX, GRAPHQL_DEPTH_MAX};

use crate::closed_sets::of_validation;

/// Longest message of an error, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Makes the error of a refused request, with a code and a hint that says what to do.
pub(crate) fn refused(
    code: &'static str,
    message: impl Into<String>,
    hint: &'static str,
) -> ServerError {
    let mut error = ServerError::new(message, None);
    let mut values = ErrorExtensionValues::default();
    values.set("code", code);
    values.set("hint", hint);
    error.extensions = Some(values);
    error
}

/// Cuts a message to [`MESSAGE_CHARS_MAX`]: it may repeat a value of the caller, once for each alias.
fn clip(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
        message.truncate(end);
        message.push('…');
    }
}

/// What async-graphql says of a request whose cost is over the limit.
pub(crate) const TOO_COMPLEX: &str = "Query is too complex.";

/// Adds a code and a hint to an error that has none; `cost` is that of the request, if it is known.
pub(crate) fn complete(error: &mut ServerError, cost: Option<u64>) {
    clip(&mut error.message);
    if error.message == TOO_COMPLEX
        && let Some(cost) = cost
    {
        error.message =
            format!("the query costs {cost}; one query may cost {GRAPHQL_COST_MAX} at most");
        let values = error.extensions.get_or_insert_default();
        values.set("cost", cost);
        values.set("limit", GRAPHQL_COST_MAX);
        values.set("code", "TOO_EXPENSIVE");
        values.set("hint", "ask for fewer rows or fields at once: a list costs its rows");
    }
    let unknown_value = of_validation(&error.message);
    let values = error.extensions.get_or_insert_default();
    if values.get("code").is_some() {
        return;
    }
    if let Some((message, hint)) = unknown_value {
        error.message = message;
        values.set("code", "UNKNOWN_VALUE");
        values.set("hint", hint);
        return;
    }
    let (code, hint) = match error.message.as_str() {
        TOO_COMPLEX => (
            "TOO_EXPENSIVE",
            "ask for fewer rows or fields at once; `minutebook limits` shows the limits",
        ),
        "Query is nested too deep." => {
            error.message = format!("the query is nested deeper than {GRAPHQL_DEPTH_MAX} levels");
            ("TOO_DEEP", "nest less: `nodes` is a level less than `edges { node }`")
        }
        message
            if message.contains("Failed to parse") || message.contains("Expected input type") =>
        {
            ("BAD_VALUE", "the schema says of which type the argument is")
        }
        message if message.starts_with("Variable ") => {
            ("BAD_VALUE", "give the variable a value, or let its type be one that may be null")
        }
        _ if error.path.is_empty() => {
            ("BAD_QUERY", "the schema is in read-api/schema.graphql, and introspection shows it")
        }
        _ => ("FAILED", "try again; if it stays, ask the operator to look at the log"),
    };
    values.set("code", code);
    values.set("hint", hint);
}
