//! The keyring of an embedded installation: one SQLite file beside the log, each key in it wrapped
//! (AES-256-GCM) by a key file or a passphrase. `secure_delete` and a truncated WAL make a
//! destroyed key really gone.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use domain::{BusinessId, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Keyring, KeyringError, SubjectKey};
use crate::sealing::Entropy;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS wrapping(id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL, nonce BLOB NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys(
  business BLOB NOT NULL, subject BLOB NOT NULL, generation INTEGER NOT NULL,
  nonce BLOB, wrapped BLOB, -- both NULL once destroyed
  PRIMARY KEY (business, subject, generation)) STRICT, WITHOUT ROWID;";

/// Iterations of PBKDF2-HMAC-SHA-256 for a passphrase (OWASP, 2023).
const PASSPHRASE_ITERATIONS: std::num::NonZeroU32 = std::num::NonZeroU32::new(600_000).unwrap();
/// Keys that stay unwrapped in memory.
const UNWRAPPED_MAX: usize = 100_000;

/// What the keys are wrapped with.
pub enum Wrapping {
    /// 32 random bytes of a file.
    Key(Zeroizing<[u8; 32]>),
    /// Something a human remembers.
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

    fn key(&self, salt: &[u8]) -> Result<LessSafeKey, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        match self {
            Self::Key(key) => bytes.copy_from_slice(key.as_ref()),
            Self::Passphrase(text) => pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, PASSPHRASE_ITERATIONS, salt, text.as_bytes(), bytes.as_mut()),
        }
        UnboundKey::new(&AES_256_GCM, bytes.as_ref()).map(LessSafeKey::new).map_err(|_| KeyringError::WrongWrappingKey)
    }
}

/// The 32 bytes in that file, 64 hexadecimal digits; the file is made of random ones, readable by its
/// owner alone, when it is not there.
///
/// # Errors
/// When it can't be read or made, or holds something else.
pub fn secret_file(path: &Path, entropy: &Entropy) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let storage = |e: std::io::Error| KeyringError::Storage(format!("{}: {e}", path.display()));
    if !path.exists() {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(storage)?;
        let text = Zeroizing::new(domain::values::Digest(*key).to_string());
        std::io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all()).map_err(storage)?;
        return Ok(key);
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(storage)?);
    let key: domain::values::Digest =
        text.trim().parse().map_err(|_| KeyringError::Broken(format!("{} does not hold 64 hexadecimal digits", path.display())))?;
    Ok(Zeroizing::new(key.0))
}

/// Nonce and wrapped key; neither once it is destroyed.
type WrappedKey = (Option<[u8; 12]>, Option<Vec<u8>>);

struct Inner {
    connection: Connection,
    /// Unwrapped keys by (business, subject, generation).
    unwrapped: HashMap<(Uuid, Uuid, u32), Arc<SubjectKey>>,
    /// The newest generation that is not destroyed, by (business, subject).
    current: HashMap<(Uuid, Uuid), u32>,
}

/// The keyring in one file.
pub struct LocalKeyring {
    wrapping: LessSafeKey,
    entropy: Entropy,
    inner: Mutex<Inner>,
}

fn storage(e: rusqlite::Error) -> KeyringError {
    KeyringError::Storage(e.to_string())
}

fn aad(business: Uuid, subject: Uuid, generation: u32) -> String {
    format!("{business}|{subject}|{generation}")
}

impl LocalKeyring {
    /// Opens the keyring in that file, or makes it.
    ///
    /// # Errors
    /// [`KeyringError::WrongWrappingKey`] when it was made with another key or passphrase.
    pub fn open(path: &Path, wrapping: &Wrapping, entropy: Entropy) -> Result<Self, KeyringError> {
        let connection = Connection::open(path).map_err(storage)?;
        connection.execute_batch(SCHEMA).map_err(storage)?;
        let known: Option<(Vec<u8>, [u8; 12], Vec<u8>)> =
            connection.query_row("SELECT salt, nonce, proof FROM wrapping", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional().map_err(storage)?;
        let wrapping = match known {
            Some((salt, nonce, mut proof)) => {
                let key = wrapping.key(&salt)?;
                key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from("minutebook keyring"), &mut proof)
                    .map_err(|_| KeyringError::WrongWrappingKey)?;
                key
            }
            None => {
                let (mut salt, mut nonce, mut proof) = ([0; 16], [0; 12], Vec::new());
                entropy.fill(&mut salt);
                entropy.fill(&mut nonce);
                let key = wrapping.key(&salt)?;
                key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from("minutebook keyring"), &mut proof)
                    .map_err(|_| KeyringError::WrongWrappingKey)?;
                connection.execute("INSERT INTO wrapping VALUES (1, ?, ?, ?)", params![salt, nonce, proof]).map_err(storage)?;
                key
            }
        };
        Ok(Self { wrapping, entropy, inner: Mutex::new(Inner { connection, unwrapped: HashMap::new(), current: HashMap::new() }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwrap_key(&self, inner: &mut Inner, b: Uuid, s: Uuid, generation: u32) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        if let Some(key) = inner.unwrapped.get(&(b, s, generation)) {
            return Ok(Some(Arc::clone(key)));
        }
        let row: Option<WrappedKey> = inner
            .connection
            .prepare_cached("SELECT nonce, wrapped FROM keys WHERE business = ? AND subject = ? AND generation = ?")
            .and_then(|mut q| q.query_row(params![b, s, generation], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .map_err(storage)?;
        let Some((Some(nonce), Some(wrapped))) = row else { return Ok(None) };
        let mut wrapped = Zeroizing::new(wrapped);
        let opened = self
            .wrapping
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad(b, s, generation)), &mut wrapped)
            .map_err(|_| KeyringError::Broken(format!("the key of subject {s} does not unwrap")))?;
        let bytes: [u8; 32] = (&*opened).try_into().map_err(|_| KeyringError::Broken(format!("the key of subject {s} has the wrong length")))?;
        let key = Arc::new(SubjectKey::new(generation, Zeroizing::new(bytes))?);
        inner.remember((b, s, generation), &key);
        Ok(Some(key))
    }

    fn make_key(&self, inner: &mut Inner, b: Uuid, s: Uuid, generation: u32) -> Result<Arc<SubjectKey>, KeyringError> {
        let (mut bytes, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
        self.entropy.fill(&mut *bytes);
        self.entropy.fill(&mut nonce);
        let mut wrapped = Zeroizing::new(bytes.to_vec());
        self.wrapping
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad(b, s, generation)), &mut *wrapped)
            .map_err(|_| KeyringError::Broken("a key could not be wrapped".to_owned()))?;
        inner
            .connection
            .prepare_cached("INSERT INTO keys VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut q| q.execute(params![b, s, generation, nonce, *wrapped]))
            .map_err(storage)?;
        let key = Arc::new(SubjectKey::new(generation, bytes)?);
        inner.remember((b, s, generation), &key);
        Ok(key)
    }

    fn sealing_key_now(&self, b: Uuid, s: Uuid) -> Result<Arc<SubjectKey>, KeyringError> {
        let mut inner = self.inner();
        if let Some(&generation) = inner.current.get(&(b, s))
            && let Some(key) = self.unwrap_key(&mut inner, b, s, generation)?
        {
            return Ok(key);
        }
        let newest: Option<u32> =
            inner.connection.query_row("SELECT max(generation) FROM keys WHERE business = ? AND subject = ?", params![b, s], |r| r.get(0)).map_err(storage)?;
        let alive = match newest {
            Some(generation) => self.unwrap_key(&mut inner, b, s, generation)?,
            None => None,
        };
        let key = match alive {
            Some(key) => key,
            None => self.make_key(&mut inner, b, s, newest.unwrap_or(0) + 1)?,
        };
        inner.current.insert((b, s), key.generation);
        Ok(key)
    }
}

impl Inner {
    fn remember(&mut self, place: (Uuid, Uuid, u32), key: &Arc<SubjectKey>) {
        if self.unwrapped.len() >= UNWRAPPED_MAX {
            self.unwrapped.clear();
            self.current.clear();
        }
        self.unwrapped.insert(place, Arc::clone(key));
    }
}

#[async_trait]
impl Keyring for LocalKeyring {
    async fn sealing_key(&self, business: BusinessId, subject: SubjectId) -> Result<Arc<SubjectKey>, KeyringError> {
        self.sealing_key_now(business.0, subject.0)
    }

    async fn opening_key(&self, business: BusinessId, subject: SubjectId, generation: u32) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        self.unwrap_key(&mut self.inner(), business.0, subject.0, generation)
    }

    async fn destroy(&self, business: BusinessId, subject: SubjectId) -> Result<u32, KeyringError> {
        let mut inner = self.inner();
        inner.unwrapped.retain(|(b, s, _), _| (*b, *s) != (business.0, subject.0));
        inner.current.remove(&(business.0, subject.0));
        let destroyed = inner
            .connection
            .execute("UPDATE keys SET nonce = NULL, wrapped = NULL WHERE business = ? AND subject = ? AND wrapped IS NOT NULL", params![business.0, subject.0])
            .map_err(storage)?;
        // Until the WAL is folded back, older pages with the key are still in it.
        inner.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(storage)?;
        Ok(u32::try_from(destroyed).unwrap_or(u32::MAX))
    }
}
