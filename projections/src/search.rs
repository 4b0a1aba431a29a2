//! Full text of the personal texts of a business: the one projection that holds them in the clear.
//! Forgetting a subject purges its rows; a rebuild finds only texts that still have a key.

use domain::personal::Generation;
use domain::{BusinessId, Kind, SubjectId};
use event_log::{Seq, Stored};
use rusqlite::Connection;
use uuid::Uuid;

use crate::rows::{Place, Tables, table};
use crate::{Apply, ApplyError, Projection, Unsealer};

/// The projection of searchable text.
pub const PROJECTION: Projection = Projection {
    name: "search",
    version: 5,
    sql: include_str!("search.sql"),
    indexes: &[
        ("search_by_place", "search_rows(place, pointer)"),
        ("search_by_subject", "search_rows(subject)"),
    ],
    tables: &[("searchable_texts", "place, pointer")],
    apply: Apply::Searchable(apply),
};

/// Contexts whose texts can be searched. Those of principals stand above businesses and must not.
const SEARCHED: [&str; 7] =
    ["tasks", "decisions", "memory", "integrations", "approvals", "agents", "businesses"];

table! {
    /// Where a text is, and whom it is about.
    SearchRow<'a> in "search_rows" {
        n: Option<i64>,
        place: Place,
        pointer: &'a str,
        subject: SubjectId,
        generation: u32,
        kind: Kind,
        id: Uuid,
    }
}

table! {
    /// The text, with the number of its row.
    SearchText<'a> in "search_text" {
        rowid: i64,
        text: &'a str,
    }
}

fn apply(
    tables: &mut Tables<'_>,
    stored: &Stored<'_>,
    seq: Seq,
    unsealer: &Unsealer,
) -> Result<(), ApplyError> {
    let context = stored.r#type.split('.').next().unwrap_or_default();
    if !SEARCHED.contains(&context) || stored.sealed.is_empty() {
        return Ok(());
    }
    let place = Place::new(tables.business(stored.business)?, seq)?;
    for (pointer, field) in stored.personal_fields() {
        if pointer.ends_with("/digest_key") {
            continue;
        }
        let Some(text) = unsealer.text(&field)? else { continue };
        tables.add(&SearchRow {
            n: None,
            place,
            pointer: &pointer,
            subject: field.subject,
            generation: field.generation.0,
            kind: stored.kind,
            id: stored.id,
        })?;
        tables.add(&SearchText { rowid: tables.last_added(), text: &text })?;
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
) -> rusqlite::Result<()> {
    const OF_SUBJECT: &str = "place BETWEEN (SELECT first FROM business_places WHERE id = ?1) AND \
        (SELECT last FROM business_places WHERE id = ?1) AND subject = ?2 AND generation <= ?3";
    let args = (business.0, subject.0, up_to.0);
    let texts = format!(
        "DELETE FROM search_text WHERE rowid IN (SELECT n FROM search_rows WHERE {OF_SUBJECT})"
    );
    tx.execute(&texts, args)?;
    tx.execute(&format!("DELETE FROM search_rows WHERE {OF_SUBJECT}"), args)?;
    Ok(())
}

/// Deletes what is about subjects whose keys are gone: a process that died between destroying a key
/// and purging left it behind, or another process destroyed it. Says whether there was any.
///
/// # Errors
/// When the tables or the keyring can't be used.
pub(crate) fn purge_forgotten(tx: &Connection, unsealer: &Unsealer) -> Result<bool, ApplyError> {
    let mut gone = false;
    let known: Vec<(Uuid, Uuid, u32)> = tx
        .prepare(
            "SELECT DISTINCT b.id, r.subject, r.generation FROM search_rows r JOIN \
             business_numbers b ON b.n = r.place >> 36",
        )?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (business, subject, generation) in known {
        let (business, subject) = (BusinessId(business), SubjectId(subject));
        let generation = Generation(generation);
        if !unsealer.has_key(business, subject, generation)? {
            purge(tx, business, subject, generation)?;
            gone = true;
        }
    }
    Ok(gone)
}
