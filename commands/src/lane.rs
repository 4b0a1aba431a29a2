//! A lane: the commands of a business, decided one after another on state that already includes
//! the appends in flight. A few lanes share all businesses (each business is always in the same
//! one): a lane that has work does not have to be woken for every command.
//!
//! An answer never leaves before what it was decided on is durable. Appends finish in order; a
//! refusal (or a decision that changes nothing) that saw appends in flight stands in the same
//! queue behind them. When an append fails, the lane drops its state, lets the queue run out and
//! decides again everything that was decided after it. So callers of one process never conflict;
//! a conflict comes from another process, and is decided again a few times.

mod append;
mod finish;
mod repeat;
mod subjects;
mod time;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::{EventId, TaskId};
use domain::{AggregateRef, BusinessId, State, Timestamp};
use event_log::envelope::event_id;
use event_log::{
    Append, AppendError, Chain, Committed, Entropy, EventLog, Keyring, LogError, Pending,
};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use crate::approval_check;
use crate::clock_watch::ClockWatch;
use crate::command::{CommandError, Receipt, ReceiptEvent, Submission};
use crate::directory::Directory;
use crate::leases::{Leases, OpenLeases};
use crate::registry::AnyCommand;
use crate::root::{Changes, Context, Decide, LoadedAggregates};

/// Appends of one lane that may be in flight.
const IN_FLIGHT_MAX: usize = 1_024;
/// After a command that had been carried out before, so many are looked for before they are
/// decided.
const REPEATS_EXPECTED: u32 = 1_000;
/// Rounds in which a decision may name more that it reads.
const READ_ROUNDS_MAX: u32 = 8;

/// What every lane works with.
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
    /// Whether the target's id is the command's own: it is there only if the command was carried
    /// out.
    pub(crate) fresh: bool,
    /// The id of the first event it can make: the same for every repeat.
    pub(crate) first_id: EventId,
    /// RFC 8785 bytes of what was sent.
    pub(crate) content: Vec<u8>,
    pub(crate) tries: u32,
    /// How often its answer rested on what another process had changed.
    pub(crate) old: u32,
    /// Whether there is reason to look if it was carried out before.
    pub(crate) look: bool,
    pub(crate) answer: oneshot::Sender<Result<Receipt, CommandError>>,
    /// Its place in the command bus's queue; free again when the job is gone.
    pub(crate) _place: OwnedSemaphorePermit,
}

impl Job {
    fn answer(self, result: Result<Receipt, CommandError>) {
        let _ = self.answer.send(result);
    }
}

enum Outcome {
    Appended(Vec<ReceiptEvent>, Result<Committed, AppendError>),
    /// With the versions it was decided on.
    Answer(Result<Receipt, CommandError>, Versions),
    /// The same key was in flight: ask again now that it is not.
    Again,
}

/// An answer whose turn has come, and whether what it rests on was changed by another process.
struct Checked {
    job: Job,
    result: Result<Receipt, CommandError>,
    old: Result<bool, LogError>,
}

struct Flight {
    job: Job,
    epoch: u64,
    outcome: Outcome,
}

enum Decision {
    Append(Vec<ReceiptEvent>, Append),
    Answer(Result<Receipt, CommandError>, Versions),
}

/// Aggregates with the versions that a decision saw.
type Versions = Vec<(AggregateRef, u64)>;

pub(crate) struct Lane {
    /// No other lane of this process has it.
    id: u64,
    shared: Arc<LaneServices>,
    jobs: mpsc::Receiver<Job>,
    cache: LruCache<(BusinessId, AggregateRef), (u64, State)>,
    /// When the newest event of each business was recorded.
    newest: LruCache<BusinessId, Timestamp>,
    in_flight: FuturesOrdered<BoxFuture<'static, Flight>>,
    /// Questions to another program about answers: nobody else waits for them.
    checks: FuturesUnordered<BoxFuture<'static, Checked>>,
    keys: HashSet<EventId>,
    leases: Leases,
    again: VecDeque<Job>,
    epoch: u64,
    draining: bool,
    /// Commands to come that may well have been carried out before.
    repeats: u32,
}

impl Lane {
    pub(crate) fn new(shared: Arc<LaneServices>, jobs: mpsc::Receiver<Job>) -> Self {
        let (cache, newest) = (LruCache::unbounded(), LruCache::unbounded());
        let (keys, again) = (HashSet::new(), VecDeque::new());
        static LANES: AtomicU64 = AtomicU64::new(1);
        let id = LANES.fetch_add(1, Ordering::Relaxed);
        let (in_flight, checks) = (FuturesOrdered::new(), FuturesUnordered::new());
        let leases = Leases::new();
        Self {
            id,
            shared,
            jobs,
            cache,
            newest,
            in_flight,
            checks,
            keys,
            leases,
            again,
            epoch: 0,
            draining: false,
            repeats: 0,
        }
    }

    /// Works until the command bus is gone and everything is answered.
    pub(crate) async fn run(mut self) {
        loop {
            if self.in_flight.is_empty() {
                self.draining = false;
                self.trim();
            }
            if !self.draining
                && let Some(job) = self.again.pop_front()
            {
                self.process(job).await;
                continue;
            }
            let room = !self.draining && self.in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                Some(flight) = self.in_flight.next(), if !self.in_flight.is_empty() =>
                    self.finish(flight).await,
                Some(checked) = self.checks.next(), if !self.checks.is_empty() =>
                    self.checked(checked),
                job = self.jobs.recv(), if room => match job {
                    Some(job) => self.process(job).await,
                    None if self.in_flight.is_empty() && self.checks.is_empty() => return,
                    None => {
                        while let Some(flight) = self.in_flight.next().await {
                            self.finish(flight).await;
                        }
                        while let Some(checked) = self.checks.next().await {
                            self.checked(checked);
                        }
                    }
                },
            }
        }
    }

    async fn process(&mut self, mut job: Job) {
        fail::fail_point!("lane");
        // Its caller was told that the outcome is unknown, or is gone: this one is that it was not
        // carried out.
        if job.answer.is_closed() {
            return;
        }
        let epoch = self.epoch;
        if self.keys.contains(&job.first_id) {
            return self.queue(Flight { job, epoch, outcome: Outcome::Again });
        }
        let decision =
            self.decide(&mut job).await.unwrap_or_else(|e| Decision::Answer(Err(e), Vec::new()));
        match decision {
            Decision::Answer(result, loaded) => {
                let flight = Flight { job, epoch, outcome: Outcome::Answer(result, loaded) };
                if self.in_flight.is_empty() {
                    self.finish(flight).await
                } else {
                    self.queue(flight)
                }
            }
            Decision::Append(events, append) => {
                self.keys.insert(job.first_id);
                let append = Append { chain: Some(Chain { lane: self.id, epoch }), ..append };
                let pending: Result<Pending, AppendError> = self.shared.log.enqueue(append).await;
                self.in_flight.push_back(Box::pin(async move {
                    let result = match pending {
                        Ok(pending) => pending.done().await,
                        Err(e) => Err(e),
                    };
                    Flight { job, epoch, outcome: Outcome::Appended(events, result) }
                }));
            }
        }
    }

    fn queue(&mut self, flight: Flight) {
        self.in_flight.push_back(Box::pin(std::future::ready(flight)));
    }

    fn drop_state(&mut self) {
        self.cache.clear();
        self.epoch += 1;
        self.draining = true;
    }

    async fn decide(&mut self, job: &mut Job) -> Result<Decision, CommandError> {
        // On a shared log it costs a question to another program. The append asks it anyway.
        job.look |= !self.shared.log.shared() || self.repeats > 0;
        self.repeats = self.repeats.saturating_sub(1);
        if job.look
            && let Some(first) = self.shared.log.find(job.submission.business, job.first_id).await?
        {
            self.repeats = REPEATS_EXPECTED;
            return self
                .shared
                .repeat(job, &first)
                .await
                .map(|r| Decision::Answer(Ok(r), Vec::new()));
        }
        let now = self.now(job.submission.business).await?;
        let submission = &job.submission;
        let mut ctx = Context {
            business: job.submission.business,
            target: job.target.id,
            command: job.command.command_type(),
            now,
            clock: self.shared.clock.in_doubt(),
            actor: submission.actor.clone(),
            approval: submission.approval_id,
            presented_digest: None,
            backdated: submission.occurred_at.is_some(),
            seed: [0; 32],
            people: self.shared.directory.roster().await?,
            leases: self.leases_for(job).await?,
            newest_generation: None,
            person_behind: None,
            unopened: job.unopened,
        };
        if let Some(subject) = job.command.forgets(&ctx) {
            ctx.newest_generation =
                self.shared.keyring.newest_generation(ctx.business, subject).await?;
        }
        ctx.person_behind =
            self.shared.person_behind(ctx.business, &job.command.rests_on()).await?;
        let entropy = self.shared.entropy.labelled(job.first_id.0.as_bytes());
        entropy.fill(&mut ctx.seed);
        let mut loaded = LoadedAggregates::default();
        let decided = self.decide_on(job, &mut ctx, &mut loaded).await;
        let versions = |loaded: &LoadedAggregates| {
            loaded.0.iter().map(|(aggregate, (version, _))| (*aggregate, *version)).collect()
        };
        let decision = match decided {
            Ok(changes) if changes.is_empty() => {
                let receipt = Receipt {
                    business: job.submission.business,
                    events: Vec::new(),
                    position: None,
                    repeated: false,
                };
                Ok(Decision::Answer(Ok(receipt), versions(&loaded)))
            }
            Ok(changes) => match self.fences(job, &mut ctx, &mut loaded, changes, &entropy).await {
                Ok((ready, fences)) => {
                    self.rests_on(ctx.business, ctx.now);
                    self.shared.to_append(&ctx, &mut loaded, ready, &fences, &entropy).await
                }
                Err(CommandError::Refused(why)) => {
                    Ok(Decision::Answer(Err(why.into()), versions(&loaded)))
                }
                Err(e) => Err(e),
            },
            Err(e) => Ok(Decision::Answer(Err(e), versions(&loaded))),
        };
        self.leases.note(&job.command, ctx.business, &loaded);
        for (aggregate, state) in loaded.0 {
            self.cache.put((ctx.business, aggregate), state);
        }
        decision
    }

    async fn decide_on(
        &mut self,
        job: &Job,
        ctx: &mut Context,
        loaded: &mut LoadedAggregates,
    ) -> Result<Changes, CommandError> {
        let mut wanted = approval_check::reads(ctx);
        if job.submission.if_match.is_some() {
            wanted.push(job.target);
        }
        for _ in 0..READ_ROUNDS_MAX {
            wanted.extend(job.command.reads(ctx, loaded));
            wanted.retain(|aggregate| !loaded.0.contains_key(aggregate));
            if wanted.is_empty() {
                break;
            }
            for aggregate in std::mem::take(&mut wanted) {
                let state = if job.fresh && !job.look && aggregate == job.target {
                    (0, State::empty(aggregate.kind))
                } else {
                    self.load(ctx.business, aggregate).await?
                };
                loaded.0.insert(aggregate, state);
            }
        }
        ctx.now = self.now(ctx.business).await?.max(ctx.now);
        if let Some(expected) = job.submission.if_match {
            let actual = loaded.0.get(&job.target).map_or(0, |(version, _)| *version);
            if actual != expected {
                return Err(CommandError::PreconditionFailed { expected, actual });
            }
        }
        if let Some(approval) = ctx.approval {
            ctx.presented_digest = self.shared.presented_digest(job, approval, loaded).await?;
        }
        // A rule only reads what it is given: when it panics, nothing is half done, and the lane
        // goes on.
        let rules = AssertUnwindSafe(|| -> Result<_, CommandError> {
            fail::fail_point!("decide");
            let consumed = approval_check::check(&job.command, ctx, loaded)?;
            Ok((job.command.decide(ctx, loaded)?, consumed))
        });
        let panicked = |_| {
            CommandError::Unavailable(
                "a rule panicked over this command; nothing was recorded; \
                tell who runs this server"
                    .to_owned(),
            )
        };
        let (mut changes, consumed) = catch_unwind(rules).map_err(panicked)??;
        // An approval that comes with a command is used, also where nothing was left to do.
        changes.extend(consumed);
        Ok(changes)
    }

    async fn leases_for(&mut self, job: &Job) -> Result<BTreeSet<TaskId>, CommandError> {
        let business = job.submission.business;
        let found = self
            .leases
            .of(&job.command, business, &*self.shared.leases, self.shared.log.shared())
            .await;
        found.map_err(|why| {
            CommandError::Unavailable(format!("nobody can tell which tasks the agent holds: {why}"))
        })
    }

    async fn load(
        &mut self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Result<(u64, State), CommandError> {
        if let Some(state) = self.cache.pop(&(business, aggregate)) {
            return Ok(state);
        }
        let loaded = self.shared.log.load(business, aggregate).await?;
        self.rests_on(business, loaded.recorded_at);
        Ok((loaded.version, loaded.state))
    }
}

impl LaneServices {
    /// Whether another process has moved an aggregate on, or carried out this very command: what
    /// was decided may be wrong. An append finds that out by itself.
    async fn is_old(&self, job: &Job, loaded: &Versions) -> Result<bool, LogError> {
        let business = job.submission.business;
        let aggregates: Vec<AggregateRef> =
            loaded.iter().map(|(aggregate, _)| *aggregate).collect();
        let now = self.log.versions(business, &aggregates).await?;
        Ok(loaded.iter().zip(now).any(|((_, loaded), now)| *loaded != now)
            || self.log.find(business, job.first_id).await?.is_some())
    }
}

/// The id of an aggregate whose command left it out: v5 of principal and key.
pub(crate) fn opened_id(submission: &Submission) -> Uuid {
    event_id(submission.business, submission.actor.principal, &submission.key, u32::MAX).0
}
