//! Why the views could not be used.

use std::io;

use event_log::{Cause, LogError};

use super::Building;
use crate::ApplyError;

/// Why the views could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ViewsError {
    /// The file can't be read or written.
    #[error("the views could not be used (`minutebook projections rebuild` makes them anew)")]
    Storage(#[source] Cause),
    /// What they are made from can't be read now.
    #[error(transparent)]
    Source(Cause),
    /// They are not as far as was asked in the time there was.
    #[error("the views are at position {at}, {wanted} was asked for; try again")]
    Behind {
        /// How far they are.
        at: u64,
        /// How far they should be.
        wanted: u64,
    },
    /// No projection of that name.
    #[error("there is no projection `{0}`; `minutebook projections status` lists them")]
    Unknown(String),
    /// Something is being built already.
    #[error("the views are being built beside the present ones already ({}: {} of {}); wait until \
        that is done", .0.purpose.word(), .0.position, .0.of)]
    Busy(Building),
    /// There is nothing to go back to.
    #[error("{0}")]
    NoRollback(String),
    /// The runner stopped.
    #[error("the projections are not running")]
    Stopped,
}

impl ViewsError {
    /// The file can't be used: a sentence, or the error that says so.
    pub fn storage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(Cause::of(cause))
    }

    /// Whether somebody interrupted the query: the same query may go well the next time.
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
