//! Verification: every tree and every chain of versions, computed again from the stored bytes.
//!
//! Nothing that the file says about an event is believed: business, aggregate, version and id are
//! read from the bytes and compared, the leaf and the tree are hashed anew, and the end of each
//! stream must be the one that was stored with the appends. The first bad event is named.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::{AggregateRef, BusinessId};
use event_log::envelope::event_id;
use event_log::{EventLog, LogError, Position, RawRow, Seq, Stored, Version, chain};
use proof::tree::{Frontier, leaf_hash};
use serde::Serialize;
use tokio::runtime::Handle;

/// How many rows are read at once.
const PAGE: usize = 1_000;

/// The verified stream of one business.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Id of the business.
    pub business: String,
    /// Number of events in the stream.
    pub events: u64,
    /// Root of the stream's Merkle tree.
    pub root: String,
}

/// The first bad event of a log.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// Id of the business in whose stream the event is, if known.
    pub business: String,
    /// The `seq` of the event in that stream.
    pub seq: Seq,
    /// Id of the event, if known.
    pub event_id: String,
    /// Position of the event in the log.
    pub position: Position,
    /// What is wrong with the event.
    pub why: String,
}

/// Result of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Number of events read.
    pub events: u64,
    /// Every business whose stream is intact.
    pub businesses: Vec<Verified>,
    /// The first bad event; `None` if nothing is wrong.
    pub fault: Option<Fault>,
}

/// The trees and versions of the streams, as far as they were read.
#[derive(Default)]
pub(crate) struct StreamChecks {
    pub(crate) trees: BTreeMap<BusinessId, Frontier>,
    versions: HashMap<(BusinessId, AggregateRef), Version>,
}

impl StreamChecks {
    fn verified(&self) -> Vec<Verified> {
        let of = |(business, tree): (&BusinessId, &Frontier)| Verified {
            business: business.to_string(),
            events: tree.size(),
            root: domain::values::Digest(tree.root()).to_string(),
        };
        self.trees.iter().map(of).collect()
    }
}

/// Checks one event; events must come in the order of their positions.
pub(crate) fn check(row: &RawRow, streams: &mut StreamChecks) -> Result<(), String> {
    let leaf = leaf_hash(&row.bytes);
    if row.leaf != leaf {
        return Err("its bytes do not hash to its leaf".to_owned());
    }
    let stored = Stored::parse(&row.bytes).map_err(|e| format!("its bytes are no event: {e}"))?;
    let claimed = (row.business, row.kind.as_str(), row.id, row.version, row.event_id);
    let said =
        (stored.business.0, stored.kind.as_str(), stored.id, stored.version, stored.event_id.0);
    if claimed != said {
        return Err("its row says another place than its bytes".to_owned());
    }
    if event_id(stored.business, stored.actor, &stored.command_id, stored.index) != stored.event_id
    {
        return Err("its id is not derived from who, key and index".to_owned());
    }
    if stored.v != event_log::envelope::ENVELOPE_VERSION
        || (stored.index == 0) != stored.request.is_some()
    {
        return Err(
            "its envelope is of another version, or lacks the digest of its command".to_owned()
        );
    }
    let canonical: serde_json::Value =
        serde_json::from_slice(&row.bytes).map_err(|e| e.to_string())?;
    if proof::canonical::to_bytes(&canonical).map_err(|e| e.to_string())? != row.bytes {
        return Err("its bytes are not canonical".to_owned());
    }
    stored.event().map_err(|e| e.to_string())?;
    let tree = streams.trees.entry(stored.business).or_default();
    if row.seq != Seq(tree.size()).next() {
        return Err(format!(
            "it has seq {}, after {} events: some are missing or doubled",
            row.seq,
            tree.size()
        ));
    }
    let version = streams.versions.entry((stored.business, stored.aggregate())).or_default();
    if stored.version != version.next() {
        return Err(format!(
            "it is version {} of its aggregate, after version {version}",
            stored.version
        ));
    }
    *version = version.next();
    tree.push(leaf);
    Ok(())
}

fn fault(row: &RawRow, why: String) -> Fault {
    Fault {
        business: row.business.to_string(),
        seq: row.seq,
        event_id: row.event_id.to_string(),
        position: row.position,
        why,
    }
}

/// A log that is read on a thread that may block, because hashing a page keeps a thread busy.
struct Rows {
    log: Arc<dyn EventLog>,
    runtime: Handle,
}

impl Rows {
    fn page(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        self.runtime.block_on(self.log.raw_rows(after, limit))
    }
}

/// Reads and checks the whole log.
fn verify(log: &Rows, heads: &[event_log::Head], up_to: Position) -> Result<Report, LogError> {
    let (mut streams, mut report, mut after) = (
        StreamChecks::default(),
        Report { events: 0, businesses: Vec::new(), fault: None },
        Position::START,
    );
    'log: loop {
        let rows = match log.page(after, PAGE) {
            Ok(rows) => rows,
            Err(LogError::Corrupt(_)) => {
                report.fault = Some(find_unreadable(log, after, &mut streams, &mut report.events)?);
                break;
            }
            Err(e) => return Err(e),
        };
        let done = rows.is_empty();
        for row in rows.iter().take_while(|r| r.position <= up_to) {
            if let Err(why) = check(row, &mut streams) {
                report.fault = Some(fault(row, why));
                break 'log;
            }
            report.events += 1;
            after = row.position;
        }
        if done || rows.last().is_some_and(|r| r.position >= up_to) {
            break;
        }
    }
    if report.fault.is_none() {
        report.fault = compare_heads(heads, &streams, after);
    }
    if report.fault.is_none() {
        report.fault = log
            .runtime
            .block_on(log.log.check_indexes())?
            .map(|(position, why)| located(log, position, why));
    }
    report.businesses = streams.verified();
    Ok(report)
}

/// Finds the event that can't be read in a damaged page, by reading one event at a time.
fn find_unreadable(
    log: &Rows,
    mut after: Position,
    streams: &mut StreamChecks,
    events: &mut u64,
) -> Result<Fault, LogError> {
    loop {
        match log.page(after, 1) {
            Ok(rows) => match rows.first() {
                Some(row) => {
                    if let Err(why) = check(row, streams) {
                        return Ok(fault(row, why));
                    }
                    *events += 1;
                    after = row.position;
                }
                None => {
                    return Ok(located(
                        log,
                        after,
                        "the file is damaged after this event".to_owned(),
                    ));
                }
            },
            Err(LogError::Corrupt(why)) => {
                let position = after.next();
                return Ok(Fault {
                    business: String::new(),
                    seq: Seq::START,
                    event_id: String::new(),
                    position,
                    why: format!("the page it lies on is damaged: {}", chain(&why)),
                });
            }
            Err(e) => return Err(e),
        }
    }
}

fn located(log: &Rows, position: Position, why: String) -> Fault {
    match log
        .page(position.previous(), 1)
        .ok()
        .filter(|_| position > Position::START)
        .and_then(|rows| rows.into_iter().next())
    {
        Some(row) => fault(&row, why),
        None => Fault {
            business: String::new(),
            seq: Seq::START,
            event_id: String::new(),
            position,
            why,
        },
    }
}

/// Compares the stream ends that were stored with the appends to those that the bytes give.
fn compare_heads(
    heads: &[event_log::Head],
    streams: &StreamChecks,
    after: Position,
) -> Option<Fault> {
    let bad = |business: BusinessId, seq: Seq, why: &str| {
        Some(Fault {
            business: business.to_string(),
            seq,
            event_id: String::new(),
            position: after,
            why: why.to_owned(),
        })
    };
    for head in heads {
        match streams.trees.get(&head.business) {
            None => return bad(head.business, Seq::FIRST, "its events are missing"),
            Some(tree) if tree.size() < head.seq.0 => {
                return bad(
                    head.business,
                    Seq(tree.size()).next(),
                    "it and all after it are missing",
                );
            }
            Some(tree) if tree.size() > head.seq.0 => {
                return bad(
                    head.business,
                    head.seq.next(),
                    "it came in without its stored end of stream",
                );
            }
            Some(tree) if tree.root() != head.root => {
                return bad(
                    head.business,
                    head.seq,
                    "the stored end of the stream has another root",
                );
            }
            Some(_) => {}
        }
    }
    let known = |b: &&BusinessId| heads.iter().any(|h| h.business == **b);
    streams
        .trees
        .keys()
        .find(|b| !known(b))
        .and_then(|b| bad(*b, Seq::FIRST, "its stream has no stored end"))
}

/// Verifies one business's stream in an open log, as far as it is durable now: every event, the
/// tree and the stream's end. [`verify_open`] also verifies what the store keeps beside the bytes.
///
/// # Errors
/// When the log can't be read.
pub async fn verify_business(
    log: &Arc<dyn EventLog>,
    business: BusinessId,
) -> Result<Report, LogError> {
    let heads: Vec<event_log::Head> = log.head(business).await?.into_iter().collect();
    let end = heads.first().map_or(Seq::START, |head| head.seq);
    let (mut streams, mut report, mut at) = (
        StreamChecks::default(),
        Report { events: 0, businesses: Vec::new(), fault: None },
        Position::START,
    );
    while report.events < end.0 && report.fault.is_none() {
        let page = log.read_business(business, Seq(report.events), PAGE).await?;
        for recorded in page.iter().take_while(|r| r.seq <= end) {
            let Some(row) = as_row(recorded) else {
                let why = "its bytes are no event".to_owned();
                report.fault = Some(Fault {
                    business: business.to_string(),
                    seq: recorded.seq,
                    event_id: String::new(),
                    position: recorded.position,
                    why,
                });
                break;
            };
            if let Err(why) = check(&row, &mut streams) {
                report.fault = Some(fault(&row, why));
                break;
            }
            (report.events, at) = (report.events + 1, recorded.position);
        }
        if page.is_empty() {
            break;
        }
    }
    report.fault = report.fault.or_else(|| compare_heads(&heads, &streams, at));
    report.businesses = streams.verified();
    Ok(report)
}

/// Makes a row of an event from its bytes, with the position at which it was read.
fn as_row(recorded: &event_log::Recorded) -> Option<RawRow> {
    let stored = recorded.stored().ok()?;
    Some(RawRow {
        position: recorded.position,
        business: recorded.business.0,
        seq: recorded.seq,
        kind: stored.kind.to_string(),
        id: stored.id,
        version: stored.version,
        event_id: stored.event_id.0,
        leaf: leaf_hash(&recorded.bytes).to_vec(),
        bytes: recorded.bytes.clone(),
    })
}

/// Verifies a log that is open, as far as it is durable now.
///
/// # Errors
/// When the log can't be read at all.
pub async fn verify_open(log: &Arc<dyn EventLog>) -> Result<Report, LogError> {
    // Ends and last position of one moment: what is appended later is left alone.
    let nowhere = |why: String| {
        let fault = Fault {
            business: String::new(),
            seq: Seq::START,
            event_id: String::new(),
            position: Position::START,
            why,
        };
        Ok(Report { events: 0, businesses: Vec::new(), fault: Some(fault) })
    };
    let (heads, end, unreadable_rows) = match log.consistent_heads().await {
        Ok(ends) => ends,
        Err(LogError::Corrupt(why)) => return nowhere(chain(&why).to_string()),
        Err(e) => return Err(e),
    };
    if unreadable_rows > 0 {
        return nowhere(format!("{unreadable_rows} events lie before the first position"));
    }
    let log = Rows { log: Arc::clone(log), runtime: Handle::current() };
    tokio::task::spawn_blocking(move || verify(&log, &heads, end))
        .await
        .unwrap_or_else(|e| Err(LogError::storage(e)))
}
