//! Signed checkpoints (C2SP tlog-checkpoint and signed-note, 2025) and proofs that travel alone.
//!
//! A checkpoint says how many events a stream has and what the root of its Merkle tree is; the
//! installation signs it with Ed25519. With an inclusion path and the event's bytes it proves that
//! the event stands at its place, to somebody who has neither the database nor us.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::tree::{Hash, ProofError, leaf_hash, verify_inclusion};

/// The type of an Ed25519 signature in a note.
const ED25519: u8 = 0x01;
/// The format that an [`EventProof`] names.
pub const PROOF_FORMAT: &str = "minutebook-proof/1";

/// Why a note or a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not what the field names.
    #[error("it is no {0}")]
    Malformed(&'static str),
    /// The note has no signature by that key.
    #[error("it is not signed by {0}")]
    NotSignedBy(String),
    /// The signature by that key does not fit the note's text.
    #[error("the signature of {0} does not fit the text")]
    BadSignature(String),
    /// The path does not lead from the event to the root.
    #[error("the event is not in the tree at that place")]
    NotIncluded(#[source] ProofError),
}

/// A signer: a name and an Ed25519 private key.
pub struct Signer {
    name: String,
    key: SigningKey,
}

/// A verifier of signatures: a name and an Ed25519 public key; written as a `vkey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = [0; 4];
    id.copy_from_slice(hash.get(..4).unwrap_or_default());
    id
}

impl Signer {
    /// A signer of that name; the name must have no blanks and no plus sign.
    #[must_use]
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) }
    }

    /// The verifier of this signer's signatures.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A signed checkpoint of a stream.
    #[must_use]
    pub fn checkpoint(&self, stream: &str, size: u64, root: &Hash) -> String {
        let text = format!("{}/{stream}\n{size}\n{}\n", self.name, STANDARD.encode(root));
        let id = key_id(&self.name, &self.key.verifying_key());
        let signed: Vec<u8> =
            id.iter().copied().chain(self.key.sign(text.as_bytes()).to_bytes()).collect();
        format!("{text}\n— {} {}\n", self.name, STANDARD.encode(signed))
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id: String = key_id(&self.name, &self.key).iter().map(|b| format!("{b:02x}")).collect();
        let material: Vec<u8> = std::iter::once(ED25519).chain(self.key.to_bytes()).collect();
        write!(f, "{}+{id}+{}", self.name, STANDARD.encode(material))
    }
}

impl std::str::FromStr for Verifier {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let bad = CheckpointError::Malformed("vkey of an Ed25519 key");
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(bad);
        };
        let material = STANDARD.decode(material).map_err(|_| bad.clone())?;
        let Some((&ED25519, key)) = material.split_first() else { return Err(bad) };
        let key = VerifyingKey::from_bytes(key.try_into().map_err(|_| bad.clone())?)
            .map_err(|_| bad.clone())?;
        let wanted: String = key_id(name, &key).iter().map(|b| format!("{b:02x}")).collect();
        if id == wanted { Ok(Self { name: name.to_owned(), key }) } else { Err(bad) }
    }
}

impl Verifier {
    /// The text of a note, when it is signed by this key.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, CheckpointError> {
        let at = note.rfind("\n\n").ok_or(CheckpointError::Malformed("signed note"))?;
        let (text, signatures) = note.split_at(at + 1);
        let mine = signatures
            .lines()
            .filter_map(|l| l.strip_prefix("— ")?.split_once(' '))
            .filter(|(name, _)| *name == self.name);
        let id = key_id(&self.name, &self.key);
        for (_, encoded) in mine {
            let bytes =
                STANDARD.decode(encoded).map_err(|_| CheckpointError::Malformed("signature"))?;
            let Some(signature) = bytes.strip_prefix(&id[..]) else { continue };
            let signature = Signature::from_slice(signature)
                .map_err(|_| CheckpointError::Malformed("signature"))?;
            return match self.key.verify_strict(text.as_bytes(), &signature) {
                Ok(()) => Ok(text),
                Err(_) => Err(CheckpointError::BadSignature(self.name.clone())),
            };
        }
        Err(CheckpointError::NotSignedBy(self.name.clone()))
    }

    /// Stream, size and root of a checkpoint that this key signed.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn checkpoint(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        let bad = CheckpointError::Malformed("checkpoint");
        let text = self.open(note)?;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(bad);
        };
        let stream = origin
            .strip_prefix(&self.name)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| bad.clone())?;
        let size: u64 = size.parse().map_err(|_| bad.clone())?;
        let root = STANDARD.decode(root).ok().and_then(|r| r.try_into().ok()).ok_or(bad)?;
        Ok(Checkpoint { stream: stream.to_owned(), size, root })
    }
}

/// The content of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the stream.
    pub stream: String,
    /// Number of events in the stream.
    pub size: u64,
    /// Root of the stream's Merkle tree.
    pub root: Hash,
}

/// An event with everything that proves its place: it can be checked with this crate alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventProof {
    /// Format of the proof: [`PROOF_FORMAT`].
    pub format: String,
    /// Bytes of the event, as they are stored.
    pub event: String,
    /// Place of the event in its business: 1, 2, 3 …; the leaf's index is one less.
    pub seq: u64,
    /// Hashes from the leaf to the root, base64.
    pub path: Vec<String>,
    /// The signed checkpoint whose root the path leads to.
    pub checkpoint: String,
    /// The key that signed the checkpoint. Whoever checks the proof should know the key from
    /// elsewhere.
    pub vkey: String,
}

impl EventProof {
    /// Makes the proof of an event.
    #[must_use]
    pub fn new(
        event: String,
        seq: u64,
        path: &[Hash],
        checkpoint: String,
        verifier: &Verifier,
    ) -> Self {
        let path = path.iter().map(|h| STANDARD.encode(h)).collect();
        Self {
            format: PROOF_FORMAT.to_owned(),
            event,
            seq,
            path,
            checkpoint,
            vkey: verifier.to_string(),
        }
    }

    /// Checks the whole proof; only a checkpoint that `believed` verifies is accepted.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(&self, believed: &Verifier) -> Result<Checkpoint, CheckpointError> {
        if self.format != PROOF_FORMAT {
            return Err(CheckpointError::Malformed("proof of a known format"));
        }
        let checkpoint = believed.checkpoint(&self.checkpoint)?;
        let decode =
            |text: &String| STANDARD.decode(text).ok().and_then(|h| Hash::try_from(h).ok());
        let path: Option<Vec<Hash>> = self.path.iter().map(decode).collect();
        let path = path.ok_or(CheckpointError::Malformed("path of hashes"))?;
        let index = self.seq.checked_sub(1).ok_or(CheckpointError::Malformed("place"))?;
        let leaf = leaf_hash(self.event.as_bytes());
        verify_inclusion(index, checkpoint.size, &leaf, &path, &checkpoint.root)
            .map_err(CheckpointError::NotIncluded)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests;
