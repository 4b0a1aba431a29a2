//! Why a request was refused, as the protocol states it: a gRPC status with trailers that clients
//! turn into their own errors, or the error of one append in a batch.

use prost::Message as _;
use prost_types::Any;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::convert::{expected_of, stream_identifier};
use crate::model::Expected;
use crate::wire::{self, wrong_expected_version as wrong};

/// Why a request was refused; nothing of it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There were no credentials, or none that are known; the text says what to do.
    NotAuthenticated(String),
    /// The caller has no right to do this; the text says what to do.
    AccessDenied(String),
    /// The stream is not in the state that the writer expected.
    WrongVersion {
        /// Name of the stream.
        stream: String,
        /// The state that the writer expected.
        expected: Expected,
        /// The stream's last revision; `None` if there is no such stream.
        actual: Option<u64>,
    },
    /// The stream with this name was deleted for ever.
    StreamDeleted(String),
    /// The append has too many bytes.
    TooLarge,
    /// The request makes no sense; the text says why.
    BadRequest(String),
    /// This server lacks a part of the protocol; the text names it.
    NotSupported(String),
    /// The store can't answer at the moment; a later try may succeed.
    Unavailable(String),
}

/// The expectation as .NET clients write it: -1 no stream, -2 any, -4 exists.
fn number(expected: Expected) -> i64 {
    match expected {
        Expected::NoStream => -1,
        Expected::Any => -2,
        Expected::Exists => -4,
        Expected::Revision(n) => i64::try_from(n).unwrap_or(i64::MAX),
    }
}

fn actual_number(actual: Option<u64>) -> i64 {
    actual.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX))
}

impl Refusal {
    fn text(&self) -> String {
        match self {
            // What stands in these three sentences is read by clients.
            Self::WrongVersion { stream, expected, actual } => {
                let (expected, actual) = (number(*expected), actual_number(*actual));
                format!(
                    "Append failed due to WrongExpectedVersion. Stream: {stream}, Expected \
                     version: {expected}, Actual version: {actual}"
                )
            }
            Self::StreamDeleted(stream) => format!("Event stream '{stream}' is deleted."),
            Self::TooLarge => {
                format!("Maximum Append Size of {} Exceeded.", crate::APPEND_BYTES_MAX)
            }
            Self::NotAuthenticated(why)
            | Self::AccessDenied(why)
            | Self::BadRequest(why)
            | Self::NotSupported(why)
            | Self::Unavailable(why) => why.clone(),
        }
    }

    /// The trailers that clients look for: `exception` and its arguments.
    fn trailers(&self) -> Vec<(&'static str, String)> {
        let exception = |name: &str| ("exception", name.to_owned());
        match self {
            Self::NotAuthenticated(_) => vec![exception("not-authenticated")],
            Self::AccessDenied(_) => vec![exception("access-denied")],
            Self::WrongVersion { stream, expected, actual } => vec![
                exception("wrong-expected-version"),
                ("stream-name", stream.clone()),
                ("expected-version", number(*expected).to_string()),
                ("actual-version", actual_number(*actual).to_string()),
            ],
            Self::StreamDeleted(stream) => {
                vec![exception("stream-deleted"), ("stream-name", stream.clone())]
            }
            Self::TooLarge => vec![
                exception("maximum-append-size-exceeded"),
                ("maximum-append-size", crate::APPEND_BYTES_MAX.to_string()),
            ],
            Self::BadRequest(_) | Self::NotSupported(_) | Self::Unavailable(_) => Vec::new(),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::NotAuthenticated(_) => Code::Unauthenticated,
            Self::AccessDenied(_) => Code::PermissionDenied,
            Self::WrongVersion { .. } | Self::StreamDeleted(_) => Code::FailedPrecondition,
            Self::TooLarge | Self::BadRequest(_) => Code::InvalidArgument,
            Self::NotSupported(_) => Code::Unimplemented,
            Self::Unavailable(_) => Code::Unavailable,
        }
    }

    /// The error of one append in a batch; the type of its details says which error it is.
    pub(crate) fn in_batch(&self) -> wire::google::rpc::Status {
        let details = |name: &str, value: Vec<u8>| Any {
            type_url: format!("type.googleapis.com/event_store.client.{name}"),
            value,
        };
        let any = match self {
            Self::WrongVersion { expected, actual, .. } => {
                let actual = actual.map_or(
                    wrong::CurrentStreamRevisionOption::CurrentNoStream(()),
                    wrong::CurrentStreamRevisionOption::CurrentStreamRevision,
                );
                let message = wire::WrongExpectedVersion {
                    current_stream_revision_option: Some(actual),
                    expected_stream_position_option: Some(expected_of!(
                        *expected,
                        wrong::ExpectedStreamPositionOption,
                        ExpectedStreamPosition,
                        ExpectedAny,
                        ExpectedNoStream,
                        ExpectedStreamExists
                    )),
                };
                details("WrongExpectedVersion", message.encode_to_vec())
            }
            Self::StreamDeleted(stream) => details(
                "StreamDeleted",
                wire::StreamDeleted { stream_identifier: Some(stream_identifier(stream)) }
                    .encode_to_vec(),
            ),
            Self::TooLarge => {
                let max_append_size = u32::try_from(crate::APPEND_BYTES_MAX).unwrap_or(u32::MAX);
                details(
                    "MaximumAppendSizeExceeded",
                    wire::MaximumAppendSizeExceeded { max_append_size }.encode_to_vec(),
                )
            }
            Self::NotAuthenticated(_) | Self::AccessDenied(_) => {
                details("AccessDenied", wire::AccessDenied {}.encode_to_vec())
            }
            Self::BadRequest(message) => {
                details("BadRequest", wire::BadRequest { message: message.clone() }.encode_to_vec())
            }
            Self::NotSupported(_) | Self::Unavailable(_) => {
                details("Unknown", wire::Unknown {}.encode_to_vec())
            }
        };
        wire::google::rpc::Status {
            code: self.code().into(),
            message: self.text(),
            details: Some(any),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut trailers = MetadataMap::new();
        for (name, value) in refusal.trailers() {
            // A stream's name may have letters that a header may not; the sentence has it then.
            if let Ok(value) = value.parse() {
                trailers.insert(name, value);
            }
        }
        Self::with_metadata(refusal.code(), refusal.text(), trailers)
    }
}
