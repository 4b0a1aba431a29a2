//! A placeholder for a keyring that is opened after its log, because the log tells whether the
//! keyring may be created.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use domain::values::Digest;
use domain::{BusinessId, SubjectId};

use zeroize::Zeroizing;

use super::{KeyEpoch, Keyring, KeyringError, SubjectKey};
use crate::place::Position;
use domain::personal::Generation;

/// Passes every call on to a keyring that is set later; until then each call fails.
#[derive(Default)]
pub struct KeyringToCome(OnceLock<Weak<dyn Keyring>>);

impl KeyringToCome {
    /// Sets the keyring that all calls go to; only the first call has an effect.
    pub fn is(&self, keyring: &Arc<dyn Keyring>) {
        let _ = self.0.set(Arc::downgrade(keyring));
    }

    fn get(&self) -> Result<Arc<dyn Keyring>, KeyringError> {
        self.0
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| KeyringError::storage("the keyring is not open"))
    }
}

#[async_trait]
impl Keyring for KeyringToCome {
    async fn sealing_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        self.get()?.sealing_key(business, subject).await
    }
    async fn newest_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<Option<Generation>, KeyringError> {
        self.get()?.newest_generation(business, subject).await
    }
    async fn open_generation(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<(Arc<SubjectKey>, KeyEpoch), KeyringError> {
        self.get()?.open_generation(business, subject, generation).await
    }
    async fn adopt_secret(
        &self,
        business: BusinessId,
        name: SubjectId,
        bytes: Zeroizing<[u8; 32]>,
    ) -> Result<(), KeyringError> {
        self.get()?.adopt_secret(business, name, bytes).await
    }
    async fn invalidate_cache(&self) {
        if let Ok(keyring) = self.get() {
            keyring.invalidate_cache().await;
        }
    }
    async fn opening_key(
        &self,
        business: BusinessId,
        subject: SubjectId,
        generation: Generation,
    ) -> Result<Option<Arc<SubjectKey>>, KeyringError> {
        self.get()?.opening_key(business, subject, generation).await
    }
    async fn epoch(&self) -> Result<KeyEpoch, KeyringError> {
        self.get()?.epoch().await
    }
    async fn destroy(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<u32, KeyringError> {
        self.get()?.destroy(business, subject, up_to).await
    }
    async fn check(&self) -> Result<(), KeyringError> {
        self.get()?.check().await
    }
    async fn applied(&self, log: Digest) -> Result<Position, KeyringError> {
        self.get()?.applied(log).await
    }
    async fn set_applied(&self, log: Digest, position: Position) -> Result<(), KeyringError> {
        self.get()?.set_applied(log, position).await
    }
}
