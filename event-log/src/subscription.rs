//! Following the log: catch up from a position, then live, on any store.
//!
//! At-least-once and in order. It ends only with an error; when the store closes, that is one.

use std::sync::Arc;

use tokio::sync::watch;

use crate::envelope::Recorded;
use crate::log::{EventLog, LogError};

/// What a subscription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Events, oldest first, at least one.
    Events(Vec<Recorded>),
    /// Everything up to this position has been given; what follows is new.
    CaughtUp(u64),
}

/// Somebody's place in the log.
pub struct Subscription {
    log: Arc<dyn EventLog>,
    position: watch::Receiver<u64>,
    after: u64,
    batch: usize,
    told: bool,
}

impl Subscription {
    /// Follows everything after that position, in batches of at most `batch`.
    pub fn new(log: Arc<dyn EventLog>, after: u64, batch: usize) -> Self {
        let position = log.position();
        Self { log, position, after, batch: batch.max(1), told: false }
    }

    /// The next update; waits for one when there is nothing new.
    ///
    /// # Errors
    /// When the log can't be read or is closed.
    pub async fn next(&mut self) -> Result<Update, LogError> {
        loop {
            // Marked as seen before reading: what is appended in between wakes the wait below.
            let known = *self.position.borrow_and_update();
            let events = self.log.read_all(self.after, self.batch).await?;
            if let Some(last) = events.last() {
                self.after = last.position;
                self.told = false;
                return Ok(Update::Events(events));
            }
            if !self.told {
                self.told = true;
                return Ok(Update::CaughtUp(known.max(self.after)));
            }
            self.position.changed().await.map_err(|_| LogError::Storage("the log is closed".to_owned()))?;
        }
    }
}
