//! Conversions between the wire's types and those of [`crate::model`]. The wire has many types for
//! the same thing: each of its messages has an "expected revision" and an "empty" of its own.

use std::collections::HashMap;

use prost::bytes::Bytes;
use tonic::Status;
use uuid::Uuid;

use crate::Refusal;
use crate::model::{Event, Proposed};
use crate::wire;
use crate::wire::streams::{append_req, batch_append_req, read_resp};

/// Makes one of the wire's types from [`crate::Expected`]; takes its variants and their empty
/// value.
macro_rules! expected_of {
    ($expected:expr, $of:path, $revision:ident, $any:ident, $none:ident, $exists:ident) => {
        expected_of!($expected, $of, $revision, $any, $none, $exists, ())
    };
    ($expected:expr, $of:path, $revision:ident, $any:ident, $none:ident, $exists:ident,
        $empty:expr) => {{
        use $of as Of;
        match $expected {
            $crate::Expected::Revision(n) => Of::$revision(n),
            $crate::Expected::Any => Of::$any($empty),
            $crate::Expected::NoStream => Of::$none($empty),
            $crate::Expected::Exists => Of::$exists($empty),
        }
    }};
}

/// Makes [`crate::Expected`] from the wire; a missing one means no stream, as in the clients'
/// defaults.
macro_rules! expected_from {
    ($wire:expr, $of:path, $revision:ident) => {{
        use $of as Of;
        match $wire {
            Some(Of::$revision(n)) => $crate::Expected::Revision(n),
            Some(Of::Any(_)) => $crate::Expected::Any,
            Some(Of::StreamExists(_)) => $crate::Expected::Exists,
            Some(Of::NoStream(_)) | None => $crate::Expected::NoStream,
        }
    }};
}

pub(crate) use {expected_from, expected_of};

pub(crate) fn stream_identifier(name: &str) -> wire::StreamIdentifier {
    wire::StreamIdentifier { stream_name: Bytes::copy_from_slice(name.as_bytes()) }
}

/// Bytes that an event counts besides its fields.
const AROUND_BYTES: usize = 100;
/// Longest name of a stream or an event type, in bytes.
const NAME_BYTES_MAX: usize = 1024;

pub(crate) fn stream_name(wire: Option<wire::StreamIdentifier>) -> Result<String, Refusal> {
    let bytes = wire.map(|i| i.stream_name).unwrap_or_default();
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
        return Err(Refusal::BadRequest(format!(
            "a stream's name must have 1 to {NAME_BYTES_MAX} bytes; this one has {}",
            bytes.len()
        )));
    }
    String::from_utf8(bytes.into())
        .map_err(|_| Refusal::BadRequest("a stream's name must be UTF-8".to_owned()))
}

pub(crate) fn uuid(wire: Option<wire::Uuid>) -> Result<Uuid, Refusal> {
    use wire::uuid::Value;
    match wire.and_then(|u| u.value) {
        Some(Value::Structured(s)) => Ok(Uuid::from_u64_pair(
            s.most_significant_bits.cast_unsigned(),
            s.least_significant_bits.cast_unsigned(),
        )),
        Some(Value::String(text)) => {
            Uuid::parse_str(&text).map_err(|_| Refusal::BadRequest(format!("`{text}` is no UUID")))
        }
        None => Err(Refusal::BadRequest("a UUID is missing".to_owned())),
    }
}

/// The form in which the reader wants UUIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidForm {
    Structured,
    Text,
}

pub(crate) fn to_uuid(id: Uuid, form: UuidForm) -> wire::Uuid {
    use wire::uuid::{Structured, Value};
    let value = match form {
        UuidForm::Structured => {
            let (most, least) = id.as_u64_pair();
            Value::Structured(Structured {
                most_significant_bits: most.cast_signed(),
                least_significant_bits: least.cast_signed(),
            })
        }
        UuidForm::Text => Value::String(id.to_string()),
    };
    wire::Uuid { value: Some(value) }
}

pub(crate) fn read_event(event: Event, form: UuidForm) -> read_resp::Content {
    use read_resp::read_event::{Position, RecordedEvent};
    let metadata = HashMap::from([
        ("type".to_owned(), (*event.event_type).to_owned()),
        ("created".to_owned(), event.created.to_string()),
        ("content-type".to_owned(), (*event.content_type).to_owned()),
    ]);
    let recorded = RecordedEvent {
        id: Some(to_uuid(event.id, form)),
        stream_identifier: Some(stream_identifier(&event.stream)),
        stream_revision: event.revision,
        prepare_position: event.position,
        commit_position: event.position,
        metadata,
        custom_metadata: event.metadata,
        data: event.data,
    };
    read_resp::Content::Event(read_resp::ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(Position::CommitPosition(event.position)),
    })
}

fn proposed(
    id: Option<wire::Uuid>,
    mut metadata: HashMap<String, String>,
    custom: Bytes,
    data: Bytes,
) -> Result<Proposed, Refusal> {
    let mut needed = |name: &str| {
        let missing =
            || Refusal::BadRequest(format!("required metadata property `{name}` is missing"));
        metadata.remove(name).filter(|v| !v.is_empty()).ok_or_else(missing)
    };
    let (event_type, content_type) = (needed("type")?, needed("content-type")?);
    if event_type.len().max(content_type.len()) > NAME_BYTES_MAX {
        return Err(Refusal::BadRequest(format!(
            "an event's type and content type may have {NAME_BYTES_MAX} bytes"
        )));
    }
    Ok(Proposed { id: uuid(id)?, event_type, content_type, metadata: custom, data })
}

impl TryFrom<append_req::ProposedMessage> for Proposed {
    type Error = Refusal;

    fn try_from(m: append_req::ProposedMessage) -> Result<Self, Refusal> {
        proposed(m.id, m.metadata, m.custom_metadata, m.data)
    }
}

impl TryFrom<batch_append_req::ProposedMessage> for Proposed {
    type Error = Refusal;

    fn try_from(m: batch_append_req::ProposedMessage) -> Result<Self, Refusal> {
        proposed(m.id, m.metadata, m.custom_metadata, m.data)
    }
}

impl Proposed {
    /// Bytes of the event that count towards the largest append.
    pub(crate) fn bytes(&self) -> usize {
        AROUND_BYTES
            + self.event_type.len()
            + self.content_type.len()
            + self.metadata.len()
            + self.data.len()
    }
}

/// The refusal as a gRPC status, which ends a stream of answers.
pub(crate) fn status(refusal: Refusal) -> Status {
    refusal.into()
}
