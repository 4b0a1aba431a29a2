//! The embedded store: one SQLite file, one process.
//!
//! One connection writes, on a thread of its own; it commits what has queued up in one transaction
//! with one fsync (WAL, `synchronous=FULL`). All others open the file read-only. The bundled
//! SQLite 3.46 has the WAL-reset bug that needs two writing connections on one file: there is only
//! ever one here, and a lock on the folder keeps other processes out.

mod bloom_filter;
mod folder;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use domain::ids::EventId;
use domain::limits::QUEUE_MAX;
use domain::{AggregateRef, BusinessId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::append::{Append, AppendError, Pending};
use crate::batch::{AppenderWork, QueuedWork};
use crate::envelope::Recorded;
use crate::log::{Capabilities, Head, Inspect, Log, LogError, RawRow};
use bloom_filter::BloomFilter;
use reader::Readers;

use crate::place::{Position, Seq, Version};
pub use folder::FolderLock;

/// Whether the store waits for the disk. Only [`Durability::Full`] keeps law 5; the other exists so
/// that the power-cut test can show that it would be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on the disk before it is acknowledged.
    Full,
    /// Commits may be lost in a power cut.
    Normal,
}

/// Options for opening a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a commit waits for the disk.
    pub durability: Durability,
    /// Most pages that the file may have; 0 = no limit. For tests of a full disk.
    pub pages_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Full, pages_max: 0 }
    }
}

/// The beginnings of the names of the files and folders that this program writes into a data
/// folder.
#[cfg(unix)]
const OURS: [&str; 14] = [
    "log.db",
    "keys.db",
    "attempts.db",
    "consumers.db",
    "keyring.key",
    "signing.key",
    "operator.key",
    "forgotten",
    "serves.json",
    "kurrentdb-",
    "lock",
    "streams.db",
    "views",
    "mirror",
];

/// Restricts the folder and the program's files in it to their owner (modes 0700 and 0600),
/// whatever an earlier version left. A file that vanishes meanwhile is skipped.
#[cfg(unix)]
fn own(folder: &Path, all: bool) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let tighten = |path: &Path, wanted: u32| {
        let there = std::fs::metadata(path).and_then(|m| {
            let mode = m.permissions().mode() & 0o777;
            if mode & !wanted == 0 {
                Ok(())
            } else {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & wanted))
            }
        });
        let named = |e: std::io::Error| {
            std::io::Error::new(
                e.kind(),
                format!("{} can't be made its owner's alone: {e}", path.display()),
            )
        };
        there.or_else(
            |e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(named(e)) },
        )
    };
    tighten(folder, 0o700)?;
    for entry in std::fs::read_dir(folder)? {
        let (entry, kind) = entry.and_then(|e| e.file_type().map(|kind| (e, kind)))?;
        if !all && !OURS.iter().any(|name| entry.file_name().to_string_lossy().starts_with(name)) {
            continue;
        }
        if kind.is_dir() {
            own(&entry.path(), true)?;
        } else if kind.is_file() {
            tighten(&entry.path(), 0o600)?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn own(_: &Path, _: bool) -> std::io::Result<()> {
    Ok(())
}

/// An append that waits for the writer.
struct QueuedAppend {
    append: Append,
    /// True if neither its events nor the aggregates that it opens can be in the log.
    new: bool,
    /// The `seq` and positions that another store gave the events, if the append is a copy.
    placed: Option<AssignedPositions>,
    answer: oneshot::Sender<Result<crate::Committed, AppendError>>,
}

impl QueuedWork for QueuedAppend {
    fn append(&self) -> &Append {
        &self.append
    }
}

/// The places that another store gave to the events of an append that is copied here.
#[derive(Debug)]
pub struct AssignedPositions {
    /// `seq` of the first event.
    pub first_seq: Seq,
    /// Position of each event.
    pub positions: Vec<Position>,
    /// The batch of copied appends that this one belongs to: once one append can't be written, the
    /// writer refuses the later ones of its batch.
    pub batch: u64,
}

/// The store in `FOLDER/log.db`.
pub struct SqliteLog {
    queue: mpsc::Sender<AppenderWork<QueuedAppend>>,
    readers: Readers,
    known: Arc<BloomFilter>,
    position: watch::Receiver<Position>,
    trouble: watch::Receiver<Option<String>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) fn log_error(e: rusqlite::Error) -> LogError {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            LogError::corrupt(e)
        }
        Some(_) => LogError::storage(e),
        // No error of SQLite's: a value in the file is not what it must be.
        None => LogError::corrupt(e),
    }
}

impl SqliteLog {
    /// The file of the log in a data folder.
    #[must_use]
    pub fn file(folder: &Path) -> PathBuf {
        folder.join("log.db")
    }

    /// Opens the log in a folder whose lock the caller holds.
    ///
    /// # Errors
    /// When the file can't be opened or is damaged.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, LogError> {
        let path = Self::file(folder);
        is_a_log(&path)?;
        let writer = writer::LogWriter::open(&path, options)?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let (moved, position) = watch::channel(writer.last_position());
        let (count, trouble) = (writer.count()?, writer.unavailable_reason());
        let thread = crate::vital::thread("log-writer", move || writer.run(jobs, &moved))
            .map_err(LogError::storage)?;
        let known = Arc::new(BloomFilter::with_room_for(count));
        let (readers, filling) = (Readers::new(path), Arc::clone(&known));
        let file = readers.clone();
        // Until it is done, and if it fails, the filter only says "maybe".
        std::thread::Builder::new()
            .name("log-filter".to_owned())
            .spawn(move || file.fill(&filling))
            .map_err(LogError::storage)?;
        Ok(Self { queue, readers, known, position, trouble, writer: Mutex::new(Some(thread)) })
    }

    /// Queues an append that is a copy from another store, with the places that its events have
    /// there.
    pub async fn mirror(
        &self,
        append: Append,
        placed: AssignedPositions,
    ) -> Result<Pending, AppendError> {
        let new = self.known.add_append(&append);
        let (answer, pending) = oneshot::channel();
        let closed = |_| AppendError::Closed("the store is shutting down".to_owned());
        self.queue
            .send(AppenderWork::Append(QueuedAppend { append, new, placed: Some(placed), answer }))
            .await
            .map_err(closed)?;
        Ok(Pending::new(pending))
    }

    /// How many events lie after a position.
    pub fn count_after(&self, position: Position) -> Result<u64, LogError> {
        self.readers.count_after(position)
    }

    /// Whether an event has that position.
    pub fn has(&self, position: Position) -> Result<bool, LogError> {
        self.readers.has(position)
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn enqueue(&self, append: Append) -> Result<Pending, AppendError> {
        append.check_caps()?;
        let new = self.known.add_append(&append);
        let (answer, pending) = oneshot::channel();
        let closed = |_| AppendError::Closed("the store is shutting down".to_owned());
        self.queue
            .send(AppenderWork::Append(QueuedAppend { append, new, placed: None, answer }))
            .await
            .map_err(closed)?;
        Ok(Pending::new(pending))
    }

    // Point reads take microseconds and run where they are called; scans leave the runtime alone.
    async fn find(&self, business: BusinessId, id: EventId) -> Result<Option<Recorded>, LogError> {
        if !self.known.maybe_event(business, id) {
            return Ok(None);
        }
        self.readers.find(business, id)
    }

    async fn read_aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        if !self.known.maybe_aggregate(business, aggregate) {
            return Ok(Vec::new());
        }
        self.readers.aggregate(business, aggregate, after, limit)
    }

    async fn read_business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.business(business, after, limit)).await
    }

    async fn read_events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError> {
        let (readers, seqs) = (self.readers.clone(), seqs.to_vec());
        blocking(move || readers.events(business, &seqs)).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.all(after, limit)).await
    }

    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError> {
        self.readers.head(business)
    }

    fn position(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<Version>, LogError> {
        aggregates.iter().map(|a| self.readers.version(business, *a)).collect()
    }

    async fn close(&self) {
        let _ = self.queue.send(AppenderWork::Stop).await;
        let thread = self.writer.lock().ok().and_then(|mut t| t.take());
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

#[async_trait]
impl Inspect for SqliteLog {
    async fn read_erasures(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.erasures(after, limit)).await
    }

    async fn read_back(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.back(before, limit)).await
    }

    async fn heads(&self) -> Result<Vec<Head>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.heads()).await
    }

    async fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.raw_rows(after, limit)).await
    }

    async fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.consistent_heads()).await
    }

    async fn check_indexes(&self) -> Result<Option<(Position, String)>, LogError> {
        let readers = self.readers.clone();
        blocking(move || readers.check_indexes()).await
    }
}

#[async_trait]
impl Capabilities for SqliteLog {
    fn unavailable_reason(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}

/// Refuses a file that is a database of something else.
fn is_a_log(path: &Path) -> Result<(), LogError> {
    if !path.exists() {
        return Ok(());
    }
    let looking =
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    let ours = looking.and_then(|c| {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_master) OR EXISTS (SELECT 1 FROM \
            sqlite_master WHERE name = 'events')";
        c.query_row(sql, [], |r| r.get::<_, bool>(0))
    });
    match ours.map_err(log_error)? {
        true => Ok(()),
        false => {
            Err(LogError::storage(format!("{} is a database of something else", path.display())))
        }
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(LogError::storage(e)))
}
