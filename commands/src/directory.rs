//! Who may come in, and which slug is which business: the installation stream, folded in memory.
//! It is at most [`AGE_MAX`] old; what this process appends there is in it at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use domain::access::Principal;
use domain::ids::INSTALLATION;
use domain::values::Digest;
use domain::{BusinessId, Event, PrincipalId, access, businesses};
use event_log::{EventLog, LogError, is_last};
use sha2::{Digest as _, Sha256};

use crate::authorize::Actor;

/// Oldest that the directory may be.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Events that are read at once.
const PAGE: usize = 1_000;

#[derive(Default)]
struct Folded {
    seq: u64,
    refreshed: Option<Instant>,
    principals: HashMap<PrincipalId, Arc<Principal>>,
    keys: HashMap<Digest, PrincipalId>,
    slugs: HashMap<String, BusinessId>,
}

/// The installation stream, folded.
pub struct Directory {
    log: Arc<dyn EventLog>,
    folded: RwLock<Folded>,
}

impl Folded {
    fn apply(&mut self, id: PrincipalId, event: &Event) {
        match event {
            Event::Businesses(businesses::Event::SlugClaimed(e)) => {
                self.slugs.insert(e.slug.to_string(), e.business);
            }
            Event::Access(e) => {
                match e {
                    access::Event::KeyIssued(k) => {
                        self.keys.insert(k.hash, id);
                    }
                    access::Event::KeyRevoked(k) => {
                        let hash = self.principals.get(&id).and_then(|p| p.keys.iter().find(|(key, _)| *key == k.key)).map(|(_, hash)| *hash);
                        if let Some(hash) = hash {
                            self.keys.remove(&hash);
                        }
                    }
                    access::Event::PrincipalAdded(_) | access::Event::RoleGranted(_) | access::Event::RoleRevoked(_) => {}
                }
                Arc::make_mut(self.principals.entry(id).or_default()).evolve(e);
            }
            Event::Businesses(businesses::Event::Registered(_) | businesses::Event::Advanced(_))
            | Event::Agents(_)
            | Event::Tasks(_)
            | Event::Decisions(_)
            | Event::Approvals(_)
            | Event::Budgets(_)
            | Event::Integrations(_)
            | Event::Memory(_)
            | Event::Metrics(_)
            | Event::Operations(_) => {}
        }
    }
}

impl Directory {
    /// An empty directory over that log; it reads what it needs when it is asked.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, folded: RwLock::default() }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn refresh(&self) -> Result<(), LogError> {
        // Everything that others have said by now, or no answer: a key that was taken away must not work on.
        self.log.catch_up(INSTALLATION).await?;
        loop {
            let after = self.folded.read().unwrap_or_else(PoisonError::into_inner).seq;
            let events = self.log.read_business(INSTALLATION, after, PAGE).await?;
            let done = is_last(&events, PAGE);
            let mut folded = self.folded.write().unwrap_or_else(PoisonError::into_inner);
            for recorded in events.iter().filter(|r| r.seq > after) {
                if recorded.seq <= folded.seq {
                    continue;
                }
                let stored = recorded.stored().map_err(|e| LogError::Corrupt(e.to_string()))?;
                // Not passed over: what can't be read may take a key or a role away.
                let event = stored.event().map_err(|e| LogError::Corrupt(e.to_string()))?;
                folded.apply(PrincipalId(stored.id), &event);
                folded.seq = recorded.seq;
            }
            if done {
                folded.refreshed = Some(Instant::now());
                return Ok(());
            }
        }
    }

    async fn fresh(&self) -> Result<(), LogError> {
        let refreshed = self.folded.read().unwrap_or_else(PoisonError::into_inner).refreshed;
        if refreshed.is_some_and(|at| at.elapsed() < AGE_MAX) { Ok(()) } else { self.refresh().await }
    }

    fn read<T>(&self, look: impl FnOnce(&Folded) -> T) -> T {
        look(&self.folded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose secret that is.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn principal_of(&self, secret: &str) -> Result<Option<PrincipalId>, LogError> {
        self.fresh().await?;
        let hash = Digest(Sha256::digest(secret.as_bytes()).into());
        Ok(self.read(|f| f.keys.get(&hash).copied()))
    }

    /// A principal as it stands in a business; `None` when it was never added.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn actor(&self, principal: PrincipalId, business: BusinessId) -> Result<Option<Actor>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| Actor::of(principal, f.principals.get(&principal)?, business)))
    }

    /// A principal's state; `None` when it was never added.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn principal(&self, principal: PrincipalId) -> Result<Option<Arc<Principal>>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| f.principals.get(&principal).cloned()))
    }

    /// The business of a slug.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn slug(&self, slug: &str) -> Result<Option<BusinessId>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| f.slugs.get(slug).copied()))
    }
}
