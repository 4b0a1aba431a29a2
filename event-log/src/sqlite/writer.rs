//! The one connection that writes, on its own thread, with group commit.

mod lookups;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::{AggregateRef, BusinessId};
use proof::tree::{Frontier, leaf_hash};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, watch};

use super::{AssignedPositions, Durability, Options, QueuedAppend, log_error};
use crate::append::{Append, AppendError, Committed, LaneEpoch};
use crate::batch::{AppendBatch, AppenderWork, BatchCaps};
use crate::cause::chain;
use crate::log::LogError;
use crate::place::{Position, Seq, Version};

/// The age at which the writer commits a batch even if more appends are queued.
const BATCH_AGE_MAX: Duration = Duration::from_millis(5);
/// How long the writer waits on an empty queue for a batch to become as large as the last one.
const GROUP_COMMIT_LINGER_MAX: Duration = Duration::from_micros(250);
/// Time between two looks at the queue during that wait.
const GROUP_COMMIT_LINGER_POLL: Duration = Duration::from_micros(20);
/// The most that the writer commits at once.
const BATCH_CAPS: BatchCaps = BatchCaps { appends: 1_000, bytes: 16 << 20 };
/// Time between two tests of whether a writer that failed can write again.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks for a job while the writer can't write.
const GLANCE_EVERY: Duration = Duration::from_millis(5);
/// Most versions, and most heads, that are remembered between batches.
const REMEMBERED_MAX: usize = 200_000;

pub(super) struct LogWriter {
    connection: Connection,
    position: Position,
    versions: HashMap<(BusinessId, AggregateRef), Version>,
    heads: HashMap<BusinessId, Frontier>,
    /// The last broken epoch of each lane.
    broken: HashMap<u64, LaneEpoch>,
    /// The batch of copied events of which one could not be written.
    unwritten: Option<u64>,
    /// Why the last transaction was not stored; `None` when it was.
    trouble: watch::Sender<Option<String>>,
}

fn append_error(e: rusqlite::Error) -> AppendError {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => AppendError::DiskFull,
        _ => AppendError::storage(e),
    }
}

impl LogWriter {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, LogError> {
        let open = || -> rusqlite::Result<(Connection, Position)> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = match options.durability {
                Durability::Full => "FULL",
                Durability::Normal => "NORMAL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
            // Ids are spread over their indexes: without room for the hot pages each insert reads.
            connection.pragma_update(None, "cache_size", -32_768)?;
            if options.pages_max > 0 {
                connection.pragma_update(None, "max_page_count", options.pages_max)?;
            }
            connection.execute_batch(include_str!("schema.sql"))?;
            connection.set_prepared_statement_cache_capacity(32);
            let position: Option<Position> =
                connection.query_row("SELECT max(position) FROM events", [], |r| r.get(0))?;
            Ok((connection, position.unwrap_or_default()))
        };
        let (connection, position) = open().map_err(log_error)?;
        Ok(Self {
            connection,
            position,
            versions: HashMap::new(),
            heads: HashMap::new(),
            broken: HashMap::new(),
            unwritten: None,
            trouble: watch::channel(None).0,
        })
    }

    pub(super) fn last_position(&self) -> Position {
        self.position
    }

    /// Why nothing can be written at the moment; `None` when it can.
    pub(super) fn unavailable_reason(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Number of events in the log; the positions of a mirror don't tell it.
    pub(super) fn count(&self) -> Result<u64, LogError> {
        self.connection
            .query_row("SELECT coalesce(sum(seq), 0) FROM heads", [], |r| r.get(0))
            .map_err(log_error)
    }

    pub(super) fn run(
        mut self,
        mut jobs: mpsc::Receiver<AppenderWork<QueuedAppend>>,
        moved: &watch::Sender<Position>,
    ) {
        let mut expected = 1;
        while let Some(first) = self.next(&mut jobs) {
            let began = Instant::now();
            let mut batch = AppendBatch::begin(first, &mut jobs, BATCH_CAPS);
            loop {
                if began.elapsed() < BATCH_AGE_MAX && batch.take_next(&mut jobs) {
                    continue;
                }
                // Callers come back together: where the last batch had company, a moment's wait
                // makes this one worth its fsync.
                let waits = batch.has_room()
                    && !jobs.is_closed()
                    && batch.appends.len() < expected
                    && began.elapsed() < GROUP_COMMIT_LINGER_MAX;
                if !waits {
                    break;
                }
                std::thread::sleep(GROUP_COMMIT_LINGER_POLL);
            }
            let batch = batch.appends;
            expected = batch.len();
            self.commit(batch, moved);
        }
        // The last connection to go would do this by itself, but that is a reader. A log that was
        // closed is whole in its one file: whoever copies that file has everything.
        if let Err(e) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            tracing::warn!(error = %chain(&e), "the log's write-ahead file was left beside it; it belongs \
                to a copy");
        }
    }

    /// The next job; `None` once the queue is closed. A writer that failed tests meanwhile whether
    /// it can write again, because callers that are told of the failure send nothing more.
    fn next(
        &self,
        jobs: &mut mpsc::Receiver<AppenderWork<QueuedAppend>>,
    ) -> Option<AppenderWork<QueuedAppend>> {
        while self.trouble.borrow().is_some() {
            let tries_again = Instant::now() + TRY_AGAIN_EVERY;
            while Instant::now() < tries_again {
                match jobs.try_recv() {
                    Ok(job) => return Some(job),
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                    Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(GLANCE_EVERY),
                }
            }
            // Nothing reads that number; writing it needs a page and a sync, as an append does.
            let tried = self.connection.execute_batch("PRAGMA user_version = 0");
            self.wrote(tried.map_err(append_error).err().as_ref());
        }
        jobs.blocking_recv()
    }

    /// Records whether the last transaction was stored, and why not.
    fn wrote(&self, error: Option<&AppendError>) {
        let trouble = error.map(|e| format!("the log can't be written: {}", chain(e)));
        self.trouble.send_if_modified(|known| std::mem::replace(known, trouble.clone()) != trouble);
    }

    fn commit(&mut self, mut batch: Vec<QueuedAppend>, moved: &watch::Sender<Position>) {
        fail::fail_point!("log-writer");
        let (before, broken) = (self.position, self.broken.clone());
        let mut written = self.write(&batch);
        if written
            .as_ref()
            .is_err_and(|e| e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation))
            && batch.iter().any(|q| q.new)
        {
            // Somebody queued the same ids at the same moment: look everything up.
            self.forget(before);
            self.broken = broken;
            batch.iter_mut().for_each(|q| q.new = false);
            written = self.write(&batch);
        }
        let written = written.map_err(append_error);
        self.wrote(written.as_ref().err());
        match written {
            Ok(answers) => {
                // Readers are told before the callers, so that nobody waits for what is already
                // there.
                if self.position > before {
                    moved.send_replace(self.position);
                }
                for (queued, result) in batch.into_iter().zip(answers) {
                    let _ = queued.answer.send(result);
                }
            }
            Err(error) => {
                self.forget(before);
                tracing::error!(log.appends = batch.len(), error = %chain(&error), "appends were not \
                    stored");
                for QueuedAppend { append, answer, placed, .. } in batch {
                    self.unwritten = placed.map(|p| p.batch).or(self.unwritten);
                    self.broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Rolls a transaction back, and forgets what was remembered of it.
    fn forget(&mut self, position: Position) {
        let _ = self.connection.execute_batch("ROLLBACK");
        self.position = position;
        self.versions.clear();
        self.heads.clear();
    }

    fn write(
        &mut self,
        batch: &[QueuedAppend],
    ) -> rusqlite::Result<Vec<Result<Committed, AppendError>>> {
        if self.versions.len() > REMEMBERED_MAX || self.heads.len() > REMEMBERED_MAX {
            self.versions.clear();
            self.heads.clear();
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut touched = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for QueuedAppend { append, new, placed, .. } in batch {
            let broken = append.chain.is_some_and(|c| self.broken.get(&c.lane) == Some(&c.epoch));
            let unwritten = placed.as_ref().is_some_and(|p| self.unwritten == Some(p.batch));
            let answer = if broken {
                Err(AppendError::ChainBroken)
            } else if unwritten {
                Err(AppendError::storage("an event before this one could not be written"))
            } else {
                self.write_one(append, *new, placed.as_ref())?
            };
            if answer.is_err() {
                self.broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
            }
            if answer.as_ref().is_ok_and(|a| !a.repeated)
                && touched.last() != Some(&append.business)
            {
                touched.push(append.business);
            }
            answers.push(answer);
        }
        touched.sort_unstable();
        touched.dedup();
        for business in touched {
            if let Some(head) = self.heads.get(&business) {
                self.connection
                    .prepare_cached(
                        "INSERT INTO heads VALUES (?1, ?2, ?3) ON CONFLICT(business) \
                        DO UPDATE SET seq = ?2, frontier = ?3",
                    )?
                    .execute(params![business.0, head.size(), head.to_bytes()])?;
            }
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(answers)
    }

    /// Checks first, writes then: a refused append leaves no trace in the batch.
    fn write_one(
        &mut self,
        append: &Append,
        new: bool,
        placed: Option<&AssignedPositions>,
    ) -> rusqlite::Result<Result<Committed, AppendError>> {
        if !new
            && let Some(first) = append.events.first()
            && let Some(answer) = self.stored_before(append, first)?
        {
            return Ok(answer);
        }
        let mut next: HashMap<AggregateRef, Version> = HashMap::new();
        for &(aggregate, expected) in &append.reads {
            let actual = self.version(append.business, aggregate)?;
            if actual != expected {
                return Ok(Err(AppendError::Conflict { aggregate, expected, actual }));
            }
        }
        for event in &append.events {
            let actual = match next.get(&event.aggregate) {
                Some(version) => *version,
                None if new && event.version == Version::FIRST => Version::START,
                None => self.version(append.business, event.aggregate)?,
            };
            if event.version != actual.next() {
                let expected = event.version.previous();
                return Ok(Err(AppendError::Conflict {
                    aggregate: event.aggregate,
                    expected,
                    actual,
                }));
            }
            next.insert(event.aggregate, event.version);
        }
        let mut head = self.head(append.business)?;
        let first_seq = Seq(head.size()).next();
        if let Some(placed) = placed.filter(|p| p.first_seq != first_seq) {
            return Ok(Err(AppendError::OutOfPlace { seq: placed.first_seq, next: first_seq }));
        }
        for (n, event) in append.events.iter().enumerate() {
            let leaf = leaf_hash(&event.bytes);
            head.push(leaf);
            self.position =
                placed.and_then(|p| p.positions.get(n).copied()).unwrap_or(self.position.next());
            self.connection
                .prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    self.position,
                    append.business.0,
                    head.size(),
                    event.aggregate.kind.as_str(),
                    event.aggregate.id,
                    event.version,
                    event.event_id.0,
                    leaf,
                    event.bytes
                ])?;
        }
        self.heads.insert(append.business, head);
        self.versions.extend(
            next.into_iter().map(|(aggregate, version)| ((append.business, aggregate), version)),
        );
        Ok(Ok(Committed { first_seq, position: self.position, repeated: false }))
    }
}
