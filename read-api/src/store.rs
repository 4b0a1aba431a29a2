//! Questions to the store of the log and the keys, asked while a request is answered. The views
//! work without that store.

use std::error::Error;
use std::time::Duration;

use async_graphql::Result;
use domain::limits::STORE_ANSWER_MS_MAX;
use event_log::chain;

use crate::page::client_error;

/// Waits for the store's answer, for a limited time.
///
/// # Errors
/// `UNAVAILABLE` if the store failed, or did not answer in time.
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
