//! The same on PostgreSQL: our command path beside a raw group commit into the same tables and
//! beside postgres-es through `CqrsFramework` with the same payload, on one server in one run.

mod several;
pub(super) use several::one_of_several;
use several::several;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, PersistedEventStore};
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent};
use event_log::{Position, RawRow, Subscription, Update};
use futures_util::future::join_all;
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{Bench, Latencies, count, folder, per_second, plan};

const CALLERS: [usize; 3] = [1, 16, 64];
/// Events that are replayed.
const REPLAYED: u64 = 200_000;
/// Events of the one aggregate.
const LONG: usize = 20_000;

/// The baseline's tables as its documentation has them, and ours again for raw inserts.
const SCHEMA: &str = "
CREATE SCHEMA es;
CREATE TABLE es.events(aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint \
    CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL,
  event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY \
  (aggregate_type, aggregate_id, sequence));
CREATE SCHEMA raw;
CREATE TABLE raw.events(LIKE minutebook.events INCLUDING ALL);
CREATE TABLE raw.heads(LIKE minutebook.heads INCLUDING ALL);
GRANT ALL ON SCHEMA raw TO public; GRANT ALL ON ALL TABLES IN SCHEMA raw TO public;";

/// An aggregate of the baseline: it writes what it is told and keeps the last of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Task {
    events: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Payload(Value);

impl DomainEvent for Payload {
    fn event_type(&self) -> String {
        self.0["type"].as_str().unwrap_or_default().to_owned()
    }
    fn event_version(&self) -> String {
        self.0["schema"].to_string()
    }
}

impl Aggregate for Task {
    const TYPE: &'static str = "task";
    type Command = Value;
    type Event = Payload;
    type Error = std::io::Error;
    type Services = ();
    async fn handle(
        &mut self,
        payload: Value,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), std::io::Error> {
        sink.write(Payload(payload), self).await;
        Ok(())
    }
    fn apply(&mut self, _: Payload) {
        self.events += 1;
    }
}

/// An event typed as their users would, by serde out of the value they give. It does less than
/// ours: sealed fields stay values.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is made to be measured")]
struct Typed {
    event_id: Uuid,
    business: Uuid,
    kind: domain::Kind,
    id: Uuid,
    version: u64,
    r#type: String,
    schema: u16,
    recorded_at: domain::Timestamp,
    actor: Uuid,
    command_id: String,
    index: u32,
    correlation: Uuid,
    data: std::collections::HashMap<String, Value>,
    #[serde(default)]
    sealed: Vec<Value>,
}

type Baseline = CqrsFramework<Task, PersistedEventStore<PostgresEventRepository, Task>>;

async fn pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(120))
        .connect(url)
        .await
        .unwrap()
}

fn repository(pool: &PgPool) -> PostgresEventRepository {
    PostgresEventRepository::new(pool.clone()).with_tables("es.events", "es.snapshots")
}

fn baseline(pool: &PgPool) -> Arc<Baseline> {
    Arc::new(CqrsFramework::new(
        PersistedEventStore::new_event_store(repository(pool)),
        Vec::new(),
        (),
    ))
}

/// `n` commands from so many callers, each to the aggregate that `id` names.
async fn executed(
    cqrs: &Arc<Baseline>,
    payload: &Value,
    callers: usize,
    n: usize,
    id: impl Fn(usize) -> String + Clone + Send + 'static,
) -> Latencies {
    let began = Instant::now();
    let work = (0..callers).map(|caller| {
        let (cqrs, payload, id) = (Arc::clone(cqrs), payload.clone(), id.clone());
        tokio::spawn(async move {
            let mut took = Vec::new();
            for i in (caller..n).step_by(callers) {
                let one = Instant::now();
                cqrs.execute(&id(i), payload.clone()).await.unwrap();
                took.push(one.elapsed());
            }
            took
        })
    });
    let each: Vec<Duration> = join_all(work).await.into_iter().flat_map(Result::unwrap).collect();
    Latencies::new(each, began.elapsed())
}

/// Inserts rows like those from so many callers with group commit on one connection; rows a second.
async fn group_commit(
    url: &str,
    rows: &Arc<Vec<RawRow>>,
    callers: usize,
    before: usize,
    n: usize,
) -> f64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let (queue, mut jobs) = mpsc::channel::<(usize, oneshot::Sender<()>)>(10_000);
    let data = Arc::clone(rows);
    let writer = tokio::spawn(async move {
        while let Some(first) = jobs.recv().await {
            let (mut batch, mut next) = (Vec::new(), Some(first));
            while let Some(job) = next.take() {
                batch.push(job);
                if batch.len() < 500 {
                    next = jobs.try_recv().ok();
                }
            }
            insert(&mut connection, &data, &batch).await;
            for (_, answer) in batch {
                let _ = answer.send(());
            }
        }
    });
    let began = Instant::now();
    let work = (0..callers).map(|caller| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for i in (before + caller..before + n).step_by(callers) {
                let (done, wait) = oneshot::channel();
                queue.send((i, done)).await.unwrap();
                wait.await.unwrap();
            }
        })
    });
    for caller in join_all(work).await {
        caller.unwrap();
    }
    let rate = per_second(n, began.elapsed());
    drop(queue);
    writer.await.unwrap();
    rate
}

/// One statement: the rows, and the ends of their streams.
async fn insert(
    connection: &mut PgConnection,
    rows: &[RawRow],
    batch: &[(usize, oneshot::Sender<()>)],
) {
    let n = |v: u64| i64::try_from(v).unwrap();
    let (mut position, mut business, mut seq, mut kind, mut id) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut version, mut event_id, mut leaf, mut bytes) = (vec![], vec![], vec![], vec![]);
    for (i, _) in batch {
        let (row, turn) = (&rows[i % rows.len()], (i / rows.len()) as u64);
        position.push(n(*i as u64 + 1));
        business.push(row.business);
        seq.push(n(row.seq.0 + turn * 1_000_000));
        kind.push(row.kind.as_str());
        id.push(Uuid::new_v5(&row.id, &turn.to_be_bytes()));
        version.push(n(row.version.0));
        event_id.push(Uuid::new_v5(&row.event_id, &turn.to_be_bytes()));
        leaf.push(row.leaf.as_slice());
        bytes.push(row.bytes.as_slice());
    }
    let sql = "WITH e AS (INSERT INTO raw.events SELECT * FROM unnest($1::bigint[], $2::uuid[], \
        $3::bigint[], $4::text[], $5::uuid[], $6::bigint[], $7::uuid[], $8::bytea[], $9::bytea[]))
        INSERT INTO raw.heads SELECT DISTINCT ON (b) b, s, l FROM unnest($2::uuid[], $3::bigint[], \
        $8::bytea[]) x(b, s, l) ORDER BY b, s DESC
        ON CONFLICT (business) DO UPDATE SET seq = excluded.seq, frontier = excluded.frontier";
    let query = sqlx::query(sql)
        .bind(position)
        .bind(business)
        .bind(seq)
        .bind(kind)
        .bind(id)
        .bind(version)
        .bind(event_id)
        .bind(leaf)
        .bind(bytes);
    query.execute(connection).await.unwrap();
}

async fn commands(ours: &Bench, url: &str, pool: &PgPool) -> Value {
    println!(
        "\ncommands on PostgreSQL, one event each, over 100 businesses, beside raw group commit \
         (UNNEST) into the same tables and postgres-es"
    );
    println!(
        "{:>8} {:>10} {:>10} {:>6} {:>14} {:>6} {:>8} {:>8} {:>14} {:>12} {:>6}",
        "callers",
        "ours/s",
        "raw/s",
        "ratio",
        "postgres-es/s",
        "times",
        "p50 ms",
        "p99 ms",
        "their p99 ms",
        "on SQLite/s",
        "times"
    );
    let rows = super::raw::rows(&*ours.app.log, &ours.businesses, || async {
        ours.run(64, 2_000, plan).await;
    })
    .await;
    let payload: Value = serde_json::from_slice(&rows.last().unwrap().bytes).unwrap();
    let (cqrs, mut before) = (baseline(pool), 0);
    let sqlite = Bench::new().await.without_views().await;
    let ms = |d: Duration| d.as_secs_f64() * 1_000.0;
    for callers in CALLERS {
        let (mut best, mut raw, mut theirs, mut embedded) =
            (None::<Latencies>, 0.0_f64, None::<Latencies>, 0.0_f64);
        for _ in 0..3 {
            let one = ours.run(callers, count(callers), plan).await;
            best = Some(one).into_iter().chain(best).max_by(|a, b| a.rate.total_cmp(&b.rate));
            embedded = embedded.max(sqlite.run(callers, count(callers), plan).await.rate);
            raw = raw.max(group_commit(url, &rows, callers, before, count(callers)).await);
            let from = before;
            let one = executed(&cqrs, &payload, callers, count(callers) / 4, move |i| {
                format!("b{}/{}", i % 100, from + i)
            })
            .await;
            theirs = Some(one).into_iter().chain(theirs).max_by(|a, b| a.rate.total_cmp(&b.rate));
            before += count(callers);
        }
        let (best, theirs) = (best.unwrap(), theirs.unwrap());
        let (ratio, times) = (best.rate / raw, best.rate / theirs.rate);
        println!(
            "{callers:>8} {:>10.0} {raw:>10.0} {ratio:>6.2} {:>14.0} {times:>6.1} {:>8.2} {:>8.2} \
             {:>14.2} {embedded:>12.0} {:>6.1}",
            best.rate,
            theirs.rate,
            ms(best.p50),
            ms(best.p99),
            ms(theirs.p99),
            embedded / theirs.rate
        );
    }
    payload
}

async fn one_aggregate(ours: &Bench, pool: &PgPool, payload: &Value) {
    let (business, actor) = &ours.businesses[0];
    let plan = commands::Submission::new(
        *business,
        actor.clone(),
        Uuid::now_v7().to_string(),
        "tasks.plan",
        None,
        &json!({"title": "t", "team": "hr"}),
    );
    let task = ours.app.bus.submit(plan).await.unwrap().events[0].id;
    let activity = move |_: usize| {
        (
            0,
            "tasks.record_activity",
            Some(task),
            json!({"activity": "step", "note": "Write to the customer whose order was late"}),
        )
    };
    let mut rates = Vec::new();
    for _ in 0..10 {
        rates.push(ours.run(64, LONG / 10, activity).await.rate);
    }
    let (first, last) = (rates[..3].iter().sum::<f64>(), rates[7..].iter().sum::<f64>());
    println!(
        "\none aggregate that grows to {LONG} events, 64 callers: {:.0}/s, last three tenths over \
         first three {:.2}",
        rates.iter().sum::<f64>() / 10.0,
        last / first
    );
    let long = "INSERT INTO es.events SELECT 'task', 'long', n, 'x', '1', $1, '{}'::json FROM \
        generate_series(1, $2) n";
    sqlx::query(long).bind(payload).bind(i32::try_from(LONG).unwrap()).execute(pool).await.unwrap();
    let cqrs = baseline(pool);
    let fresh = executed(&cqrs, payload, 1, 200, |_| "short".to_owned()).await.rate;
    let grown = executed(&cqrs, payload, 1, 20, |_| "long".to_owned()).await.rate;
    println!(
        "postgres-es, one caller: {fresh:.0}/s on an aggregate of up to 200 events, {grown:.0}/s \
         on one of {LONG}, {:.2}",
        grown / fresh
    );
}

async fn replay(ours: &Bench, pool: &PgPool) {
    let end = *ours.app.log.position().borrow();
    if end < Position(REPLAYED) {
        ours.run(256, usize::try_from(REPLAYED - end.0).unwrap(), plan).await;
    }
    pool.execute("TRUNCATE es.events").await.unwrap();
    pool.execute(
        "INSERT INTO es.events SELECT * FROM minutebook.es_events WHERE aggregate_type = \
        'task' LIMIT 200000",
    )
    .await
    .unwrap();
    pool.execute("ANALYZE").await.unwrap();
    let (mut rate, mut theirs) = (0.0_f64, 0.0_f64);
    for _ in 0..3 {
        let (began, mut n) = (Instant::now(), 0);
        let mut following = Subscription::new(Arc::clone(&ours.app.log), Position::START, 1_000);
        while let Update::Events(page) = following.next().await.unwrap() {
            n += page.len();
            for recorded in &page {
                std::hint::black_box(recorded.stored().unwrap().event().unwrap());
            }
        }
        rate = rate.max(per_second(n, began.elapsed()));
        let (began, mut n) = (Instant::now(), 0);
        let mut stream = repository(pool).stream_all_events::<Task>().await.unwrap();
        while let Some(event) = stream.next::<Task>(&[]).await {
            std::hint::black_box(
                serde_json::from_value::<Typed>(event.unwrap().payload.0).unwrap(),
            );
            n += 1;
        }
        theirs = theirs.max(per_second(n, began.elapsed()));
    }
    println!(
        "\nreplay of {REPLAYED} events decoded to types: {rate:.0}/s, postgres-es {theirs:.0}/s, \
         {:.1} times",
        rate / theirs
    );
}

pub(crate) async fn postgres() {
    let place = folder();
    let cluster = tests::postgres::own(Some(place.path()), true).await;
    let url = cluster.database().await;
    sqlx::raw_sql(SCHEMA).execute(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap();
    let pool = pool(&url, 32).await;
    let ours = Bench::on(&url).await.without_views().await;
    let payload = commands(&ours, &url, &pool).await;
    one_aggregate(&ours, &pool, &payload).await;
    replay(&ours, &pool).await;
    println!();
    several(&url).await;
    drop(cluster);
}
