//! Cold aggregates, loaded through postgres-es: its repository reads our log by the view
//! `es_events`. Good for folding a state and for nothing else: what it gives went through
//! `serde_json::Value`, which keeps no order of keys, so it is never hashed or exported.

use std::convert::Infallible;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, PersistenceError, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use domain::{AggregateRef, BusinessId, Kind, State};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::ANSWER_MAX;
use crate::log::{LogError, typed};

/// What names a kind to postgres-es (the place `K` in [`Kind::ALL`]): it takes no command and holds
/// nothing.
#[derive(Default, Serialize, Deserialize)]
struct Thread<const K: usize>;

/// A thread's events are taken as they are stored; none is ever made of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Never {}

impl DomainEvent for Never {
    fn event_type(&self) -> String {
        match *self {}
    }
    fn event_version(&self) -> String {
        match *self {}
    }
}

impl<const K: usize> Aggregate for Thread<K> {
    const TYPE: &'static str = Kind::ALL[K].as_str();
    type Command = Infallible;
    type Event = Never;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, command: Infallible, (): &(), _: &EventSink<Self>) -> Result<(), Infallible> {
        match command {}
    }
    fn apply(&mut self, event: Never) {
        match event {}
    }
}

macro_rules! by_kind {
    ($repository:ident, $kind:ident, $id:ident: $($k:ident)*) => {
        match $kind { $(Kind::$k => $repository.get_events::<Thread<{ Kind::$k as usize }>>(&$id).await,)* }
    };
}

async fn events(
    repository: &PostgresEventRepository,
    business: BusinessId,
    AggregateRef { kind, id }: AggregateRef,
) -> Result<Vec<SerializedEvent>, PersistenceError> {
    let id = format!("{business}/{id}");
    by_kind!(repository, kind, id: Slug Principal Business Agent Task Decision Approval ApprovalPolicy Budget Call History Fact Document Measure Kpi Export Projection)
}

/// The version and the state of an aggregate.
pub(super) async fn load(pool: &PgPool, business: BusinessId, aggregate: AggregateRef) -> Result<(u64, State), LogError> {
    // There are no snapshots of its kind, and `get_events` asks for none.
    let repository = PostgresEventRepository::new(pool.clone()).with_tables("es_events", "es_events");
    let asked = events(&repository, business, aggregate);
    let asked = tokio::time::timeout(ANSWER_MAX, asked).await.unwrap_or_else(|_| Err(PersistenceError::ConnectionError("no answer in time".into())));
    let events = asked.map_err(|e| LogError::Storage(format!("PostgreSQL: {e}")))?;
    let (mut version, mut state) = (0, State::empty(aggregate.kind));
    for event in events {
        state.evolve(&typed(event.payload.to_string().as_bytes())?);
        version = event.sequence as u64;
    }
    Ok((version, state))
}
