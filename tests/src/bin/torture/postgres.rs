//! A log in PostgreSQL whose disk loses its power, or is full.

use event_log::Log as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{AppendError, EventLog, Seq};
use log_postgres::PostgresLog;
use tempfile::TempDir;
use tests::ledger;
use tests::postgres::{Cluster, over, own};
use tests::samples::{append, business, task};

use super::{Mounted, run};

const ROUNDS: u64 = 6;
/// Rounds with `fsync=off`, one of which at least must be caught.
const ROUNDS_UNSAFE: u64 = 3;

/// A folder on an image of its own.
fn disk(folder: &TempDir, megabytes: u64) -> Mounted {
    let image = folder.path().join("disk.img");
    std::fs::File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
    let disk = Mounted::new(&image, &folder.path().join("disk"));
    run("chmod", &["755", folder.path().to_str().unwrap()]);
    disk
}

fn folder() -> TempDir {
    TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

fn signal(name: &str, processes: &[String]) {
    let _ = Command::new("kill").arg(name).args(processes).status();
}

async fn cut(round: u64, durable: bool) -> Result<u64, String> {
    let folder = folder();
    let disk = disk(&folder, 400);
    let cluster = own(Some(&disk.0), durable).await;
    let url = cluster.database().await;
    // What `initdb` wrote is on the disk before anything counts.
    run("sync", &[]);
    let book = folder.path().join("ledger");
    let mut writer = Command::new(std::env::current_exe().unwrap().with_file_name("crash-writer"));
    let mut writer = writer.arg(&url).arg(&book).spawn().unwrap();
    while ledger::acknowledged(&book).len() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300 + round * 137 % 700));
    let frozen = cluster.processes();
    signal("-STOP", &frozen);
    // What was acknowledged before the server stopped is in the ledger soon, and the ledger is
    // elsewhere.
    std::thread::sleep(Duration::from_millis(100));
    let copy = folder.path().join("copy.img");
    std::fs::copy(folder.path().join("disk.img"), &copy).unwrap();
    let _ = writer.kill();
    let _ = writer.wait();
    let after = Mounted::new(&copy, &folder.path().join("after"));
    let result = recovered(&cluster, &disk.0, &after.0, &url, &book).await;
    signal("-CONT", &frozen);
    drop(cluster);
    drop((after, disk));
    result
}

/// What recovery finds on the copy of the disk.
async fn recovered(
    cluster: &Cluster,
    disk: &Path,
    after: &Path,
    url: &str,
    book: &Path,
) -> Result<u64, String> {
    let files = after.join(cluster.folder().strip_prefix(disk).unwrap());
    // It names a process that is only frozen.
    let _ = std::fs::remove_file(files.join("data/postmaster.pid"));
    let again = over(files).await;
    let url = url.replace(&cluster.url, &again.url);
    let began = Instant::now();
    let log = loop {
        match PostgresLog::open(&url).await {
            Ok(log) => break log,
            Err(e) if began.elapsed() > Duration::from_secs(30) => {
                return Err(format!("it does not come back: {e}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let result = ledger::check_open(&log, book).await;
    log.close().await;
    result
}

/// Appends until the disk is full, makes room, and goes on.
async fn full_disk() -> Result<u64, String> {
    let folder = folder();
    let disk = disk(&folder, 300);
    let cluster = own(Some(&disk.0), true).await;
    let log: Arc<dyn EventLog> =
        Arc::new(PostgresLog::open(&cluster.database().await).await.map_err(|e| e.to_string())?);
    let ballast = disk.0.join("ballast");
    let _ = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", &format!("of={}", ballast.display())])
        .stderr(std::process::Stdio::null())
        .status();
    let (text, mut stored) = ("x".repeat(10_000), 0);
    let refused = loop {
        match log.append(append(business(1), task(1), stored, 20, &text)).await {
            Ok(_) => stored += 20,
            Err(e) => break e,
        }
    };
    if !matches!(
        refused,
        AppendError::DiskFull | AppendError::Storage(_) | AppendError::OutcomeUnknown(_)
    ) {
        return Err(format!("a full disk is told as `{refused}`"));
    }
    println!("full disk after {stored} events: {refused}");
    std::fs::remove_file(&ballast).unwrap();
    let began = Instant::now();
    // The same ids again: stored or not, they are once there.
    while let Err(e) = log.append(append(business(1), task(1), stored, 20, &text)).await {
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("it does not go on when there is room again: {e}"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let all =
        log.read_business(business(1), Seq::START, 1_000_000).await.map_err(|e| e.to_string())?;
    log.close().await;
    drop(cluster);
    if all.len() as u64 == stored + 20 {
        Ok(stored + 20)
    } else {
        Err(format!("{} events are there of {}", all.len(), stored + 20))
    }
}

pub(super) fn torture() -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for round in 0..ROUNDS {
        let events = runtime
            .block_on(cut(round, true))
            .map_err(|e| format!("power cut {}: LOST: {e}", round + 1))?;
        println!(
            "PostgreSQL, power cut {}: every acknowledged event is there, {events} in all",
            round + 1
        );
    }
    let caught = (0..ROUNDS_UNSAFE)
        .filter_map(|round| runtime.block_on(cut(round, false)).err())
        .inspect(|why| println!("fsync=off caught: {why}"))
        .count();
    if caught == 0 {
        return Err(format!(
            "fsync=off lost nothing in {ROUNDS_UNSAFE} power cuts: the harness proves nothing here"
        ));
    }
    println!(
        "PostgreSQL: {ROUNDS} of {ROUNDS} power cuts survived; fsync=off caught in {caught} of \
         {ROUNDS_UNSAFE}"
    );
    runtime.block_on(full_disk()).map(|events| {
        println!("PostgreSQL: the disk was full and is not: {events} events, none lost, none twice")
    })
}
