//! Following the log: catch up from a position, then live, on any store.
//!
//! While there is much to catch up with, the next batch is read while somebody works on this one.
//! At-least-once and in order. It ends only with an error; when the store closes, that is one.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::envelope::Recorded;
use crate::log::{EventLog, LogError};
use crate::place::Position;

/// The next message of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Events, oldest first, at least one.
    Events(Vec<Recorded>),
    /// Everything up to this position has been given; what follows is new.
    CaughtUp(Position),
}

/// A reader that follows the log from a position.
pub struct Subscription {
    log: Arc<dyn EventLog>,
    position: watch::Receiver<Position>,
    after: Position,
    batch: usize,
    told: bool,
    /// The next batch, which is being read ahead; `None` if none is.
    ahead: Option<JoinHandle<Result<Vec<Recorded>, LogError>>>,
}

impl Subscription {
    /// Follows everything after that position, in batches of at most `batch`.
    pub fn new(log: Arc<dyn EventLog>, after: Position, batch: usize) -> Self {
        let position = log.position();
        Self { log, position, after, batch: batch.max(1), told: false, ahead: None }
    }

    /// The next update; waits for one when there is nothing new.
    ///
    /// # Errors
    /// When the log can't be read or is closed.
    pub async fn next(&mut self) -> Result<Update, LogError> {
        loop {
            // Marked as seen before reading: what is appended in between wakes the wait below.
            let known = *self.position.borrow_and_update();
            let events = self.read().await?;
            if let Some(last) = events.last() {
                self.after = last.position;
                self.told = false;
                return Ok(Update::Events(events));
            }
            if !self.told {
                self.told = true;
                return Ok(Update::CaughtUp(known.max(self.after)));
            }
            self.position.changed().await.map_err(|_| LogError::storage("the log is closed"))?;
        }
    }

    async fn read(&mut self) -> Result<Vec<Recorded>, LogError> {
        let ready = match self.ahead.take() {
            Some(ahead) => ahead.await.unwrap_or_else(|e| Err(LogError::storage(e)))?,
            None => Vec::new(),
        };
        // Nothing then is not nothing now.
        let events =
            if ready.is_empty() { self.log.read_all(self.after, self.batch).await? } else { ready };
        if let Some(last) = events.last().filter(|_| events.len() == self.batch) {
            let (log, after, batch) = (Arc::clone(&self.log), last.position, self.batch);
            self.ahead = Some(tokio::spawn(async move { log.read_all(after, batch).await }));
        }
        Ok(events)
    }
}
