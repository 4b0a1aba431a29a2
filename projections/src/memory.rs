//! Memory: every version of every fact and every chunk of every document, with the time it was
//! known from and until, and the time it holds in the world.

use domain::Event;
use domain::memory::{DocumentAdded, Event as Memory, FactKind, FactRecorded, FactRevised};
use domain::personal::Text;
use domain::values::Ratio;
use domain::{Timestamp, ids::EventId};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of facts and documents.
pub const PROJECTION: Projection = Projection {
    name: "memory",
    version: 4,
    sql: include_str!("memory.sql"),
    indexes: &[("memory_by_place", "memory(business, place)")],
    tables: &[("memory", "business, seq, n")],
    apply: Apply::Sealed(apply),
};

/// The fields of one revision of a fact.
struct FactVersion<'a> {
    kind: Option<FactKind>,
    statement: &'a Text,
    value: Option<&'a Text>,
    topic: Option<&'a str>,
    agent: Option<String>,
    valid: (Option<Timestamp>, Option<Timestamp>),
    confidence: Option<Ratio>,
    sources: &'a [EventId],
    revision: u32,
}

fn fact(tx: &Connection, a: &Applied<'_>, said: &FactVersion<'_>) -> Result<(), ApplyError> {
    run(
        tx,
        "INSERT INTO memory(business, seq, n, pointer, item, id, kind, text, subject, value, \
        topic, \
         agent, valid_from, valid_to, confidence, sources, revision, known_from)
         VALUES (?, ?, 0, '/data/statement', 'fact', ?, coalesce(?, (SELECT kind FROM memory WHERE \
         business = ?1 AND id = ?3 AND revision = 1)), ?, ?, ?,
           coalesce(?, (SELECT topic FROM memory WHERE business = ?1 AND id = ?3 AND revision = 1)),
           coalesce(?, (SELECT agent FROM memory WHERE business = ?1 AND id = ?3 AND revision = \
           1)), ?, ?, ?, ?, ?, ?)",
        &[
            &a.business(),
            &a.recorded.seq,
            &a.id(),
            &said.kind.map(FactKind::as_str),
            &a.field("/data/statement"),
            &subject_of(a, said.statement),
            &a.optional_field(said.value, "/data/value"),
            &said.topic,
            &said.agent,
            &said.valid.0.map(|t| t.to_string()),
            &said.valid.1.map(|t| t.to_string()),
            &said.confidence.map(|c| c.to_string()),
            &serde_json::to_string(said.sources)?,
            &said.revision,
            &a.stored.recorded_at.to_string(),
        ],
    )
}

fn recorded<'a>(e: &'a FactRecorded) -> FactVersion<'a> {
    FactVersion {
        kind: Some(e.fact_kind),
        statement: &e.statement,
        value: e.value.as_ref(),
        topic: e.topic.as_ref().map(|t| t.as_str()),
        agent: e.agent.map(|a| a.to_string()),
        valid: (e.valid_from, e.valid_to),
        confidence: e.confidence,
        sources: &e.sources,
        revision: 1,
    }
}

fn revised<'a>(e: &'a FactRevised) -> FactVersion<'a> {
    FactVersion {
        kind: None,
        statement: &e.statement,
        value: e.value.as_ref(),
        topic: None,
        agent: None,
        valid: (e.valid_from, e.valid_to),
        confidence: e.confidence,
        sources: &e.sources,
        revision: e.revision,
    }
}

/// The data subject of a text; who may read the text depends on it.
fn subject_of(a: &Applied<'_>, text: &Text) -> String {
    text.sealed().map_or(a.stored.business.as_subject(), |field| field.subject).to_string()
}

fn document(tx: &Connection, a: &Applied<'_>, e: &DocumentAdded) -> Result<(), ApplyError> {
    for (n, chunk) in (0_i64..).zip(&e.chunks) {
        let pointer = format!("/data/chunks/{n}");
        run(
            tx,
            "INSERT INTO memory(business, seq, n, pointer, item, id, kind, title, text, \
             subject, source, sources, revision, known_from)
             VALUES (?, ?, ?, ?, 'document', ?, ?, ?, ?, ?, ?, '[]', 1, ?)",
            &[
                &a.business(),
                &a.recorded.seq,
                &n,
                &pointer,
                &a.id(),
                &e.fact_kind.as_str(),
                &a.field("/data/title"),
                &a.field(&pointer),
                &subject_of(a, chunk),
                &a.optional_field(e.source.as_ref(), "/data/source"),
                &a.stored.recorded_at.to_string(),
            ],
        )?;
    }
    Ok(())
}

/// Ends the time in which the newest revision is known; that it was known until then stays.
fn known_until_now(tx: &Connection, a: &Applied<'_>, status: &str) -> Result<(), ApplyError> {
    let args: [&dyn rusqlite::ToSql; 4] =
        [&a.stored.recorded_at.to_string(), &status, &a.business(), &a.id()];
    run(
        tx,
        "UPDATE memory SET known_to = ?, status = ? WHERE business = ? AND id = ? AND known_to IS \
         NULL",
        &args,
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Memory(event) = a.event else { return Ok(()) };
    match event {
        Memory::FactRecorded(e) => fact(tx, a, &recorded(e)),
        Memory::FactRevised(e) => {
            known_until_now(tx, a, "revised")?;
            fact(tx, a, &revised(e))
        }
        Memory::FactRetracted(_) | Memory::DocumentRetracted(_) => {
            known_until_now(tx, a, "retracted")
        }
        Memory::FactSuperseded(_) => known_until_now(tx, a, "superseded"),
        Memory::DocumentAdded(e) => document(tx, a, e),
    }
}
