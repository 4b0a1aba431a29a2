//! Errors of the cluster.

use super::INVALID_ARGUMENT;
use event_log::Cause;
use event_log::log::LogError;
use eventstore::{CurrentRevision, Error};

/// Why a call to the cluster failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(in super::super) enum ClusterError {
    /// The stream is at another revision; `None` if it does not exist.
    #[error("the stream is at another revision")]
    WrongRevision(Option<u64>),
    /// The call was not carried out, and trying again would not help.
    #[error("KurrentDB refused")]
    Refused(#[source] Cause),
    /// The call was carried out or not: there was no answer.
    #[error("KurrentDB did not answer")]
    Unknown(#[source] Cause),
    /// The call was not carried out: another node leads, and the client goes there by itself.
    #[error("another node of KurrentDB leads now")]
    Elsewhere,
}

impl From<ClusterError> for LogError {
    fn from(e: ClusterError) -> Self {
        Self::storage(e)
    }
}

fn refused(why: &str) -> ClusterError {
    ClusterError::Refused(Cause::of(why))
}

pub(super) fn failed(e: Error) -> ClusterError {
    match e {
        Error::WrongExpectedVersion { current, .. } => ClusterError::WrongRevision(match current {
            CurrentRevision::Current(n) => Some(n),
            CurrentRevision::NoStream => None,
        }),
        Error::NotLeaderException(_) => ClusterError::Elsewhere,
        Error::AccessDenied => refused(
            "access denied; look at the user and password in the address, and at what that user may",
        ),
        Error::ResourceDeleted => refused("the stream was deleted for ever"),
        Error::UnsupportedFeature => refused("the server does not know this operation"),
        Error::Grpc { code, message } if i32::from(code) == INVALID_ARGUMENT => {
            ClusterError::Refused(Cause::of(message))
        }
        Error::GrpcConnectionError(_) => {
            ClusterError::Unknown(Cause::of("no connection could be made"))
        }
        e @ (Error::ServerError(_)
        | Error::ConnectionClosed
        | Error::Grpc { .. }
        | Error::InternalParsingError(_)
        | Error::ResourceAlreadyExists
        | Error::ResourceNotFound
        | Error::InternalClientError
        | Error::DeadlineExceeded
        | Error::InitializationError(_)
        | Error::IllegalStateError(_)) => ClusterError::Unknown(Cause::of(e)),
    }
}
