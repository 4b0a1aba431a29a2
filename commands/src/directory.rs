//! The principals with their roles and keys, and the slugs of businesses: the installation stream,
//! folded in memory. It is at most [`AGE_MAX`] old; what this process appends is in it at once.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use domain::access::{Principal, PrincipalKind};
use domain::ids::INSTALLATION;
use domain::limits::{DIRECTORY_AGE_MS_MAX, STORE_ANSWER_MS_MAX};
use domain::values::{Digest, Role};
use domain::{BusinessId, Event, Meta, PrincipalId, Timestamp, access, businesses};
use event_log::{EventLog, LogError, Seq, is_last};
use sha2::{Digest as _, Sha256};

use crate::authorize::Actor;

/// The age at which the directory reads the installation stream again.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Time without an answer after which the store counts as silent.
const SILENT_AFTER: Duration = Duration::from_millis(500);
/// Registrations of one principal that are remembered: more than are allowed in one day.
const REGISTRATIONS_REMEMBERED_MAX: usize = 1_000;
/// Events that are read at once.
const PAGE: usize = 1_000;

/// Seconds for which a human who lost a role still counts as one who can vote: nobody becomes the
/// only voter by taking a role away.
const LOST_ROLE_COUNTS_SECONDS: u64 = 7 * 86_400;

/// Every principal with its roles, as the installation stream says it.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    principals: HashMap<PrincipalId, Arc<Principal>>,
    operators: BTreeSet<PrincipalId>,
    staff: HashMap<BusinessId, BTreeSet<PrincipalId>>,
}

impl Roster {
    /// A principal's state; `None` when it was never added.
    #[must_use]
    pub fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        self.principals.get(&id).map(Arc::as_ref)
    }

    /// Whether a principal has one of these roles in a business.
    #[must_use]
    pub fn has_role(&self, id: PrincipalId, business: BusinessId, roles: &BTreeSet<Role>) -> bool {
        self.principal(id)
            .and_then(|p| p.roles.get(&business))
            .is_some_and(|has| !has.is_disjoint(roles))
    }

    /// Whether a principal belongs to a business, or runs the installation.
    #[must_use]
    pub fn is_known_in(&self, id: PrincipalId, business: BusinessId) -> bool {
        self.belongs_to(id, business) || self.principal(id).is_some_and(|p| p.operator)
    }

    /// Whether a principal has any role in a business.
    #[must_use]
    pub fn belongs_to(&self, id: PrincipalId, business: BusinessId) -> bool {
        self.principal(id)
            .and_then(|p| p.roles.get(&business))
            .is_some_and(|roles| !roles.is_empty())
    }

    /// Whether the installation has another operator with a working API key, besides the given
    /// principal.
    #[must_use]
    pub fn has_other_operator(&self, besides: PrincipalId) -> bool {
        self.operators
            .iter()
            .filter(|id| **id != besides)
            .any(|id| self.principal(*id).is_some_and(|p| !p.keys.is_empty()))
    }

    /// The humans who can approve a command that a built-in rule holds up: the business's owners
    /// and approvers, those who lost that role less than [`LOST_ROLE_COUNTS_SECONDS`] ago, and the
    /// operators.
    #[must_use]
    pub fn second_humans(&self, business: BusinessId, now: Timestamp) -> BTreeSet<PrincipalId> {
        let there = |p: &Principal| {
            let has = p
                .roles
                .get(&business)
                .is_some_and(|r| r.contains(&Role::Owner) || r.contains(&Role::Approver));
            let had = p.lost.get(&business).is_some_and(|lost| {
                let of = |role| {
                    lost.get(&role)
                        .is_some_and(|at| now.seconds_since(*at) < LOST_ROLE_COUNTS_SECONDS)
                };
                of(Role::Owner) || of(Role::Approver)
            });
            p.kind == Some(PrincipalKind::Human) && (p.operator || has || had)
        };
        let candidates =
            self.operators.iter().chain(self.staff.get(&business).into_iter().flatten());
        candidates.filter(|id| self.principal(**id).is_some_and(there)).copied().collect()
    }

    /// True if `other` was the first to grant every owner or approver role that `id` has, or ever
    /// had, in the business: `id` then does not count as a second human for a request of `other`.
    #[must_use]
    pub fn is_made_by(&self, id: PrincipalId, business: BusinessId, other: PrincipalId) -> bool {
        let Some(person) = self.principal(id).filter(|p| !p.operator && id != other) else {
            return false;
        };
        let votes = |role: &Role| matches!(role, Role::Owner | Role::Approver);
        let granted =
            person.granted_by.get(&business).into_iter().flatten().filter(|(role, _)| votes(role));
        let mut by = granted.map(|(_, granter)| *granter).peekable();
        by.peek().is_some() && by.all(|granter| granter == other)
    }

    /// How many humans other than `besides` have one of these roles in a business.
    #[must_use]
    pub fn voters_besides(
        &self,
        business: BusinessId,
        roles: &BTreeSet<Role>,
        besides: PrincipalId,
    ) -> usize {
        let staff = self.staff.get(&business).into_iter().flatten();
        let human = |id: PrincipalId| {
            self.principal(id).is_some_and(|p| p.kind == Some(PrincipalKind::Human))
        };
        staff
            .filter(|id| **id != besides && human(**id) && self.has_role(**id, business, roles))
            .count()
    }

    /// Folds one event of a principal in.
    pub fn apply(&mut self, id: PrincipalId, meta: &Meta, event: &access::Event) {
        match event {
            access::Event::PrincipalAdded(e) if e.operator => {
                self.operators.insert(id);
            }
            access::Event::RoleGranted(e) => {
                self.staff.entry(e.business).or_default().insert(id);
            }
            access::Event::PrincipalAdded(_)
            | access::Event::RoleRevoked(_)
            | access::Event::RateProfileSet(_)
            | access::Event::KeyIssued(_)
            | access::Event::KeyRevoked(_) => {}
        }
        Arc::make_mut(self.principals.entry(id).or_default()).evolve(meta, event);
    }
}

#[derive(Default)]
struct Folded {
    seq: Seq,
    refreshed: Option<Instant>,
    roster: Arc<Roster>,
    keys: HashMap<Digest, PrincipalId>,
    slugs: HashMap<String, BusinessId>,
    /// When each principal last registered businesses, newest last, at most
    /// [`REGISTRATIONS_REMEMBERED_MAX`].
    registrations: HashMap<PrincipalId, VecDeque<Timestamp>>,
}

/// The installation stream, folded.
pub struct Directory {
    log: Arc<dyn EventLog>,
    folded: RwLock<Folded>,
    /// Lets one caller at a time ask the store; the others wait and use its answer.
    asking: tokio::sync::Mutex<()>,
    /// Since when the store has been asked without an answer; `None` once it has answered.
    asked_since: Mutex<Option<Instant>>,
}

impl Folded {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the other contexts write to streams of businesses"
    )]
    fn apply(&mut self, id: PrincipalId, meta: &Meta, event: &Event) {
        match event {
            Event::Businesses(businesses::Event::SlugClaimed(e)) => {
                self.slugs.insert(e.slug.to_string(), e.business);
                let times = self.registrations.entry(meta.actor).or_default();
                times.push_back(meta.recorded_at);
                if times.len() > REGISTRATIONS_REMEMBERED_MAX {
                    times.pop_front();
                }
            }
            Event::Access(e) => {
                match e {
                    access::Event::KeyIssued(k) => {
                        self.keys.insert(k.hash, id);
                    }
                    access::Event::KeyRevoked(k) => {
                        let hash = self
                            .roster
                            .principal(id)
                            .and_then(|p| p.keys.iter().find(|(key, _)| *key == k.key))
                            .map(|(_, hash)| *hash);
                        if let Some(hash) = hash {
                            self.keys.remove(&hash);
                        }
                    }
                    access::Event::PrincipalAdded(_)
                    | access::Event::RoleGranted(_)
                    | access::Event::RoleRevoked(_)
                    | access::Event::RateProfileSet(_) => {}
                }
                Arc::make_mut(&mut self.roster).apply(id, meta, e);
            }
            _ => {}
        }
    }
}

impl Directory {
    /// An empty directory of that log; it reads the installation stream when it is asked.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            folded: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
            asked_since: Mutex::default(),
        }
    }

    /// Reads the new events of the installation stream.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn refresh(&self) -> Result<(), LogError> {
        // Everything that others have said by now, or no answer: a key that was taken away must not
        // work on.
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
                let stored = recorded.stored().map_err(LogError::corrupt)?;
                // Not passed over: what can't be read may take a key or a role away.
                let event = stored.event().map_err(LogError::corrupt)?;
                folded.apply(PrincipalId(stored.id), &stored.meta(), &event);
                folded.seq = recorded.seq;
            }
            if done {
                folded.refreshed = Some(Instant::now());
                return Ok(());
            }
        }
    }

    fn asked_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.read(|f| f.refreshed.is_some_and(|at| at.elapsed() < age))
    }

    /// Reads new events, unless the directory is younger than [`AGE_MAX`]. One caller reads for all
    /// who ask at the same time.
    ///
    /// # Errors
    /// When the log can't be read, or does not answer in time.
    pub async fn fresh(&self) -> Result<(), LogError> {
        if self.is_younger_than(AGE_MAX) {
            return Ok(());
        }
        let silent = |_| {
            LogError::storage(format!(
                "the store did not answer within {STORE_ANSWER_MS_MAX} ms; nothing was done, try \
                 again"
            ))
        };
        let asked = async {
            let _turn = self.asking.lock().await;
            if self.is_younger_than(AGE_MAX) {
                return Ok(());
            }
            self.asked_since().get_or_insert_with(Instant::now);
            self.refresh().await?;
            *self.asked_since() = None;
            Ok(())
        };
        tokio::time::timeout(Duration::from_millis(STORE_ANSWER_MS_MAX), asked)
            .await
            .map_err(silent)?
    }

    /// Like [`Self::fresh`], for readers of the views: while the store is silent, the keys and
    /// roles that this process read at most [`DIRECTORY_AGE_MS_MAX`] ago are good enough.
    async fn fresh_to_read(&self) -> Result<(), LogError> {
        let will_do = self.is_younger_than(Duration::from_millis(DIRECTORY_AGE_MS_MAX));
        let silent = self.asked_since().is_some_and(|since| since.elapsed() > SILENT_AFTER);
        if will_do && silent {
            Ok(())
        } else {
            self.fresh().await.or_else(|e| if will_do { Ok(()) } else { Err(e) })
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Folded) -> T) -> T {
        look(&self.folded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The principal whose API key has this secret; `None` if no valid key has it.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn principal_of(&self, secret: &str) -> Result<Option<PrincipalId>, LogError> {
        self.fresh().await?;
        let hash = Digest(Sha256::digest(secret.as_bytes()).into());
        Ok(self.read(|f| f.keys.get(&hash).copied()))
    }

    /// The principal whose API key has this secret, for reading the views: while the store is
    /// silent, as it was known up to [`DIRECTORY_AGE_MS_MAX`] ago.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn reader_of(
        &self,
        secret: &str,
    ) -> Result<Option<(PrincipalId, Arc<Principal>)>, LogError> {
        self.fresh_to_read().await?;
        let hash = Digest(Sha256::digest(secret.as_bytes()).into());
        Ok(self.read(|f| {
            f.keys
                .get(&hash)
                .map(|id| (*id, f.roster.principals.get(id).cloned().unwrap_or_default()))
        }))
    }

    /// A principal as it stands in a business; `None` when it was never added.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn actor(
        &self,
        principal: PrincipalId,
        business: BusinessId,
    ) -> Result<Option<Actor>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| Actor::of(principal, f.roster.principal(principal)?, business)))
    }

    /// A principal's state; `None` when it was never added.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn principal(
        &self,
        principal: PrincipalId,
    ) -> Result<Option<Arc<Principal>>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| f.roster.principals.get(&principal).cloned()))
    }

    /// Every principal with its roles.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn roster(&self) -> Result<Arc<Roster>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| Arc::clone(&f.roster)))
    }

    /// When a principal claimed slugs for businesses, as far as is remembered.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn registrations_of(
        &self,
        principal: PrincipalId,
    ) -> Result<VecDeque<Timestamp>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| f.registrations.get(&principal).cloned().unwrap_or_default()))
    }

    /// The business that claimed a slug; `None` if none did.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn slug(&self, slug: &str) -> Result<Option<BusinessId>, LogError> {
        self.fresh().await?;
        Ok(self.read(|f| f.slugs.get(slug).copied()))
    }
}
