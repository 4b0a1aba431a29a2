//! Slots of which each holder (a principal, a peer) may take only a few at once, so that none takes
//! those of all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many holders are kept before those that hold nothing are dropped.
const REMEMBERED_MAX: usize = 1_024;

/// A bounded number of slots for each holder.
pub(crate) struct Slots<K> {
    each: usize,
    holders: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> Slots<K> {
    pub(crate) fn new(each: usize) -> Self {
        Self { each, holders: Mutex::default() }
    }

    fn of(&self, holder: K) -> Arc<Semaphore> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.len() >= REMEMBERED_MAX {
            // Who holds or waits for a place shares the semaphore.
            holders.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(holders.entry(holder).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }

    /// Takes a slot if one is free; dropping the permit frees it.
    pub(crate) fn take(&self, holder: K) -> Option<OwnedSemaphorePermit> {
        self.of(holder).try_acquire_owned().ok()
    }

    /// Waits until `places` slots of the holder are free, and takes them.
    pub(crate) async fn wait(&self, holder: K, places: u32) -> Option<OwnedSemaphorePermit> {
        self.of(holder).acquire_many_owned(places).await.ok()
    }
}
