//! Aggregates, folded from stored bytes.

use std::error::Error;

use domain::{Event, Kind, Meta, State, Timestamp};

use crate::cause::Cause;
use crate::envelope::Stored;
use crate::log::LogError;
use crate::place::Version;

fn unreadable(why: impl Error + Send + Sync + 'static) -> LogError {
    LogError::Storage(Cause::new("a stored event can't be read (run `minutebook verify`)", why))
}

/// The typed event in stored bytes, with the part of its envelope that rules look at.
///
/// # Errors
/// [`LogError::Storage`] when this program can't read the bytes as an event; it says what to do.
pub fn typed(bytes: &[u8]) -> Result<(Meta, Event), LogError> {
    let stored = Stored::parse(bytes).map_err(unreadable)?;
    Ok((stored.meta(), stored.event().map_err(unreadable)?))
}

/// An aggregate, folded from all its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Version of the aggregate: the number of its events.
    pub version: Version,
    /// State of the aggregate after these events.
    pub state: State,
    /// When the newest of these events was recorded; 1970 when there is none.
    pub recorded_at: Timestamp,
}

impl Loaded {
    /// An aggregate without events.
    #[must_use]
    pub fn empty(kind: Kind) -> Self {
        Self {
            version: Version::START,
            state: State::empty(kind),
            recorded_at: Timestamp::default(),
        }
    }

    /// Folds the aggregate's next event in, from the stored bytes.
    ///
    /// # Errors
    /// [`LogError::Storage`], as for [`typed`].
    pub fn evolve(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let (meta, event) = typed(bytes)?;
        self.state.evolve(&meta, &event);
        self.version = self.version.next();
        self.recorded_at = self.recorded_at.max(meta.recorded_at);
        Ok(())
    }
}
