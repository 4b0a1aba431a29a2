//! Sealing of personal fields: AES-256-GCM with a key per subject and generation.
//!
//! The additional data binds a ciphertext to its place
//! (`business|kind|id|version|JSON pointer|generation`), so that it can't be moved to another field
//! or event. `commit` is an HMAC over the nonce under the same key: AES-GCM alone lets one
//! ciphertext open under two keys, the commitment does not.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::personal::{Generation, Plaintext, SealedField};
use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use crate::keyring::{Keyring, KeyringError, SubjectKey};
use crate::place::Version;

/// The source of random bytes for nonces, keys and ids.
#[derive(Clone, Debug, Default)]
pub enum Entropy {
    /// The randomness of the operating system.
    #[default]
    System,
    /// The same bytes in every run: for tests that compare whole streams.
    Seeded(Arc<Seed>),
}

/// The source of seeded bytes: each block of 32 is a hash of the label and of the number of blocks
/// drawn before.
#[derive(Debug, Default)]
pub struct Seed {
    label: Vec<u8>,
    drawn: AtomicU64,
    /// True if every command and every key has bytes of its own.
    apart: bool,
}

impl Seed {
    /// A seed whose bytes differ for every command and every key: an additional draw, or another
    /// order of commands, does not change the bytes of the others.
    #[must_use]
    pub fn apart() -> Self {
        Self { apart: true, ..Self::default() }
    }

    /// Number of blocks that were drawn so far.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Goes back to an earlier number of drawn blocks, so that the next draw gives the same bytes
    /// again.
    pub fn back_to(&self, drawn: u64) {
        self.drawn.store(drawn, Ordering::Relaxed);
    }
}

impl Entropy {
    /// The entropy of one command or one key, named by `label`: seeded apart, its bytes depend on
    /// that alone.
    #[must_use]
    pub fn labelled(&self, label: &[u8]) -> Self {
        match self {
            Self::Seeded(seed) if seed.apart => {
                Self::Seeded(Arc::new(Seed { label: label.to_vec(), ..Seed::default() }))
            }
            Self::System | Self::Seeded(_) => self.clone(),
        }
    }

    /// The entropy of one of the program's secrets. In a seeded run it has a separate seed, so that
    /// making the secret changes none of the bytes that the run compares.
    #[must_use]
    pub fn on_its_own(&self, label: &[u8]) -> Self {
        match self {
            Self::System => Self::System,
            Self::Seeded(_) => {
                Self::Seeded(Arc::new(Seed { label: label.to_vec(), ..Seed::default() }))
            }
        }
    }

    /// Fills `bytes` with random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing may be sealed then.
    #[allow(clippy::expect_used, reason = "without randomness nothing may go on")]
    pub fn fill(&self, bytes: &mut [u8]) {
        match self {
            Self::System => rand::fill(bytes).expect("the operating system gives random bytes"),
            Self::Seeded(seed) => {
                for chunk in bytes.chunks_mut(32) {
                    let drawn = seed.drawn.fetch_add(1, Ordering::Relaxed);
                    let block = Sha256::new_with_prefix(&seed.label)
                        .chain_update(drawn.to_be_bytes())
                        .finalize();
                    chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
                }
            }
        }
    }
}

/// HMAC-SHA-256 of content under its own digest key.
#[must_use]
pub fn content_digest(digest_key: &[u8; 32], content: &[u8]) -> Digest {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, digest_key), content);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    Digest(bytes)
}

/// A sealed field as it stands in a stored event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSealed {
    pub(crate) commit: String,
    pub(crate) ct: String,
    pub(crate) generation: Generation,
    pub(crate) nonce: String,
    pub(crate) subject: SubjectId,
}

/// The place of a sealed field: its aggregate and version, without the JSON pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedFieldContext<'a> {
    pub(crate) business: BusinessId,
    pub(crate) kind: &'a str,
    pub(crate) id: uuid::Uuid,
    pub(crate) version: Version,
}

impl SealedFieldContext<'_> {
    pub(crate) fn aad(&self, pointer: &str, generation: Generation) -> String {
        format!(
            "{}|{}|{}|{}|{pointer}|{generation}",
            self.business, self.kind, self.id, self.version
        )
    }
}

fn commitment(key: &SubjectKey, nonce: &[u8; 12]) -> hmac::Tag {
    let mut message = b"minutebook key commitment v1".to_vec();
    message.extend_from_slice(nonce);
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes.as_ref()), &message)
}

/// The keys that one append seals with.
pub type SubjectKeys = HashMap<SubjectId, Arc<SubjectKey>>;

/// Seals one plaintext at its place; `None` when its subject has no key here.
pub(crate) fn seal(
    place: &SealedFieldContext<'_>,
    pointer: &str,
    plain: Plaintext,
    keys: &SubjectKeys,
    entropy: &Entropy,
) -> Option<StoredSealed> {
    let key = keys.get(&plain.subject)?;
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    let mut bytes = plain.json;
    let aad = Aad::from(place.aad(pointer, key.generation));
    key.aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes).ok()?;
    Some(StoredSealed {
        commit: URL_SAFE_NO_PAD.encode(commitment(key, &nonce)),
        ct: URL_SAFE_NO_PAD.encode(bytes),
        generation: key.generation,
        nonce: URL_SAFE_NO_PAD.encode(nonce),
        subject: plain.subject,
    })
}

/// The result of unsealing a field.
#[derive(Clone, PartialEq, Eq)]
pub enum Unsealed<T> {
    /// The value of the field.
    Value(T),
    /// The key of the field was destroyed: the subject is forgotten.
    Forgotten,
}

impl<T> fmt::Debug for Unsealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Unsealed(value, not shown)",
            Self::Forgotten => "Unsealed(forgotten)",
        })
    }
}

/// Unseals a field.
///
/// # Errors
/// [`KeyringError::Broken`] when ciphertext, place or commitment do not fit the key.
pub async fn unseal<T: serde::de::DeserializeOwned>(
    keyring: &dyn Keyring,
    field: &SealedField,
) -> Result<Unsealed<T>, KeyringError> {
    let Some(key) = keyring.opening_key(field.business, field.subject, field.generation).await?
    else {
        return Ok(Unsealed::Forgotten);
    };
    let broken = |why: &str| {
        KeyringError::broken(format!("a sealed field of subject {} {why}", field.subject))
    };
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| broken("is no base64url"));
    let nonce: [u8; 12] =
        decode(&field.nonce)?.try_into().map_err(|_| broken("has a nonce of the wrong length"))?;
    constant_time::verify_slices_are_equal(
        &decode(&field.commit)?,
        commitment(&key, &nonce).as_ref(),
    )
    .map_err(|_| broken("is committed to another key"))?;
    let mut bytes = decode(&field.ct)?;
    let plain = key
        .aead
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&field.aad), &mut bytes)
        .map_err(|_| broken("does not open at its place"))?;
    serde_json::from_slice(plain).map(Unsealed::Value).map_err(|_| broken("holds another type"))
}

/// The JSON pointers of the `{"$sealed": n}` in a JSON text, by n.
pub(crate) fn places(json: &str, prefix: &str) -> Result<Vec<(usize, String)>, serde_json::Error> {
    let mut found = Vec::new();
    Walk { path: prefix.to_owned(), found: &mut found }
        .deserialize(&mut serde_json::Deserializer::from_str(json))?;
    Ok(found)
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<(usize, String)>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<u64>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Option<u64>, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    /// The value if it is an integer, which the reader of `$sealed` needs; else `None`.
    type Value = Option<u64>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Option<u64>, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Option<u64>, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, n: u64) -> Result<Option<u64>, E> {
        Ok(Some(n))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Option<u64>, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Option<u64>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<u64>, A::Error> {
        let mut i = 0;
        while seq
            .next_element_seed(Walk { path: format!("{}/{i}", self.path), found: self.found })?
            .is_some()
        {
            i += 1;
        }
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let path = format!("{}/{}", self.path, key.replace('~', "~0").replace('/', "~1"));
            let value = map.next_value_seed(Walk { path, found: self.found })?;
            if key == "$sealed"
                && let Some(n) = value.and_then(|n| usize::try_from(n).ok())
            {
                self.found.push((n, self.path.clone()));
            }
        }
        Ok(None)
    }
}
