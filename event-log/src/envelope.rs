//! The stored event: RFC 8785 bytes, written once, hashed, exported, never rewritten.
//!
//! `{access_policy?, actor, business, causation?, command_id, correlation, data, event_id, id,
//! index, kind, occurred_at?, on_behalf_of?, recorded_at, request?, schema, sealed?, type, v,
//! version}`. Nothing that a store assigns is in the bytes, so they can be sent again unchanged and
//! give the same Merkle root on every store.

mod stored;

use std::fmt::Write as _;

use domain::ids::EventId;
use domain::personal::{ContentDigest, Plaintext, collect};
use domain::privacy::{self, SubjectForgotten};
use domain::values::Digest;
use domain::{AggregateRef, BusinessId, Event, PrincipalId, SubjectId, Timestamp};
use proof::canonical;
use uuid::Uuid;

use crate::sealing::{Entropy, SealedFieldContext, StoredSealed, SubjectKeys, places, seal};

use crate::place::Version;
pub use stored::{Recorded, Stored};

/// The version of the envelope itself.
pub const ENVELOPE_VERSION: u8 = 1;

/// Content digest of a command, kept on its first event: `request` in the stored event. When an
/// event of the same idempotency key is found, it says whether the same command was sent again,
/// which gets the first receipt, or another.
pub type RequestDigest = ContentDigest;

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The business whose stream the event is for.
    pub business: BusinessId,
    /// The aggregate that the event belongs to.
    pub aggregate: AggregateRef,
    /// Version of the aggregate with this event.
    pub version: Version,
    /// The typed event, its personal fields in clear text.
    pub event: Event,
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
    pub command_id: String,
    /// Place of the event among the command's events, from 0.
    pub index: u32,
    /// The event that led to this one; `None` = none.
    pub causation: Option<EventId>,
    /// Correlation id, which all events that belong together share.
    pub correlation: Uuid,
}

/// Why a draft did not become bytes.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A value of the event does not serialise.
    #[error("the event can't be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A personal field could not be sealed: its subject has no key among those given, or the
    /// fields of the event are not where they are looked for.
    #[error("a personal field could not be sealed")]
    NoKey,
}

/// The id of a command's event: UUID v5 of the RFC 8785 bytes of `[principal, command_id, index]`
/// in the namespace of the business.
///
/// # Panics
/// Never: a string is always JSON.
#[must_use]
#[allow(clippy::expect_used, reason = "a string is always JSON")]
pub fn event_id(
    business: BusinessId,
    principal: PrincipalId,
    command_id: &str,
    index: u32,
) -> EventId {
    // serde_json escapes strings as RFC 8785 does; the golden vector holds us to it.
    let key = serde_json::to_string(command_id).expect("a string is always JSON");
    EventId(Uuid::new_v5(&business.0, format!("[\"{principal}\",{key},{index}]").as_bytes()))
}

impl Draft {
    /// Serialises the event; personal fields are taken out, to be sealed next.
    ///
    /// # Errors
    /// When a value does not serialise.
    pub fn prepare(self) -> Result<Prepared, SealError> {
        // While `collect` runs, a clear personal field serialises as `{"$sealed": n}`, and its text
        // becomes the n-th of `plaintexts`.
        let (data, plaintexts) = collect(|| serde_json::to_value(self.event.data()));
        let data = canonical::value_to_bytes(&data?);
        let data = String::from_utf8(data).map_err(|_| SealError::NoKey)?;
        let event_id = event_id(self.business, self.actor, &self.command_id, self.index);
        Ok(Prepared { draft: self, event_id, data, request: None, plaintexts })
    }
}

/// A draft whose personal fields wait for their keys.
#[derive(Debug)]
pub struct Prepared {
    draft: Draft,
    event_id: EventId,
    data: String,
    request: Option<String>,
    plaintexts: Vec<Plaintext>,
}

impl Prepared {
    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// The subjects whose keys sealing needs.
    pub fn subjects(&self) -> impl Iterator<Item = SubjectId> {
        self.plaintexts.iter().map(|p| p.subject)
    }

    /// The forgetting that the event records; `None` if it is another event.
    #[must_use]
    #[allow(clippy::wildcard_enum_match_arm, reason = "one event among all")]
    pub fn forgets(&self) -> Option<&SubjectForgotten> {
        match &self.draft.event {
            Event::Privacy(privacy::Event::SubjectForgotten(forgotten)) => Some(forgotten),
            _ => None,
        }
    }

    /// Sets the time at which the event is recorded.
    pub fn record_at(&mut self, at: Timestamp) {
        self.draft.recorded_at = at;
    }

    /// Adds the digest of the command, with its key as one more personal field.
    pub fn set_request(&mut self, digest: Digest, digest_key: &[u8; 32], subject: SubjectId) {
        let n = self.plaintexts.len();
        self.request =
            Some(format!("{{\"digest\":\"{digest}\",\"digest_key\":{{\"$sealed\":{n}}}}}"));
        self.plaintexts
            .push(Plaintext { subject, json: format!("\"{}\"", Digest(*digest_key)).into_bytes() });
    }

    /// Seals the personal fields and returns the bytes to store.
    ///
    /// # Errors
    /// [`SealError`] when a key is missing; it contains no clear text.
    pub fn seal(mut self, keys: &SubjectKeys, entropy: &Entropy) -> Result<Vec<u8>, SealError> {
        let plaintexts = std::mem::take(&mut self.plaintexts);
        let sealed = self.seal_all(plaintexts, keys, entropy)?;
        let mut out = String::with_capacity(600 + self.data.len() + sealed.len() * 300);
        self.write(&mut out, &sealed)?;
        Ok(out.into_bytes())
    }

    fn seal_all(
        &self,
        plaintexts: Vec<Plaintext>,
        keys: &SubjectKeys,
        entropy: &Entropy,
    ) -> Result<Vec<StoredSealed>, SealError> {
        if plaintexts.is_empty() {
            return Ok(Vec::new());
        }
        let draft = &self.draft;
        let place = SealedFieldContext {
            business: draft.business,
            kind: draft.aggregate.kind.as_str(),
            id: draft.aggregate.id,
            version: draft.version,
        };
        let mut found = places(&self.data, "/data")?;
        if let Some(request) = &self.request {
            found.extend(places(request, "/request")?);
        }
        found.sort_unstable();
        if !found.iter().map(|(n, _)| *n).eq(0..plaintexts.len()) {
            return Err(SealError::NoKey);
        }
        let sealed = plaintexts
            .into_iter()
            .zip(&found)
            .map(|(plain, (_, pointer))| seal(&place, pointer, plain, keys, entropy));
        sealed.collect::<Option<Vec<_>>>().ok_or(SealError::NoKey)
    }

    /// Writes the keys in the order of RFC 8785, so that the whole is canonical if its parts are.
    fn write(&self, out: &mut String, sealed: &[StoredSealed]) -> Result<(), SealError> {
        let draft = &self.draft;
        let event_type = draft.event.event_type();
        let data = &self.data;
        let text = |value: &str| serde_json::to_string(value);
        out.push('{');
        if let Some(version) = draft.access_policy {
            let _ = write!(out, "\"access_policy\":{version},");
        }
        let _ = write!(out, "\"actor\":\"{}\",\"business\":\"{}\",", draft.actor, draft.business);
        if let Some(causation) = draft.causation {
            let _ = write!(out, "\"causation\":\"{causation}\",");
        }
        let _ = write!(
            out,
            "\"command_id\":{},\"correlation\":\"{}\",\"data\":{data},",
            text(&draft.command_id)?,
            draft.correlation
        );
        let _ =
            write!(out, "\"event_id\":\"{}\",\"id\":\"{}\",", self.event_id, draft.aggregate.id);
        let _ = write!(out, "\"index\":{},\"kind\":\"{}\",", draft.index, draft.aggregate.kind);
        if let Some(at) = draft.occurred_at {
            let _ = write!(out, "\"occurred_at\":\"{at}\",");
        }
        if let Some(principal) = draft.on_behalf_of {
            let _ = write!(out, "\"on_behalf_of\":\"{principal}\",");
        }
        let _ = write!(out, "\"recorded_at\":\"{}\",", draft.recorded_at);
        if let Some(request) = &self.request {
            let _ = write!(out, "\"request\":{request},");
        }
        let _ = write!(out, "\"schema\":{},", event_type.schema);
        if !sealed.is_empty() {
            let _ = write!(out, "\"sealed\":{},", serde_json::to_string(sealed)?);
        }
        let _ = write!(
            out,
            "\"type\":\"{}\",\"v\":{ENVELOPE_VERSION},\"version\":{}}}",
            event_type.name, draft.version
        );
        Ok(())
    }
}
