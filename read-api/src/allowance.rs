//! The limits of one GraphQL request: bytes of its answer, reads at once, and time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::Result;
use domain::limits::{
    GRAPHQL_ANSWER_BYTES_MAX, GRAPHQL_LOG_BYTES_MAX, GRAPHQL_QUERY_MS_MAX, GRAPHQL_READS_MAX,
};
use event_log::Position;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Sources;
use crate::page::{client_error, failed};
use crate::sight::Sight;

/// Counts what one request has used, and knows whether anybody still waits for its answer.
#[derive(Debug, Clone)]
pub struct Allowance {
    bytes: Arc<AtomicUsize>,
    reads: Arc<Semaphore>,
    is_over: Arc<AtomicBool>,
    /// Bytes of the events that were read from the log for their texts.
    log_bytes: Arc<AtomicUsize>,
    /// The position that the request has waited for; 0 = none.
    min_position: Arc<AtomicU64>,
    /// What the viewer sees of each business, once it was asked for this answer.
    sights: Arc<Mutex<HashMap<String, Sight>>>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            bytes: Arc::default(),
            reads: Arc::new(Semaphore::new(GRAPHQL_READS_MAX)),
            is_over: Arc::default(),
            log_bytes: Arc::default(),
            min_position: Arc::default(),
            sights: Arc::default(),
        }
    }
}

/// Held by whoever waits for an answer; dropping it ends all work on that answer.
pub(crate) struct Waiting(Allowance);

impl Waiting {
    /// The allowance of the request whose answer is waited for.
    pub(crate) fn allowance(&self) -> Allowance {
        self.0.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        self.0.reads.close();
    }
}

/// Error: the answer has more bytes than `GRAPHQL_ANSWER_BYTES_MAX`.
#[derive(Debug, thiserror::Error)]
#[error("the answer would have more than {GRAPHQL_ANSWER_BYTES_MAX} bytes")]
struct TooLarge;

impl Allowance {
    /// Makes the allowance of a request, and the guard whose drop ends the request's work.
    pub(crate) fn begin() -> (Self, Waiting) {
        let allowance = Self::default();
        (allowance.clone(), Waiting(allowance))
    }

    /// Begins to count anew: each message of a subscription is an answer of its own.
    pub(crate) fn next_answer(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.log_bytes.store(0, Ordering::Relaxed);
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Has the request wait for a position, which the views have, wherever it reads more.
    pub(crate) fn waited_for(&self, position: Position) {
        self.min_position.fetch_max(position.0, Ordering::Relaxed);
    }

    /// The position that the request has waited for.
    pub(crate) fn min_position(&self) -> Position {
        Position(self.min_position.load(Ordering::Relaxed))
    }

    /// What the viewer sees of a business: found out once an answer.
    pub(crate) fn sight(
        &self,
        business: &str,
        find: impl FnOnce() -> Result<Sight>,
    ) -> Result<Sight> {
        let mut known = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sight) = known.get(business) {
            return Ok(sight.clone());
        }
        let sight = find()?;
        known.insert(business.to_owned(), sight.clone());
        Ok(sight)
    }

    fn take(&self, bytes: usize) -> Result<(), TooLarge> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > GRAPHQL_ANSWER_BYTES_MAX { Err(TooLarge) } else { Ok(()) }
    }

    /// Counts bytes of the answer before they are copied into it.
    pub(crate) fn spend(&self, bytes: usize) -> Result<()> {
        self.take(bytes).map_err(|e| too_large(&e.to_string()))
    }

    /// Waits for a place among the reads of the request, to read from the log; whoever gets it
    /// keeps
    /// it until the events that were read are counted.
    pub(crate) async fn read_of_log(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| over())?;
        self.spend_log(0)?;
        Ok(permit)
    }

    /// Counts bytes of events that were read from the log.
    pub(crate) fn spend_log(&self, bytes: usize) -> Result<()> {
        let before = self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= GRAPHQL_LOG_BYTES_MAX {
            return Ok(());
        }
        Err(too_large(&format!(
            "the events that the texts lie in have more than {GRAPHQL_LOG_BYTES_MAX} bytes"
        )))
    }

    /// Counts a row of the views before it is copied out of them.
    pub(crate) fn spend_row(&self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.take(row_bytes(row)?).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
        })
    }
}

/// Size of a row in bytes: its texts and blobs, and 8 for every other column.
pub(crate) fn row_bytes(row: &Row<'_>) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for column in 0..row.as_ref().column_count() {
        bytes += match row.get_ref(column)? {
            ValueRef::Text(text) => text.len(),
            ValueRef::Blob(blob) => blob.len(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        };
    }
    Ok(bytes)
}

fn too_large(message: &str) -> async_graphql::Error {
    client_error(
        "ANSWER_TOO_LARGE",
        message,
        "ask for fewer rows at once, or leave out the long texts",
    )
}

fn over() -> async_graphql::Error {
    client_error(
        "TOO_SLOW",
        "the read took too long and was ended",
        "ask for fewer rows or fewer search words at once",
    )
}

fn of_views(e: &rusqlite::Error) -> async_graphql::Error {
    if let rusqlite::Error::FromSqlConversionFailure(_, _, why) = e
        && why.is::<TooLarge>()
    {
        return too_large(&why.to_string());
    }
    if e.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
        over()
    } else {
        failed(e)
    }
}

/// Reads the views on a thread that may block, a few reads of a request at once. The read ends,
/// even amid a statement, when its time is over or nobody waits for the answer.
pub(crate) async fn read<T: Send + 'static>(
    sources: &Sources,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T> {
    let (views, allowance) = (sources.views.clone(), sources.allowance.clone());
    let permit = Arc::clone(&allowance.reads).acquire_owned().await.map_err(|_| over())?;
    let until = Instant::now() + Duration::from_millis(GRAPHQL_QUERY_MS_MAX);
    let is_over = move || allowance.is_over.load(Ordering::Relaxed) || Instant::now() >= until;
    let work = move || {
        let _permit = permit;
        views.read_until(is_over, read)
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e))?.map_err(|e| of_views(&e))
}

/// Runs a read on the calling thread. Only for reads that an index bounds to a page: they take less
/// time than switching to another thread.
pub(crate) fn read_here<T>(read: impl FnOnce() -> rusqlite::Result<T>) -> Result<T> {
    read().map_err(|e| of_views(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reads_so_many_bytes_of_the_log_and_then_no_more() {
        let (allowance, _waiting) = Allowance::begin();
        assert!(allowance.spend_log(GRAPHQL_LOG_BYTES_MAX).is_ok());
        assert!(allowance.read_of_log().await.is_ok());
        assert!(allowance.spend_log(1).is_err());
        assert!(allowance.read_of_log().await.is_err(), "nothing is read before that is known");
    }

    #[tokio::test]
    async fn nobody_who_has_gone_reads_on() {
        let (allowance, waiting) = Allowance::begin();
        drop(waiting);
        assert!(allowance.read_of_log().await.is_err());
    }
}
