//! The whole keyring at once: for copying an installation.

use super::super::KeyringError;
use super::super::wrapping::{Chest, ChestKey, Proof};
use super::{SCHEMA, TRUNCATE_EVERY, TRUNCATE_TRIES_MAX, storage, truncate_wal};
use domain::personal::Generation;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Everything in the keyring of that file.
///
/// # Errors
/// When it can't be read.
pub fn chest(path: &Path) -> Result<Chest, KeyringError> {
    if !path.exists() {
        return Ok(Chest { proof: None, keys: Vec::new() });
    }
    let connection = Connection::open(path).map_err(storage)?;
    connection.execute_batch(SCHEMA).map_err(storage)?;
    let proof = connection.query_row("SELECT salt, nonce, proof FROM wrapping", [], |r| {
        Ok(Proof { salt: r.get(0)?, nonce: r.get(1)?, proof: r.get(2)? })
    });
    let mut query = connection
        .prepare("SELECT business, subject, generation, nonce, wrapped FROM keys")
        .map_err(storage)?;
    let key = |r: &rusqlite::Row<'_>| {
        Ok(ChestKey {
            business: r.get(0)?,
            subject: r.get(1)?,
            generation: Generation(r.get(2)?),
            nonce: r.get(3)?,
            wrapped: r.get(4)?,
        })
    };
    let keys = query.query_map([], key).and_then(Iterator::collect).map_err(storage)?;
    Ok(Chest { proof: proof.optional().map_err(storage)?, keys })
}

/// Puts a whole keyring into that file; a key that is destroyed on either side stays so.
///
/// # Errors
/// When another keyring is there, or it can't be written.
pub fn put_chest(path: &Path, moved: &Chest) -> Result<(), KeyringError> {
    moved.may_replace(&chest(path)?)?;
    let mut connection = Connection::open(path).map_err(storage)?;
    connection.execute_batch(SCHEMA).map_err(storage)?;
    let tx = connection.transaction().map_err(storage)?;
    let write = || -> rusqlite::Result<()> {
        if let Some(proof) = &moved.proof {
            tx.execute(
                "INSERT OR REPLACE INTO wrapping VALUES (1, ?, ?, ?)",
                params![proof.salt, proof.nonce, proof.proof],
            )?;
        }
        for k in &moved.keys {
            let sql = "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET \
                nonce = ?4, wrapped = ?5 WHERE ?5 IS NULL";
            tx.prepare_cached(sql)?.execute(params![
                k.business,
                k.subject,
                k.generation.0,
                k.nonce,
                k.wrapped
            ])?;
        }
        Ok(())
    };
    write().map_err(storage)?;
    tx.commit().map_err(storage)?;
    for _ in 0..TRUNCATE_TRIES_MAX {
        if truncate_wal(&connection)? {
            return Ok(());
        }
        std::thread::sleep(TRUNCATE_EVERY);
    }
    Err(KeyringError::NotYetDestroyed)
}
