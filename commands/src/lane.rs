//! A lane decides the commands of its businesses one after another, on state that already includes
//! the appends in flight. A few lanes share all businesses; each business is always in the same
//! one. Appends of one process therefore do not conflict with each other: a conflict comes from
//! another process, or from an append that was stored after its outcome was given up as unknown.
//!
//! 1. [`decide`] loads what the command reads, asks the rules, and makes a [`Plan`]: an append, or
//!    an answer that writes nothing. `append` seals events, `subjects` asks who of theirs is
//!    forgotten, `repeat` finds earlier commands, `time` gives the time, `wrong_kind` explains ids.
//! 2. [`queue`]: a decided job is a *flight*; it waits in one queue with those before it, and
//!    *lands* when its turn comes. An answer never leaves before the appends that it was decided on
//!    are durable. On a shared log it is first asked whether what the answer rests on still holds:
//!    if not, the answer is *stale*. Another process may have appended, or this lane itself, for a
//!    job that was decided later.
//! 3. [`retry`] says what becomes of a failed append and of a stale answer, and of what was decided
//!    after it.
//!
//! # States of a lane
//!
//! | phase | takes jobs | becomes |
//! |---|---|---|
//! | [`Phase::Deciding`] | new ones, while fewer than [`IN_FLIGHT_MAX`] are in flight and no cache is full | `Draining`, when an append fails or an answer of this epoch is stale |
//! | [`Phase::Draining`] | no: it lets the queue run out, and puts jobs that were decided on dropped state aside | `Deciding`, when nothing is in flight |
//!
//! Draining begins the next [`LaneEpoch`]. What was decided in an earlier epoch rests on state that
//! was dropped. After a failed append the store refuses its append with `ChainBroken`, and it is
//! decided again; that drops nothing more.

mod append;
mod cache;
mod decide;
mod queue;
mod repeat;
mod retry;
mod subjects;
#[cfg(test)]
mod tests;
mod time;
mod wrong_kind;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::EventId;
use domain::{AggregateRef, BusinessId};
use event_log::envelope::event_id;
use event_log::{Append, Entropy, EventLog, Keyring, LaneEpoch, Version};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use crate::clock_watch::ClockWatch;
use crate::command::{CommandError, Receipt, Submission};
use crate::directory::Directory;
use crate::leases::{Leases, OpenLeases};
use crate::registry::AnyCommand;

use cache::LaneCache;
use queue::{Flight, Staleness};

/// Flights of one lane that may be under way.
const IN_FLIGHT_MAX: usize = 1_024;

/// The services that every lane works with.
pub(crate) struct LaneServices {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) clock: Arc<ClockWatch>,
    pub(crate) entropy: Entropy,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leases: Arc<dyn OpenLeases>,
}

/// A command on its way through a lane.
pub(crate) struct Job {
    pub(crate) submission: Submission,
    pub(crate) command: AnyCommand,
    pub(crate) target: AggregateRef,
    /// For `businesses.claim_slug`: a business that claimed the slug and was never opened.
    pub(crate) unopened: Option<BusinessId>,
    /// True if the target's id was derived from this command's own key. The target is then taken
    /// to be new and is not loaded, until `check_duplicate` is set. Where that is wrong, because
    /// the command was carried out before, the append fails with `IdTaken`, and the job is decided
    /// again with a look.
    pub(crate) target_id_from_key: bool,
    /// The id of the first event that the command can make: the same for every repeat.
    pub(crate) first_id: EventId,
    /// RFC 8785 bytes of the command, by which a repeat is recognised.
    pub(crate) content: Vec<u8>,
    /// Conflicts so far that did not follow from an earlier failure of the lane, at most
    /// [`domain::limits::CONFLICT_TRIES_MAX`].
    pub(crate) conflicts: u32,
    /// How often the job was decided again because its answer was stale, or because encryption keys
    /// were destroyed.
    pub(crate) stale_retries: u32,
    /// If true, the lane looks for an earlier command of this idempotency key before it decides.
    /// Always so on an embedded log, where the look-up is cheap; on a shared one only once a
    /// duplicate is likely, because the append finds it anyway, by its event ids.
    pub(crate) check_duplicate: bool,
    pub(crate) answer: oneshot::Sender<Result<Receipt, CommandError>>,
    /// The job's place in the command bus's queue, given back when the job is dropped.
    pub(crate) _queue_permit: OwnedSemaphorePermit,
}

impl Job {
    fn answer(self, result: Result<Receipt, CommandError>) {
        let _ = self.answer.send(result);
    }
}

/// What the rules decided about a job.
enum Plan {
    /// Events to append, with the receipt that lacks only `seq` and position.
    Append(Receipt, Append),
    /// An answer that writes nothing, with the versions that it rests on.
    Answer(Result<Receipt, CommandError>, Versions),
}

/// Aggregates with the versions that a decision loaded.
type Versions = Vec<(AggregateRef, Version)>;

/// Whether a lane takes jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The lane takes new jobs while it has room for them.
    Deciding,
    /// The lane waits until nothing is in flight.
    Draining,
}

pub(crate) struct Lane {
    /// Unique in this process: stores tell chains of appends apart by it.
    id: u64,
    services: Arc<LaneServices>,
    jobs: mpsc::Receiver<Job>,
    phase: Phase,
    /// Counts the times that state was dropped.
    epoch: LaneEpoch,
    /// Aggregates that decisions read lately, with the appends in flight folded in.
    cache: LaneCache,
    /// Appends and answers, in the order they were decided.
    in_flight: FuturesOrdered<BoxFuture<'static, Flight>>,
    /// Answers for which a shared log is asked if they are stale; nothing else waits for them.
    stale_checks: FuturesUnordered<BoxFuture<'static, Staleness>>,
    /// First event ids of the appends in flight.
    ids_in_flight: HashSet<EventId>,
    /// The tasks that each agent may hold, for `tasks.lease`.
    leases: Leases,
    /// Jobs that are decided again once the lane is [`Phase::Deciding`].
    retries: VecDeque<Job>,
    /// How many more jobs are looked up before they are decided: set anew whenever one turns out to
    /// be a duplicate.
    duplicates_expected: u32,
}

impl Lane {
    pub(crate) fn new(services: Arc<LaneServices>, jobs: mpsc::Receiver<Job>) -> Self {
        static LANES: AtomicU64 = AtomicU64::new(1);
        Self {
            id: LANES.fetch_add(1, Ordering::Relaxed),
            services,
            jobs,
            phase: Phase::Deciding,
            epoch: LaneEpoch::default(),
            cache: LaneCache::default(),
            in_flight: FuturesOrdered::new(),
            stale_checks: FuturesUnordered::new(),
            ids_in_flight: HashSet::new(),
            leases: Leases::new(),
            retries: VecDeque::new(),
            duplicates_expected: 0,
        }
    }

    /// Works until the command bus is gone and every job is answered.
    pub(crate) async fn run(mut self) {
        loop {
            if self.in_flight.is_empty() {
                self.settle();
            }
            if self.phase == Phase::Deciding
                && let Some(job) = self.retries.pop_front()
            {
                self.process(job).await;
                continue;
            }
            let takes_jobs = self.takes_jobs();
            tokio::select! {
                biased;
                Some(flight) = self.in_flight.next(), if !self.in_flight.is_empty() =>
                    self.land(flight).await,
                Some(staleness) = self.stale_checks.next(), if !self.stale_checks.is_empty() =>
                    self.answer_unless_stale(staleness),
                job = self.jobs.recv(), if takes_jobs => match job {
                    Some(job) => self.process(job).await,
                    None if self.in_flight.is_empty() && self.stale_checks.is_empty() => return,
                    None => self.finish_all().await,
                },
            }
        }
    }

    /// True if the lane may take a new job now; what is decided again is not asked for.
    fn takes_jobs(&self) -> bool {
        self.phase == Phase::Deciding
            && self.in_flight.len() < IN_FLIGHT_MAX
            && !self.cache.is_full()
            && !self.leases.is_full()
    }

    /// Called when nothing is in flight: all that the lane remembers is durable, and may be
    /// dropped.
    fn settle(&mut self) {
        self.phase = Phase::Deciding;
        self.cache.trim();
        self.leases.settle();
    }

    /// Drops the state that failed appends would have changed, begins the next epoch and drains:
    /// all that is in flight was decided on that state.
    fn drop_state(&mut self) {
        self.cache.clear();
        self.leases.take_back();
        self.epoch = self.epoch.next();
        self.phase = Phase::Draining;
    }
}

/// The id of an aggregate whose command left it out: v5 of business, principal and idempotency key,
/// as an event with the index `u32::MAX` would have, which no event has.
pub(crate) fn opened_id(submission: &Submission) -> Uuid {
    event_id(submission.business, submission.actor.principal, &submission.key, u32::MAX).0
}
