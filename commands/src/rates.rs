//! Rate limits: a sender over a limit is told when to try again, before any work is done. Each
//! process counts for itself, by the time that passes and not by the clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::access::RateProfile;
use domain::limits::{BUSINESS_COMMANDS_BURST, BUSINESS_COMMANDS_PER_SECOND};
use domain::{BusinessId, PrincipalId};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::authorize::Actor;
use crate::clock::Clock;
use crate::command::CommandError;

/// How many admissions pass between two sweeps, which drop full buckets if there are more than
/// [`REMEMBERED_MAX`].
const FORGET_EVERY: u64 = 10_000;
/// Number of buckets up to which no full bucket is dropped.
const REMEMBERED_MAX: usize = 10_000;
/// The time over which bytes are counted.
const DAY: Duration = Duration::from_secs(86_400);
/// Time to wait if it can't be computed: a command under way must end first.
const A_MOMENT: Duration = Duration::from_secs(1);

/// The time that passes, as the rate limiter's clock.
#[derive(Debug, Clone)]
struct Elapsed(Clock);

impl GovernorClock for Elapsed {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Token buckets, one for each key.
struct Buckets<K: Hash + Eq + Clone>(
    RateLimiter<K, DashMapStateStore<K>, Elapsed, NoOpMiddleware<Nanos>>,
    Elapsed,
);

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(per_second: u32, burst: u32, clock: &Clock) -> Self {
        let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let clock = Elapsed(clock.clone());
        Self(
            RateLimiter::dashmap_with_clock(
                Quota::per_second(some(per_second)).allow_burst(some(burst)),
                clock.clone(),
            ),
            clock,
        )
    }

    /// Takes `n` tokens from a bucket, or returns how long it takes until the bucket has as many.
    fn take(&self, key: &K, n: NonZeroU32) -> Result<(), Duration> {
        match self.0.check_key_n(key, n) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(self.1.now())),
            // More than a bucket holds comes never at once.
            Err(_) => Err(A_MOMENT),
        }
    }

    fn forget(&self) {
        if self.0.len() > REMEMBERED_MAX {
            self.0.retain_recent();
        }
    }
}

/// A principal's commands in flight, and the bytes that it has sent on one day.
#[derive(Debug, Default)]
struct Use {
    in_flight: u32,
    day: u64,
    bytes: u64,
}

/// The token buckets of the principals with one rate profile.
struct OfProfile {
    commands: Buckets<PrincipalId>,
    queries: Buckets<PrincipalId>,
}

impl OfProfile {
    fn new(profile: RateProfile, clock: &Clock) -> Self {
        let rates = profile.rates();
        Self {
            commands: Buckets::new(rates.commands_per_second, rates.commands_burst, clock),
            queries: Buckets::new(rates.queries_per_second, rates.queries_burst, clock),
        }
    }
}

/// The rate limits of all principals and businesses, counted in this process.
pub struct RateLimits {
    clock: Clock,
    standard: OfProfile,
    bulk: OfProfile,
    businesses: Buckets<BusinessId>,
    used: Mutex<HashMap<PrincipalId, Use>>,
    refused: AtomicU64,
    admitted: AtomicU64,
}

/// An admitted command; it counts as in flight until this is dropped.
pub struct Admitted {
    limits: Arc<RateLimits>,
    principal: PrincipalId,
    profile: RateProfile,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(used) = self.limits.used().get_mut(&self.principal) {
            used.in_flight = used.in_flight.saturating_sub(1);
        }
    }
}

impl Admitted {
    /// Counts the bytes of the command.
    ///
    /// # Errors
    /// [`CommandError::RateLimited`] when its sender has used up its bytes of the day.
    pub(crate) fn bytes(&self, bytes: usize) -> Result<(), CommandError> {
        let limits = &self.limits;
        let (passed, max) = (limits.clock.elapsed(), self.profile.rates().command_bytes_per_day);
        let day = passed.as_secs() / DAY.as_secs();
        let mut used = limits.used();
        let used = used.entry(self.principal).or_default();
        if used.day != day {
            (used.day, used.bytes) = (day, 0);
        }
        if used.bytes.saturating_add(bytes as u64) > max {
            let left = Duration::from_secs((day + 1) * DAY.as_secs()).saturating_sub(passed);
            return Err(limits.refuse(format!("{max} bytes of commands in 24 hours"), left));
        }
        used.bytes += bytes as u64;
        Ok(())
    }
}

impl RateLimits {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            standard: OfProfile::new(RateProfile::Standard, clock),
            bulk: OfProfile::new(RateProfile::Bulk, clock),
            businesses: Buckets::new(BUSINESS_COMMANDS_PER_SECOND, BUSINESS_COMMANDS_BURST, clock),
            used: Mutex::default(),
            refused: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<PrincipalId, Use>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, profile: RateProfile) -> &OfProfile {
        match profile {
            RateProfile::Standard => &self.standard,
            RateProfile::Bulk => &self.bulk,
        }
    }

    fn refuse(&self, limit: String, wait: Duration) -> CommandError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        CommandError::RateLimited { limit, retry_after_ms }
    }

    /// Drops, every [`FORGET_EVERY`] admissions, senders that have not asked for a while.
    fn forget(&self) {
        if !self.admitted.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            return;
        }
        for of_profile in [&self.standard, &self.bulk] {
            of_profile.commands.forget();
            of_profile.queries.forget();
        }
        self.businesses.forget();
        let day = self.clock.elapsed().as_secs() / DAY.as_secs();
        self.used().retain(|_, used| used.in_flight > 0 || (used.day == day && used.bytes > 0));
    }

    /// How many requests the rate limits refused since this process began.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Admits a command before it is read, or refuses it because of a rate limit.
    ///
    /// # Errors
    /// [`CommandError::RateLimited`].
    pub fn admit(
        self: &Arc<Self>,
        actor: &Actor,
        business: BusinessId,
    ) -> Result<Admitted, CommandError> {
        self.take_token(actor, business)?;
        self.enter(actor).ok_or_else(|| self.too_many_at_once(actor))
    }

    /// Takes the tokens of one command from the buckets of its sender and of the business.
    pub(crate) fn take_token(
        &self,
        actor: &Actor,
        business: BusinessId,
    ) -> Result<(), CommandError> {
        self.forget();
        let (principal, profile) = (actor.principal, actor.rate_profile);
        let rates = profile.rates();
        let taken = self.of(profile).commands.take(&principal, NonZeroU32::MIN);
        taken.map_err(|wait| {
            self.refuse(format!("{} commands a second", rates.commands_per_second), wait)
        })?;
        // A stranger takes nothing from a business; who moves much at once takes nothing from its
        // daily work.
        if profile == RateProfile::Standard && actor.may_see() {
            let taken = self.businesses.take(&business, NonZeroU32::MIN);
            taken.map_err(|wait| {
                self.refuse(
                    format!("{BUSINESS_COMMANDS_PER_SECOND} commands a second in one business"),
                    wait,
                )
            })?;
        }
        Ok(())
    }

    /// Counts a command as in flight; `None` if its sender has as many in flight as it may.
    pub(crate) fn enter(self: &Arc<Self>, actor: &Actor) -> Option<Admitted> {
        let (principal, profile) = (actor.principal, actor.rate_profile);
        let mut used = self.used();
        let of_principal = used.entry(principal).or_default();
        if of_principal.in_flight >= profile.rates().commands_in_flight {
            return None;
        }
        of_principal.in_flight += 1;
        drop(used);
        Some(Admitted { limits: Arc::clone(self), principal, profile })
    }

    /// The refusal of a sender that has as many commands in flight as it may.
    pub(crate) fn too_many_at_once(&self, actor: &Actor) -> CommandError {
        let max = actor.rate_profile.rates().commands_in_flight;
        self.refuse(format!("{max} commands at once"), A_MOMENT)
    }

    /// Admits `n` GraphQL queries, or refuses them because of the rate limit.
    ///
    /// # Errors
    /// [`CommandError::RateLimited`].
    pub fn admit_queries(
        &self,
        principal: PrincipalId,
        profile: RateProfile,
        n: usize,
    ) -> Result<(), CommandError> {
        self.forget();
        let n = NonZeroU32::new(u32::try_from(n).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        let taken = self.of(profile).queries.take(&principal, n);
        taken.map_err(|wait| {
            self.refuse(format!("{} queries a second", profile.rates().queries_per_second), wait)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

    use super::*;
    use domain::access::PrincipalKind;
    use domain::values::Role;

    fn limits() -> (Arc<RateLimits>, Clock) {
        let clock = Clock::manual(domain::Timestamp::from_micros(1_000_000_000_000_000));
        (Arc::new(RateLimits::new(&clock)), clock)
    }

    fn member(n: u128) -> Actor {
        let (kind, rate_profile) = (PrincipalKind::Agent, RateProfile::Standard);
        let principal = PrincipalId(uuid::Uuid::from_u128(n));
        Actor {
            principal,
            kind,
            operator: false,
            historic: false,
            restores: false,
            rate_profile,
            roles: [Role::Agent].into(),
        }
    }

    fn why<T>(result: Result<T, CommandError>) -> (String, u64) {
        let Err(CommandError::RateLimited { limit, retry_after_ms }) = result else {
            panic!("it is let in")
        };
        (limit, retry_after_ms)
    }

    const BUSINESS: BusinessId = BusinessId(uuid::Uuid::nil());

    #[test]
    fn a_burst_is_let_in_and_then_so_many_a_second() {
        let (limits, clock) = limits();
        let ask = || limits.admit(&member(1), BUSINESS).map(drop);
        (0..500).for_each(|_| ask().unwrap());
        assert_eq!(why(ask()), ("100 commands a second".to_owned(), 10));
        clock.step_seconds(3_600);
        assert!(ask().is_err(), "the clock was set, and no time went by");
        clock.advance_seconds(1);
        (0..100).for_each(|_| ask().unwrap());
        assert!(ask().is_err());
        assert_eq!(limits.refused(), 3);
        assert!(limits.admit(&member(2), BUSINESS).is_ok(), "nobody else is held up");
    }

    #[test]
    fn members_of_a_business_share_its_bucket_and_strangers_take_nothing_from_it() {
        let (limits, _) = limits();
        let from = |n: u128, actor: Actor| {
            (0..n).try_for_each(|_| limits.admit(&actor, BUSINESS).map(drop))
        };
        from(500, Actor { roles: Default::default(), ..member(9) }).unwrap();
        from(2_600, Actor { rate_profile: RateProfile::Bulk, ..member(8) }).unwrap();
        (1..=5).for_each(|n| from(500, member(n)).unwrap());
        assert_eq!(
            why(limits.admit(&member(6), BUSINESS)).0,
            "500 commands a second in one business"
        );
        assert!(
            limits.admit(&member(6), BusinessId(uuid::Uuid::from_u128(1))).is_ok(),
            "another business has its own"
        );
    }

    #[test]
    fn so_many_are_under_way_at_once_and_one_that_ended_makes_room() {
        let (limits, _) = limits();
        let mut under_way: Vec<Admitted> =
            (0..64).map(|_| limits.admit(&member(1), BUSINESS).unwrap()).collect();
        assert_eq!(why(limits.admit(&member(1), BUSINESS)).0, "64 commands at once");
        under_way.pop();
        assert!(limits.admit(&member(1), BUSINESS).is_ok());
    }

    #[test]
    fn bytes_are_counted_for_a_day() {
        let (limits, clock) = limits();
        let send =
            |bytes| limits.admit(&member(1), BUSINESS).and_then(|admitted| admitted.bytes(bytes));
        send(1 << 30).unwrap();
        let (limit, wait) = why(send(1));
        assert!(limit.contains("1073741824 bytes") && wait <= 86_400_000, "{limit}: {wait}");
        clock.advance_seconds(86_400);
        send(1).unwrap();
    }

    #[test]
    fn queries_have_buckets_of_their_own() {
        let (limits, clock) = limits();
        let ask = |n| limits.admit_queries(member(1).principal, RateProfile::Standard, n);
        ask(10).unwrap();
        (0..90).for_each(|_| ask(1).unwrap());
        assert_eq!(why(ask(1)), ("20 queries a second".to_owned(), 50));
        clock.advance_seconds(1);
        ask(20).unwrap();
        assert!(ask(1).is_err());
        assert!(limits.admit_queries(member(1).principal, RateProfile::Bulk, 1_000).is_ok());
    }
}
