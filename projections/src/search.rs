//! Full text of the personal texts of a business: the one projection that holds them in the clear.
//! Forgetting a subject purges its rows; a rebuild finds only texts that still have a key.

use domain::personal::Generation;
use domain::{BusinessId, SubjectId};
use event_log::{Seq, Stored};
use rusqlite::Connection;

use crate::{Apply, ApplyError, Projection, Unsealer, run};

/// The projection of searchable text.
pub const PROJECTION: Projection = Projection {
    name: "search",
    version: 4,
    sql: include_str!("search.sql"),
    indexes: &[
        ("search_by_place", "search_rows(business, seq, pointer)"),
        ("search_by_subject", "search_rows(business, subject)"),
    ],
    tables: &[("searchable_texts", "business, seq, pointer")],
    apply: Apply::Searchable(apply),
};

/// Contexts whose texts can be searched. Those of principals stand above businesses and must not.
const SEARCHED: [&str; 7] =
    ["tasks", "decisions", "memory", "integrations", "approvals", "agents", "businesses"];

fn apply(
    tx: &Connection,
    stored: &Stored<'_>,
    seq: Seq,
    unsealer: &Unsealer,
) -> Result<(), ApplyError> {
    let context = stored.r#type.split('.').next().unwrap_or_default();
    if !SEARCHED.contains(&context) || stored.sealed.is_empty() {
        return Ok(());
    }
    let (business, id) = (stored.business.to_string(), stored.id.to_string());
    for (pointer, field) in stored.personal_fields() {
        if pointer.ends_with("/digest_key") {
            continue;
        }
        let Some(text) = unsealer.text(&field)? else { continue };
        run(
            tx,
            "INSERT INTO search_rows(business, seq, pointer, subject, generation, kind, id) VALUES \
             (?, ?, ?, ?, ?, ?, ?)",
            &[
                &business,
                &seq,
                &pointer,
                &field.subject.to_string(),
                &field.generation.0,
                &stored.kind.as_str(),
                &id,
            ],
        )?;
        run(
            tx,
            "INSERT INTO search_text(rowid, text) VALUES (?, ?)",
            &[&tx.last_insert_rowid(), &text],
        )?;
    }
    Ok(())
}

/// Deletes everything about a subject that was sealed under its keys up to a generation. The caller
/// has a transaction open: text without its row would never be found again, and never be deleted.
///
/// # Errors
/// When the tables can't be written.
pub fn purge(
    tx: &Connection,
    business: BusinessId,
    subject: SubjectId,
    up_to: Generation,
) -> Result<(), ApplyError> {
    let args: [&dyn rusqlite::ToSql; 3] = [&business.to_string(), &subject.to_string(), &up_to.0];
    run(
        tx,
        "DELETE FROM search_text WHERE rowid IN (SELECT n FROM search_rows WHERE business = ? AND \
         subject = ? AND generation <= ?)",
        &args,
    )?;
    run(tx, "DELETE FROM search_rows WHERE business = ? AND subject = ? AND generation <= ?", &args)
}

/// Deletes what is about subjects whose keys are gone: a process that died between destroying a key
/// and purging left it behind, or another process destroyed it. Says whether there was any.
///
/// # Errors
/// When the tables or the keyring can't be used.
pub(crate) fn purge_forgotten(tx: &Connection, unsealer: &Unsealer) -> Result<bool, ApplyError> {
    let mut gone = false;
    let known: Vec<(String, String, u32)> = tx
        .prepare("SELECT DISTINCT business, subject, generation FROM search_rows")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (business, subject, generation) in known {
        let generation = Generation(generation);
        let bad = |e: uuid::Error| ApplyError::value(e);
        let (b, s): (BusinessId, SubjectId) =
            (business.parse().map_err(bad)?, subject.parse().map_err(bad)?);
        if !unsealer.has_key(b, s, generation)? {
            purge(tx, b, s, generation)?;
            gone = true;
        }
    }
    Ok(gone)
}
