//! How a file that is being built differs from one that is kept: it is not synced, and the indexes
//! that only readers need are made at the end.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::purge::checkpoint;
use super::{Sources, ViewFile, Writing};
use crate::tables::made_by;
use crate::views::ViewsError;
use crate::{Projection, ProjectionSet};

/// Sets how a connection writes. Memory of the page cache: 64 MiB.
pub(super) fn set_pragmas(connection: &Connection, writing: Writing) -> rusqlite::Result<()> {
    // Pages of 4 KiB in the WAL before they are copied into the file. A page that changes often is
    // copied once: the more there may be, the less is copied.
    let (synchronous, pages) = match writing {
        Writing::Kept => ("NORMAL", 10_000),
        Writing::Bulk => ("OFF", 50_000),
    };
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = {pages}; PRAGMA \
         cache_size = -65536"
    ))
}

/// Makes the indexes of a projection that are missing.
fn make_indexes(connection: &Connection, projection: &Projection) -> rusqlite::Result<()> {
    for (name, of) in projection.indexes {
        connection.execute_batch(&format!("CREATE INDEX IF NOT EXISTS {name} ON {of}"))?;
    }
    tell_planner(connection, projection)
}

/// Tells the planner what the tables are like when they are large. Without statistics it takes ten
/// rows for all there are of a business, and walks through them; and those of the moment, which
/// `ANALYZE` counts, may be of an empty table.
fn tell_planner(connection: &Connection, projection: &Projection) -> rusqlite::Result<()> {
    // Makes the table of statistics.
    connection.execute_batch("ANALYZE sqlite_schema")?;
    let made = made_by(projection)?;
    for (_, table) in made.iter().filter(|(kind, _)| kind == "table") {
        connection.execute("DELETE FROM sqlite_stat1 WHERE tbl = ?", [table])?;
        let indexes: Vec<(String, String, bool)> = connection
            .prepare("SELECT name, origin, partial FROM pragma_index_list(?)")?
            .query_map([table], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (index, origin, is_partial) in indexes {
            let columns: Vec<String> = connection
                .prepare("SELECT coalesce(name, '') FROM pragma_index_info(?)")?
                .query_map([&index], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            // The primary key of a table without row ids is named as the table.
            let name = if origin == "pk" { table } else { &index };
            let args = (table, name, statistics(&columns, is_partial));
            connection
                .execute("INSERT INTO sqlite_stat1(tbl, idx, stat) VALUES (?, ?, ?)", args)?;
        }
    }
    connection.execute_batch("ANALYZE sqlite_schema")
}

/// The statistics of an index, as `ANALYZE` would write them of a million rows of ten businesses:
/// the number of rows, and for each column how many rows have one value of the columns up to it. A
/// partial index has a hundredth of the rows.
fn statistics(columns: &[String], is_partial: bool) -> String {
    let (all, of_business) = if is_partial { ("10000", " 1000") } else { ("1000000", " 100000") };
    // Few words, such as those of a status, are of many rows.
    let rows = |(n, column): (usize, &String)| match (n, column.as_str()) {
        (0, "business") if columns.len() > 1 => of_business,
        (0, "status" | "event_type") => of_business,
        (0, "place") => " 1",
        (0, _) => " 2",
        (n, _) if n + 1 == columns.len() => " 1",
        (_, _) => " 20",
    };
    format!("{all}{}", columns.iter().enumerate().map(rows).collect::<String>())
}

/// Bounds the size of the file to which a connection writes.
pub(super) fn limit_size(connection: &Connection, sources: &Sources) -> rusqlite::Result<()> {
    if sources.pages_max > 0 {
        connection.pragma_update(None, "max_page_count", sources.pages_max)?;
    }
    Ok(())
}

impl ViewFile {
    /// Makes the indexes that only readers need, where they are missing.
    pub(super) fn make_indexes(&self) -> Result<(), ViewsError> {
        // The tables of another version may lack the columns.
        for slot in self.slots.iter().filter(|slot| !slot.stale) {
            make_indexes(&self.connection, slot.projection)?;
        }
        Ok(())
    }

    /// True if the file is being built.
    pub(crate) fn is_bulk(&self) -> bool {
        self.writing == Writing::Bulk
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> PathBuf {
        self.connection.path().unwrap_or_default().into()
    }

    /// Opens a second connection to the file, under the same limit of its size.
    pub(crate) fn connect_again(&self) -> Result<Connection, ViewsError> {
        let connection = Connection::open(self.path())?;
        limit_size(&connection, &self.sources)?;
        Ok(connection)
    }

    /// Goes on as a file that is kept, once [`finish`] has made it one.
    pub(crate) fn keep(&mut self) -> Result<(), ViewsError> {
        set_pragmas(&self.connection, Writing::Kept)?;
        self.writing = Writing::Kept;
        Ok(())
    }
}

/// Makes a file that was built one that is kept: gives it its indexes and brings it to the disk.
/// Nobody may apply events to it meanwhile.
pub(crate) fn finish(connection: &Connection, set: ProjectionSet) -> Result<(), ViewsError> {
    connection.execute_batch("PRAGMA cache_size = -65536")?;
    for projection in set.projections {
        make_indexes(connection, projection)?;
    }
    // What was written without syncing is synced with the file.
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    checkpoint(connection)?;
    let path = connection.path().unwrap_or_default();
    File::open(path)?.sync_all()?;
    if let Some(folder) = Path::new(path).parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
