//! `Decide`, what it reads, and the cqrs-es aggregate over it.
//!
//! A decision reads one or several aggregates of its business, its *boundary*, and may write events
//! to any of them. [`Root<D>`] is the [`cqrs_es::Aggregate`] of that boundary. It is met by the
//! TestFramework and by any cqrs-es store; the desk folds the same boundary itself, because
//! `CqrsFramework::execute` gives nothing back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use cqrs_es::event_sink::EventSink;
use domain::access::{Principal, PrincipalKind};
use domain::agents::Agent;
use domain::approvals::{ActionFacts, Approval, ApprovalPolicy};
use domain::budgets::Budget;
use domain::businesses::{Business, SlugClaim};
use domain::decisions::Decision;
use domain::ids::{AgentId, ApprovalId, BudgetId, CallId, DecisionId, DocumentId, ExportId, FactId, HistoryId, KpiId, MeasureId, ProjectionId, TaskId};
use domain::integrations::Call;
use domain::memory::{Document, Fact};
use domain::metrics::{Kpi, Measure};
use domain::operations::{Export, Projection};
use domain::personal::{ContentDigest, Text};
use domain::tasks::{History, Task};
use domain::values::Digest;
use domain::{AggregateRef, BusinessId, Event, Kind, PrincipalId, State, SubjectId, Timestamp};
use event_log::sealing::content_digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::authorize::Actor;
use crate::refusal::Refusal;

/// What a decision makes: events, each with its aggregate, in order.
pub type Changes = Vec<(AggregateRef, Event)>;

/// What a decision knows besides what it reads.
#[derive(Debug, Clone)]
pub struct Context {
    /// The stream.
    pub business: BusinessId,
    /// The aggregate that the command is for.
    pub target: Uuid,
    /// Now.
    pub now: Timestamp,
    /// Who asks.
    pub actor: Actor,
    /// The approval that the command comes with.
    pub approval: Option<ApprovalId>,
    /// Digest of the command under that approval's own key, where it can be had.
    pub presented: Option<Digest>,
    /// Random bytes, for digest keys.
    pub seed: [u8; 32],
}

impl Context {
    /// Digest of content under a key of its own, the n-th of this command.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`] when the content is no JSON, which typed content always is.
    pub fn content_digest<T: Serialize>(&self, n: u8, subject: SubjectId, content: &T) -> Result<ContentDigest, Refusal> {
        // Keys of one command are derived from one seed; to give one away gives away no other.
        let key = content_digest(&self.seed, &[n]);
        let bytes = proof::canonical::to_bytes(content).map_err(|_| Refusal::OutOfRange { field: "the content", rule: "JSON" })?;
        Ok(ContentDigest { digest: content_digest(&key.0, &bytes), digest_key: Text::new(subject, key.to_string()) })
    }

    /// Whether the actor is a human.
    #[must_use]
    pub fn by_human(&self) -> bool {
        self.actor.kind == PrincipalKind::Human
    }
}

/// The folded aggregates that a decision reads, by reference, with their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boundary(pub BTreeMap<AggregateRef, (u64, State)>);

/// Typed look-ups; an aggregate that has no events yet is its empty state.
macro_rules! typed {
    ($($fn:ident($id:ident) -> $state:ident,)*) => {$(
        #[doc = concat!("The ", stringify!($fn), " of that id.")]
        #[must_use]
        pub fn $fn(&self, id: $id) -> Cow<'_, $state> {
            match self.0.get(&AggregateRef { kind: Kind::$state, id: id.into() }) {
                Some((_, State::$state(state))) => Cow::Borrowed(state),
                _ => Cow::Owned($state::default()),
            }
        }
    )*};
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a look-up by kind finds that kind or nothing")]
impl Boundary {
    typed! {
        business(BusinessId) -> Business,
        principal(PrincipalId) -> Principal,
        agent(AgentId) -> Agent,
        task(TaskId) -> Task,
        decision(DecisionId) -> Decision,
        approval(ApprovalId) -> Approval,
        budget(BudgetId) -> Budget,
        call(CallId) -> Call,
        history(HistoryId) -> History,
        fact(FactId) -> Fact,
        document(DocumentId) -> Document,
        measure(MeasureId) -> Measure,
        kpi(KpiId) -> Kpi,
        export(ExportId) -> Export,
        projection(ProjectionId) -> Projection,
        approval_policy(BusinessId) -> ApprovalPolicy,
    }

    /// Who has that slug.
    #[must_use]
    pub fn slug(&self, id: Uuid) -> Cow<'_, SlugClaim> {
        match self.0.get(&AggregateRef { kind: Kind::Slug, id }) {
            Some((_, State::Slug(state))) => Cow::Borrowed(state),
            _ => Cow::Owned(SlugClaim::default()),
        }
    }

    /// Folds one event in.
    pub fn evolve(&mut self, aggregate: AggregateRef, event: &Event) {
        let (version, state) = self.0.entry(aggregate).or_insert_with(|| (0, State::empty(aggregate.kind)));
        *version += 1;
        state.evolve(event);
    }
}

/// The rules of a context over its commands.
pub trait Decide: fmt::Debug + Send + Sync + Sized + 'static {
    /// Which aggregates the decision reads. It is asked again with what was loaded, until it names
    /// nothing new; so what is read may depend on what was read.
    fn reads(&self, ctx: &Context, seen: &Boundary) -> Vec<AggregateRef>;

    /// What an approval rule looks at.
    fn facts(&self, facts: &mut ActionFacts) {
        let _ = facts;
    }

    /// The events that the command makes, or why not. No events: it is so already.
    ///
    /// # Errors
    /// The [`Refusal`] of the first rule that says no.
    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal>;
}

/// An event of a boundary: the domain's event and its aggregate, as cqrs-es wants to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The aggregate it belongs to.
    pub aggregate: AggregateRef,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl cqrs_es::DomainEvent for Change {
    fn event_type(&self) -> String {
        self.event.name().to_owned()
    }
    fn event_version(&self) -> String {
        self.event.event_type().schema.to_string()
    }
}

/// The cqrs-es aggregate of a decision's boundary.
#[derive(Debug)]
pub struct Root<D> {
    /// What it has folded.
    pub boundary: Boundary,
    decide: PhantomData<fn() -> D>,
}

impl<D> Default for Root<D> {
    fn default() -> Self {
        Self { boundary: Boundary::default(), decide: PhantomData }
    }
}

impl<D> Serialize for Root<D> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(&self.boundary.0)
    }
}

impl<'de, D> Deserialize<'de> for Root<D> {
    fn deserialize<De: serde::Deserializer<'de>>(d: De) -> Result<Self, De::Error> {
        let entries = Vec::<(AggregateRef, (u64, State))>::deserialize(d)?;
        Ok(Self { boundary: Boundary(entries.into_iter().collect()), decide: PhantomData })
    }
}

impl<D: Decide> cqrs_es::Aggregate for Root<D> {
    const TYPE: &'static str = "boundary";
    type Command = D;
    type Event = Change;
    type Error = Refusal;
    type Services = Context;

    async fn handle(&mut self, command: D, ctx: &Context, sink: &EventSink<Self>) -> Result<(), Refusal> {
        let changes = command.decide(ctx, &self.boundary)?;
        // `EventSink::write` applies each event to the aggregate it is given, and the snapshot
        // stores of cqrs-es 0.5 apply them once more at commit. A scratch clone takes the first.
        let mut scratch = Self { boundary: self.boundary.clone(), decide: PhantomData };
        for (aggregate, event) in changes {
            sink.write(Change { aggregate, event }, &mut scratch).await;
        }
        Ok(())
    }

    fn apply(&mut self, fact: Change) {
        self.boundary.evolve(fact.aggregate, &fact.event);
    }
}
