//! The keyring of several processes: wrapped keys in a schema and a role of their own.
//!
//! What a process remembers of keys is good for one epoch. Before it opens something it asks for
//! the epoch; what it seals is appended with the epoch, and the append is refused in a later one.
//! So a key that another process destroyed is gone at its next use here.

mod chest;

use chest::pool;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::personal::Generation;
use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use sqlx::Executor as _;
use sqlx::postgres::PgPool;
use tokio::sync::Mutex;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ANSWER_MAX, within};
use event_log::keyring::wrapping::{Proof, Wrapped, Wrapper, Wrapping};
use event_log::keyring::{IfMissing, KeyEpoch, Keyring, KeyringError, SubjectKey};
use event_log::sealing::Entropy;
use event_log::{Position, chain};

pub use chest::{chest, put_chest};

/// How many unwrapped keys are cached.
const UNWRAPPED_MAX: usize = 100_000;

/// Destroys the keys of a subject up to a generation. If none is left, the statement returns no row
/// and begins no new epoch: every server applies each forgetting, and at its start the whole list,
/// and that must not make cached keys stale.
const DESTROY: &str = "SELECT minutebook_keys.destroy_keys($1, $2, $3) WHERE EXISTS
  (SELECT 1 FROM minutebook_keys.keys WHERE business = $1 AND subject = $2 AND generation <= $3 \
  AND wrapped IS NOT NULL)";

#[derive(Default)]
struct Remembered {
    epoch: i64,
    unwrapped: HashMap<(Uuid, Uuid, Generation), Arc<SubjectKey>>,
    current: HashMap<(Uuid, Uuid), Generation>,
}

/// Cached keys to seal with, valid in one key epoch.
#[derive(Default)]
struct Sealing {
    epoch: KeyEpoch,
    keys: HashMap<(Uuid, Uuid), Arc<SubjectKey>>,
}

/// The keyring in a PostgreSQL database.
pub struct PostgresKeyring {
    pool: PgPool,
    wrapper: Wrapper,
    remembered: Mutex<Remembered>,
    sealing: std::sync::Mutex<Sealing>,
}

fn storage(e: sqlx::Error) -> KeyringError {
    KeyringError::Storage(super::cause(e))
}

/// Nonce and wrapped key; both are `None` once the key is destroyed.
type WrappedKey = (Option<Vec<u8>>, Option<Vec<u8>>);

fn nonce(bytes: &[u8]) -> Result<[u8; 12], KeyringError> {
    bytes.try_into().map_err(|_| KeyringError::broken("a nonce has the wrong length"))
}

/// A generation as the database stores it.
fn stored(generation: Generation) -> i32 {
    i32::try_from(generation.0).unwrap_or(i32::MAX)
}

async fn asked<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, KeyringError> {
    within(ANSWER_MAX, asked).await.map_err(storage)
}

impl PostgresKeyring {
    /// Opens the keyring of a database, or makes it.
    ///
    /// # Errors
    /// [`KeyringError::WrongWrappingKey`] when it was made with another key or passphrase:
    /// all processes of one log need the same. [`KeyringError::Missing`] when there is none and
    /// none may be made.
    pub async fn open(
        url: &str,
        wrapping: &Wrapping,
        entropy: Entropy,
        if_missing: IfMissing,
    ) -> Result<Self, KeyringError> {
        let pool = pool(url).await?;
        let mut fresh = None;
        loop {
            let sql = "SELECT salt, nonce, proof FROM minutebook_keys.wrapping";
            let known: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> =
                asked(sqlx::query_as(sql).fetch_optional(&pool)).await?;
            if let Some((salt, n, proof)) = known {
                let wrapper =
                    Wrapper::open(wrapping, Proof { salt, nonce: nonce(&n)?, proof }, entropy)?;
                return Ok(Self {
                    pool,
                    wrapper,
                    remembered: Mutex::default(),
                    sealing: Default::default(),
                });
            }
            if if_missing == IfMissing::Refuse {
                pool.close().await;
                return Err(KeyringError::Missing(
                    "the schema minutebook_keys of the database has none".to_owned(),
                ));
            }
            // Two processes may be first: what one of them wrote is read by both.
            let proof = match fresh.take() {
                Some(proof) => proof,
                None => Wrapper::fresh(wrapping, entropy.clone())?.1,
            };
            let sql = "INSERT INTO minutebook_keys.wrapping(salt, nonce, proof) VALUES ($1, $2, \
                $3) ON CONFLICT DO NOTHING";
            asked(
                sqlx::query(sql)
                    .bind(&proof.salt)
                    .bind(proof.nonce.to_vec())
                    .bind(&proof.proof)
                    .execute(&pool),
            )
            .await?;
            fresh = Some(proof);
        }
    }

    /// Closes the keyring's connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The cached keys, emptied if the epoch has changed. Each caller asks the database for the
    /// epoch after it gets the lock, so the answer is never older than the call.
    async fn current(&self) -> Result<tokio::sync::MutexGuard<'_, Remembered>, KeyringError> {
        let mut remembered = self.remembered.lock().await;
        let epoch: i64 =
            asked(sqlx::query_scalar("SELECT n FROM minutebook_keys.epoch").fetch_one(&self.pool))
                .await?;
        if epoch != remembered.epoch || remembered.unwrapped.len() > UNWRAPPED_MAX {
            *remembered = Remembered { epoch, ..Remembered::default() };
        }
        Ok(remembered)
    }

    fn sealing(&self) -> std::sync::MutexGuard<'_, Sealing> {
        self.sealing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The current key to seal with, and the key epoch.
    async fn asked_for(
        &self,
        b: Uuid,
        s: Uuid,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        let mut remembered = self.current().await?;
        let epoch = KeyEpoch(super::count(remembered.epoch));
        if let Some(&generation) = remembered.current.get(&(b, s))
            && let Some(key) = self.unwrapped(&mut remembered, b, s, generation).await?
        {
            return Ok((key, epoch));
        }
        loop {
            let newest = self.newest(b, s).await?;
            if let Some(generation) = newest
                && let Some(key) = self.unwrapped(&mut remembered, b, s, generation).await?
            {
                remembered.current.insert((b, s), generation);
                return Ok((key, epoch));
            }
            self.make(b, s, newest.map_or(Generation::FIRST, Generation::next)).await?;
        }
    }

    async fn newest(&self, b: Uuid, s: Uuid) -> Result<Option<Generation>, KeyringError> {
        let sql =
            "SELECT max(generation) FROM minutebook_keys.keys WHERE business = $1 AND subject = $2";
        let newest: Option<i32> =
            asked(sqlx::query_scalar(sql).bind(b).bind(s).fetch_one(&self.pool)).await?;
        Ok(newest.and_then(|g| u32::try_from(g).ok()).map(Generation))
    }

    /// Makes a generation's key; if another process made it just now, that key stays.
    async fn make(&self, b: Uuid, s: Uuid, generation: Generation) -> Result<(), KeyringError> {
        let (_, wrapped) = self.wrapper.make(b, s, generation)?;
        self.insert(b, s, generation, wrapped).await
    }

    async fn insert(
        &self,
        b: Uuid,
        s: Uuid,
        generation: Generation,
        Wrapped { nonce, wrapped }: Wrapped,
    ) -> Result<(), KeyringError> {
        let sql =
            "INSERT INTO minutebook_keys.keys VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(sql)
            .bind(b)
            .bind(s)
            .bind(stored(generation))
            .bind(nonce.to_vec())
            .bind(wrapped.as_slice());
        asked(insert.execute(&self.pool)).await.map(|_| ())
    }

    async fn unwrapped(
        &self,
        remembered: &mut Remembered,
        b: Uuid,
        s: Uuid,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        if let Some(key) = remembered.unwrapped.get(&(b, s, generation)) {
            return Ok(Some(Arc::clone(key)));
        }
        let sql = "SELECT nonce, wrapped FROM minutebook_keys.keys WHERE business = $1 AND subject \
            = $2 AND generation = $3";
        let row: Option<WrappedKey> = asked(
            sqlx::query_as(sql).bind(b).bind(s).bind(stored(generation)).fetch_optional(&self.pool),
        )
        .await?;
        let Some((Some(n), Some(wrapped))) = row else { return Ok(None) };
        let key = self.wrapper.unwrap(
            b,
            s,
            generation,
            Wrapped { nonce: nonce(&n)?, wrapped: Zeroizing::new(wrapped) },
        )?;
        remembered.unwrapped.insert((b, s, generation), Arc::clone(&key));
        Ok(Some(key))
    }
}

#[async_trait]
impl Keyring for PostgresKeyring {
    async fn sealing_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        let place = (business.0, subject.0);
        {
            let sealing = self.sealing();
            if let Some(key) = sealing.keys.get(&place) {
                return Ok((Arc::clone(key), sealing.epoch));
            }
        }
        let (key, epoch) = self.asked_for(place.0, place.1).await?;
        let mut sealing = self.sealing();
        if sealing.epoch != epoch || sealing.keys.len() > UNWRAPPED_MAX {
            *sealing = Sealing { epoch, keys: HashMap::new() };
        }
        sealing.keys.insert(place, Arc::clone(&key));
        Ok((key, epoch))
    }

    async fn newest_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<Option<Generation>, KeyringError> {
        self.newest(business.0, subject.0).await
    }

    async fn adopt_secret(
        &self,
        business: BusinessId,
        name: SubjectId,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<(), KeyringError> {
        if self.newest(business.0, name.0).await?.is_some() {
            return Ok(());
        }
        let (_, wrapped) = self.wrapper.adopt(business.0, name.0, bytes)?;
        self.insert(business.0, name.0, Generation(1), wrapped).await
    }

    async fn open_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        self.make(business.0, subject.0, generation).await?;
        // What the others seal under the generation before is not appended any more.
        asked(self.pool.execute("SELECT minutebook_keys.next_epoch()")).await?;
        self.invalidate_cache().await;
        let mut remembered = self.current().await?;
        let epoch = KeyEpoch(super::count(remembered.epoch));
        let key = self.unwrapped(&mut remembered, business.0, subject.0, generation).await?;
        Ok((
            key.ok_or_else(|| {
                KeyringError::broken("the generation that was to be opened is destroyed already")
            })?,
            epoch,
        ))
    }

    async fn invalidate_cache(&self) {
        *self.sealing() = Sealing::default();
    }

    async fn opening_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        let mut remembered = self.current().await?;
        self.unwrapped(&mut remembered, business.0, subject.0, generation).await
    }

    async fn epoch(&self) -> Result<KeyEpoch, KeyringError> {
        let epoch: i64 =
            asked(sqlx::query_scalar("SELECT n FROM minutebook_keys.epoch").fetch_one(&self.pool))
                .await?;
        let epoch = KeyEpoch(super::count(epoch));
        if self.sealing().epoch != epoch {
            *self.sealing() = Sealing::default();
        }
        Ok(epoch)
    }

    async fn destroy(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<u32, KeyringError> {
        // One statement: nobody who is stopped in the middle holds up the others.
        let destroying = sqlx::query_scalar(DESTROY)
            .bind(business.0)
            .bind(subject.0)
            .bind(stored(up_to))
            .fetch_optional(&self.pool);
        let Some(destroyed): Option<i64> = asked(destroying).await? else { return Ok(0) };
        // Until the table is vacuumed its old row version, wrapped, lies in the file; see
        // SECURITY.md.
        if let Err(e) = asked(self.pool.execute("VACUUM minutebook_keys.keys")).await {
            tracing::warn!(error = %chain(&e), "a destroyed key still lies, wrapped, in its table's file; \
                PostgreSQL's autovacuum will take it");
        }
        *self.remembered.lock().await = Remembered::default();
        self.invalidate_cache().await;
        Ok(u32::try_from(destroyed).unwrap_or(u32::MAX))
    }

    async fn check(&self) -> Result<(), KeyringError> {
        asked(self.pool.execute("SELECT wrapped FROM minutebook_keys.keys LIMIT 1"))
            .await
            .map(|_| ())
    }

    async fn applied(&self, log: Digest) -> Result<Position, KeyringError> {
        let sql = "SELECT position FROM minutebook_keys.applied WHERE log = $1";
        let position: Option<i64> =
            asked(sqlx::query_scalar(sql).bind(log.0.to_vec()).fetch_optional(&self.pool)).await?;
        Ok(position.map(|position| Position(super::count(position))).unwrap_or_default())
    }

    async fn set_applied(&self, log: Digest, position: Position) -> Result<(), KeyringError> {
        let sql = "INSERT INTO minutebook_keys.applied(log, position) VALUES ($1, $2)
                   ON CONFLICT (one) DO UPDATE SET log = excluded.log, position = \
                   excluded.position";
        asked(
            sqlx::query(sql).bind(log.0.to_vec()).bind(super::number(position)).execute(&self.pool),
        )
        .await
        .map(|_| ())
    }
}
