//! Copies a whole installation from one store to another, and verifies it on the way.
//!
//! Events are copied in the order of their positions, so that their order stays the same; the
//! target's own store checks versions and builds the trees. The events that the target has must be
//! the beginning of the source's: then copying continues after them, otherwise it is refused.

mod installation;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::limits::APPEND_BYTES_MAX;
use domain::{AggregateRef, BusinessId};
use event_log::attempts::Attempts;
use event_log::keyring::Wrapping;
use event_log::{Append, Chain, EventLog, Keyring, LaneEpoch, NewEvent, Pending, Position, RawRow};
use serde::Serialize;

use crate::app::AppError;
use crate::forgotten_list::{ForgottenList, Line};
use crate::stores::Stores;
use crate::verify::{StreamChecks, check};

pub use installation::{Installation, Side, wrapping};

/// How many rows are read at once.
const PAGE: usize = 500;
/// Most appends in progress at once.
const IN_FLIGHT_MAX: usize = 64;
/// Most events of one append.
const EVENTS_MAX: usize = 200;

/// The result of a copy, with both sides for comparison.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// How many events this run copied.
    pub copied: u64,
    /// How many events the source has.
    pub events: u64,
    /// How many keys the keyring has, destroyed ones too.
    pub keys: usize,
    /// How many attempts this run copied.
    pub attempts: u64,
    /// End of each stream, in source and target.
    pub streams: BTreeMap<String, (Side, Side)>,
    /// Digest of each projection, in source and target.
    pub views: BTreeMap<String, (String, String)>,
    /// True if everything is equal on both sides.
    pub same: bool,
}

/// Copies a whole installation; `progress` is called with how far the copy is.
///
/// # Errors
/// A sentence that says what is wrong. What was copied stays, and the next run continues there.
pub async fn copy(
    from: &Installation,
    to: &Installation,
    wrapping: &Wrapping,
    progress: impl Fn(u64, u64),
) -> Result<Moved, AppError> {
    let _locks = (from.lock()?, to.lock()?);
    let chest = from.chest().await?;
    to.put_chest(&chest).await?;
    let (source, target) = (from.open(wrapping).await?, to.open(wrapping).await?);
    let mut result = between(&source, &target, chest.len(), progress).await;
    if let Ok(moved) = &mut result {
        // A database may be in use: what was made or destroyed meanwhile is so on both sides.
        let again = from.chest().await?;
        to.put_chest(&again).await?;
        let listed = forgotten(from, to)?;
        crate::forgettings::apply_all(&*target.log, &*target.keyring, &listed).await?;
        moved.keys = again.len();
        if let Some(folder) = to.folder() {
            // What is searchable there may be about whom the copied keys say is forgotten.
            let _ = std::fs::remove_dir_all(folder.join("views"));
        }
    }
    for stores in [source, target] {
        stores.attempts.close().await;
        stores.log.close().await;
    }
    result
}

/// The lines of the source's list of forgettings, which go into the target's list if the target has
/// a folder.
fn forgotten(from: &Installation, to: &Installation) -> Result<Vec<Line>, AppError> {
    let list = |house: &Installation| {
        house.folder().map(|folder| ForgottenList::open(folder.join("forgotten"))).transpose()
    };
    let lines = list(from)?.map(|list| list.all().to_vec()).unwrap_or_default();
    if let Some(mut target) = list(to)? {
        lines.iter().try_for_each(|line| target.add(line))?;
    }
    Ok(lines)
}

async fn between(
    source: &Stores,
    target: &Stores,
    keys: usize,
    progress: impl Fn(u64, u64),
) -> Result<Moved, AppError> {
    let (_, end, unreadable_rows) = source.log.consistent_heads().await?;
    if unreadable_rows > 0 {
        return Err(AppError::other(
            "the source has events before its first position; run `minutebook verify`",
        ));
    }
    let total = source.log.heads().await?.iter().map(|head| head.seq.0).sum();
    let copied = events(&*source.log, &*target.log, end, total, progress).await?;
    let attempts = attempts(&source.attempts, &target.attempts).await?;
    for consumer in source.consumers.list().await? {
        let position = translated(&*source.log, &*target.log, consumer.position).await?;
        target.consumers.put(&event_log::consumers::Consumer { position, ..consumer }).await?;
    }
    let mut streams = BTreeMap::new();
    for stores in [source, target] {
        for head in stores.log.heads().await? {
            streams.entry(head.business.to_string()).or_insert_with(Vec::new).push(Side {
                events: head.seq.0,
                root: domain::values::Digest(head.root).to_string(),
            });
        }
    }
    let mut both = BTreeMap::new();
    for (business, sides) in streams {
        let Ok([one, other]) = <[Side; 2]>::try_from(sides) else {
            return Err(AppError::other(format!(
                "the stream of business {business} is on one side only; copy again"
            )));
        };
        both.insert(business, (one, other));
    }
    let digests =
        async |stores: &Stores| -> Result<Vec<(String, domain::values::Digest)>, AppError> {
            let (log, keyring): (Arc<dyn EventLog>, Arc<dyn Keyring>) =
                (Arc::clone(&stores.log), Arc::clone(&stores.keyring));
            let end = log.end();
            let rebuilt = tokio::task::spawn_blocking(move || {
                projections::Runner::rebuilt_digests(log, keyring, end)
            })
            .await;
            Ok(rebuilt.map_err(AppError::other)??)
        };
    let views: BTreeMap<_, _> = digests(source)
        .await?
        .into_iter()
        .zip(digests(target).await?)
        .map(|((name, a), (_, b))| (name, (a.to_string(), b.to_string())))
        .collect();
    let same = both.values().all(|(a, b)| (a.events, &a.root) == (b.events, &b.root))
        && views.values().all(|(a, b)| a == b);
    Ok(Moved { copied, events: total, keys, attempts, streams: both, views, same })
}

/// A consumer's checkpoint in the target: the position of the same event there.
async fn translated(
    source: &dyn EventLog,
    target: &dyn EventLog,
    position: Position,
) -> Result<Position, AppError> {
    let Some(last) = source.read_back(position.next(), 1).await?.pop() else {
        return Ok(Position::START);
    };
    let there = target.read_business(last.business, last.seq.previous(), 1).await?.pop();
    Ok(there
        .ok_or_else(|| {
            AppError::other("a consumer stands at an event that was not copied; copy again")
        })?
        .position)
}

/// Copies the events that the target lacks, in order; returns how many. Progress is counted in
/// events, because positions may have gaps.
async fn events(
    source: &dyn EventLog,
    target: &dyn EventLog,
    end: Position,
    total: u64,
    progress: impl Fn(u64, u64),
) -> Result<u64, AppError> {
    let there = target.heads().await?;
    let at: u64 = there.iter().map(|head| head.seq.0).sum();
    if at > total {
        return Err(AppError::other(
            "the target has more events than the source; it is not a copy of it",
        ));
    }
    // A store of many streams keeps the order between them only if each waits for the one before.
    let in_flight_max = if target.positions_have_gaps() { 1 } else { IN_FLIGHT_MAX };
    let (mut streams, mut after, mut seen, mut copied) =
        (StreamChecks::default(), Position::START, 0, 0);
    let mut in_flight: std::collections::VecDeque<Pending> = std::collections::VecDeque::new();
    while after < end {
        let page = source.raw_rows(after, PAGE).await?;
        if page.is_empty() {
            return Err(AppError::other(format!(
                "the source has no event at position {}",
                after.next()
            )));
        }
        // The part that is there already ends within a page.
        let cut = usize::try_from(at.saturating_sub(seen)).unwrap_or(page.len()).min(page.len());
        for row in &page {
            if row.position != after.next() && !source.positions_have_gaps() {
                return Err(AppError::other(format!(
                    "the source has no event at position {}",
                    after.next()
                )));
            }
            check(row, &mut streams).map_err(|why| {
                AppError::other(format!(
                    "the event at position {} of the source: {why}",
                    row.position
                ))
            })?;
            (after, seen) = (row.position, seen + 1);
            if seen == at {
                same_beginning(&there, &streams)?;
            }
        }
        for append in appends(&page[cut..]) {
            copied += append.events.len() as u64;
            in_flight.push_back(
                target.enqueue(append).await.map_err(|e| AppError::caused("the target", e))?,
            );
            while in_flight.len() >= in_flight_max
                && let Some(first) = in_flight.pop_front()
            {
                done(first).await?;
            }
        }
        progress(seen, total);
    }
    for pending in in_flight {
        done(pending).await?;
    }
    Ok(copied)
}

async fn done(pending: Pending) -> Result<(), AppError> {
    let committed = pending.done().await.map_err(|e| {
        AppError::caused("the target refused an event; is somebody else writing to it?", e)
    })?;
    if committed.repeated {
        Err(AppError::other("the target had an event that it should not have"))
    } else {
        Ok(())
    }
}

/// Checks that the events of the target are the beginning of the source.
fn same_beginning(there: &[event_log::Head], streams: &StreamChecks) -> Result<(), AppError> {
    let same = there.len() == streams.trees.len()
        && there.iter().all(|head| {
            streams
                .trees
                .get(&head.business)
                .is_some_and(|tree| (tree.size(), tree.root()) == (head.seq.0, head.root))
        });
    if same {
        Ok(())
    } else {
        Err(AppError::other("the target has other events than the source: choose an empty one"))
    }
}

/// Makes appends of rows: adjacent rows of one business go together.
fn appends(rows: &[RawRow]) -> Vec<Append> {
    let mut all: Vec<Append> = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let Ok(kind) = row.kind.parse() else { continue };
        let new = NewEvent {
            aggregate: AggregateRef::new(kind, row.id),
            version: row.version,
            event_id: domain::ids::EventId(row.event_id),
            bytes: row.bytes.clone(),
        };
        match all.last_mut() {
            Some(last)
                if last.business.0 == row.business
                    && last.events.len() < EVENTS_MAX
                    && bytes + new.bytes.len() <= APPEND_BYTES_MAX =>
            {
                bytes += new.bytes.len();
                last.events.push(new);
            }
            Some(_) | None => {
                bytes = new.bytes.len();
                all.push(Append {
                    business: BusinessId(row.business),
                    reads: Vec::new(),
                    events: vec![new],
                    chain: Some(Chain { lane: 0, epoch: LaneEpoch::default() }),
                    key_epoch: None,
                });
            }
        }
    }
    all
}

async fn attempts(source: &Attempts, target: &Attempts) -> Result<u64, AppError> {
    let begun = target.count().await?;
    let mut copied = 0;
    loop {
        let page = source.oldest(begun + copied, PAGE).await?;
        if page.is_empty() {
            target.flush().await;
            return Ok(copied);
        }
        copied += page.len() as u64;
        for attempt in page {
            target.keep(attempt).await;
        }
    }
}
