//! The keyring of an embedded installation: one SQLite file beside the log, each key in it wrapped
//! (AES-256-GCM) by a key file or a passphrase. `secure_delete` and a truncated WAL make a
//! destroyed key really gone.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::{BusinessId, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::wrapping::{Chest, ChestKey, Proof, Wrapped, Wrapper, Wrapping};
use super::{Keyring, KeyringError, SubjectKey};
use crate::sealing::Entropy;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS wrapping(id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL, nonce BLOB NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys(
  business BLOB NOT NULL, subject BLOB NOT NULL, generation INTEGER NOT NULL,
  nonce BLOB, wrapped BLOB, -- both NULL once destroyed
  PRIMARY KEY (business, subject, generation)) STRICT, WITHOUT ROWID;";

/// Keys that stay unwrapped in memory.
const UNWRAPPED_MAX: usize = 100_000;

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
    wrapper: Wrapper,
    inner: Mutex<Inner>,
}

fn storage(e: rusqlite::Error) -> KeyringError {
    KeyringError::Storage(e.to_string())
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
        let wrapper = match known {
            Some((salt, nonce, proof)) => Wrapper::open(wrapping, Proof { salt, nonce, proof }, entropy)?,
            None => {
                let (wrapper, Proof { salt, nonce, proof }) = Wrapper::fresh(wrapping, entropy)?;
                connection.execute("INSERT INTO wrapping VALUES (1, ?, ?, ?)", params![salt, nonce, proof]).map_err(storage)?;
                wrapper
            }
        };
        Ok(Self { wrapper, inner: Mutex::new(Inner { connection, unwrapped: HashMap::new(), current: HashMap::new() }) })
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
        let key = self.wrapper.unwrap(b, s, generation, Wrapped { nonce, wrapped: Zeroizing::new(wrapped) })?;
        inner.remember((b, s, generation), &key);
        Ok(Some(key))
    }

    fn make_key(&self, inner: &mut Inner, b: Uuid, s: Uuid, generation: u32) -> Result<Arc<SubjectKey>, KeyringError> {
        let (key, Wrapped { nonce, wrapped }) = self.wrapper.make(b, s, generation)?;
        inner
            .connection
            .prepare_cached("INSERT INTO keys VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut q| q.execute(params![b, s, generation, nonce, *wrapped]))
            .map_err(storage)?;
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

/// Everything in the keyring of that file.
///
/// # Errors
/// When it can't be read.
pub fn chest(path: &Path) -> Result<Chest, KeyringError> {
    let connection = Connection::open(path).map_err(storage)?;
    connection.execute_batch(SCHEMA).map_err(storage)?;
    let proof = connection.query_row("SELECT salt, nonce, proof FROM wrapping", [], |r| Ok(Proof { salt: r.get(0)?, nonce: r.get(1)?, proof: r.get(2)? }));
    let mut query = connection.prepare("SELECT business, subject, generation, nonce, wrapped FROM keys").map_err(storage)?;
    let key = |r: &rusqlite::Row<'_>| Ok(ChestKey { business: r.get(0)?, subject: r.get(1)?, generation: r.get(2)?, nonce: r.get(3)?, wrapped: r.get(4)? });
    let keys = query.query_map([], key).and_then(Iterator::collect).map_err(storage)?;
    Ok(Chest { proof: proof.optional().map_err(storage)?, keys })
}

/// Puts a whole keyring into that file; a key that is destroyed on either side stays so.
///
/// # Errors
/// When another keyring is there, or it can't be written.
pub fn put_chest(path: &Path, moved: &Chest) -> Result<(), KeyringError> {
    moved.may_replace(&chest(path)?)?;
    let mut connection = Connection::open(path).map_err(storage)?;
    connection.execute_batch(SCHEMA).map_err(storage)?;
    let tx = connection.transaction().map_err(storage)?;
    let write = || -> rusqlite::Result<()> {
        if let Some(proof) = &moved.proof {
            tx.execute("INSERT OR REPLACE INTO wrapping VALUES (1, ?, ?, ?)", params![proof.salt, proof.nonce, proof.proof])?;
        }
        for k in &moved.keys {
            let sql = "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET nonce = ?4, wrapped = ?5 WHERE ?5 IS NULL";
            tx.prepare_cached(sql)?.execute(params![k.business, k.subject, k.generation, k.nonce, k.wrapped])?;
        }
        Ok(())
    };
    write().map_err(storage)?;
    tx.commit().map_err(storage)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(storage)
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
    async fn sealing_key(&self, business: BusinessId, subject: SubjectId) -> Result<(Arc<SubjectKey>, u64), KeyringError> {
        Ok((self.sealing_key_now(business.0, subject.0)?, 0))
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
