//! The traps of cqrs-es 0.5 that shaped our `Root`: its snapshot stores apply each event twice to
//! an aggregate that applies what it writes. A plain aggregate falls in; `Root` does not.

use std::collections::HashMap;
use std::sync::Mutex;

use commands::AnyCommand;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{
    PersistedEventRepository, PersistedEventStore, PersistenceError, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use cqrs_es::{
    Aggregate, AggregateContext as _, AggregateError, CqrsFramework, DomainEvent, EventStore as _,
};
use domain::access::PrincipalKind;
use domain::values::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::root_aggregate::Root;
use crate::story::{BUSINESS, actor};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter {
    sum: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Added(i64);

impl DomainEvent for Added {
    fn event_type(&self) -> String {
        "added".to_owned()
    }
    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Command = i64;
    type Event = Added;
    type Error = std::io::Error;
    type Services = ();

    async fn handle(
        &mut self,
        n: i64,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), std::io::Error> {
        sink.write(Added(n), self).await;
        Ok(())
    }
    fn apply(&mut self, event: Added) {
        self.sum += event.0;
    }
}

/// Events and the last snapshot, in memory.
#[derive(Default)]
struct Memory {
    events: Mutex<Vec<SerializedEvent>>,
    snapshot: Mutex<Option<SerializedSnapshot>>,
}

impl PersistedEventRepository for &'static Memory {
    async fn get_events<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(self.events.lock().unwrap().clone())
    }
    async fn get_last_events<A: Aggregate>(
        &self,
        _: &str,
        last: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(self.events.lock().unwrap().iter().filter(|e| e.sequence > last).cloned().collect())
    }
    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        let snapshot = self.snapshot.lock().unwrap();
        Ok(snapshot.as_ref().map(|s| SerializedSnapshot {
            aggregate_id: s.aggregate_id.clone(),
            aggregate: s.aggregate.clone(),
            current_sequence: s.current_sequence,
            current_snapshot: s.current_snapshot,
        }))
    }
    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        self.events.lock().unwrap().extend_from_slice(events);
        if let Some((aggregate_id, aggregate, current_snapshot)) = update {
            let current_sequence = self.events.lock().unwrap().len();
            *self.snapshot.lock().unwrap() = Some(SerializedSnapshot {
                aggregate_id,
                aggregate,
                current_sequence,
                current_snapshot,
            });
        }
        Ok(())
    }
    async fn stream_events<A: Aggregate>(&self, _: &str) -> Result<ReplayStream, PersistenceError> {
        Ok(ReplayStream::new(1).1)
    }
    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Ok(ReplayStream::new(1).1)
    }
}

type Store<A> = PersistedEventStore<&'static Memory, A>;

fn memory() -> &'static Memory {
    Box::leak(Box::default())
}

async fn counted(store: Store<Counter>, again: Store<Counter>) -> i64 {
    CqrsFramework::new(store, vec![], ()).execute("one", 5).await.unwrap();
    again.load_aggregate("one").await.unwrap().aggregate().sum
}

#[tokio::test]
async fn both_snapshot_stores_of_cqrs_es_count_an_event_twice() {
    let m = memory();
    assert_eq!(
        counted(Store::new_event_store(m), Store::new_event_store(m)).await,
        5,
        "the plain store is right"
    );
    let m = memory();
    assert_eq!(counted(Store::new_aggregate_store(m), Store::new_aggregate_store(m)).await, 10);
    let m = memory();
    assert_eq!(counted(Store::new_snapshot_store(m, 1), Store::new_snapshot_store(m, 1)).await, 10);
}

async fn raised(
    store: fn(&'static Memory) -> Store<Root<AnyCommand>>,
) -> Result<u64, AggregateError<commands::Refusal>> {
    let m = memory();
    let actor = actor(1, PrincipalKind::Human, &[Role::Owner]);
    let run = async |command: &str, data: Value| {
        let parsed =
            AnyCommand::parse(command, &serde_json::value::to_raw_value(&data).unwrap()).unwrap();
        let ctx = commands::Context {
            business: BUSINESS,
            target: BUSINESS.0,
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            clock_doubt: None,
            actor: actor.clone(),
            approval: None,
            presented_digest: None,
            backdated: false,
            seed: [0; 32],
            command: parsed.command_type(),
            people: std::sync::Arc::default(),
            leases: std::collections::BTreeSet::default(),
            newest_generation: None,
            person_behind: None,
            unopened: None,
        };
        CqrsFramework::new(store(m), vec![], ctx)
            .execute_with_metadata("b", parsed, HashMap::new())
            .await
    };
    // No personal text in these: what is clear can't be written outside the sealer, not even here.
    run("businesses.register", json!({"slug": "acme"})).await?;
    run("businesses.advance", json!({"to": "planning"})).await?;
    let mut context = store(m).load_aggregate("b").await?;
    Ok(context.aggregate().loaded.0.values().next().unwrap().0.0)
}

#[tokio::test]
async fn root_counts_an_event_once_in_all_three() {
    assert_eq!(raised(Store::new_event_store).await.unwrap(), 2);
    assert_eq!(raised(Store::new_aggregate_store).await.unwrap(), 2);
    assert_eq!(raised(|m| Store::new_snapshot_store(m, 1)).await.unwrap(), 2);
}
