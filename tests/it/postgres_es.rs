//! The stock crate postgres-es beside us: it reads our log through the view `es_events`, and shows
//! why replay and appending are our own.

use event_log::{
    EventLog, Inspect as _, Loaded, Log as _, Position, Subscription, Update, Version,
};
use std::sync::Arc;
use std::time::Duration;
use tests::Said as _;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, PersistedEventStore, ReplayStream};
use cqrs_es::{Aggregate, AggregateContext as _, DomainEvent, EventStore as _};
use domain::{AggregateRef, Kind};
use log_postgres::PostgresLog;
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::installation::Installation;
use tests::postgres::database;
use tests::samples::{append, business, task};

/// What a task's events are to somebody who knows our events but not our store.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Task(Vec<Passed>);

/// A stored event as the stock crate gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Passed(Value);

impl DomainEvent for Passed {
    fn event_type(&self) -> String {
        self.0["type"].to_string()
    }
    fn event_version(&self) -> String {
        self.0["schema"].to_string()
    }
}

impl Aggregate for Task {
    const TYPE: &'static str = "task";
    type Command = ();
    type Event = Passed;
    type Error = std::io::Error;
    type Services = ();
    async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), std::io::Error> {
        Ok(())
    }
    fn apply(&mut self, event: Passed) {
        self.0.push(event);
    }
}

async fn repository(url: &str) -> (PgPool, PostgresEventRepository) {
    let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
    let repository =
        PostgresEventRepository::new(pool.clone()).with_tables("minutebook.es_events", "none");
    (pool, repository)
}

async fn all(mut stream: ReplayStream) -> Vec<(String, usize)> {
    let mut seen = Vec::new();
    while let Some(event) = stream.next::<Task>(&[]).await {
        let event = event.unwrap();
        seen.push((event.aggregate_id, event.sequence));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_crate_reads_our_log_and_every_kind_loads_through_it() {
    let url = database().await;
    let installation = Installation::at(&url).await;
    crate::metrics::import(
        &installation,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "acme",
    )
    .await;
    crate::metrics::import(&installation, &importers::Csv, "process-logs/tickets.csv", "desk")
        .await;
    crate::metrics::import(&installation, &importers::Documents, "documents", "library").await;
    let business =
        installation.query("{ business(slug: \"acme\") { id } }").await["business"]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
    let odd = json!({"title": "zero \u{0} and \u{1F600}, 1e400, \"quoted\"", "team": "hr"});
    let id = installation.must(business, "tasks.plan", None, odd).await.events[0].id;
    installation.must(business, "tasks.offer", Some(id), json!({})).await;

    // More than one page of an aggregate.
    let long = installation
        .must(business, "tasks.plan", None, json!({"title": "long", "team": "hr"}))
        .await
        .events[0]
        .id;
    for n in 0..520 {
        installation
            .must(
                business,
                "tasks.record_activity",
                Some(long),
                json!({"activity": format!("step {n}")}),
            )
            .await;
    }

    let (_pool, stock) = repository(&url).await;
    let store = PersistedEventStore::<_, Task>::new_event_store(stock);
    let mut seen = store.load_aggregate(&format!("{business}/{id}")).await.unwrap();
    let types: Vec<_> = seen.aggregate().0.iter().map(|e| e.0["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["tasks.planned", "tasks.offered"]);

    // Loaded through the stock crate = folded from the stored bytes, for every aggregate there is.
    let log = &installation.app.log;
    let mut kinds = std::collections::BTreeSet::new();
    let mut folded: std::collections::HashMap<_, Loaded> = std::collections::HashMap::new();
    for recorded in log.read_all(Position::START, 10_000).await.unwrap() {
        let stored = recorded.stored().unwrap();
        let aggregate = AggregateRef { kind: stored.kind, id: stored.id };
        folded
            .entry((recorded.business, aggregate))
            .or_insert_with(|| Loaded::empty(stored.kind))
            .evolve(&recorded.bytes)
            .unwrap();
    }
    for ((business, aggregate), loaded) in &folded {
        assert_eq!(log.load(*business, *aggregate).await.unwrap(), *loaded, "{aggregate}");
        kinds.insert(aggregate.kind);
    }
    assert!(kinds.len() >= 9, "{kinds:?}");
    assert!(
        log.load(business, AggregateRef::new(Kind::Task, long)).await.unwrap().version
            > Version(500)
    );
    // JSON to PostgreSQL and none to serde_json: an error of that aggregate alone.
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let spoil = "UPDATE minutebook.events SET bytes = '{\"type\":\"x\",\"n\":1e999}' WHERE id = $1";
    sqlx::query(spoil).bind(id).execute(&mut owner).await.unwrap();
    let refused = log.load(business, AggregateRef::new(Kind::Task, id)).await.unwrap_err().said();
    assert!(refused.contains("run `minutebook verify`"), "{refused}");
    for kind in Kind::ALL {
        let nothing = AggregateRef::new(*kind, uuid::Uuid::nil());
        assert_eq!(log.load(business, nothing).await.unwrap(), Loaded::empty(*kind));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_crate_replays_by_version_and_we_by_position() {
    let url = database().await;
    let log = PostgresLog::open(&url).await.unwrap();
    for (n, after) in [(1, 0), (1, 1), (1, 2), (2, 0)] {
        log.append(append(business(1), task(n), after, 1, "x")).await.unwrap();
    }
    let (_pool, stock) = repository(&url).await;
    let theirs = all(stock.stream_all_events::<Task>().await.unwrap()).await;
    let versions: Vec<usize> = theirs.iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(
        versions,
        [1, 1, 2, 3],
        "the second task begins before the first goes on, though it came last"
    );
    let ours: Vec<u64> =
        log.raw_rows(Position::START, 10).await.unwrap().iter().map(|r| r.version.0).collect();
    assert_eq!(ours, [1, 2, 3, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_terminated_in_mid_replay_ends_theirs_as_if_it_were_done_and_ours_with_an_error()
{
    const ALL: usize = 60_000;
    let url = database().await;
    let log = Arc::new(PostgresLog::open(&url).await.unwrap());
    for page in 0..ALL as u64 / 1_000 {
        log.append(append(
            business(1),
            task(1),
            page * 1_000,
            1_000,
            "a line of some length, so that not all of it lies in buffers",
        ))
        .await
        .unwrap();
    }
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = \
        current_database() AND pid <> pg_backend_pid()";

    let (_pool, stock) = repository(&url).await;
    let mut theirs = stock.stream_all_events::<Task>().await.unwrap();
    theirs.next::<Task>(&[]).await.unwrap().unwrap();
    owner.execute(terminate).await.unwrap();
    let seen = 1 + all(theirs).await.len();
    assert!(seen < ALL, "the stock crate had everything before its connection died");

    let mut following =
        Subscription::new(Arc::clone(&log) as Arc<dyn EventLog>, Position::START, 1_000);
    let (mut after, mut errors, mut turns) = (0, 0, 0);
    loop {
        if turns % 7 == 3 && errors < 5 {
            owner.execute(terminate).await.unwrap();
        }
        turns += 1;
        match following.next().await {
            Ok(Update::Events(events)) => {
                for recorded in events {
                    assert_eq!(recorded.position, Position(after + 1), "nothing is passed over");
                    after = recorded.position.0;
                }
            }
            Ok(Update::CaughtUp(at)) => {
                break assert_eq!((at, after), (Position(ALL as u64), ALL as u64));
            }
            Err(_) => {
                errors += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
