//! Loads aggregates from the log through postgres-es, whose repository reads the view `es_events`.
//! This is good only for folding a state: the data went through `serde_json::Value`, which does not
//! keep the order of keys, so it is never hashed or exported.

use std::convert::Infallible;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, PersistenceError, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use domain::{AggregateRef, BusinessId, Kind, with_aggregates};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::ANSWER_MAX;
use event_log::log::LogError;
use event_log::{Cause, Loaded, Version};

/// How many events are read at once.
const PAGE: u64 = 250;

/// Stands for the aggregate kind at index `K` of [`Kind::ALL`] in postgres-es's types; it takes no
/// command and holds no state.
#[derive(Default, Serialize, Deserialize)]
struct Thread<const K: usize>;

/// The event type for postgres-es; no value exists, because events are taken as they are stored.
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

    async fn handle(
        &mut self,
        command: Infallible,
        (): &(),
        _: &EventSink<Self>,
    ) -> Result<(), Infallible> {
        match command {}
    }
    fn apply(&mut self, event: Never) {
        match event {}
    }
}

/// Makes the loader of each aggregate kind, from the table of kinds.
macro_rules! loaders {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $id:ident =>
        $module:ident::$state:ident of $context:ident,)*) => {
        async fn events_of(repository: &PostgresEventRepository, kind: Kind,
            id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
            match kind { $(Kind::$kind => repository.get_events::<Thread<{ Kind::$kind as usize }>>(id).await,)* }
        }
    };
}
with_aggregates!(loaders);

/// A page of an aggregate's events after a version. postgres-es reads all events of an aggregate at
/// once, so it is given a part of the view as its table.
async fn page(
    pool: PgPool,
    business: BusinessId,
    aggregate: AggregateRef,
    after: Version,
) -> Result<Vec<SerializedEvent>, PersistenceError> {
    let part = format!(
        "(SELECT * FROM es_events WHERE sequence > {after} AND sequence <= {}) part",
        after.plus(PAGE)
    );
    // There are no snapshots of its kind, and `get_events` asks for none.
    let repository = PostgresEventRepository::new(pool).with_tables(&part, "es_snapshots");
    let id = format!("{business}/{}", aggregate.id);
    events_of(&repository, aggregate.kind, &id).await
}

/// Folds an aggregate from all of its events.
pub(super) async fn load(
    pool: &PgPool,
    business: BusinessId,
    aggregate: AggregateRef,
) -> Result<Loaded, LogError> {
    let mut loaded = Loaded::empty(aggregate.kind);
    loop {
        // In a task of its own: the crate panics at JSON that PostgreSQL takes and serde_json does
        // not.
        let asked = tokio::spawn(tokio::time::timeout(
            ANSWER_MAX,
            page(pool.clone(), business, aggregate, loaded.version),
        ));
        let unreadable = |e: tokio::task::JoinError| {
            let what = format!("the events of {aggregate} can't be read (run `minutebook verify`)");
            LogError::Storage(Cause::new(what, e))
        };
        let late = |_| LogError::storage("PostgreSQL did not answer in time; try again");
        let events = asked
            .await
            .map_err(unreadable)?
            .map_err(late)?
            .map_err(|e| LogError::Storage(Cause::new("PostgreSQL", e)))?;
        let last = (events.len() as u64) < PAGE;
        for event in events {
            loaded.evolve(event.payload.to_string().as_bytes())?;
        }
        if last {
            return Ok(loaded);
        }
    }
}
