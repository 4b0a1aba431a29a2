//! The keyring of an embedded installation: one SQLite file beside the log, each key in it wrapped
//! (AES-256-GCM) by a key file or a passphrase. A key is destroyed when its row is overwritten
//! (`secure_delete`) *and* the WAL, which has older pages, is truncated: not before.

mod chest;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::wrapping::{Proof, Wrapped, Wrapper, Wrapping};
use super::{IfMissing, KeyEpoch, Keyring, KeyringError, SubjectKey};
use crate::sealing::Entropy;

use crate::place::Position;
pub use chest::{chest, put_chest};
use domain::personal::Generation;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS wrapping(id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL, \
    nonce BLOB NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys(
  business BLOB NOT NULL, subject BLOB NOT NULL, generation INTEGER NOT NULL,
  nonce BLOB, wrapped BLOB, -- both NULL once destroyed
  PRIMARY KEY (business, subject, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS applied(id INTEGER PRIMARY KEY CHECK (id = 1), log BLOB NOT NULL, \
    position INTEGER NOT NULL) STRICT;";

/// How long to wait for a lock that another connection has on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Most keys that stay unwrapped in memory.
const UNWRAPPED_MAX: usize = 100_000;

/// How often to try to truncate the WAL before a destroyed key is reported as still in it.
const TRUNCATE_TRIES_MAX: u32 = 20;
/// Time between two tries to truncate the WAL.
const TRUNCATE_EVERY: Duration = Duration::from_millis(100);

/// Nonce and wrapped key; both `None` once the key is destroyed.
type WrappedKey = (Option<[u8; 12]>, Option<Vec<u8>>);

struct Inner {
    connection: Connection,
    /// Unwrapped keys by (business, subject, generation).
    unwrapped: HashMap<(Uuid, Uuid, Generation), Arc<SubjectKey>>,
    /// The newest generation that is not destroyed, by (business, subject).
    current: HashMap<(Uuid, Uuid), Generation>,
    /// True if a destroyed key may still lie in the WAL.
    wal_dirty: bool,
}

/// The keyring in one file.
pub struct LocalKeyring {
    wrapper: Wrapper,
    inner: Mutex<Inner>,
}

fn storage(e: rusqlite::Error) -> KeyringError {
    KeyringError::storage(e)
}

impl LocalKeyring {
    /// Opens the keyring in that file, or makes it. What a process that died left in the WAL is
    /// emptied; while another program reads the file, that is tried again with the next key that is
    /// destroyed.
    ///
    /// # Errors
    /// [`KeyringError::WrongWrappingKey`] when it was made with another key or passphrase,
    /// [`KeyringError::Missing`] when there is none and none may be made.
    pub fn open(
        path: &Path,
        wrapping: &Wrapping,
        entropy: Entropy,
        if_missing: IfMissing,
    ) -> Result<Self, KeyringError> {
        let missing = || KeyringError::Missing(format!("{} has none", path.display()));
        if if_missing == IfMissing::Refuse && !path.exists() {
            return Err(KeyringError::Missing(format!("{} is not there", path.display())));
        }
        let connection = Connection::open(path).map_err(storage)?;
        connection.execute_batch(SCHEMA).map_err(storage)?;
        let known: Option<(Vec<u8>, [u8; 12], Vec<u8>)> = connection
            .query_row("SELECT salt, nonce, proof FROM wrapping", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .optional()
            .map_err(storage)?;
        let wrapper = match known {
            Some((salt, nonce, proof)) => {
                let named = |e| {
                    if matches!(e, KeyringError::WrongWrappingKey(_)) {
                        KeyringError::WrongWrappingKey(path.display().to_string())
                    } else {
                        e
                    }
                };
                Wrapper::open(wrapping, Proof { salt, nonce, proof }, entropy).map_err(named)?
            }
            None if if_missing == IfMissing::Refuse => return Err(missing()),
            None => {
                let (wrapper, Proof { salt, nonce, proof }) = Wrapper::fresh(wrapping, entropy)?;
                connection
                    .execute(
                        "INSERT INTO wrapping VALUES (1, ?, ?, ?)",
                        params![salt, nonce, proof],
                    )
                    .map_err(storage)?;
                wrapper
            }
        };
        let wal_dirty = !truncate_wal(&connection)?;
        if wal_dirty {
            tracing::warn!(
                "another program reads the keyring's file: a key that was destroyed before may \
                 still lie in its WAL"
            );
        }
        Ok(Self {
            wrapper,
            inner: Mutex::new(Inner {
                connection,
                unwrapped: HashMap::new(),
                current: HashMap::new(),
                wal_dirty,
            }),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwrap_key(
        &self,
        inner: &mut Inner,
        b: Uuid,
        s: Uuid,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        if let Some(key) = inner.unwrapped.get(&(b, s, generation)) {
            return Ok(Some(Arc::clone(key)));
        }
        let row: Option<WrappedKey> = inner
            .connection
            .prepare_cached(
                "SELECT nonce, wrapped FROM keys WHERE business = ? AND subject = ? \
                AND generation = ?",
            )
            .and_then(|mut q| {
                q.query_row(params![b, s, generation.0], |r| Ok((r.get(0)?, r.get(1)?))).optional()
            })
            .map_err(storage)?;
        let Some((Some(nonce), Some(wrapped))) = row else { return Ok(None) };
        let key = self.wrapper.unwrap(
            b,
            s,
            generation,
            Wrapped { nonce, wrapped: Zeroizing::new(wrapped) },
        )?;
        inner.remember((b, s, generation), &key);
        Ok(Some(key))
    }

    fn make_key(
        &self,
        inner: &mut Inner,
        b: Uuid,
        s: Uuid,
        generation: Generation,
    ) -> Result<Arc<SubjectKey>, KeyringError> {
        let (key, Wrapped { nonce, wrapped }) = self.wrapper.make(b, s, generation)?;
        inner
            .connection
            .prepare_cached("INSERT INTO keys VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut q| q.execute(params![b, s, generation.0, nonce, *wrapped]))
            .map_err(storage)?;
        inner.remember((b, s, generation), &key);
        Ok(key)
    }

    /// Overwrites the keys of a subject up to a generation; says how many there were. The WAL is
    /// left to [`LocalKeyring::empty_wal`].
    fn overwrite(&self, b: Uuid, s: Uuid, up_to: Generation) -> Result<usize, KeyringError> {
        let mut inner = self.inner();
        inner.unwrapped.retain(|(business, subject, generation), _| {
            (*business, *subject) != (b, s) || *generation > up_to
        });
        if inner.current.get(&(b, s)).is_some_and(|generation| *generation <= up_to) {
            inner.current.remove(&(b, s));
        }
        let sql = "UPDATE keys SET nonce = NULL, wrapped = NULL WHERE business = ? AND subject = ? \
            AND generation <= ? AND wrapped IS NOT NULL";
        let destroyed = inner.connection.execute(sql, params![b, s, up_to.0]).map_err(storage)?;
        inner.wal_dirty |= destroyed > 0;
        Ok(destroyed)
    }

    /// Folds the WAL back and truncates it: until then, older pages with the key are still in it.
    /// Waits a little for readers of those pages, without holding up those who seal.
    async fn empty_wal(&self) -> Result<(), KeyringError> {
        for _ in 0..TRUNCATE_TRIES_MAX {
            {
                let mut inner = self.inner();
                if !inner.wal_dirty || truncate_wal(&inner.connection)? {
                    inner.wal_dirty = false;
                    return Ok(());
                }
            }
            tokio::time::sleep(TRUNCATE_EVERY).await;
        }
        Err(KeyringError::NotYetDestroyed)
    }

    fn sealing_key_now(&self, b: Uuid, s: Uuid) -> Result<Arc<SubjectKey>, KeyringError> {
        let mut inner = self.inner();
        if let Some(&generation) = inner.current.get(&(b, s))
            && let Some(key) = self.unwrap_key(&mut inner, b, s, generation)?
        {
            return Ok(key);
        }
        let newest = newest(&inner.connection, b, s)?;
        let alive = match newest {
            Some(generation) => self.unwrap_key(&mut inner, b, s, generation)?,
            None => None,
        };
        let key = match alive {
            Some(key) => key,
            None => {
                self.make_key(&mut inner, b, s, newest.map_or(Generation::FIRST, Generation::next))?
            }
        };
        inner.current.insert((b, s), key.generation);
        Ok(key)
    }
}

fn newest(connection: &Connection, b: Uuid, s: Uuid) -> Result<Option<Generation>, KeyringError> {
    connection
        .query_row(
            "SELECT max(generation) FROM keys WHERE business = ? AND subject = ?",
            params![b, s],
            |r| r.get::<_, Option<u32>>(0),
        )
        .map(|newest| newest.map(Generation))
        .map_err(storage)
}

/// Folds the WAL back and truncates it; `false` when a reader keeps it from that.
fn truncate_wal(connection: &Connection) -> Result<bool, KeyringError> {
    connection.busy_timeout(Duration::ZERO).map_err(storage)?;
    let busy: Result<i64, _> =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0));
    connection.busy_timeout(BUSY_TIMEOUT).map_err(storage)?;
    match busy {
        Ok(busy) => Ok(busy == 0),
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        Err(e) => Err(storage(e)),
    }
}

impl Inner {
    fn remember(&mut self, place: (Uuid, Uuid, Generation), key: &Arc<SubjectKey>) {
        if self.unwrapped.len() >= UNWRAPPED_MAX {
            self.unwrapped.clear();
            self.current.clear();
        }
        self.unwrapped.insert(place, Arc::clone(key));
    }
}

#[async_trait]
impl Keyring for LocalKeyring {
    async fn sealing_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        Ok((self.sealing_key_now(business.0, subject.0)?, KeyEpoch::default()))
    }

    async fn newest_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<Option<Generation>, KeyringError> {
        newest(&self.inner().connection, business.0, subject.0)
    }

    async fn adopt_secret(
        &self,
        business: BusinessId,
        name: SubjectId,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<(), KeyringError> {
        let (b, s, inner) = (business.0, name.0, self.inner());
        if newest(&inner.connection, b, s)?.is_some() {
            return Ok(());
        }
        let (_, Wrapped { nonce, wrapped }) = self.wrapper.adopt(b, s, bytes)?;
        inner
            .connection
            .execute("INSERT INTO keys VALUES (?, ?, 1, ?, ?)", params![b, s, nonce, *wrapped])
            .map(|_| ())
            .map_err(storage)
    }

    async fn open_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        let (b, s) = (business.0, subject.0);
        let mut inner = self.inner();
        let key = match self.unwrap_key(&mut inner, b, s, generation)? {
            Some(key) => key,
            None => self.make_key(&mut inner, b, s, generation)?,
        };
        inner.current.insert((b, s), generation);
        Ok((key, KeyEpoch::default()))
    }

    async fn opening_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        self.unwrap_key(&mut self.inner(), business.0, subject.0, generation)
    }

    async fn destroy(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<u32, KeyringError> {
        let destroyed = self.overwrite(business.0, subject.0, up_to)?;
        self.empty_wal().await?;
        Ok(u32::try_from(destroyed).unwrap_or(u32::MAX))
    }

    async fn check(&self) -> Result<(), KeyringError> {
        self.inner()
            .connection
            .query_row("SELECT wrapped FROM keys LIMIT 1", [], |_| Ok(()))
            .optional()
            .map(|_| ())
            .map_err(storage)
    }

    async fn applied(&self, log: Digest) -> Result<Position, KeyringError> {
        let sql = "SELECT position FROM applied WHERE log = ?";
        Ok(self
            .inner()
            .connection
            .query_row(sql, [log.0], |r| r.get(0))
            .optional()
            .map_err(storage)?
            .unwrap_or_default())
    }

    async fn set_applied(&self, log: Digest, position: Position) -> Result<(), KeyringError> {
        let sql = "INSERT OR REPLACE INTO applied VALUES (1, ?, ?)";
        self.inner().connection.execute(sql, params![log.0, position]).map(|_| ()).map_err(storage)
    }
}
