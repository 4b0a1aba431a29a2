//! The digest of a projection: SHA-256 over its rows in key order. Tables that were built live and
//! tables that were rebuilt from the log must have the same digest.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};

use crate::Projection;

/// Computes the digest of a projection's tables.
///
/// # Errors
/// When the tables can't be read.
pub fn digest(
    connection: &Connection,
    projection: &Projection,
) -> rusqlite::Result<domain::values::Digest> {
    let mut hash = Sha256::new();
    for (table, key) in projection.tables {
        hash.update(table.as_bytes());
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let mut query = connection.prepare(&sql)?;
        let width = query.column_count();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            for i in 0..width {
                let (tag, bytes) = match row.get_ref(i)? {
                    ValueRef::Null => (0_u8, Vec::new()),
                    ValueRef::Integer(n) => (1, n.to_be_bytes().to_vec()),
                    ValueRef::Real(n) => (2, n.to_be_bytes().to_vec()),
                    ValueRef::Text(text) => (3, text.to_vec()),
                    ValueRef::Blob(blob) => (4, blob.to_vec()),
                };
                hash.update([tag]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(&bytes);
            }
        }
    }
    Ok(domain::values::Digest(hash.finalize().into()))
}
