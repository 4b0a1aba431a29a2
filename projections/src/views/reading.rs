//! Read-only connections to the current view files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::Views;

/// Paths of the files that are read: the tables, and the searchable text.
#[derive(Default, Clone, PartialEq, Eq)]
struct Paths {
    tables: PathBuf,
    search: PathBuf,
}

#[derive(Default)]
struct Pool {
    paths: Paths,
    /// Idle connections to these files.
    idle: Vec<Connection>,
}

/// The current view files, and connections to them.
#[derive(Default, Clone)]
pub(crate) struct Served {
    pool: Arc<Mutex<Pool>>,
    reads: Arc<AtomicU64>,
}

impl Served {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has new readers use this file; whoever reads another file finishes there.
    pub(super) fn serve(&self, path: PathBuf, is_search: bool) {
        let mut pool = self.pool();
        let Paths { tables, search } = &mut pool.paths;
        *(if is_search { search } else { tables }) = path;
        pool.idle.clear();
    }
}

/// Opens a connection that only reads.
pub(crate) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "mmap_size", 1_u64 << 32)?;
    Ok(connection)
}

/// Opens a connection that reads the tables as they are named, and those of the searchable text,
/// which is attached as `search`.
fn read_both(paths: &Paths) -> rusqlite::Result<Connection> {
    let connection = read_only(&paths.tables)?;
    connection.execute("ATTACH ? AS search", [paths.search.to_string_lossy()])?;
    Ok(connection)
}

/// How many SQLite instructions run between two checks whether a read is over: about 50 µs.
const LOOK_EVERY_OPS: i32 = 10_000;

/// Most idle connections that are kept for later readers.
const IDLE_MAX: usize = 64;

impl Views {
    /// Reads with a connection of its own; call it on a thread that may block.
    ///
    /// # Errors
    /// The error of `read`, or that the files can't be opened.
    pub fn read<T, E: From<rusqlite::Error>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.served.reads.fetch_add(1, Ordering::Relaxed);
        let (paths, idle) = {
            let mut pool = self.served.pool();
            (pool.paths.clone(), pool.idle.pop())
        };
        let connection = idle.map_or_else(|| read_both(&paths), Ok)?;
        let result = read(&connection);
        let mut pool = self.served.pool();
        if pool.paths == paths && pool.idle.len() < IDLE_MAX {
            pool.idle.push(connection);
        }
        result
    }

    /// Reads like [`Views::read`], but ends even in the middle of a statement once `is_over`
    /// returns true.
    ///
    /// # Errors
    /// The error of `read`; `SQLITE_INTERRUPT` if the read was ended.
    pub fn read_until<T>(
        &self,
        is_over: impl FnMut() -> bool + Send + std::panic::RefUnwindSafe + 'static,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.read(|c| {
            c.progress_handler(LOOK_EVERY_OPS, Some(is_over));
            let result = read(c);
            c.progress_handler(0, None::<fn() -> bool>);
            result
        })
    }

    /// How often this process has read the views.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.served.reads.load(Ordering::Relaxed)
    }
}
