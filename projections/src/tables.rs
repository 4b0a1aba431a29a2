//! Makes the tables of projections, and makes them anew.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::views::ViewsError;
use crate::{Projection, ProjectionSet};

/// Drops what projections made here that are not of this set; says whether there was any. The
/// searchable text was once in the file of all tables.
pub(crate) fn drop_unknown(
    connection: &Connection,
    set: ProjectionSet,
) -> Result<bool, ViewsError> {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM projections")?
        .query_map([], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut dropped = false;
    for name in names.iter().filter(|n| !set.projections.iter().any(|p| p.name == n.as_str())) {
        let tx = connection.unchecked_transaction()?;
        drop_made(&tx, name)?;
        tx.execute("DELETE FROM failures WHERE projection = ?", [name])?;
        tx.execute("DELETE FROM projections WHERE name = ?", [name])?;
        tx.commit()?;
        dropped = true;
    }
    Ok(dropped)
}

/// Drops the tables and views that a projection made here, in whatever version.
pub(crate) fn drop_made(tx: &Connection, name: &str) -> Result<(), ViewsError> {
    let made: Option<String> = tx
        .query_row("SELECT made FROM projections WHERE name = ?", [name], |r| r.get(0))
        .optional()?;
    let made: Vec<(String, String)> = made
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(ViewsError::storage)?
        .unwrap_or_default();
    for (kind, name) in made {
        tx.execute_batch(&format!("DROP {kind} IF EXISTS \"{name}\""))?;
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

/// Drops everything that a projection made here, in whatever version, and makes it empty; without
/// the indexes that only readers need.
pub(crate) fn make_anew(
    connection: &Connection,
    projection: &Projection,
) -> Result<(), ViewsError> {
    let tx = connection.unchecked_transaction()?;
    drop_made(&tx, projection.name)?;
    tx.execute_batch(projection.sql)?;
    let made = serde_json::to_string(&made_by(projection)?).map_err(ViewsError::storage)?;
    tx.execute("DELETE FROM failures WHERE projection = ?", [projection.name])?;
    tx.execute(
        "INSERT OR REPLACE INTO projections VALUES (?, ?, 0, ?)",
        params![projection.name, projection.version, made],
    )?;
    tx.commit()?;
    Ok(())
}
