//! Why the views can't be used.

use std::io;

use event_log::{Cause, LogError, Position};

use super::Building;
use crate::ApplyError;

/// Why the views can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ViewsError {
    /// A view file can't be read or written.
    #[error("the views could not be used (`minutebook projections rebuild` makes them anew)")]
    Storage(#[source] Cause),
    /// The log or the keyring can't be read at the moment.
    #[error(transparent)]
    Source(Cause),
    /// The views did not reach a position in time.
    #[error("the views are at position {at}, {wanted} was asked for; try again")]
    Behind {
        /// The position that the views have applied.
        at: Position,
        /// The position that was waited for.
        wanted: Position,
    },
    /// No projection has that name.
    #[error("there is no projection `{0}`; `minutebook projections status` lists them")]
    Unknown(String),
    /// A shadow build is already in progress.
    #[error("the views are being built beside the present ones already ({}: {} of {}); wait until \
        that is done", .0.purpose.word(), .0.position, .0.of)]
    Busy(Building),
    /// There are no previous views to return to; the text says why.
    #[error("{0}")]
    NoRollback(String),
    /// The runner stopped.
    #[error("the projections are not running")]
    Stopped,
}

impl ViewsError {
    /// Makes the error of a file that can't be used, from a sentence or its cause.
    pub fn storage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(Cause::of(cause))
    }

    /// True if the query was interrupted: the same query may succeed next time.
    pub(crate) fn is_interrupted(&self) -> bool {
        let Self::Storage(cause) = self else { return false };
        let code = cause.error().downcast_ref::<rusqlite::Error>();
        code.and_then(rusqlite::Error::sqlite_error_code)
            == Some(rusqlite::ErrorCode::OperationInterrupted)
    }
}

impl From<ApplyError> for ViewsError {
    fn from(e: ApplyError) -> Self {
        match e {
            ApplyError::Keyring(e) => Self::Source(Cause::of(e)),
            ApplyError::Sql(e) => e.into(),
            ApplyError::Value(cause) => Self::Storage(cause),
        }
    }
}

impl From<LogError> for ViewsError {
    fn from(e: LogError) -> Self {
        Self::Source(Cause::of(e))
    }
}

impl From<rusqlite::Error> for ViewsError {
    fn from(e: rusqlite::Error) -> Self {
        Self::storage(e)
    }
}

impl From<io::Error> for ViewsError {
    fn from(e: io::Error) -> Self {
        Self::storage(e)
    }
}
