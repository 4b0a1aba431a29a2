//! The digest of a projection: SHA-256 over its rows, business by business, in key order. Tables
//! that were built live and tables that were rebuilt from the log must have the same digest, in
//! whatever file: the numbers that a file gives to names are not in it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params};
use sha2::{Digest as _, Sha256};

use crate::Projection;

fn add(hash: &mut Sha256, value: ValueRef<'_>) {
    let number;
    let (tag, bytes) = match value {
        ValueRef::Null => (0_u8, &[][..]),
        ValueRef::Integer(n) => {
            number = n.to_be_bytes();
            (1, &number[..])
        }
        ValueRef::Real(n) => {
            number = n.to_be_bytes();
            (2, &number[..])
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    hash.update([tag]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Adds the rows that a query finds, but for the column with index `skipped`; the id of their
/// business before the first one. A file may know of businesses of which it has no rows.
fn add_rows(
    hash: &mut Sha256,
    connection: &Connection,
    (sql, args): (&str, impl Params),
    skipped: Option<usize>,
    mut business: Option<&Numbered>,
) -> rusqlite::Result<()> {
    let mut query = connection.prepare_cached(sql)?;
    let width = query.column_count();
    let mut rows = query.query(args)?;
    while let Some(row) = rows.next()? {
        if let Some(business) = business.take() {
            add(hash, ValueRef::Blob(business.id.as_bytes()));
        }
        for i in (0..width).filter(|i| Some(*i) != skipped) {
            add(hash, row.get_ref(i)?);
        }
    }
    Ok(())
}

/// A business with its number in the file, and the places that its events can have.
struct Numbered {
    id: uuid::Uuid,
    n: i64,
    places: (i64, i64),
}

/// Computes the digest of a projection's tables.
///
/// # Errors
/// When the tables can't be read.
pub fn digest(
    connection: &Connection,
    projection: &Projection,
) -> rusqlite::Result<domain::values::Digest> {
    let mut hash = Sha256::new();
    let businesses: Vec<Numbered> = connection
        .prepare_cached("SELECT id, n, first, last FROM business_places ORDER BY id")?
        .query_map([], |r| {
            Ok(Numbered { id: r.get(0)?, n: r.get(1)?, places: (r.get(2)?, r.get(3)?) })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (table, key) in projection.tables {
        hash.update(table.as_bytes());
        let first_column: String = connection
            .prepare_cached("SELECT name FROM pragma_table_info(?) ORDER BY cid LIMIT 1")?
            .query_row([table], |r| r.get(0))?;
        match first_column.as_str() {
            // The `seq` stands for the place.
            "place" => {
                let sql = format!(
                    "SELECT place - ?1, * FROM {table} WHERE place BETWEEN ?1 AND ?2 ORDER BY {key}"
                );
                for business in &businesses {
                    let query = (sql.as_str(), business.places);
                    add_rows(&mut hash, connection, query, Some(1), Some(business))?;
                }
            }
            "business" => {
                let sql = format!("SELECT * FROM {table} WHERE business = ?1 ORDER BY {key}");
                for business in &businesses {
                    let query = (sql.as_str(), [business.n]);
                    add_rows(&mut hash, connection, query, Some(0), Some(business))?;
                }
            }
            _ => {
                let sql = format!("SELECT * FROM {table} ORDER BY {key}");
                add_rows(&mut hash, connection, (&sql, []), None, None)?;
            }
        }
    }
    Ok(domain::values::Digest(hash.finalize().into()))
}
