//! Where the keys of data subjects live: never in the log, and gone for good when destroyed.
//!
//! A subject has one key at a time in a business; when it is destroyed and new data about the same
//! subject comes later, that gets a key of the next generation. What was sealed under a destroyed
//! key stays unreadable for ever, and the log's proofs are not touched by that.

pub mod local;
mod to_come;
pub mod wrapping;

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use zeroize::Zeroizing;

pub use self::to_come::KeyringToCome;
use crate::cause::Cause;
use crate::place::Position;
use crate::sealing::Entropy;
use domain::personal::Generation;
pub use local::LocalKeyring;
pub use wrapping::{Chest, Wrapping, secret_file};

/// Counts how often keys were destroyed in a keyring that several processes share. Events sealed in
/// an earlier epoch are not appended: their key may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct KeyEpoch(pub u64);

/// A subject's key of one generation.
pub struct SubjectKey {
    /// Generation of the key: 1, and one more after each forgetting.
    pub generation: Generation,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
    pub(crate) aead: LessSafeKey,
}

impl SubjectKey {
    pub(crate) fn new(
        generation: Generation,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<Self, KeyringError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes.as_ref())
            .map_err(|_| KeyringError::broken("a key has the wrong length"))?;
        Ok(Self { generation, bytes, aead: LessSafeKey::new(unbound) })
    }

    /// A random key that is kept nowhere: what is sealed under it nobody ever reads. The generation
    /// is the one that was forgotten.
    ///
    /// # Errors
    /// Never: the key has the right length.
    pub fn kept_nowhere(generation: Generation, entropy: &Entropy) -> Result<Self, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes);
        Self::new(generation, bytes)
    }
}

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubjectKey(generation {}, not shown)", self.generation)
    }
}

/// Why a key could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyringError {
    /// The key file or passphrase is not the one the keyring was made with.
    #[error("{0} does not open with this key file or passphrase; give the one it was made with")]
    WrongWrappingKey(String),
    /// The log has events, and its keys are not there.
    #[error(
        "the keys of this log are missing: {0}; restore the missing part from its backup \
        (minutebook created no new one)"
    )]
    Missing(String),
    /// The keyring's file can't be read or written.
    #[error("the keyring could not be used")]
    Storage(#[source] Cause),
    /// The keyring is damaged, or a sealed field does not fit its key.
    #[error("the keyring is damaged; restore it from its backup")]
    Broken(#[source] Cause),
    /// The key opens nothing any more, and its bytes are still in a file because somebody reads it.
    #[error(
        "the key no longer opens anything, but its bytes are not yet overwritten, because another \
         program reads the keyring's file; close that program, then wait for the automatic retry \
         or send the command again"
    )]
    NotYetDestroyed,
}

impl KeyringError {
    /// Makes [`KeyringError::Storage`] from a sentence, or from the store's own error.
    pub fn storage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(Cause::of(cause))
    }

    /// Makes [`KeyringError::Broken`] from a sentence, or from the error that found the damage.
    pub fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(Cause::of(cause))
    }
}

/// Whether a keyring may be made where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// The keyring is made, because its log has no event yet.
    Make,
    /// A missing keyring is an error: a log is not served under other keys than its own.
    Refuse,
}

/// The keys of the data subjects of all businesses.
#[async_trait]
pub trait Keyring: Send + Sync {
    /// The key that seals new data about the subject, made durably if there is none, and the
    /// keyring's epoch. Where several processes destroy keys, the append names this epoch
    /// ([`crate::Append::key_epoch`]) and is refused once a later one has begun.
    async fn sealing_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError>;

    /// The newest generation that the subject ever had a key of; `None` when it never had one.
    async fn newest_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<Option<Generation>, KeyringError>;

    /// Makes the key of the next generation, unless that one is there: from now on new data is
    /// sealed under it. With the epoch, as for [`Keyring::sealing_key`].
    async fn open_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError>;

    /// A secret of 32 random bytes under a name in a business, made at the first call. It is stored
    /// and copied with the keys.
    async fn secret(
        &self,
        business: BusinessId,
        name: SubjectId,
    ) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        Ok(self.sealing_key(business, name).await?.0.bytes.clone())
    }

    /// Takes in a secret that was kept elsewhere until now, unless there is one of that name: the
    /// first stays.
    async fn adopt_secret(
        &self,
        business: BusinessId,
        name: SubjectId,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<(), KeyringError>;

    /// Clears the cache of sealing keys, so that the next call asks the store.
    async fn invalidate_cache(&self) {}

    /// The key of that generation; `None` once it is destroyed.
    async fn opening_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError>;

    /// The key epoch, which goes up whenever any process destroys keys; with one process it stays.
    async fn epoch(&self) -> Result<KeyEpoch, KeyringError> {
        Ok(KeyEpoch::default())
    }

    /// Destroys the keys that the subject has in that business, up to a generation; says how many
    /// there were.
    ///
    /// # Errors
    /// [`KeyringError::NotYetDestroyed`] when the keys open nothing any more and their
    /// bytes could not be overwritten yet: the same call tries that again.
    async fn destroy(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<u32, KeyringError>;

    /// Checks that the keys can be read: without them nothing can be unsealed or sealed.
    async fn check(&self) -> Result<(), KeyringError>;

    /// The position up to which the forgettings in that log have been applied to these keys; 0 for
    /// a log that was never applied.
    async fn applied(&self, log: Digest) -> Result<Position, KeyringError>;

    /// Stores that position for this log, in place of the position of any other.
    async fn set_applied(&self, log: Digest, position: Position) -> Result<(), KeyringError>;
}
