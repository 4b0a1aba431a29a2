//! What keys are wrapped with: AES-256-GCM under a key file or a passphrase.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use domain::{BusinessId, SubjectId};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{KeyringError, SubjectKey};
use crate::cause::Cause;
use crate::sealing::Entropy;
use domain::personal::Generation;

/// Iterations of PBKDF2-HMAC-SHA-256 for a passphrase (OWASP, 2023).
const PASSPHRASE_ITERATIONS: std::num::NonZeroU32 = std::num::NonZeroU32::new(600_000).unwrap();
/// The key or passphrase that the keyring's keys are wrapped with.
#[derive(Clone)]
pub enum Wrapping {
    /// A key of 32 random bytes, from a file.
    Key(Zeroizing<[u8; 32]>),
    /// A passphrase that a human remembers.
    Passphrase(Zeroizing<String>),
}

impl Wrapping {
    /// The key in that file; the file is made, readable by its owner alone, when it is not there.
    ///
    /// # Errors
    /// When it can't be read or made, or does not hold 64 hexadecimal digits.
    pub fn from_file(path: &Path, entropy: &Entropy) -> Result<Self, KeyringError> {
        Ok(Self::Key(secret_file(path, entropy)?))
    }

    /// The key in a file that must exist, because the log whose keys it wraps exists.
    ///
    /// # Errors
    /// [`KeyringError::Missing`] names the file when it is not there.
    pub fn of_file(path: &Path) -> Result<Self, KeyringError> {
        if !path.exists() {
            return Err(KeyringError::Missing(format!(
                "{} wraps them and is not there",
                path.display()
            )));
        }
        Ok(Self::Key(secret_file(path, &Entropy::System)?))
    }

    fn key(&self, salt: &[u8]) -> Result<LessSafeKey, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        match self {
            Self::Key(key) => bytes.copy_from_slice(key.as_ref()),
            Self::Passphrase(text) => pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA256,
                PASSPHRASE_ITERATIONS,
                salt,
                text.as_bytes(),
                bytes.as_mut(),
            ),
        }
        UnboundKey::new(&AES_256_GCM, bytes.as_ref())
            .map(LessSafeKey::new)
            .map_err(|_| KeyringError::WrongWrappingKey("this keyring".to_owned()))
    }
}

/// The 32 bytes in that file, 64 hexadecimal digits; the file is made of random ones, readable by
/// its owner alone, when it is not there.
///
/// # Errors
/// When it can't be read or made, or holds something else.
pub fn secret_file(path: &Path, entropy: &Entropy) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let storage = |e: std::io::Error| KeyringError::Storage(Cause::new(path.display(), e));
    if !path.exists() {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(storage)?;
        let text = Zeroizing::new(domain::values::Digest(*key).to_string());
        std::io::Write::write_all(&mut file, text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(storage)?;
        return Ok(key);
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(storage)?);
    let key: domain::values::Digest = text.trim().parse().map_err(|_| {
        KeyringError::broken(format!("{} does not hold 64 hexadecimal digits", path.display()))
    })?;
    Ok(Zeroizing::new(key.0))
}

/// What a keyring keeps of the key or passphrase that it was made with: enough to recognise it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    pub salt: Vec<u8>,
    pub nonce: [u8; 12],
    pub proof: Vec<u8>,
}

/// A whole keyring as it is stored, every key wrapped, for copying an installation. It opens with
/// the key or passphrase that it was made with, wherever it lies.
pub struct Chest {
    /// `None` when the keyring was never opened.
    pub proof: Option<Proof>,
    pub keys: Vec<ChestKey>,
}

/// One key of a [`Chest`]; nonce and wrapped key are gone once it is destroyed.
pub struct ChestKey {
    pub business: Uuid,
    pub subject: Uuid,
    pub generation: Generation,
    pub nonce: Option<Vec<u8>>,
    pub wrapped: Option<Vec<u8>>,
}

impl Chest {
    /// Number of keys, destroyed ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Refuses to replace `there` unless that one is empty or the same keyring.
    pub fn may_replace(&self, there: &Self) -> Result<(), KeyringError> {
        if there.proof.is_none() || there.proof == self.proof || there.keys.is_empty() {
            return Ok(());
        }
        Err(KeyringError::broken("the target has keys of another keyring"))
    }
}

/// A wrapped key with its nonce, as it is stored.
pub struct Wrapped {
    pub nonce: [u8; 12],
    pub wrapped: Zeroizing<Vec<u8>>,
}

/// Wraps and unwraps the keys of one keyring.
pub struct Wrapper {
    key: LessSafeKey,
    entropy: Entropy,
}

const PROVEN: &str = "minutebook keyring";

fn aad(business: Uuid, subject: Uuid, generation: Generation) -> String {
    format!("{business}|{subject}|{generation}")
}

impl Wrapper {
    /// A wrapper for a new keyring, and the proof that the keyring must store.
    pub fn fresh(wrapping: &Wrapping, entropy: Entropy) -> Result<(Self, Proof), KeyringError> {
        let (mut salt, mut nonce, mut proof) = (vec![0; 16], [0; 12], Vec::new());
        entropy.fill(&mut salt);
        entropy.fill(&mut nonce);
        let key = wrapping.key(&salt)?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(PROVEN),
            &mut proof,
        )
        .map_err(|_| KeyringError::WrongWrappingKey("this keyring".to_owned()))?;
        Ok((Self { key, entropy }, Proof { salt, nonce, proof }))
    }

    /// A wrapper for an existing keyring.
    ///
    /// # Errors
    /// [`KeyringError::WrongWrappingKey`] when it was made with another key or passphrase.
    pub fn open(
        wrapping: &Wrapping,
        mut known: Proof,
        entropy: Entropy,
    ) -> Result<Self, KeyringError> {
        let key = wrapping.key(&known.salt)?;
        key.open_in_place(
            Nonce::assume_unique_for_key(known.nonce),
            Aad::from(PROVEN),
            &mut known.proof,
        )
        .map_err(|_| KeyringError::WrongWrappingKey("this keyring".to_owned()))?;
        Ok(Self { key, entropy })
    }

    /// Makes a new key, and its wrapped form to store.
    pub fn make(
        &self,
        b: Uuid,
        s: Uuid,
        generation: Generation,
    ) -> Result<(Arc<SubjectKey>, Wrapped), KeyringError> {
        let (mut bytes, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
        let label = aad(b, s, generation);
        let own = domain::privacy::is_secret(BusinessId(b), SubjectId(s));
        let entropy = if own {
            self.entropy.on_its_own(label.as_bytes())
        } else {
            self.entropy.labelled(label.as_bytes())
        };
        entropy.fill(&mut *bytes);
        entropy.fill(&mut nonce);
        self.wrap((b, s, generation), bytes, nonce)
    }

    /// Takes over a secret that was kept elsewhere, and makes its wrapped form to store.
    pub fn adopt(
        &self,
        b: Uuid,
        s: Uuid,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<(Arc<SubjectKey>, Wrapped), KeyringError> {
        let mut nonce = [0; 12];
        Entropy::System.fill(&mut nonce);
        self.wrap((b, s, Generation::FIRST), bytes, nonce)
    }

    fn wrap(
        &self,
        (b, s, generation): (Uuid, Uuid, Generation),
        bytes: Zeroizing<[u8; 32]>,
        nonce: [u8; 12],
    ) -> Result<(Arc<SubjectKey>, Wrapped), KeyringError> {
        let mut wrapped = Zeroizing::new(bytes.to_vec());
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad(b, s, generation)),
                &mut *wrapped,
            )
            .map_err(|_| KeyringError::broken("a key could not be wrapped"))?;
        Ok((Arc::new(SubjectKey::new(generation, bytes)?), Wrapped { nonce, wrapped }))
    }

    /// Unwraps a stored key.
    pub fn unwrap(
        &self,
        b: Uuid,
        s: Uuid,
        generation: Generation,
        mut kept: Wrapped,
    ) -> Result<Arc<SubjectKey>, KeyringError> {
        let opened = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(kept.nonce),
                Aad::from(aad(b, s, generation)),
                &mut kept.wrapped,
            )
            .map_err(|_| KeyringError::broken(format!("the key of subject {s} does not unwrap")))?;
        let bytes: [u8; 32] = (&*opened).try_into().map_err(|_| {
            KeyringError::broken(format!("the key of subject {s} has the wrong length"))
        })?;
        Ok(Arc::new(SubjectKey::new(generation, Zeroizing::new(bytes))?))
    }
}
