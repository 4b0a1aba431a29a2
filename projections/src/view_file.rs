//! A view file: one file of tables, and the code that applies events to it. The current views are
//! one view file, a shadow build is another.
//!
//! An event that can't be applied stops only its business in that projection: the failure is stored
//! and reported, later events of that business wait, all others go on. The event is tried again at
//! every start, when the projection is rebuilt, and when an operator says so. An operator can have
//! it skipped: that is an event of the installation, so a rebuild skips it too.

mod failures;
mod purge;

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use domain::Event;
use domain::ids::INSTALLATION;
use domain::limits::PROJECTION_BATCH_MAX;
use domain::operations::{self};
use event_log::{Cause, EventLog, Position, Recorded, chain};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::tables::{VERSION_NOT_BUILT, fill_in, make_anew};
use crate::views::ViewsError;
use crate::{ALL, Applied, Apply, ApplyError, Projection, Unsealer, search};

/// How often readers are waited for before emptying the WAL fails.
const WAL_TRIES_MAX: u32 = 100;

/// Path of a file's WAL.
fn wal_name(path: &Path) -> std::ffi::OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    name
}

pub(crate) const META: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA \
    cache_size = -65536;
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

/// A file of tables that events are applied to.
pub(crate) struct ViewFile {
    pub(crate) connection: Connection,
    sources: Sources,
    /// The last applied position of each projection, in the order of [`ALL`].
    positions: Vec<Position>,
    stopped: HashSet<(usize, String)>,
    /// Projections whose rows another version made; events are not applied to them.
    pub(crate) stale: Vec<usize>,
    /// True if deleted text may still be in the WAL.
    wal_dirty: Cell<bool>,
    /// True while the searchable tables are empty because the file began as a snapshot.
    pub(crate) search_pending: bool,
}

impl ViewFile {
    /// Opens a file, and makes the tables that are missing in it.
    pub(crate) fn open(path: &Path, sources: &Sources) -> Result<Self, ViewsError> {
        // Whoever wrote to it last did not close it: what was deleted may still be in the WAL.
        let unclean =
            std::fs::metadata(path.with_file_name(wal_name(path))).is_ok_and(|wal| wal.len() > 0);
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch(META)?;
        if sources.pages_max > 0 {
            connection.pragma_update(None, "max_page_count", sources.pages_max)?;
        }
        fill_in(&connection)?;
        let fresh: bool =
            connection
                .query_row("SELECT NOT EXISTS (SELECT 1 FROM projections)", [], |r| r.get(0))?;
        let (mut positions, mut stale, mut search_pending) = (Vec::new(), Vec::new(), false);
        for (i, projection) in ALL.iter().enumerate() {
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
            if known.is_none_or(|(version, _)| version != projection.version) {
                stale.push(i);
            }
            search_pending |= projection.name == search::PROJECTION.name
                && known.is_some_and(|(version, _)| version == VERSION_NOT_BUILT);
            positions.push(known.map_or(Position::START, |(_, position)| position));
        }
        let mut fold = Self {
            connection,
            sources: sources.clone(),
            positions,
            stopped: HashSet::new(),
            stale,
            wal_dirty: Cell::new(unclean),
            search_pending,
        };
        if fold.purges() {
            fold.purge_forgotten()?;
        } else if unclean {
            fold.empty_wal()?;
        }
        fold.retry()?;
        Ok(fold)
    }

    /// The last position that every projection has applied.
    pub(crate) fn position(&self) -> Position {
        self.positions
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.is_unfilled(*i))
            .map(|(_, p)| *p)
            .min()
            .unwrap_or(Position::START)
    }

    fn is_unfilled(&self, i: usize) -> bool {
        self.search_pending && ALL.get(i).is_some_and(|p| p.name == search::PROJECTION.name)
    }

    /// True if no projection was made by another version, except searchable tables yet to be
    /// filled.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.stale.iter().all(|i| self.is_unfilled(*i))
    }

    /// The position to read the log after; projections that another version made do not count.
    pub(crate) fn next(&self) -> Position {
        self.positions
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.stale.contains(i))
            .map(|(_, p)| *p)
            .min()
            .unwrap_or(Position::END)
    }

    /// True if the searchable text is in a form that this program can purge.
    pub(crate) fn purges(&self) -> bool {
        self.search_pending
            || !self
                .stale
                .iter()
                .any(|i| ALL.get(*i).is_some_and(|p| p.name == search::PROJECTION.name))
    }

    /// True if this program can read the tables that another version made.
    pub(crate) fn is_readable(&self) -> Result<bool, ViewsError> {
        let wanted = Connection::open_in_memory()?;
        for projection in self.stale.iter().filter_map(|i| ALL.get(*i)) {
            wanted.execute_batch(projection.sql)?;
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

    /// Empties some projections, to be filled from the beginning of the log.
    pub(crate) fn remake(&mut self, which: &[usize]) -> Result<(), ViewsError> {
        for i in which {
            let (Some(projection), Some(position)) = (ALL.get(*i), self.positions.get_mut(*i))
            else {
                continue;
            };
            make_anew(&self.connection, projection)?;
            *position = Position::START;
            self.stopped.retain(|(n, _)| n != i);
        }
        self.stale.retain(|i| !which.contains(i));
        self.search_pending &= self.stale.iter().any(|i| self.is_unfilled(*i));
        Ok(())
    }

    /// Applies the next batch of events; returns how many there were.
    pub(crate) fn step(&mut self, up_to: Position) -> Result<usize, ViewsError> {
        let after = self.next();
        if after >= up_to {
            return Ok(0);
        }
        let mut events = self
            .sources
            .unsealer
            .runtime
            .block_on(self.sources.log.read_all(after, PROJECTION_BATCH_MAX))?;
        events.retain(|e| e.position <= up_to);
        let Some(last) = events.last().map(|e| e.position) else { return Ok(0) };
        if self.batch(&events, last, false).is_err() {
            // One of them can't be applied: once more, each behind a savepoint, to find out which.
            self.batch(&events, last, true)?;
        }
        for (i, position) in self.positions.iter_mut().enumerate() {
            if !self.stale.contains(&i) {
                *position = last.max(*position);
            }
        }
        for recorded in &events {
            if recorded.business == INSTALLATION
                && let Ok(Event::Operations(operations::Event::EventSkipped(skipped))) =
                    recorded.stored().map_err(|_| ()).and_then(|s| s.event().map_err(|_| ()))
            {
                self.skip(&skipped)?;
            }
        }
        Ok(events.len())
    }

    fn batch(
        &mut self,
        events: &[Recorded],
        last: Position,
        careful: bool,
    ) -> Result<(), ViewsError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = self.batch_inside(events, last, careful).and_then(|failed| {
            self.connection.execute_batch("COMMIT")?;
            Ok(failed)
        });
        match result {
            Ok(failed) => {
                self.stopped.extend(failed);
                Ok(())
            }
            Err(e) => {
                let _ = self.connection.execute_batch("ROLLBACK");
                Err(e.into())
            }
        }
    }

    fn batch_inside(
        &self,
        events: &[Recorded],
        last: Position,
        careful: bool,
    ) -> Result<HashSet<(usize, String)>, ApplyError> {
        let mut failed = HashSet::new();
        for recorded in events {
            let stored = recorded.stored().map_err(Cause::of);
            if let Ok(stored) = &stored
                && recorded.business == INSTALLATION
                && let Ok(Event::Operations(operations::Event::EventSkipped(skipped))) =
                    stored.event()
            {
                // In the transaction of the checkpoint: an operator's word is not lost with a
                // crash.
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO skips VALUES (?, ?, ?)")?
                    .execute(params![
                        skipped.projection.as_str(),
                        skipped.business.to_string(),
                        skipped.seq
                    ])?;
            }
            let event = match &stored {
                Ok(stored) => stored.event().map(|event| (stored, event)).map_err(Cause::of),
                Err(e) => Err(e.clone()),
            };
            let business = recorded.business.to_string();
            for (i, projection) in ALL.iter().enumerate() {
                let place = (i, business.clone());
                let seen = self.positions.get(i).is_some_and(|p| *p >= recorded.position);
                if seen
                    || self.stale.contains(&i)
                    || self.stopped.contains(&place)
                    || failed.contains(&place)
                {
                    continue;
                }
                let apply = || match &event {
                    Ok((stored, event)) => {
                        self.apply(projection, &Applied { recorded, stored, event })
                    }
                    Err(e) => {
                        Err(ApplyError::Value(Cause::new("the event can't be read", e.clone())))
                    }
                };
                if !careful {
                    apply()?;
                    continue;
                }
                self.connection.execute_batch("SAVEPOINT one")?;
                if let Err(e) = apply() {
                    if e.is_of_the_file() {
                        return Err(e);
                    }
                    self.connection.execute_batch("ROLLBACK TO one")?;
                    tracing::error!(projection.name = projection.name, business.id = %business,
                        event.seq = recorded.seq.0, error = %chain(&e),
                            "a projection stopped at an event of one business");
                    self.connection.execute(
                        "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
                        params![
                            projection.name,
                            business,
                            recorded.seq,
                            recorded.position,
                            chain(&e).to_string()
                        ],
                    )?;
                    failed.insert(place);
                }
                self.connection.execute_batch("RELEASE one")?;
            }
        }
        let stale: Vec<&str> = self.stale.iter().filter_map(|i| Some(ALL.get(*i)?.name)).collect();
        let moved = "UPDATE projections SET position = max(position, ?) WHERE name NOT IN (SELECT \
            value FROM json_each(?))";
        self.connection
            .prepare_cached(moved)?
            .execute(params![last, serde_json::to_string(&stale)?])?;
        Ok(failed)
    }

    fn apply(&self, projection: &Projection, applied: &Applied<'_>) -> Result<(), ApplyError> {
        let apply = AssertUnwindSafe(|| {
            fail::fail_point!("apply");
            match projection.apply {
                Apply::Sealed(apply) => apply(&self.connection, applied),
                Apply::Searchable(apply) => {
                    apply(&self.connection, applied, &self.sources.unsealer)
                }
            }
        });
        // Like any event that can't be applied, it stops its business and no other.
        catch_unwind(apply).unwrap_or_else(|_| Err(ApplyError::value("applying it panicked")))
    }
}
