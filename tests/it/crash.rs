//! `kill -9` in the middle of appends, again and again on one folder.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tests::ledger;

/// Times that the writer is killed.
const ROUNDS: u64 = 50;

fn start(folder: &TempDir, ledger: &TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_crash-writer"))
        .arg(folder.path())
        .arg(ledger.path().join("ledger"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_loses_nothing_it_acknowledged() {
    let (folder, ledger) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut stored = 0;
    for round in 0..ROUNDS {
        let mut writer = start(&folder, &ledger);
        // Not before it has written something, and then at another moment in every round.
        let before = std::fs::metadata(ledger.path().join("ledger")).map_or(0, |m| m.len());
        for _ in 0..2_000 {
            if std::fs::metadata(ledger.path().join("ledger")).is_ok_and(|m| m.len() > before) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_micros(round * 613 % 20_000)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let now = ledger::check(folder.path(), &ledger.path().join("ledger"))
            .await
            .unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert!(now > stored, "round {round} wrote nothing: the test would prove nothing");
        stored = now;
    }
}
