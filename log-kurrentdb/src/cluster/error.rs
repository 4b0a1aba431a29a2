//! What a cluster answers that is no event.

use super::INVALID_ARGUMENT;
use event_log::log::LogError;
use eventstore::{CurrentRevision, Error};

/// Why the cluster did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ClusterError {
    /// The stream is at another revision; `None` when it is not there.
    #[error("the stream is at another revision")]
    WrongRevision(Option<u64>),
    /// It was not done, and will not be.
    #[error("KurrentDB refused: {0}")]
    Refused(String),
    /// It was done or not: the answer is missing.
    #[error("KurrentDB did not answer: {0}")]
    Unknown(String),
    /// It was not done: another node leads, and the client goes there by itself.
    #[error("another node of KurrentDB leads now")]
    Elsewhere,
}

impl From<ClusterError> for LogError {
    fn from(e: ClusterError) -> Self {
        Self::Storage(e.to_string())
    }
}

pub(super) fn failed(e: Error) -> ClusterError {
    match e {
        Error::WrongExpectedVersion { current, .. } => ClusterError::WrongRevision(match current {
            CurrentRevision::Current(n) => Some(n),
            CurrentRevision::NoStream => None,
        }),
        Error::NotLeaderException(_) => ClusterError::Elsewhere,
        Error::AccessDenied => ClusterError::Refused(
            "access denied; look at the user and password \
            in the address, and at what that user may"
                .to_owned(),
        ),
        Error::ResourceDeleted => ClusterError::Refused(
            "the stream was deleted for \
            ever"
                .to_owned(),
        ),
        Error::UnsupportedFeature => ClusterError::Refused(
            "the server does not know this \
            operation"
                .to_owned(),
        ),
        Error::Grpc { code, message } if i32::from(code) == INVALID_ARGUMENT => {
            ClusterError::Refused(message)
        }
        Error::GrpcConnectionError(_) => ClusterError::Unknown(
            "no connection could be \
            made"
                .to_owned(),
        ),
        e @ (Error::ServerError(_)
        | Error::ConnectionClosed
        | Error::Grpc { .. }
        | Error::InternalParsingError(_)
        | Error::ResourceAlreadyExists
        | Error::ResourceNotFound
        | Error::InternalClientError
        | Error::DeadlineExceeded
        | Error::InitializationError(_)
        | Error::IllegalStateError(_)) => ClusterError::Unknown(e.to_string()),
    }
}
