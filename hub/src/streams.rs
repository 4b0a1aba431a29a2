//! Generic streams: a small durable store of streams of any name, in a file of its own, behind
//! KurrentDB's protocol. It serves tests, copies, and the development of programs that use
//! KurrentDB. It is no cluster: one node, no users, no projections, no persistent subscriptions, no
//! scavenging.
//!
//! One connection writes, on a thread of its own: all queued work in one transaction with one
//! fsync. All others open the file read-only. An event's position is its offset in an imagined file
//! of records, as in KurrentDB: positions grow, with gaps, and must not be used for counting.

mod reader;
mod state;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Cause, chain};
use kurrent_protocol::{
    Appended, Credentials, Cursor, Direction, Expected, Page, Proposed, Refusal, Store,
};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use reader::Readers;
use writer::{StreamWork, StreamWriter};

/// Most jobs that wait for the writer.
const QUEUE_MAX: usize = 4_096;

/// Most data that waits for the writer, in KiB.
const QUEUE_KIB_MAX: usize = 128 << 10;
/// Longest time that closing waits for the writer.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A store of generic streams in one file.
pub struct Streams {
    queue: Mutex<Option<mpsc::Sender<StreamWork>>>,
    room: Arc<Semaphore>,
    readers: Readers,
    moved: watch::Receiver<u64>,
    writer: Mutex<Option<JoinHandle<()>>>,
    _lock: File,
}

/// Why a file of streams could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the file.
    #[error(
        "{0} is in use by another process; stop that one first, or choose another file with --data"
    )]
    Locked(String),
    /// The file can't be read or written, or is no file of streams.
    #[error(transparent)]
    File(Cause),
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS streams(
  n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER, tombstoned INTEGER NOT NULL \
  DEFAULT 0,
  truncate_before INTEGER NOT NULL DEFAULT 0, max_count INTEGER, max_age_seconds INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS events(
  position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, revision INTEGER NOT NULL, id BLOB NOT \
  NULL, created INTEGER NOT NULL,
  type TEXT NOT NULL, content_type TEXT NOT NULL, metadata BLOB NOT NULL, data BLOB NOT NULL) \
  STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_revision ON events(stream, revision);
CREATE INDEX IF NOT EXISTS events_by_id ON events(stream, id);";

/// Identifies a file of streams (`PRAGMA application_id`).
const APPLICATION: i64 = 0x6d62_7374;

fn file(path: &Path, e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OpenError {
    OpenError::File(Cause::new(path.display(), e))
}

impl Streams {
    /// Opens a file, or makes it if it is missing.
    ///
    /// # Errors
    /// If another process uses the file, or it can't be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock_path = path.with_extension(
            path.extension().map_or("lock".into(), |e| format!("{}.lock", e.display())),
        );
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_path)
            .map_err(|e| file(path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OpenError::Locked(path.display().to_string()));
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(file(path, e)),
        }
        let connection = Connection::open(path).map_err(|e| file(path, e))?;
        let found: (i64, i64) = connection
            .query_row(
                "SELECT (SELECT application_id FROM pragma_application_id), (SELECT \
                count(*) FROM sqlite_schema)",
                [],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .map_err(|e| file(path, e))?;
        if found.0 != APPLICATION && found.1 > 0 {
            return Err(file(
                path,
                "this is a database of something else; name a new file with --data",
            ));
        }
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            .map_err(|e| file(path, e))?;
        connection.pragma_update(None, "application_id", APPLICATION).map_err(|e| file(path, e))?;
        connection.execute_batch(SCHEMA).map_err(|e| file(path, e))?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let (writer, moved) = StreamWriter::new(connection).map_err(|e| file(path, e))?;
        let thread = std::thread::Builder::new()
            .name("streams".to_owned())
            .spawn(move || writer.run(jobs))
            .map_err(|e| file(path, e))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX));
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            room,
            readers: Readers::new(path),
            moved,
            writer: Mutex::new(Some(thread)),
            _lock: lock,
        })
    }

    /// Writes what is queued and closes the file; later requests are refused.
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let joined = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join));
        if tokio::time::timeout(CLOSE_MAX, joined).await.is_err() {
            tracing::warn!(
                "somebody is still about to write; what was acknowledged is in the file"
            );
        }
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> StreamWork,
    ) -> Result<T, Refusal> {
        let closed = || Refusal::Unavailable("the store is closed".to_owned());
        let queue =
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(job(answer)).await.map_err(|_| closed())?;
        // While somebody waits for an answer the queue can be closed.
        drop(queue);
        answered.await.map_err(|_| closed())?
    }
}

fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "mmap_size", 1_u64 << 32)?;
    Ok(connection)
}

fn storage(e: &rusqlite::Error) -> Refusal {
    tracing::error!(error = %chain(e), "the file of streams failed");
    Refusal::Unavailable(format!("the store's file failed: {}", chain(e)))
}

#[async_trait]
impl Store for Streams {
    type Caller = ();
    type Place = u64;

    async fn admit(&self, _: Option<&Credentials>) -> Result<(), Refusal> {
        Ok(())
    }

    async fn stream(
        &self,
        (): &(),
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Page>, Refusal> {
        self.readers.stream(name, from, direction, limit)
    }

    async fn all(
        &self,
        (): &(),
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Refusal> {
        self.readers.all(from, direction, limit)
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.clone()
    }

    async fn append(
        &self,
        (): &(),
        name: &str,
        expected: Expected,
        events: Vec<Proposed>,
    ) -> Result<Appended, Refusal> {
        let name: Arc<str> = name.into();
        let kib = events.iter().map(|e| e.data.len() + e.metadata.len()).sum::<usize>() / 1_024 + 1;
        let place = Arc::clone(&self.room)
            .acquire_many_owned(u32::try_from(kib.min(QUEUE_KIB_MAX)).unwrap_or(u32::MAX))
            .await;
        let place = place.map_err(|e| Refusal::Unavailable(chain(&e).to_string()))?;
        self.ask(|answer| StreamWork::Append { name, expected, events, answer, _place: place })
            .await
    }

    async fn delete(
        &self,
        (): &(),
        name: &str,
        expected: Expected,
        forever: bool,
    ) -> Result<Option<u64>, Refusal> {
        let name: Arc<str> = name.into();
        self.ask(|answer| StreamWork::Delete { name, expected, forever, answer }).await
    }
}
