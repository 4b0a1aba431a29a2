//! `Decide`: what a decision reads, what else it knows, and what it makes.
//!
//! A decision reads one or several aggregates of its business, the loaded aggregates, and may write
//! events to any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use domain::access::PrincipalKind;
use domain::ids::{AgentId, ApprovalId, EventId, TaskId};
use domain::personal::{ContentDigest, Generation, Text};
use domain::values::Digest;
use domain::{AggregateId, AggregateRef, BusinessId, Event, Meta, State, SubjectId, Timestamp};
use event_log::Version;
use event_log::sealing::content_digest;
use serde::Serialize;
use uuid::Uuid;

use crate::authorize::Actor;
use crate::clock_watch::ClockInDoubt;
use crate::directory::Roster;
use crate::refusal::Refusal;
use crate::registry::CommandType;

/// What a decision makes: events, each with its aggregate, in order.
pub type Changes = Vec<(AggregateRef, Event)>;

/// What a decision knows besides what it reads.
#[derive(Debug, Clone)]
pub struct Context {
    /// The business whose stream the command is for.
    pub business: BusinessId,
    /// Id of the aggregate that the command is for.
    pub target: Uuid,
    /// Type of the command.
    pub command: &'static CommandType,
    /// The current time; no earlier than the newest event that the decision reads.
    pub now: Timestamp,
    /// Fault of the server's clock; `None` = no fault, or an operator accepted it.
    pub clock_doubt: Option<ClockInDoubt>,
    /// The principal that sends the command, with its roles as they were when its body had
    /// arrived; they are not read again when a job is decided again.
    pub actor: Actor,
    /// The approval that the command presents; `None` = none.
    pub approval: Option<ApprovalId>,
    /// Digest of the command under that approval's digest key; `None` = the key can't be had.
    pub presented_digest: Option<Digest>,
    /// True if the command states when it happened in the world (`occurred_at`).
    pub backdated: bool,
    /// Random bytes that digest keys are derived from.
    pub seed: [u8; 32],
    /// The installation's principals with their roles, at most a second old.
    pub people: Arc<Roster>,
    /// For `tasks.lease`: tasks that the agent may hold now; what it does hold is in their state.
    pub leases: BTreeSet<TaskId>,
    /// For a command that forgets a subject: the newest generation that the subject ever had a key
    /// of; `None` = it never had one.
    pub newest_generation: Option<Generation>,
    /// The person whom the events are about that the command says it rests on; `None` = they are
    /// about nobody but the business.
    pub person_behind: Option<SubjectId>,
    /// For `businesses.claim_slug`: a business that claimed a slug and was never opened.
    pub unopened: Option<BusinessId>,
}

impl Context {
    /// Digest of content under a key of its own, the n-th of this command.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`] when the content is no JSON, which typed content always is.
    pub fn content_digest<T: Serialize>(
        &self,
        n: u8,
        subject: SubjectId,
        content: &T,
    ) -> Result<ContentDigest, Refusal> {
        // Keys of one command are derived from one seed; to give one away gives away no other.
        let key = content_digest(&self.seed, &[n]);
        let bytes = proof::canonical::to_bytes(content)
            .map_err(|_| Refusal::OutOfRange { field: "the content", rule: "JSON" })?;
        Ok(ContentDigest {
            digest: content_digest(&key.0, &bytes),
            digest_key: Text::new(subject, key.to_string()),
        })
    }

    /// True if a moment has come. If it has while the clock is in doubt, the command is refused,
    /// because time alone would decide.
    ///
    /// # Errors
    /// [`Refusal::ClockInDoubt`].
    pub fn has_come(&self, at: Timestamp) -> Result<bool, Refusal> {
        match self.clock_doubt {
            Some(ClockInDoubt { doubt, .. }) if self.now >= at => {
                Err(Refusal::ClockInDoubt { doubt })
            }
            Some(_) | None => Ok(self.now >= at),
        }
    }

    /// Whether a right, such as a granted approval, has ended. A right that may have ended by the
    /// real time is not used: a clock that was put back brings no right back to life.
    ///
    /// # Errors
    /// [`Refusal::ClockInDoubt`].
    pub fn has_ended(&self, at: Timestamp) -> Result<bool, Refusal> {
        match self.clock_doubt {
            Some(ClockInDoubt { doubt, .. })
                if self.now.plus_seconds(doubt.behind_ms().div_ceil(1_000)) >= at =>
            {
                Err(Refusal::ClockInDoubt { doubt })
            }
            Some(_) | None => Ok(self.now >= at),
        }
    }

    /// True if the moment has come and the clock is not in doubt, for steps that may wait until
    /// both hold.
    #[must_use]
    pub fn has_surely_come(&self, at: Timestamp) -> bool {
        self.clock_doubt.is_none() && self.now >= at
    }

    /// The part of the envelope that is known before the command bus gives the events their ids.
    #[must_use]
    pub fn meta(&self) -> Meta {
        Meta {
            event_id: EventId::default(),
            correlation: Uuid::nil(),
            actor: self.actor.principal,
            on_behalf_of: None,
            recorded_at: self.now,
        }
    }

    /// The agent whose credentials the actor uses; `None` if the actor is no agent.
    #[must_use]
    pub fn own_agent(&self) -> Option<AgentId> {
        (self.actor.kind == PrincipalKind::Agent)
            .then(|| AgentId::of(self.business, self.actor.principal))
    }

    /// Whether the actor is an owner of the business.
    #[must_use]
    pub fn by_owner(&self) -> bool {
        self.actor.roles.contains(&domain::values::Role::Owner)
    }

    /// Whether the actor is a human.
    #[must_use]
    pub fn by_human(&self) -> bool {
        self.actor.kind == PrincipalKind::Human
    }
}

/// The folded aggregates that a decision reads, by reference, with their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedAggregates(pub BTreeMap<AggregateRef, (Version, State)>);

impl LoadedAggregates {
    /// An aggregate that the decision declared to read.
    ///
    /// # Errors
    /// [`Refusal::Undeclared`] when it did not: what was not read may be anything.
    pub fn get<I: AggregateId>(&self, id: I) -> Result<&I::State, Refusal> {
        self.if_loaded(id).ok_or(Refusal::Undeclared { aggregate: id.into() })
    }

    /// An aggregate's state if it is loaded, else `None`: for [`Decide::reads`], which runs while
    /// aggregates are still being loaded.
    #[must_use]
    pub fn if_loaded<I: AggregateId>(&self, id: I) -> Option<&I::State> {
        self.0.get(&id.into()).and_then(|(_, state)| I::state_in(state))
    }

    /// Whether an aggregate has events.
    ///
    /// # Errors
    /// [`Refusal::Undeclared`], as for [`LoadedAggregates::get`].
    pub fn exists(&self, aggregate: AggregateRef) -> Result<bool, Refusal> {
        self.0
            .get(&aggregate)
            .map(|(version, _)| *version > Version::START)
            .ok_or(Refusal::Undeclared { aggregate })
    }

    /// Completes loaded aggregates that hold every event there is: adds, without events, each
    /// aggregate that the command declares to read and that is missing.
    #[must_use]
    pub fn with_declared<D: Decide>(mut self, command: &D, ctx: &Context) -> Self {
        loop {
            let missing: Vec<AggregateRef> =
                command.reads(ctx, &self).into_iter().filter(|a| !self.0.contains_key(a)).collect();
            if missing.is_empty() {
                return self;
            }
            self.0.extend(missing.into_iter().map(|a| (a, (Version::START, State::empty(a.kind)))));
        }
    }

    /// Folds one event into its aggregate.
    pub fn evolve(&mut self, aggregate: AggregateRef, meta: &Meta, event: &Event) {
        let (version, state) = self
            .0
            .entry(aggregate)
            .or_insert_with(|| (Version::START, State::empty(aggregate.kind)));
        *version = version.next();
        state.evolve(meta, event);
    }
}

/// The rules of a context over its commands.
pub trait Decide: fmt::Debug + Send + Sync + Sized + 'static {
    /// Which aggregates the decision reads. It is asked again with what was loaded, until it names
    /// nothing new; so what is read may depend on what was read.
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef>;

    /// The events that the command makes; none if nothing has to change.
    ///
    /// # Errors
    /// The [`Refusal`] of the first rule that says no.
    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal>;
}
