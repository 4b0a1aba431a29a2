//! The laws of the log, on the embedded store.

use std::sync::Arc;

use event_log::sqlite::{Options, SqliteLog};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_the_laws() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [one, other] = folders
        .each_ref()
        .map(|folder| Arc::new(SqliteLog::open(folder.path(), &Options::default()).unwrap()));
    crate::laws::all(one).await;
    crate::laws::order_under_load(other).await;
}
