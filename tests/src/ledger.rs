//! A writer that is there to be killed, and the ledger that says what it had acknowledged.
//!
//! The ledger lies outside the folder under test. A line is written after the store acknowledged;
//! so whatever stands in the ledger must be in the log, whatever happened to the writer.

use event_log::Log as _;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use domain::BusinessId;
use event_log::sqlite::{FolderLock, Options, SqliteLog};
use event_log::{EventLog, Seq};
use proof::tree::{Frontier, leaf_hash};

use crate::samples::{append, business, event, task};

/// Businesses that are written to.
const BUSINESSES: u128 = 4;

/// Appends for ever, from several callers, and notes every acknowledged event in the ledger.
///
/// # Panics
/// When the store or the ledger can't be used.
pub async fn write_for_ever(log: Arc<dyn EventLog>, ledger: &Path) {
    let ledger = Arc::new(Mutex::new(
        std::fs::OpenOptions::new().create(true).append(true).open(ledger).unwrap(),
    ));
    let callers = (0..BUSINESSES).map(|n| {
        let (log, ledger) = (Arc::clone(&log), Arc::clone(&ledger));
        tokio::spawn(async move {
            let (b, t) = (business(n), task(n));
            let mut version = log.head(b).await.unwrap().map_or(0, |h| h.seq.0);
            loop {
                log.append(append(b, t, version, 2, "crash")).await.unwrap();
                version += 2;
                let line = format!("{n} {version}\n");
                ledger.lock().unwrap().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures_util::future::join_all(callers).await;
}

/// What the ledger says was acknowledged: the last version by business number.
///
/// # Panics
/// When it can't be read.
#[must_use]
pub fn acknowledged(ledger: &Path) -> HashMap<u128, u64> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    let mut last = HashMap::new();
    // A line that was cut off by the kill was never finished, so never promised.
    for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
        let (n, version) = line.trim().split_once(' ').unwrap();
        last.insert(n.parse().unwrap(), version.parse().unwrap());
    }
    last
}

/// Checks a folder against the ledger: everything acknowledged is there, byte equal and dense.
///
/// # Errors
/// What is missing or wrong.
pub async fn check(folder: &Path, ledger: &Path) -> Result<u64, String> {
    let _lock = FolderLock::take(folder).map_err(|e| e.to_string())?;
    let log = SqliteLog::open(folder, &Options::default()).map_err(|e| e.to_string())?;
    let result = check_open(&log, ledger).await;
    log.close().await;
    result
}

/// The same for a log that is open.
///
/// # Errors
/// What is missing or wrong.
pub async fn check_open(log: &dyn EventLog, ledger: &Path) -> Result<u64, String> {
    let mut total = 0;
    for (n, promised) in acknowledged(ledger) {
        let b: BusinessId = business(n);
        let (mut seq, mut tree) = (0, Frontier::default());
        loop {
            let page = log.read_business(b, Seq(seq), 1_000).await.map_err(|e| e.to_string())?;
            if page.is_empty() {
                break;
            }
            for recorded in page {
                seq += 1;
                let expected = event(b, task(n), seq, "crash");
                if recorded.seq != Seq(seq) || recorded.bytes != expected.bytes {
                    return Err(format!("business {n}: event {seq} is not the one that was sent"));
                }
                tree.push(leaf_hash(&recorded.bytes));
            }
        }
        if seq < promised {
            return Err(format!(
                "business {n}: {promised} events were acknowledged, {seq} are there"
            ));
        }
        if seq % 2 != 0 {
            return Err(format!("business {n}: half an append is there"));
        }
        let head = log
            .head(b)
            .await
            .map_err(|e| e.to_string())?
            .ok_or("the end of the stream is missing")?;
        if (head.seq, head.root) != (Seq(seq), tree.root()) {
            return Err(format!(
                "business {n}: the stored end of the stream does not fit its events"
            ));
        }
        total += seq;
    }
    Ok(total)
}
