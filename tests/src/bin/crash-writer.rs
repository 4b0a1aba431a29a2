//! Appends until it is killed: `crash-writer FOLDER|postgres://… LEDGER [normal]`.
#![allow(clippy::unwrap_used, reason = "a test program may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use event_log::EventLog;
use event_log::sqlite::{Durability, FolderLock, Options, SqliteLog};

async fn open(place: &Path, durability: Durability) -> (Option<FolderLock>, Arc<dyn EventLog>) {
    #[cfg(feature = "postgres")]
    if let Some(url) = place.to_str().filter(|p| p.starts_with("postgres://")) {
        return (None, Arc::new(log_postgres::PostgresLog::open(url).await.unwrap()));
    }
    let lock = FolderLock::take(place).unwrap();
    (
        Some(lock),
        Arc::new(SqliteLog::open(place, &Options { durability, ..Options::default() }).unwrap()),
    )
}

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(place), Some(ledger)) = (args.next(), args.next()) else { return };
    let durability = if args.next().is_some() { Durability::Normal } else { Durability::Full };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            let (_lock, log) = open(&place, durability).await;
            tests::ledger::write_for_ever(log, &ledger).await;
        });
    }
}
