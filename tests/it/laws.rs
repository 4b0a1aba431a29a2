//! The laws, on the embedded store.

use event_log::Log as _;
use event_log::{Position, Seq};
use std::sync::Arc;
use tests::Said as _;

use event_log::sqlite::{FolderLock, Options, SqliteLog};
use tempfile::TempDir;
use tests::laws::{self, Store};
use tests::samples::{append, business, task};

fn open(folder: &TempDir, options: &Options) -> (FolderLock, Arc<SqliteLog>) {
    let lock = FolderLock::take(folder.path()).unwrap();
    (lock, Arc::new(SqliteLog::open(folder.path(), options).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_laws() {
    let folder = TempDir::new().unwrap();
    let (_lock, log) = open(&folder, &Options::default());
    laws::all(Arc::clone(&log) as Store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_order_under_load() {
    let folder = TempDir::new().unwrap();
    let (_lock, log) = open(&folder, &Options::default());
    laws::order_under_load(log as Store).await;
}

#[tokio::test]
async fn a_reopened_log_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let (lock, log) = open(&folder, &Options::default());
    let b = business(1);
    let first = log.append(append(b, task(1), 0, 3, "a")).await.unwrap();
    let root = log.head(b).await.unwrap().unwrap().root;
    log.close().await;
    assert!(
        log.append(append(b, task(1), 3, 1, "late"))
            .await
            .unwrap_err()
            .said()
            .contains("shutting down")
    );
    drop((lock, log));
    let (_lock, log) = open(&folder, &Options::default());
    assert_eq!(log.head(b).await.unwrap().unwrap().root, root);
    let next = log.append(append(b, task(1), 3, 1, "a")).await.unwrap();
    assert_eq!((next.first_seq, next.position), (Seq(4), first.position.next()));
}

#[tokio::test]
async fn close_commits_what_was_queued() {
    let folder = TempDir::new().unwrap();
    let (_lock, log) = open(&folder, &Options::default());
    let mut pending = Vec::new();
    for n in 0..50 {
        pending.push(log.enqueue(append(business(1), task(1), n, 1, "a")).await.unwrap());
    }
    log.close().await;
    for one in pending {
        one.done().await.unwrap();
    }
    assert_eq!(log.head(business(1)).await.unwrap().unwrap().seq, Seq(50));
}

#[tokio::test]
async fn a_full_disk_refuses_whole_appends_and_recovers() {
    let folder = TempDir::new().unwrap();
    let (_lock, log) = open(&folder, &Options { pages_max: 60, ..Options::default() });
    let b = business(1);
    let mut stored = 0;
    let error = loop {
        let mut next = append(b, task(1), stored, 1, "a");
        next.events[0].bytes = vec![b' '; 20_000];
        match log.append(next).await {
            Ok(_) => stored += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(error, event_log::AppendError::DiskFull);
    assert!(error.to_string().contains("nothing was written"));
    assert!(stored > 0);
    assert_eq!(
        log.head(b).await.unwrap().unwrap().seq,
        Seq(stored),
        "what was acknowledged is there, and no more"
    );
    log.append(append(b, task(1), stored, 1, "small")).await.unwrap();
}

#[tokio::test]
async fn places_far_apart_cost_no_room() {
    let folder = TempDir::new().unwrap();
    let (lock, log) = open(&folder, &Options::default());
    let id = log
        .append(append(business(1), task(1), 0, 1, "a"))
        .await
        .map(|_| append(business(1), task(1), 0, 1, "a").events[0].event_id)
        .unwrap();
    log.close().await;
    drop((lock, log));
    // As a mirror of a cluster has them, where a place is an offset in bytes.
    let file = rusqlite::Connection::open(SqliteLog::file(folder.path())).unwrap();
    file.execute("UPDATE events SET position = 10000000000000", []).unwrap();
    drop(file);
    let (_lock, log) = open(&folder, &Options::default());
    assert_eq!(
        log.find(business(1), id).await.unwrap().unwrap().position,
        Position(10_000_000_000_000)
    );
}
