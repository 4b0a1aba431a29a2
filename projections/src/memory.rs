//! Memory: every version of every fact and every chunk of every document, with the time it was
//! known from and until, and the time it holds in the world.

use domain::Event;
use domain::ids::{AgentId, EventId};
use domain::memory::{
    DocumentAdded, Event as Memory, FactKind, FactRecorded, FactRevised, MemoryItem,
};
use domain::personal::Text;
use domain::values::Ratio;
use domain::{SubjectId, Timestamp};
use event_log::Seq;
use uuid::Uuid;

use crate::rows::{BusinessNumber, Column, Field, Tables, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of facts and documents.
pub const PROJECTION: Projection = Projection {
    name: "memory",
    version: 5,
    sql: include_str!("memory.sql"),
    indexes: &[("memory_by_place", "memory(business, item_place)")],
    tables: &[("memory", "business, seq, n")],
    apply: Apply::Sealed(apply),
};

table! {
    /// A revision of a fact, or a chunk of a document. `sources` is JSON.
    Item<'a> in "memory" {
        business: BusinessNumber,
        seq: Seq,
        n: u32,
        pointer: &'a str,
        item: MemoryItem,
        id: Uuid,
        kind: FactKind,
        title: Option<Field>,
        text: Field,
        subject: SubjectId,
        value: Option<Field>,
        topic: Option<String>,
        agent: Option<AgentId>,
        source: Option<Field>,
        valid_from: Option<Timestamp>,
        valid_to: Option<Timestamp>,
        confidence: Option<Ratio>,
        sources: String,
        revision: u32,
        status: &'static str,
        known_from: Timestamp,
        known_to: Option<Timestamp>,
    }
}

/// What revisions of a fact keep from the first.
struct Origin {
    kind: FactKind,
    topic: Option<String>,
    agent: Option<AgentId>,
}

impl Origin {
    fn of(e: &FactRecorded) -> Self {
        let topic = e.topic.as_ref().map(ToString::to_string);
        Self { kind: e.fact_kind, topic, agent: e.agent }
    }

    /// Reads it from the first revision; `None` if that was skipped.
    fn stored(tables: &Tables<'_>, a: &Applied<'_>) -> Result<Option<Self>, ApplyError> {
        let of_first = |column: &str| {
            format!("SELECT {column} FROM memory WHERE business = ? AND id = ? AND revision = 1")
        };
        let key: [&dyn Column; 2] = [&a.business, &a.stored.id];
        let Some(kind) = tables.find(&of_first("kind"), &key)? else { return Ok(None) };
        Ok(Some(Self {
            kind,
            topic: tables.find::<Option<String>>(&of_first("topic"), &key)?.flatten(),
            agent: tables.find::<Option<AgentId>>(&of_first("agent"), &key)?.flatten(),
        }))
    }
}

/// What a revision of a fact says anew.
struct Said<'a> {
    statement: &'a Text,
    value: Option<&'a Text>,
    valid: (Option<Timestamp>, Option<Timestamp>),
    confidence: Option<Ratio>,
    sources: &'a [EventId],
    revision: u32,
}

fn fact(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    origin: Origin,
    said: &Said<'_>,
) -> Result<(), ApplyError> {
    tables.add(&Item {
        business: a.business,
        seq: a.recorded.seq,
        n: 0,
        pointer: "/data/statement",
        item: MemoryItem::Fact,
        id: a.stored.id,
        kind: origin.kind,
        title: None,
        text: a.field("/data/statement"),
        subject: subject_of(a, said.statement),
        value: a.optional_field(said.value, "/data/value"),
        topic: origin.topic,
        agent: origin.agent,
        source: None,
        valid_from: said.valid.0,
        valid_to: said.valid.1,
        confidence: said.confidence,
        sources: serde_json::to_string(said.sources)?,
        revision: said.revision,
        status: "standing",
        known_from: a.stored.recorded_at,
        known_to: None,
    })
}

fn recorded<'a>(e: &'a FactRecorded) -> Said<'a> {
    Said {
        statement: &e.statement,
        value: e.value.as_ref(),
        valid: (e.valid_from, e.valid_to),
        confidence: e.confidence,
        sources: &e.sources,
        revision: 1,
    }
}

fn revised<'a>(e: &'a FactRevised) -> Said<'a> {
    Said {
        statement: &e.statement,
        value: e.value.as_ref(),
        valid: (e.valid_from, e.valid_to),
        confidence: e.confidence,
        sources: &e.sources,
        revision: e.revision,
    }
}

/// The data subject of a text; who may read the text depends on it.
fn subject_of(a: &Applied<'_>, text: &Text) -> SubjectId {
    text.sealed().map_or(a.stored.business.as_subject(), |field| field.subject)
}

fn document(tables: &mut Tables<'_>, a: &Applied<'_>, e: &DocumentAdded) -> Result<(), ApplyError> {
    for (n, chunk) in (0..).zip(&e.chunks) {
        let pointer = format!("/data/chunks/{n}");
        tables.add(&Item {
            business: a.business,
            seq: a.recorded.seq,
            n,
            pointer: &pointer,
            item: MemoryItem::Document,
            id: a.stored.id,
            kind: e.fact_kind,
            title: Some(a.field("/data/title")),
            text: a.field(&pointer),
            subject: subject_of(a, chunk),
            value: None,
            topic: None,
            agent: None,
            source: a.optional_field(e.source.as_ref(), "/data/source"),
            valid_from: None,
            valid_to: None,
            confidence: None,
            sources: "[]".to_owned(),
            revision: 1,
            status: "standing",
            known_from: a.stored.recorded_at,
            known_to: None,
        })?;
    }
    Ok(())
}

/// Ends the time in which the newest revision is known; that it was known until then stays.
fn known_until_now(tables: &Tables<'_>, a: &Applied<'_>, status: &str) -> Result<(), ApplyError> {
    tables.run(
        "UPDATE memory SET known_to = ?, status = ? WHERE business = ? AND id = ? AND known_to IS \
         NULL",
        &[&a.stored.recorded_at, &status, &a.business, &a.stored.id],
    )
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Memory(event) = a.event else { return Ok(()) };
    match event {
        Memory::FactRecorded(e) => fact(tables, a, Origin::of(e), &recorded(e)),
        Memory::FactRevised(e) => {
            known_until_now(tables, a, "revised")?;
            let Some(origin) = Origin::stored(tables, a)? else { return Ok(()) };
            fact(tables, a, origin, &revised(e))
        }
        Memory::FactRetracted(_) | Memory::DocumentRetracted(_) => {
            known_until_now(tables, a, "retracted")
        }
        Memory::FactSuperseded(_) => known_until_now(tables, a, "superseded"),
        Memory::DocumentAdded(e) => document(tables, a, e),
    }
}
