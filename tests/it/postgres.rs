//! The log in PostgreSQL: the laws, several processes, and what goes wrong between us and it.

mod faults;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::EventId;
use domain::{AggregateRef, BusinessId};
use event_log::{
    Append, AppendError, Capabilities, Head, Inspect, Log, LogError, Pending, Position, RawRow,
    Recorded, Seq, Version,
};
use log_postgres::PostgresLog;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::laws::{self, Store};
use tests::postgres::database;
use tests::samples::{append, business, event, task};

async fn open(url: &str) -> Arc<PostgresLog> {
    Arc::new(PostgresLog::open(url).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_laws() {
    laws::all(open(&database().await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_order_under_load() {
    laws::order_under_load(open(&database().await).await).await;
}

/// Several stores over one database, each as a process would have it; every call goes to another.
struct Several(Vec<Arc<PostgresLog>>, AtomicUsize);

impl Several {
    async fn open(url: &str) -> Arc<Self> {
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(open(url).await);
        }
        Arc::new(Self(all, AtomicUsize::new(0)))
    }
    fn next(&self) -> &PostgresLog {
        &self.0[self.1.fetch_add(1, Ordering::Relaxed) % self.0.len()]
    }
}

#[async_trait]
impl Log for Several {
    async fn enqueue(&self, append: Append) -> Result<Pending, AppendError> {
        // A lane lives in one process, and so do its chains.
        let store = if append.chain.is_some() { &self.0[0] } else { self.next() };
        store.enqueue(append).await
    }

    async fn find(&self, business: BusinessId, id: EventId) -> Result<Option<Recorded>, LogError> {
        self.next().find(business, id).await
    }

    async fn read_aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.next().read_aggregate(business, aggregate, Version(after.0), limit).await
    }

    async fn read_business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.next().read_business(business, Seq(after.0), limit).await
    }

    async fn read_events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError> {
        self.next().read_events(business, seqs).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.next().read_all(Position(after.0), limit).await
    }

    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError> {
        self.next().head(business).await
    }

    fn position(&self) -> tokio::sync::watch::Receiver<Position> {
        self.0[0].position()
    }

    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<Version>, LogError> {
        self.next().versions(business, aggregates).await
    }

    async fn close(&self) {
        for log in &self.0 {
            log.close().await;
        }
    }
}

#[async_trait]
impl Inspect for Several {
    async fn read_erasures(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.next().read_erasures(Position(after.0), limit).await
    }

    async fn heads(&self) -> Result<Vec<Head>, LogError> {
        self.next().heads().await
    }

    async fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        self.next().raw_rows(Position(after.0), limit).await
    }

    async fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError> {
        self.next().consistent_heads().await
    }
}

#[async_trait]
impl Capabilities for Several {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_at_once_keep_the_laws_and_the_order() {
    let url = database().await;
    laws::all(Several::open(&url).await as Store).await;
    laws::order_under_load(Several::open(&database().await).await as Store).await;
}

/// Calls the function as an append of one event would, in a transaction that somebody holds open.
async fn append_inside(
    connection: &mut PgConnection,
    business: BusinessId,
    aggregate: AggregateRef,
    version: u64,
) {
    let new = event(business, aggregate, version, &format!("inside {version}"));
    let head: (i64, Vec<u8>) =
        sqlx::query_as("SELECT seq, frontier FROM minutebook.heads WHERE business = $1")
            .bind(business.0)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    let mut tree =
        proof::tree::Frontier::from_bytes(u64::try_from(head.0).unwrap(), &head.1).unwrap();
    let leaf = proof::tree::leaf_hash(&new.bytes);
    tree.push(leaf);
    let none: (Vec<uuid::Uuid>, Vec<String>, Vec<i64>) = Default::default();
    let said: Vec<String> = sqlx::query_scalar(
        "SELECT what FROM minutebook.append(NULL, $1, $2, $3, $4, $5, $6, $7, \
            $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(vec![business.0])
    .bind(vec![head.0])
    .bind(vec![head.0 + 1])
    .bind(vec![head.1])
    .bind(vec![tree.to_bytes()])
    .bind(&none.0)
    .bind(&none.1)
    .bind(&none.0)
    .bind(&none.2)
    .bind(vec![1_i64])
    .bind(vec![head.0 + 1])
    .bind(vec![aggregate.kind.as_str()])
    .bind(vec![aggregate.id])
    .bind(vec![i64::try_from(version).unwrap()])
    .bind(vec![new.event_id.0])
    .bind(vec![leaf.to_vec()])
    .bind(vec![new.bytes])
    .fetch_all(connection)
    .await
    .unwrap();
    assert_eq!(said, ["done"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_only_read_and_changed_while_waiting_for_the_lock_is_a_conflict_every_time() {
    let url = database().await;
    let log = open(&url).await;
    let (b, read) = (business(1), task(1));
    log.append(append(b, read, 0, 1, "first")).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    for round in 1..=50 {
        other.execute("BEGIN").await.unwrap();
        other.execute("SELECT position FROM minutebook.log FOR UPDATE").await.unwrap();
        let mut waiting = append(b, task(100 + u128::from(round)), 0, 1, &format!("waits {round}"));
        waiting.reads = vec![(read, Version(round))];
        let pending = log.enqueue(waiting).await.unwrap();
        let mut watcher = PgConnection::connect(&url).await.unwrap();
        let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = \
            current_database() AND wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watcher).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        append_inside(&mut other, b, read, round + 1).await;
        other.execute("COMMIT").await.unwrap();
        assert_eq!(
            pending.done().await,
            Err(AppendError::Conflict {
                aggregate: read,
                expected: Version(round),
                actual: Version(round + 1)
            }),
            "round {round}"
        );
    }
    assert_eq!(log.head(b).await.unwrap().unwrap().seq, Seq(51));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_follower_skips_a_row_that_is_held_back_while_others_commit() {
    let url = database().await;
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let hold = "CREATE FUNCTION minutebook.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF convert_from(NEW.bytes, 'UTF8') LIKE '%held-back%' THEN
            PERFORM pg_advisory_xact_lock(7); PERFORM pg_sleep(0.03);
        END IF;
        RETURN NEW; END $$;
        CREATE TRIGGER hold BEFORE INSERT ON minutebook.events FOR EACH ROW EXECUTE FUNCTION \
        minutebook.hold()";
    sqlx::raw_sql(hold).execute(&mut owner).await.unwrap();
    let (slow, quick, reader) = (open(&url).await, open(&url).await, open(&url).await);
    let follower = tokio::spawn(async move {
        let mut after = 0;
        while after < 50 * 6 {
            for recorded in reader.read_all(Position(after), 100).await.unwrap() {
                assert_eq!(
                    recorded.position,
                    Position(after + 1),
                    "a follower has passed over an event"
                );
                after = recorded.position.0;
            }
            tokio::task::yield_now().await;
        }
    });
    for round in 0..50 {
        let held = slow.enqueue(append(business(1), task(1), round, 1, "held-back")).await.unwrap();
        let mut others = Vec::new();
        for n in 2..7 {
            others.push(
                quick.enqueue(append(business(n), task(n), round, 1, "others")).await.unwrap(),
            );
        }
        for other in others {
            other.done().await.unwrap();
        }
        held.done().await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), follower)
        .await
        .expect("the follower sees everything")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_another_server_moved_on_is_grown_under_the_lock() {
    let url = database().await;
    let (a, b) = (open(&url).await, open(&url).await);
    let mut versions = [0, 0];
    for round in 0..70 {
        // Each finds the streams of both businesses elsewhere than it left them.
        let (at, one) = if round % 2 == 0 { (0, &a) } else { (1, &b) };
        let mut pending = Vec::new();
        for n in 1..4 {
            let count = 1 + round % 3;
            pending.push((
                one.enqueue(append(
                    business(n % 2),
                    task(u128::from(at as u64) * 10 + n),
                    versions[at],
                    count,
                    "x",
                ))
                .await
                .unwrap(),
                n,
            ));
        }
        for (pending, n) in pending {
            let committed = pending.done().await.unwrap();
            let first = one
                .read_business(business(n % 2), committed.first_seq.previous(), 1)
                .await
                .unwrap()
                .remove(0);
            let expected =
                event(business(n % 2), task(u128::from(at as u64) * 10 + n), versions[at] + 1, "x");
            assert_eq!(first.bytes, expected.bytes, "the receipt names the place where it went");
        }
        versions[at] += 1 + round % 3;
    }
    for head in a.heads().await.unwrap() {
        let leaves: Vec<_> = a
            .read_business(head.business, Seq::START, 10_000)
            .await
            .unwrap()
            .iter()
            .map(|r| proof::tree::leaf_hash(&r.bytes))
            .collect();
        assert_eq!(
            (head.seq, head.root),
            (Seq(leaves.len() as u64), proof::tree::root(&leaves)),
            "the tree is as proof/ makes it"
        );
    }
}
