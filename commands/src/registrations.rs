//! How many businesses a principal may register: one that is no operator has a limit for 24 hours.
//! A registration that finds its slug taken counts too, so that slugs can't be probed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::{PrincipalId, Timestamp};

use crate::Refusal;
use crate::authorize::Actor;
use crate::command::CommandError;
use crate::directory::Directory;

const DAY_SECONDS: u64 = 86_400;
/// Most principals whose failed registrations are remembered; beyond that all are forgotten.
const PRINCIPALS_MAX: usize = 10_000;

/// The limit, and the failed registrations, which no stream records.
pub(crate) struct Registrations {
    per_day: u32,
    failed: Mutex<HashMap<PrincipalId, VecDeque<Timestamp>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Registrations {
    pub(crate) fn new(per_day: u32) -> Self {
        Self { per_day, failed: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Waits until no other registration is between its check and its claim.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Refuses a principal that has reached its limit in the last 24 hours.
    pub(crate) async fn check(
        &self,
        actor: &Actor,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        if actor.operator {
            return Ok(());
        }
        let recent = |at: &Timestamp| now.seconds_since(*at) < DAY_SECONDS;
        let claimed = directory
            .registrations_of(actor.principal)
            .await?
            .iter()
            .filter(|at| recent(at))
            .count();
        let failed = {
            let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed
                .get(&actor.principal)
                .map_or(0, |times| times.iter().filter(|at| recent(at)).count())
        };
        if u32::try_from(claimed + failed).unwrap_or(u32::MAX) < self.per_day {
            return Ok(());
        }
        Err(Refusal::TooManyRegistrations { per_day: self.per_day }.into())
    }

    /// Counts a failed registration.
    pub(crate) fn failed(&self, principal: PrincipalId, now: Timestamp) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= PRINCIPALS_MAX && !failed.contains_key(&principal) {
            failed.clear();
        }
        let times = failed.entry(principal).or_default();
        times.push_back(now);
        if times.len() > usize::try_from(self.per_day).unwrap_or(usize::MAX) {
            times.pop_front();
        }
    }
}
