//! The store in KurrentDB: the laws through its adapter over generic streams, and what can happen
//! to the cluster, to the way there and to the mirror.

mod lease;

use event_log::{AppendError, Inspect as _, Log as _, Position, Seq, Version};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::Said as _;

use async_trait::async_trait;
use event_log::sqlite::{Options, SqliteLog};
use futures_util::future::join_all;
use kurrent_protocol::{
    Appended, Credentials, Cursor, Direction, Expected, Page, Proposed, Refusal, Store as Protocol,
};
use log_kurrentdb::{KurrentConsumers, KurrentLog};
use tempfile::TempDir;
use tests::laws::{self, Store};
use tests::proxy::{Proxy, Weather};
use tests::samples::{append, business, task};
use tests::streams::{Cluster, Process, address, open};
use tokio::sync::watch;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kurrentdb_keeps_the_laws() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    laws::all(open(&cluster.address(), &folder).await as Store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kurrentdb_keeps_the_order_under_load() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    laws::order_under_load(open(&cluster.address(), &folder).await as Store).await;
}

/// What every log of a cluster must have in common: bytes, order, places and trees.
async fn agree(logs: &[Arc<KurrentLog>], events: u64) {
    let b = business(1);
    let mut all = Vec::new();
    for log in logs {
        let until = Instant::now() + Duration::from_secs(60);
        while log.head(b).await.unwrap().map_or(0, |h| h.seq.0) < events && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rows: Vec<_> = log
            .raw_rows(Position::START, 100_000)
            .await
            .unwrap()
            .into_iter()
            .map(|r| (r.position, r.seq, r.event_id, r.bytes))
            .collect();
        assert_eq!(rows.len() as u64, events, "nothing is lost, nothing doubled");
        let mut tree = proof::tree::Frontier::default();
        rows.iter().for_each(|(.., bytes)| tree.push(proof::tree::leaf_hash(bytes)));
        let head = log.head(b).await.unwrap().unwrap();
        assert_eq!(
            (head.seq, head.root),
            (Seq(events), tree.root()),
            "the tree is that of the bytes"
        );
        all.push((rows, head));
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "every process has the same");
}

/// Appends one after another to an aggregate of its own, again under the same ids when it is not
/// known whether it was stored.
async fn write(log: &Arc<KurrentLog>, aggregate: u128, count: u64) {
    for n in 0..count {
        let next = append(business(1), task(aggregate), n, 1, "w");
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            match log.append(next.clone()).await {
                Ok(_) => break,
                Err(AppendError::Storage(why)) if Instant::now() < until => {
                    eprintln!("again: {why}")
                }
                Err(e) => panic!("{e}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_business_lose_nothing_and_see_the_same() {
    let (cluster, folders) =
        (Cluster::start().await, [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    let logs =
        [open(&cluster.address(), &folders[0]).await, open(&cluster.address(), &folders[1]).await];
    join_all((0..8_u128).map(|w| {
        let log = Arc::clone(&logs[usize::from(w % 2 == 0)]);
        async move { write(&log, w, 20).await }
    }))
    .await;
    agree(&logs, 160).await;
    // What one process reads and the other changes: the decision is refused, whoever was first.
    for n in 0..20 {
        let read = append(business(1), task(100), n, 1, "a");
        let mut other = append(business(1), task(200 + u128::from(n)), 0, 1, "b");
        other.reads = vec![(task(100), Version(n))];
        let (one, two) = tokio::join!(logs[0].append(read), logs[1].append(other));
        one.unwrap();
        assert!(
            two.is_ok()
                || matches!(two, Err(AppendError::Conflict { expected, actual, .. })
                    if expected == Version(n) && actual == Version(n + 1)),
            "{two:?}"
        );
        let seq = |r: &event_log::Recorded| r.seq;
        let changed =
            logs[0].read_aggregate(business(1), task(100), Version(n), 1).await.unwrap()[0].clone();
        if let Ok(committed) = two {
            assert!(committed.first_seq < seq(&changed), "it was decided before the change");
        }
        assert!(
            logs[1].is_place(changed.position).await.unwrap(),
            "a place that another process told is waited for"
        );
        assert_eq!(
            logs[1].versions(business(1), &[task(100)]).await.unwrap(),
            [Version(n + 1)],
            "as they are in the cluster, not as the mirror has heard"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_killed_in_the_middle_of_appends_doubles_nothing() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut process = Process::start(PROGRAM, data.path().join("streams.db"));
    let log = open(&address(process.port), &folder).await;
    let writing = tokio::spawn({
        let log = Arc::clone(&log);
        async move { join_all((0..6_u128).map(|w| write(&log, w, 60))).await }
    });
    for round in 0..4 {
        let before = log.head(business(1)).await.unwrap().map_or(0, |h| h.seq.0);
        while log.head(business(1)).await.unwrap().map_or(0, |h| h.seq.0) < (before + 20).min(350) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if round == 3 {
            process.signal("-STOP");
            tokio::time::sleep(Duration::from_secs(5)).await;
            process.signal("-CONT");
        } else {
            process.kill();
            tokio::time::sleep(Duration::from_millis(200)).await;
            process.again();
        }
    }
    writing.await.unwrap();
    agree(&[Arc::clone(&log)], 360).await;
    // A mirror that is deleted is filled anew, and has the same places.
    let rows = log.raw_rows(Position::START, 1_000).await.unwrap();
    log.close().await;
    std::fs::remove_dir_all(folder.path().join("mirror")).unwrap();
    let log = open(&address(process.port), &folder).await;
    let again = log.raw_rows(Position::START, 1_000).await.unwrap();
    assert_eq!(
        rows.iter().map(|r| (r.position, &r.bytes)).collect::<Vec<_>>(),
        again.iter().map(|r| (r.position, &r.bytes)).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_way_to_the_cluster_loses_and_doubles_nothing() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    let proxy = Proxy::before(cluster.port).await;
    let log = open(&address(proxy.address.port()), &folder).await;
    let writing = tokio::spawn({
        let log = Arc::clone(&log);
        async move { join_all((0..4_u128).map(|w| write(&log, w, 30))).await }
    });
    for weather in [
        Weather::Slow(Duration::from_millis(30)),
        Weather::Reset,
        Weather::Fair,
        Weather::HalfOpen,
        Weather::Fair,
        Weather::Reset,
    ] {
        proxy.turns(weather);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    proxy.turns(Weather::Fair);
    writing.await.unwrap();
    agree(&[log], 120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_not_ours_stops_its_business_and_no_other() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    let log = open(&cluster.address(), &folder).await;
    log.append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    let foreign = Proposed {
        id: uuid::Uuid::now_v7(),
        event_type: "OrderPlaced".to_owned(),
        content_type: "application/json".to_owned(),
        metadata: Default::default(),
        data: b"{}".to_vec().into(),
    };
    cluster
        .streams
        .append(&(), &business(1).stream_name(), Expected::Any, vec![foreign])
        .await
        .unwrap();
    let error = log.append(append(business(1), task(1), 1, 1, "a")).await.unwrap_err().said();
    assert!(error.contains("at revision 1 that this installation did not write"), "{error}");
    log.append(append(business(2), task(1), 0, 1, "a")).await.unwrap();
    assert!(
        log.versions(business(1), &[task(1)]).await.unwrap_err().said().contains("at revision 1"),
        "nothing is refused as if all were known"
    );
    assert_eq!(
        log.head(business(1)).await.unwrap().unwrap().seq,
        Seq(1),
        "what was there before is still read"
    );
    log.close().await;
    let log = open(&cluster.address(), &folder).await;
    let again = log.append(append(business(1), task(1), 1, 1, "a")).await.unwrap_err();
    assert!(again.said().contains("at revision 1"), "after a restart too: {again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_put_back_to_an_earlier_day_is_noticed() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = data.path().join("streams.db");
    let mut process = Process::start(PROGRAM, file.clone());
    let log = open(&address(process.port), &folder).await;
    write(&log, 1, 5).await;
    process.kill();
    for beside in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{beside}", file.display())).unwrap_or_default();
    }
    process.again();
    let until = Instant::now() + Duration::from_secs(60);
    let error = loop {
        let error = log.append(append(business(1), task(1), 5, 1, "w")).await.unwrap_err().said();
        if error.contains("not what it was") || Instant::now() > until {
            break error;
        }
    };
    assert!(error.contains("start the server again"), "{error}");
    log.close().await;
    let log = open(&address(process.port), &folder).await;
    assert_eq!(log.raw_rows(Position::START, 10).await.unwrap().len(), 0, "it is read anew");
    write(&log, 1, 5).await;
    let aside = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().contains("mirror-put-aside-"))
        .unwrap();
    let kept = SqliteLog::open(&aside, &Options::default()).unwrap();
    assert_eq!(
        kept.head(business(1)).await.unwrap().unwrap().seq,
        Seq(5),
        "what only the mirror had is still there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_stream_that_somebody_deleted_the_mirror_keeps_what_it_has() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    for forever in [false, true] {
        let log = open(&cluster.address(), &folder).await;
        let b = business(u128::from(forever));
        log.append(append(b, task(1), 0, 3, "a")).await.unwrap();
        cluster.streams.delete(&(), &b.stream_name(), Expected::Any, forever).await.unwrap();
        log.close().await;
        let log = open(&cluster.address(), &folder).await;
        assert_eq!(log.head(b).await.unwrap().unwrap().seq, Seq(3), "for ever: {forever}");
        log.append(append(business(7), task(1), u64::from(forever), 1, "a")).await.unwrap();
        log.close().await;
    }
    assert!(
        !std::fs::read_dir(folder.path()).unwrap().any(|e| e
            .unwrap()
            .path()
            .to_string_lossy()
            .contains("put-aside"))
    );
}

/// A cluster in which everything is always otherwise.
struct Contrary;

#[async_trait]
impl Protocol for Contrary {
    type Caller = ();
    type Place = u64;
    async fn admit(&self, _: Option<&Credentials>) -> Result<(), Refusal> {
        Ok(())
    }
    async fn stream(
        &self,
        (): &(),
        _: &str,
        _: Cursor,
        _: Direction,
        _: usize,
    ) -> Result<Option<Page>, Refusal> {
        Ok(None)
    }
    async fn all(&self, (): &(), _: Cursor, _: Direction, _: usize) -> Result<Page, Refusal> {
        Ok(Page::default())
    }
    fn moved(&self) -> watch::Receiver<u64> {
        let (moved, seen) = watch::channel(0);
        std::mem::forget(moved);
        seen
    }
    async fn append(
        &self,
        (): &(),
        name: &str,
        expected: Expected,
        _: Vec<Proposed>,
    ) -> Result<Appended, Refusal> {
        Err(Refusal::WrongVersion { stream: name.to_owned(), expected, actual: None })
    }
    async fn delete(&self, (): &(), _: &str, _: Expected, _: bool) -> Result<Option<u64>, Refusal> {
        Err(Refusal::AccessDenied("no".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_without_end_are_given_up_with_a_sentence() {
    let (_stop, stopped) = watch::channel(false);
    let listening = kurrent_protocol::listen(Arc::new(Contrary), "127.0.0.1:0", "", None, stopped)
        .await
        .unwrap();
    let folder = TempDir::new().unwrap();
    let log = open(&address(listening.address.port()), &folder).await;
    let error = log.append(append(business(1), task(1), 0, 1, "a")).await.unwrap_err();
    assert!(
        error.said().contains("others wrote to business-") && error.said().contains("try again"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_of_a_cluster_keep_the_same_promises() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    let log = open(&cluster.address(), &folder).await;
    crate::consumers::keeps_its_promises(Arc::new(KurrentConsumers::of(&log))).await;
    assert_eq!(
        log.raw_rows(Position::START, 10).await.unwrap().len(),
        0,
        "they are never in the mirror"
    );
}
