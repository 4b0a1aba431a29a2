//! Memory: facts are recorded with where they are known from, revised, retracted, superseded;
//! documents come in whole and are cut at their headings.

mod chunks;

use domain::ids::{AgentId, DocumentId, EventId, FactId};
use domain::memory::{DocumentAdded, DocumentRetracted, Fact, FactKind, FactRecorded, FactRetracted, FactRevised, FactStatus, FactSuperseded};
use domain::personal::Text;
use domain::values::{Name, Ratio};
use domain::{AggregateRef, Personal, SubjectId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Refusal;
use crate::agents::{acting_as, named};
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

/// Most events that one fact is known from.
const SOURCES_MAX: usize = 100;

commands!("memory" {
    /// Says what is known, and from where.
    RecordFact = "record_fact" opens Fact,
    /// Says it better.
    ReviseFact = "revise_fact" on Fact,
    /// Says that it is not held to be true any more.
    RetractFact = "retract_fact" on Fact,
    /// Says that another fact took its place.
    SupersedeFact = "supersede_fact" on Fact,
    /// Brings in a document.
    AddDocument = "add_document" opens Document,
    /// Says that a document is not held to be true any more.
    RetractDocument = "retract_document" on Document,
});

/// Says what is known, and from where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordFact {
    /// What sort of thing.
    pub fact_kind: FactKind,
    /// What, in a sentence.
    pub statement: Text,
    /// The same as any JSON, for programs.
    #[serde(default)]
    pub value: Option<Personal<Value>>,
    /// What it is about, such as a connector or a process.
    #[serde(default)]
    pub topic: Option<Name>,
    /// The agent that learned it; left out when a human did.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// The person it is about; the business when it is left out.
    #[serde(default)]
    pub about: Option<SubjectId>,
    /// Since when it holds in the world.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// Until when.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
    /// How sure, 0 to 1.
    #[serde(default)]
    pub confidence: Option<Ratio>,
    /// Events it is known from.
    #[serde(default)]
    pub sources: Vec<EventId>,
}

/// Says it better: everything is said anew.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseFact {
    /// What, in a sentence.
    pub statement: Text,
    /// The same as any JSON, for programs.
    #[serde(default)]
    pub value: Option<Personal<Value>>,
    /// Since when it holds in the world.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// Until when.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
    /// How sure, 0 to 1.
    #[serde(default)]
    pub confidence: Option<Ratio>,
    /// Events it is known from.
    #[serde(default)]
    pub sources: Vec<EventId>,
}

/// Says that it is not held to be true any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetractFact {
    /// Why.
    #[serde(default)]
    pub reason: Option<Text>,
}

/// Says that another fact took its place.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupersedeFact {
    /// Which one.
    pub by: FactId,
}

/// Brings in a document.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDocument {
    /// What sort of knowledge is in it; domain expertise when it is left out.
    #[serde(default)]
    pub fact_kind: Option<FactKind>,
    /// Its title.
    pub title: Text,
    /// Its markdown.
    pub text: Text,
    /// Where it comes from, such as a file's name.
    #[serde(default)]
    pub source: Option<Name>,
}

/// Says that a document is not held to be true any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetractDocument {
    /// Why.
    #[serde(default)]
    pub reason: Option<Text>,
}

fn check_validity(from: Option<Timestamp>, to: Option<Timestamp>, sources: usize) -> Result<(), Refusal> {
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Refusal::OutOfRange { field: "valid_to", rule: "after valid_from" });
    }
    if sources > SOURCES_MAX { Err(Refusal::OutOfRange { field: "sources", rule: "at most 100" }) } else { Ok(()) }
}

fn as_text(value: Option<&Personal<Value>>, subject: SubjectId) -> Option<Text> {
    value.and_then(|p| p.clear()).map(|v| Text::new(subject, v.to_string()))
}

fn record(c: &RecordFact, ctx: &Context, seen: &Boundary) -> Result<FactRecorded, Refusal> {
    check_validity(c.valid_from, c.valid_to, c.sources.len())?;
    if let Some(id) = named(ctx, c.agent)? {
        acting_as(ctx, id, &seen.agent(id))?;
    }
    let subject = c.about.unwrap_or_else(|| ctx.business.as_subject());
    Ok(FactRecorded {
        fact_kind: c.fact_kind,
        statement: c.statement.clone().about(subject),
        value: as_text(c.value.as_ref(), subject),
        topic: c.topic.clone(),
        agent: c.agent,
        valid_from: c.valid_from,
        valid_to: c.valid_to,
        confidence: c.confidence,
        sources: c.sources.clone(),
        subject,
    })
}

fn revise(c: &ReviseFact, fact: &Fact) -> Result<FactRevised, Refusal> {
    check_validity(c.valid_from, c.valid_to, c.sources.len())?;
    Ok(FactRevised {
        revision: fact.revision + 1,
        statement: c.statement.clone().about(fact.subject),
        value: as_text(c.value.as_ref(), fact.subject),
        valid_from: c.valid_from,
        valid_to: c.valid_to,
        confidence: c.confidence,
        sources: c.sources.clone(),
        subject: fact.subject,
    })
}

fn standing(what: &'static str, status: Option<FactStatus>) -> Result<(), Refusal> {
    match status {
        None => Err(Refusal::Unknown { what }),
        Some(FactStatus::Standing) => Ok(()),
        Some(status @ (FactStatus::Superseded | FactStatus::Retracted)) => Err(Refusal::WrongStatus { what, status: status.as_str(), wanted: "standing" }),
    }
}

fn add(c: &AddDocument, ctx: &Context) -> Result<DocumentAdded, Refusal> {
    let subject = ctx.business.as_subject();
    let text = c.text.clear().map_or("", String::as_str);
    let chunks = chunks::cut(text).ok_or(Refusal::OutOfRange { field: "text", rule: "1 to 1,000,000 characters" })?;
    Ok(DocumentAdded {
        fact_kind: c.fact_kind.unwrap_or(FactKind::DomainExpertise),
        title: c.title.clone().about(subject),
        chunks: chunks.into_iter().map(|chunk| Text::new(subject, chunk.to_owned())).collect(),
        source: c.source.clone(),
        subject,
    })
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        let fact = FactId(ctx.target).into();
        match self {
            Self::RecordFact(c) => std::iter::once(fact).chain(c.agent.map(AggregateRef::from)).collect(),
            Self::SupersedeFact(c) => vec![fact, c.by.into()],
            Self::ReviseFact(_) | Self::RetractFact(_) => vec![fact],
            Self::AddDocument(_) | Self::RetractDocument(_) => vec![DocumentId(ctx.target).into()],
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let (id, document_id) = (FactId(ctx.target), DocumentId(ctx.target));
        let (fact, document) = (seen.fact(id), seen.document(document_id));
        let one = |event: domain::Event| Ok(vec![(id.into(), event)]);
        let of_document = |event: domain::Event| Ok(vec![(document_id.into(), event)]);
        match self {
            Self::RecordFact(_) if fact.status.is_some() => Err(Refusal::Exists { what: "fact" }),
            Self::RecordFact(c) => one(record(c, ctx, seen)?.into()),
            Self::ReviseFact(c) => {
                standing("fact", fact.status)?;
                one(revise(c, &fact)?.into())
            }
            Self::RetractFact(_) if fact.status == Some(FactStatus::Retracted) => Ok(Changes::new()),
            Self::RetractFact(c) => {
                standing("fact", fact.status)?;
                one(FactRetracted { reason: c.reason.clone().map(|t| t.about(fact.subject)), subject: fact.subject }.into())
            }
            Self::SupersedeFact(c) if fact.superseded_by == Some(c.by) => Ok(Changes::new()),
            Self::SupersedeFact(c) => {
                standing("fact", fact.status)?;
                if c.by == id || seen.fact(c.by).status.is_none() {
                    return Err(Refusal::Unknown { what: "fact to take its place" });
                }
                one(FactSuperseded { by: c.by }.into())
            }
            Self::AddDocument(_) if document.status.is_some() => Err(Refusal::Exists { what: "document" }),
            Self::AddDocument(c) => of_document(add(c, ctx)?.into()),
            Self::RetractDocument(_) if document.status == Some(FactStatus::Retracted) => Ok(Changes::new()),
            Self::RetractDocument(c) => {
                standing("document", document.status)?;
                of_document(DocumentRetracted { reason: c.reason.clone().map(|t| t.about(document.subject)), subject: document.subject }.into())
            }
        }
    }
}
