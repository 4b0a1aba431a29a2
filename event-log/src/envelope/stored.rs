//! The stored event as it is read.

use super::RequestDigest;
use crate::place::{Position, Seq, Version};
use crate::sealing::{SealedFieldContext, StoredSealed, places};
use domain::ids::EventId;
use domain::personal::{SealedField, resolve};
use domain::{
    AggregateRef, BusinessId, DecodeError, Event, Kind, Meta, PrincipalId, SubjectId, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// A stored event, read: everything but its typed data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored<'a> {
    /// Version of the envelope.
    pub v: u8,
    /// The event's id.
    pub event_id: EventId,
    /// The business whose stream has the event.
    pub business: BusinessId,
    /// The aggregate's kind.
    pub kind: Kind,
    /// The aggregate's id.
    pub id: Uuid,
    /// The aggregate's version with this event.
    pub version: Version,
    /// Type of the event: `context.past_tense`.
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    /// Version of the data's schema.
    pub schema: u16,
    /// When the event was recorded, by the server's clock.
    pub recorded_at: Timestamp,
    /// When the event happened in the world; `None` = when it was recorded.
    pub occurred_at: Option<Timestamp>,
    /// The principal that authenticated.
    pub actor: PrincipalId,
    /// The principal in whose name the actor sent the command; `None` = the actor itself.
    pub on_behalf_of: Option<PrincipalId>,
    /// Reserved for the version of the rules about access; nothing writes it today.
    pub access_policy: Option<u32>,
    /// The caller's idempotency key.
    pub command_id: Cow<'a, str>,
    /// Digest of the command; only the event with index 0 has it.
    #[serde(borrow)]
    pub request: Option<&'a RawValue>,
    /// Place of the event among the command's events, from 0.
    pub index: u32,
    /// The event that led to this one; `None` = none.
    pub causation: Option<EventId>,
    /// Correlation id, which all events that belong together share.
    pub correlation: Uuid,
    /// Data of the event, not yet decoded.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Ciphertexts of the personal fields.
    #[serde(default)]
    pub sealed: Vec<StoredSealed>,
}

impl<'a> Stored<'a> {
    /// Reads an event from its bytes.
    ///
    /// # Errors
    /// When the bytes are no stored event.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The aggregate that the event belongs to.
    #[must_use]
    pub fn aggregate(&self) -> AggregateRef {
        AggregateRef { kind: self.kind, id: self.id }
    }

    /// The part of the envelope that rules look at.
    #[must_use]
    pub fn meta(&self) -> Meta {
        Meta {
            event_id: self.event_id,
            correlation: self.correlation,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            recorded_at: self.recorded_at,
        }
    }

    /// When the event happened in the world; when it was recorded, if that is not known.
    #[must_use]
    pub fn happened_at(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.recorded_at)
    }

    /// The typed event; personal fields stay sealed but carry what is needed to open them.
    ///
    /// # Errors
    /// [`DecodeError`], for a type or data that this program does not know.
    pub fn event(&self) -> Result<Event, DecodeError> {
        resolve(self.sealed_fields(self.data, "/data"), || {
            Event::decode(&self.r#type, self.schema, self.data.get())
        })
    }

    /// Digest of the command that made the event; `None` unless the index is 0.
    ///
    /// # Errors
    /// When the digest does not have that form.
    pub fn request_digest(&self) -> Result<Option<RequestDigest>, serde_json::Error> {
        let Some(raw) = self.request else { return Ok(None) };
        resolve(self.sealed_fields(raw, "/request"), || serde_json::from_str(raw.get()).map(Some))
    }

    /// Subjects of the event's personal fields, that of the command's digest included.
    pub fn subjects(&self) -> impl Iterator<Item = SubjectId> {
        self.sealed.iter().map(|field| field.subject)
    }

    /// The personal fields of the event's data, each with its JSON pointer.
    #[must_use]
    pub fn personal_fields(&self) -> Vec<(String, Arc<SealedField>)> {
        let fields = self.sealed_fields(self.data, "/data");
        let found = places(self.data.get(), "/data").unwrap_or_default();
        found
            .into_iter()
            .filter_map(|(n, pointer)| Some((pointer, Arc::clone(fields.get(n)?))))
            .collect()
    }

    pub(super) fn sealed_fields(&self, raw: &RawValue, prefix: &str) -> Vec<Arc<SealedField>> {
        if self.sealed.is_empty() {
            return Vec::new();
        }
        let place = SealedFieldContext {
            business: self.business,
            kind: self.kind.as_str(),
            id: self.id,
            version: self.version,
        };
        let mut pointers = vec![String::new(); self.sealed.len()];
        for (n, pointer) in places(raw.get(), prefix).unwrap_or_default() {
            if let Some(slot) = pointers.get_mut(n) {
                *slot = pointer;
            }
        }
        let field = |(s, pointer): (&StoredSealed, String)| {
            Arc::new(SealedField {
                business: self.business,
                subject: s.subject,
                generation: s.generation,
                nonce: s.nonce.clone(),
                ct: s.ct.clone(),
                commit: s.commit.clone(),
                aad: place.aad(&pointer, s.generation),
            })
        };
        self.sealed.iter().zip(pointers).map(field).collect()
    }
}

/// An event in the log, with what the store gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Place in the whole installation's log: 1, 2, 3 …, gaps possible.
    pub position: Position,
    /// The business whose stream has the event.
    pub business: BusinessId,
    /// Place in its business: 1, 2, 3 …, dense.
    pub seq: Seq,
    /// Bytes of the event, as they are stored.
    pub bytes: Vec<u8>,
}

impl Recorded {
    /// Reads the event from its bytes.
    ///
    /// # Errors
    /// When the bytes are no stored event.
    pub fn stored(&self) -> Result<Stored<'_>, serde_json::Error> {
        Stored::parse(&self.bytes)
    }
}
