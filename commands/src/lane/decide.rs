//! From a job to a plan: load what the command reads, ask the rules, seal what they decided.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::ids::TaskId;
use domain::{AggregateRef, BusinessId, State};
use event_log::{Cause, Entropy, Version};

use super::retry::DUPLICATES_EXPECTED;
use super::{Job, Lane, Plan, Versions, append};
use crate::approval_check;
use crate::command::{CommandError, Receipt};
use crate::root::{Changes, Context, Decide, LoadedAggregates};

/// Rounds in which a command may name more aggregates that it reads. What it names after the last
/// stays unloaded, and a rule that reads it fails: the caller gets `unavailable`.
const READ_ROUNDS_MAX: u32 = 8;

impl Lane {
    /// Makes a plan of a job. What was loaded for it goes back into the lane's cache, with the
    /// decided events folded in.
    ///
    /// # Errors
    /// When the duplicate look-up or the context fails, or the events can't be prepared, fenced or
    /// sealed: the lane answers with the error, without a stale check. A refusal by a rule, and a
    /// failed load, become a [`Plan::Answer`] with the versions loaded so far, because they may rest
    /// on old state.
    pub(super) async fn decide(&mut self, job: &mut Job) -> Result<Plan, CommandError> {
        if let Some(first_receipt) = self.duplicate(job).await? {
            return Ok(Plan::Answer(Ok(first_receipt), Versions::new()));
        }
        let mut ctx = self.context(job).await?;
        let entropy = self.services.entropy.labelled(job.first_id.0.as_bytes());
        entropy.fill(&mut ctx.seed);
        let mut loaded = LoadedAggregates::default();
        let decided = self.ask_rules(job, &mut ctx, &mut loaded).await;
        let plan = self.plan(job, &mut ctx, &mut loaded, decided, &entropy).await;
        self.leases.note(&job.command, ctx.business, &loaded);
        for (aggregate, state) in loaded.0 {
            self.cache.put(ctx.business, aggregate, state);
        }
        plan
    }

    /// The first receipt of a command that was carried out before under the same key. On a shared
    /// log the look-up costs more, so it is left to the append unless a duplicate is likely.
    async fn duplicate(&mut self, job: &mut Job) -> Result<Option<Receipt>, CommandError> {
        job.check_duplicate |= !self.services.log.shared() || self.duplicates_expected > 0;
        self.duplicates_expected = self.duplicates_expected.saturating_sub(1);
        if !job.check_duplicate {
            return Ok(None);
        }
        match self.services.log.find(job.submission.business, job.first_id).await? {
            None => Ok(None),
            Some(first) => {
                self.duplicates_expected = DUPLICATES_EXPECTED;
                self.services.repeat(job, &first).await.map(Some)
            }
        }
    }

    /// The context of a decision; the seed is still zero.
    async fn context(&mut self, job: &Job) -> Result<Context, CommandError> {
        let submission = &job.submission;
        let business = submission.business;
        let mut ctx = Context {
            business,
            target: job.target.id,
            command: job.command.command_type(),
            now: self.now(business).await?,
            clock_doubt: self.services.clock.in_doubt(),
            actor: submission.actor.clone(),
            approval: submission.approval_id,
            presented_digest: None,
            backdated: submission.occurred_at.is_some(),
            seed: [0; 32],
            people: self.services.directory.roster().await?,
            leases: self.leases_for(job).await?,
            newest_generation: None,
            person_behind: None,
            unopened: job.unopened,
        };
        if let Some(subject) = job.command.forgets(&ctx) {
            ctx.newest_generation =
                self.services.keyring.newest_generation(business, subject).await?;
        }
        ctx.person_behind = self.services.person_behind(business, &job.command.rests_on()).await?;
        Ok(ctx)
    }

    /// The plan that follows from what the rules said: nothing to do and a refusal are answers that
    /// rest on what was loaded; events are sealed and become an append.
    async fn plan(
        &mut self,
        job: &Job,
        ctx: &mut Context,
        loaded: &mut LoadedAggregates,
        decided: Result<Changes, CommandError>,
        entropy: &Entropy,
    ) -> Result<Plan, CommandError> {
        let versions = |loaded: &LoadedAggregates| -> Versions {
            loaded.0.iter().map(|(aggregate, (version, _))| (*aggregate, *version)).collect()
        };
        let changes = match decided {
            Err(e) => {
                let e = self.services.or_wrong_kind(job, ctx, e).await;
                return Ok(Plan::Answer(Err(e), versions(loaded)));
            }
            Ok(changes) if changes.is_empty() => {
                let nothing = Receipt {
                    business: ctx.business,
                    events: Vec::new(),
                    position: None,
                    repeated: false,
                    result: None,
                };
                return Ok(Plan::Answer(Ok(nothing), versions(loaded)));
            }
            Ok(changes) => changes,
        };
        let mut prepared_events = append::prepare(job, ctx, loaded, changes, entropy)?;
        match self.fences(ctx, loaded, &mut prepared_events).await {
            Ok(fences) => {
                self.cache.note_recorded_at(ctx.business, ctx.now);
                self.services.to_append(ctx, loaded, prepared_events, &fences, entropy).await
            }
            Err(CommandError::Refused(why)) => Ok(Plan::Answer(Err(why.into()), versions(loaded))),
            Err(e) => Err(e),
        }
    }

    /// Loads what the command and its approval read, and asks the rules.
    async fn ask_rules(
        &mut self,
        job: &Job,
        ctx: &mut Context,
        loaded: &mut LoadedAggregates,
    ) -> Result<Changes, CommandError> {
        self.load_all(job, ctx, loaded).await?;
        ctx.now = self.now(ctx.business).await?.max(ctx.now);
        if let Some(expected) = job.submission.if_match {
            let actual = loaded.0.get(&job.target).map_or(Version::START, |(version, _)| *version);
            if actual != expected {
                return Err(CommandError::PreconditionFailed { expected, actual });
            }
        }
        if let Some(approval) = ctx.approval {
            ctx.presented_digest = self.services.presented_digest(job, approval, loaded).await?;
        }
        // A rule only reads what it is given: when it panics, nothing is half done, and the lane
        // goes on. Only these two calls are caught; a panic elsewhere ends the process.
        let rules = AssertUnwindSafe(|| -> Result<_, CommandError> {
            fail::fail_point!("decide");
            let consumed = approval_check::check(&job.command, ctx, loaded)?;
            Ok((job.command.decide(ctx, loaded)?, consumed))
        });
        let panicked = |_| {
            CommandError::unavailable(
                "a rule panicked over this command; nothing was recorded; tell who runs this server",
            )
        };
        let (mut changes, consumed) = catch_unwind(rules).map_err(panicked)??;
        // An approval that comes with a command is used, also where nothing was left to do.
        changes.extend(consumed);
        Ok(changes)
    }

    /// Loads what the command names until it names nothing new: what it reads may depend on what it
    /// read.
    async fn load_all(
        &mut self,
        job: &Job,
        ctx: &Context,
        loaded: &mut LoadedAggregates,
    ) -> Result<(), CommandError> {
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
                // Named twice: the cache gave it away the first time, and the log may not have what
                // is in flight.
                if loaded.0.contains_key(&aggregate) {
                    continue;
                }
                // Where this is wrong, the append fails or the answer is stale: both drop the state.
                let is_new =
                    job.target_id_from_key && !job.check_duplicate && aggregate == job.target;
                let state = if is_new {
                    (Version::START, State::empty(aggregate.kind))
                } else {
                    self.take_or_load(ctx.business, aggregate).await?
                };
                loaded.0.insert(aggregate, state);
            }
        }
        Ok(())
    }

    /// The tasks that the agent of a lease may hold now.
    async fn leases_for(&mut self, job: &Job) -> Result<BTreeSet<TaskId>, CommandError> {
        let (business, shared) = (job.submission.business, self.services.log.shared());
        let found = self.leases.of(&job.command, business, &*self.services.leases, shared).await;
        found.map_err(|why| {
            CommandError::Unavailable(Cause::new(
                "nobody can tell which tasks the agent holds",
                why,
            ))
        })
    }

    /// An aggregate with its version, taken out of the cache or read from the log: the caller puts
    /// it back.
    pub(super) async fn take_or_load(
        &mut self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Result<(Version, State), CommandError> {
        if let Some(state) = self.cache.take(business, aggregate) {
            return Ok(state);
        }
        let loaded = self.services.log.load(business, aggregate).await?;
        self.cache.note_recorded_at(business, loaded.recorded_at);
        Ok((loaded.version, loaded.state))
    }
}
