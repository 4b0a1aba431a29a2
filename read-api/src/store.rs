//! What is asked of the store of log and keys while a question is answered. The views go on without
//! it.

use std::error::Error;
use std::time::Duration;

use async_graphql::Result;
use domain::limits::STORE_ANSWER_MS_MAX;
use event_log::chain;

use crate::page::client_error;

/// The store's answer.
///
/// # Errors
/// `UNAVAILABLE` when it failed, or did not come in time.
pub(crate) async fn of_store<T, E: Error + 'static>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    let unavailable = |why: &str| {
        client_error(
            "UNAVAILABLE",
            why,
            "try again in a moment; what is in the views can be read meanwhile",
        )
    };
    match tokio::time::timeout(Duration::from_millis(STORE_ANSWER_MS_MAX), answer).await {
        Ok(answer) => answer.map_err(|e| unavailable(&chain(&e).to_string())),
        Err(_) => {
            Err(unavailable(&format!("the store did not answer within {STORE_ANSWER_MS_MAX} ms")))
        }
    }
}
