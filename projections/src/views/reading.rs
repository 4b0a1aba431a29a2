//! Read-only connections to the current view file.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OpenFlags};

use super::Views;

/// The current view file, and idle connections to it.
#[derive(Default)]
pub(super) struct Served {
    pub(super) path: PathBuf,
    pub(super) idle: Vec<Connection>,
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

/// How many SQLite instructions run between two checks whether a read is over: about 50 µs.
const LOOK_EVERY_OPS: i32 = 10_000;

/// Most idle connections that are kept for later readers.
const IDLE_MAX: usize = 64;

impl Views {
    /// Reads with a connection of its own; call it on a thread that may block.
    ///
    /// # Errors
    /// The error of `read`, or that the file can't be opened.
    pub fn read<T, E: From<rusqlite::Error>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.published.reads.fetch_add(1, Ordering::Relaxed);
        let served = || self.published.served.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, idle) = {
            let mut served = served();
            (served.path.clone(), served.idle.pop())
        };
        let connection = idle.map_or_else(|| read_only(&path), Ok)?;
        let result = read(&connection);
        let mut served = served();
        if served.path == path && served.idle.len() < IDLE_MAX {
            served.idle.push(connection);
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
        self.published.reads.load(Ordering::Relaxed)
    }
}
