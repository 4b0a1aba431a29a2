//! Makes the tables of projections, and makes them anew.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::views::ViewsError;
use crate::{Projection, search};

/// The version of searchable tables that nothing has been written to yet.
pub(crate) const VERSION_NOT_BUILT: u32 = 0;

/// Makes the searchable tables that a file from a snapshot lacks, to be filled.
pub(crate) fn fill_in(connection: &Connection) -> Result<(), ViewsError> {
    let names: (bool, bool) = connection.query_row(
        "SELECT count(*) > 0, coalesce(sum(name = 'search'), 0) = 0 FROM projections",
        [],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )?;
    if names == (true, true) {
        make_anew(connection, &Projection { version: VERSION_NOT_BUILT, ..search::PROJECTION })?;
    }
    Ok(())
}

/// Names and types of the tables and views that a projection's SQL makes, in its order.
pub(crate) fn made_by(projection: &Projection) -> rusqlite::Result<Vec<(String, String)>> {
    let scratch = Connection::open_in_memory()?;
    scratch.execute_batch(projection.sql)?;
    let mut made = scratch.prepare(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid",
    )?;
    made.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}

/// Drops everything that a projection made here, in whatever version, and makes it empty.
pub(crate) fn make_anew(
    connection: &Connection,
    projection: &Projection,
) -> Result<(), ViewsError> {
    let storage = |e: serde_json::Error| ViewsError::storage(e);
    let tx = connection.unchecked_transaction()?;
    let before: Option<String> = tx
        .query_row("SELECT made FROM projections WHERE name = ?", [projection.name], |r| r.get(0))
        .optional()?;
    let before: Vec<(String, String)> = before
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(storage)?
        .unwrap_or_default();
    for (kind, name) in before {
        tx.execute_batch(&format!("DROP {kind} IF EXISTS \"{name}\""))?;
    }
    tx.execute_batch(projection.sql)?;
    let made = serde_json::to_string(&made_by(projection)?).map_err(storage)?;
    tx.execute("DELETE FROM failures WHERE projection = ?", [projection.name])?;
    tx.execute(
        "INSERT OR REPLACE INTO projections VALUES (?, ?, 0, ?)",
        params![projection.name, projection.version, made],
    )?;
    tx.commit()?;
    Ok(())
}
