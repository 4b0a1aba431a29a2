//! Personal fields: clear in a command, sealed in everything that is kept.
//!
//! A [`Personal<T>`] is in one of two states. *Clear* is what a command brings; it has a subject
//! once a decision has said whom it is about. *Sealed* is what an event holds: a reference to a
//! ciphertext. Clear values serialise only inside [`collect`], which hands each plaintext to the
//! sealer and leaves `{"$sealed": n}` behind; anywhere else serialising one is an error, so no log
//! line, view or answer can hold one by accident. `Debug` never shows the value.
//!
//! Reading goes the other way: inside [`resolve`], `{"$sealed": n}` becomes a value that carries
//! its own ciphertext and place, so that it can be unsealed wherever it ends up.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::SubjectId;

/// Which of a data subject's keys: 1, and one more after each forgetting.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Generation(pub u32);

impl Generation {
    /// Of a subject's first key.
    pub const FIRST: Self = Self(1);

    /// Every key that a subject has is of this one or an earlier one.
    pub const LAST: Self = Self(u32::MAX);

    /// Of the key that follows when those up to this one are destroyed.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sealed value with all that is needed to open it, except the key.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SealedField {
    /// The stream that the field is in; with `subject` and `generation` it names the key.
    pub business: crate::BusinessId,
    /// The data subject whose key seals the value.
    pub subject: SubjectId,
    /// Generation of the subject's key.
    pub generation: Generation,
    /// 96-bit nonce, base64url.
    pub nonce: String,
    /// Ciphertext and tag, base64url.
    pub ct: String,
    /// Key commitment, base64url.
    pub commit: String,
    /// Additional authenticated data: business|kind|id|version|JSON pointer|generation.
    pub aad: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Inner<T> {
    Clear { value: T, subject: Option<SubjectId> },
    Sealed(Arc<SealedField>),
}

/// A value about a data subject, clear or sealed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Personal<T>(Inner<T>);

/// A personal field of free text that people or models wrote.
pub type Text = Personal<String>;

impl<T> Personal<T> {
    /// A clear value about this subject.
    pub fn new(subject: SubjectId, value: T) -> Self {
        Self(Inner::Clear { value, subject: Some(subject) })
    }

    /// The same value, said to be about this subject; a sealed value stays as it is.
    #[must_use]
    pub fn about(self, subject: SubjectId) -> Self {
        match self.0 {
            Inner::Clear { value, .. } => Self::new(subject, value),
            Inner::Sealed(_) => self,
        }
    }

    /// The clear value; `None` when it is sealed.
    pub fn clear(&self) -> Option<&T> {
        match &self.0 {
            Inner::Clear { value, .. } => Some(value),
            Inner::Sealed(_) => None,
        }
    }

    /// The sealed field; `None` when the value is clear.
    #[must_use]
    pub fn sealed(&self) -> Option<&SealedField> {
        match &self.0 {
            Inner::Clear { .. } => None,
            Inner::Sealed(field) => Some(field),
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self(Inner::Clear { value, subject: None })
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Inner::Clear { .. } => "Personal(clear, not shown)",
            Inner::Sealed(_) => "Personal(sealed)",
        })
    }
}

/// A plaintext on its way to the sealer.
pub struct Plaintext {
    /// The data subject whose key seals the value.
    pub subject: SubjectId,
    /// JSON of the value.
    pub json: Vec<u8>,
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext(about {}, not shown)", self.subject)
    }
}

thread_local! {
    static COLLECTING: RefCell<Option<Vec<Plaintext>>> = const { RefCell::new(None) };
    static RESOLVING: RefCell<Vec<Arc<SealedField>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `serialise`; every clear personal value in it leaves `{"$sealed": n}` in the output and
/// its plaintext in the list, at index n.
pub fn collect<R>(serialise: impl FnOnce() -> R) -> (R, Vec<Plaintext>) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            COLLECTING.with(|c| c.borrow_mut().take());
        }
    }
    COLLECTING.with(|c| *c.borrow_mut() = Some(Vec::new()));
    let reset = Reset;
    let result = serialise();
    let found = COLLECTING.with(|c| c.borrow_mut().take()).unwrap_or_default();
    drop(reset);
    (result, found)
}

/// Runs `deserialise`; every `{"$sealed": n}` in it becomes the n-th of these fields.
pub fn resolve<R>(fields: Vec<Arc<SealedField>>, deserialise: impl FnOnce() -> R) -> R {
    struct Reset(Vec<Arc<SealedField>>);
    impl Drop for Reset {
        fn drop(&mut self) {
            RESOLVING.with(|r| *r.borrow_mut() = std::mem::take(&mut self.0));
        }
    }
    let _reset = Reset(RESOLVING.with(|r| std::mem::replace(&mut *r.borrow_mut(), fields)));
    deserialise()
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(1))?;
        match &self.0 {
            Inner::Sealed(field) => map.serialize_entry("$sealed", &**field)?,
            Inner::Clear { value, subject } => {
                let subject =
                    subject.ok_or_else(|| S::Error::custom("a personal field has no subject"))?;
                // The list is taken away while the value is written: a personal field inside a
                // personal field finds none and fails, instead of being sealed in the wrong place.
                let list = COLLECTING.with(|c| c.borrow_mut().take());
                let mut list = list.ok_or_else(|| {
                    S::Error::custom("a personal field can't be written in clear")
                })?;
                let json = serde_json::to_vec(value).map_err(S::Error::custom)?;
                let n = list.len();
                list.push(Plaintext { subject, json });
                COLLECTING.with(|c| *c.borrow_mut() = Some(list));
                map.serialize_entry("$sealed", &n)?;
            }
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Reference(usize),
    Whole(Box<SealedField>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    #[serde(rename = "$sealed")]
    sealed: Stored,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(d)?;
        if raw
            .get()
            .trim_start_matches(|c: char| c == '{' || c.is_whitespace())
            .starts_with("\"$sealed\"")
            && raw.get().starts_with('{')
        {
            let marker: Marker = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
            let field = match marker.sealed {
                Stored::Whole(field) => Arc::from(field),
                Stored::Reference(n) => {
                    RESOLVING.with(|r| r.borrow().get(n).cloned()).ok_or_else(|| {
                        D::Error::custom(format!("the event has no sealed field {n}"))
                    })?
                }
            };
            return Ok(Self(Inner::Sealed(field)));
        }
        serde_json::from_str::<T>(raw.get()).map(Self::from).map_err(|e| {
            // The message of a type error repeats the value; only its place is let out.
            D::Error::custom(format!("a personal field has the wrong type (column {})", e.column()))
        })
    }
}

thread_local! {
    static AS_SENT: Cell<bool> = const { Cell::new(false) };
}

/// Makes a JSON Schema in which a personal field is the value that a sender writes; elsewhere it is
/// the sealed form that is stored, which no sender may write.
pub fn as_sent<R>(make: impl FnOnce() -> R) -> R {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            AS_SENT.set(self.0);
        }
    }
    let _before = Reset(AS_SENT.replace(true));
    make()
}

impl<T: JsonSchema> JsonSchema for Personal<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Personal".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if AS_SENT.get() {
            return generator.subschema_for::<T>();
        }
        json_schema!({
            "type": "object",
            "properties": {"$sealed": {"type": "integer", "minimum": 0, "x-class": "internal"}},
            "required": ["$sealed"],
            "additionalProperties": false,
            "x-class": "confidential",
            "x-subject": "subject"
        })
    }
}

/// A digest of content that can be disclosed alone: HMAC-SHA-256 of the content's RFC 8785 bytes
/// under 32 random bytes of its own. Once the subject is forgotten, it proves nothing any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentDigest {
    /// The HMAC-SHA-256 of the content.
    pub digest: crate::values::Digest,
    /// The key of the HMAC, 64 hexadecimal digits, as a personal field.
    pub digest_key: Text,
}

#[cfg(test)]
mod tests;
