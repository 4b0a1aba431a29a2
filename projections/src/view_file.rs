//! A view file: one file of tables, and the code that applies events to it. The current views are
//! one view file of each set of projections, a shadow build is another.
//!
//! An event that can't be applied stops only its business in that projection: the failure is stored
//! and reported, later events of that business wait, all others go on. The event is tried again at
//! every start, when the projection is rebuilt, and when an operator says so. An operator can have
//! it skipped: that is an event of the installation, so a rebuild skips it too.

mod apply;
mod bulk;
mod failures;
mod purge;
mod read_ahead;

pub(crate) use bulk::finish;
use read_ahead::ReadAhead;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use domain::BusinessId;
use event_log::{EventLog, Position};
use rusqlite::{Connection, OptionalExtension as _};

use crate::rows::CachedRows;
use crate::tables::{drop_unknown, make_anew};
use crate::views::ViewsError;
use crate::{Projection, ProjectionSet, Unsealer};

/// Path of a file's WAL.
fn wal_name(path: &Path) -> std::ffi::OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    name
}

/// The tables of the runner itself, in every view file.
pub(crate) const META: &str = "
CREATE TABLE IF NOT EXISTS business_numbers(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
-- The places of all events that a business can have: the key of a row is the number of its
-- business in this file, and in the lower 36 bits the `seq` of its event.
CREATE VIEW IF NOT EXISTS business_places AS
  SELECT id, n, n << 36 AS first, ((n + 1) << 36) - 1 AS last FROM business_numbers;
CREATE TABLE IF NOT EXISTS projections(name TEXT PRIMARY KEY, version INTEGER NOT NULL, position \
    INTEGER NOT NULL, made TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS skips(
  projection TEXT NOT NULL, business TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (projection, \
  business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures(
  projection TEXT NOT NULL, business TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT \
  NULL, error TEXT NOT NULL,
  PRIMARY KEY (projection, business)) STRICT, WITHOUT ROWID;";

/// Where view files read events from, and what opens their personal fields.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) unsealer: Unsealer,
    /// Pages a file may have; 0 = no limit. For tests of a full disk.
    pub(crate) pages_max: u32,
}

/// How a file's pages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// The file survives a crash of the machine, and readers have their indexes.
    Kept,
    /// The file is being built: it is not synced, and it has no indexes that only readers need. A
    /// crash of the machine may tear it; whoever opens it must know that there was none.
    Bulk,
}

/// One projection in one file.
pub(crate) struct Slot {
    pub(crate) projection: &'static Projection,
    /// The last applied position.
    position: Position,
    /// Businesses in which the projection stopped at an event that it can't apply.
    stopped: HashSet<BusinessId>,
    /// True if another version made the rows; events are not applied to them.
    pub(crate) stale: bool,
}

/// A file of tables that events are applied to.
pub(crate) struct ViewFile {
    pub(crate) connection: Connection,
    sources: Sources,
    pub(crate) slots: Vec<Slot>,
    writing: Writing,
    /// The next batch, if it is being read already.
    ahead: Option<ReadAhead>,
    /// Rows and numbers of the tables that are in memory.
    cached: RefCell<CachedRows>,
    /// True if deleted text may still be in the WAL.
    wal_dirty: Cell<bool>,
}

impl ViewFile {
    /// Opens a file, and makes the tables that are missing in it.
    pub(crate) fn open(
        path: &Path,
        sources: &Sources,
        set: ProjectionSet,
        writing: Writing,
    ) -> Result<Self, ViewsError> {
        // Whoever wrote to it last did not close it: what was deleted may still be in the WAL.
        let unclean =
            std::fs::metadata(path.with_file_name(wal_name(path))).is_ok_and(|wal| wal.len() > 0);
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(256);
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON")?;
        bulk::set_pragmas(&connection, writing)?;
        connection.execute_batch(META)?;
        bulk::limit_size(&connection, sources)?;
        let fresh: bool =
            connection
                .query_row("SELECT NOT EXISTS (SELECT 1 FROM projections)", [], |r| r.get(0))?;
        let unclean = drop_unknown(&connection, set)? || unclean;
        let mut slots = Vec::new();
        for projection in set.projections {
            if fresh {
                make_anew(&connection, projection)?;
            }
            let known: Option<(u32, Position)> = connection
                .query_row(
                    "SELECT version, position FROM projections WHERE name = ?",
                    [projection.name],
                    |r| Ok((r.get(0)?, r.get(1)?)),
                )
                .optional()?;
            slots.push(Slot {
                projection,
                position: known.map_or(Position::START, |(_, position)| position),
                stopped: HashSet::new(),
                stale: known.is_none_or(|(version, _)| version != projection.version),
            });
        }
        let wal_dirty = Cell::new(unclean);
        let mut file = Self {
            connection,
            sources: sources.clone(),
            slots,
            writing,
            ahead: None,
            cached: RefCell::default(),
            wal_dirty,
        };
        if writing == Writing::Kept {
            file.make_indexes()?;
        }
        if set.is_searchable() && file.purges() {
            file.purge_forgotten()?;
        } else if unclean {
            file.empty_wal()?;
        }
        file.retry()?;
        Ok(file)
    }

    /// The last position that every projection has applied.
    pub(crate) fn position(&self) -> Position {
        self.slots.iter().map(|s| s.position).min().unwrap_or(Position::START)
    }

    /// The position to read the log after; projections that another version made do not count.
    pub(crate) fn next(&self) -> Position {
        let current = self.slots.iter().filter(|s| !s.stale);
        current.map(|s| s.position).min().unwrap_or(Position::END)
    }

    /// True if no projection was made by another version.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.slots.iter().all(|s| !s.stale)
    }

    /// True if the searchable text is in a form that this program can purge.
    pub(crate) fn purges(&self) -> bool {
        !self.slots.iter().any(|s| s.stale && s.projection.is_searchable())
    }

    /// True if this program can read the tables that another version made.
    pub(crate) fn is_readable(&self) -> Result<bool, ViewsError> {
        let wanted = Connection::open_in_memory()?;
        for slot in self.slots.iter().filter(|s| s.stale) {
            wanted.execute_batch(slot.projection.sql)?;
        }
        let mut tables = wanted.prepare(
            "SELECT sql FROM sqlite_master WHERE type IN ('table', 'view') AND sql IS NOT NULL",
        )?;
        for sql in tables.query_map([], |r| r.get::<_, String>(0))? {
            let there = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE sql = ?)";
            if !self.connection.query_row(there, [sql?], |r| r.get(0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copies the file as it stands to `path`.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), ViewsError> {
        self.connection.execute("VACUUM INTO ?", [path.to_string_lossy()])?;
        Ok(())
    }

    /// Empties some projections, to be filled from the beginning of the log; `which` says for each
    /// slot whether it is one of them.
    pub(crate) fn remake(&mut self, which: &[bool]) -> Result<(), ViewsError> {
        self.cached.borrow_mut().clear();
        for (slot, _) in self.slots.iter_mut().zip(which).filter(|(_, anew)| **anew) {
            make_anew(&self.connection, slot.projection)?;
            let projection = slot.projection;
            *slot = Slot {
                projection,
                position: Position::START,
                stopped: HashSet::new(),
                stale: false,
            };
        }
        Ok(())
    }
}
