//! Memory: facts are recorded with where they are known from, revised, retracted, superseded;
//! documents come in whole and are cut at their headings.

mod chunks;

use domain::approvals::CarriedInputs;
use domain::ids::{AgentId, DocumentId, EventId, FactId, TaskId};
use domain::memory::{
    Document, DocumentAdded, DocumentRetracted, Fact, FactKind, FactRecorded, FactRetracted,
    FactRevised, FactStatus, FactSuperseded,
};
use domain::personal::Text;
use domain::values::{Name, Ratio};
use domain::{AggregateRef, Personal, SubjectId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Refusal;
use crate::agents::{at_work, own_record, person_of_task};
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

/// Most events that one fact is known from.
const SOURCES_MAX: usize = 100;

commands!("memory" {
    /// Records a fact, with the events that it is known from.
    RecordFact = "record_fact" opens Fact {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Kind of the fact.
        fact_kind: FactKind,
        /// The fact in a sentence.
        statement: Text,
        /// The fact as any JSON, for programs.
        #[serde(default)]
        value: Option<Personal<Value>>,
        /// What the fact is about, such as a connector or a process.
        #[serde(default)]
        topic: Option<Name>,
        /// The agent that learned the fact; absent = a human did.
        #[serde(default)]
        agent: Option<AgentId>,
        /// The task that the fact was learned from; absent = none.
        #[serde(default)]
        task: Option<TaskId>,
        /// The person whom the fact is about; absent = the person whom the task serves or the
        /// sources are about, else the business.
        #[serde(default)]
        about: Option<SubjectId>,
        /// Since when the fact holds in the world.
        #[serde(default)]
        valid_from: Option<Timestamp>,
        /// Until when the fact holds in the world; later than `valid_from`.
        #[serde(default)]
        valid_to: Option<Timestamp>,
        /// How sure the fact is, 0 to 1.
        #[serde(default)]
        confidence: Option<Ratio>,
        /// Stored events of this business that the fact is known from, at most 100.
        #[serde(default)]
        sources: Vec<EventId>,
    }

    /// Replaces the content of a fact with a better one.
    ReviseFact = "revise_fact" acts Fact {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The fact in a sentence.
        statement: Text,
        /// The fact as any JSON, for programs.
        #[serde(default)]
        value: Option<Personal<Value>>,
        /// Since when the fact holds in the world.
        #[serde(default)]
        valid_from: Option<Timestamp>,
        /// Until when the fact holds in the world; later than `valid_from`.
        #[serde(default)]
        valid_to: Option<Timestamp>,
        /// How sure the fact is, 0 to 1.
        #[serde(default)]
        confidence: Option<Ratio>,
        /// Stored events of this business that the fact is known from, at most 100.
        #[serde(default)]
        sources: Vec<EventId>,
    }

    /// Says that a fact is not held to be true any more.
    RetractFact = "retract_fact" acts Fact {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why the fact is not held to be true any more.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Says that another fact took the place of this one.
    SupersedeFact = "supersede_fact" acts Fact {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// The fact that takes the place of this one.
        by: FactId,
    }

    /// Adds a document to the memory.
    AddDocument = "add_document" opens Document {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Kind of knowledge in the document; absent = domain expertise.
        #[serde(default)]
        fact_kind: Option<FactKind>,
        /// Title of the document.
        title: Text,
        /// Text of the document in markdown, 1 to 1,000,000 characters.
        text: Text,
        /// The person whom the document is about; absent = the business.
        #[serde(default)]
        about: Option<SubjectId>,
        /// Where the document comes from, such as a file's name.
        #[serde(default)]
        source: Option<Text>,
    }

    /// Says that a document is not held to be true any more.
    RetractDocument = "retract_document" acts Document {
        from: [Owner, Member] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why the document is not held to be true any more.
        #[serde(default)]
        reason: Option<Text>,
    }
});

fn check_validity(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    sources: usize,
) -> Result<(), Refusal> {
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Refusal::OutOfRange { field: "valid_to", rule: "after valid_from" });
    }
    if sources > SOURCES_MAX {
        Err(Refusal::OutOfRange { field: "sources", rule: "at most 100" })
    } else {
        Ok(())
    }
}

fn as_text(value: Option<&Personal<Value>>, subject: SubjectId) -> Option<Text> {
    value.and_then(|p| p.clear()).map(|v| Text::new(subject, v.to_string()))
}

fn record(
    c: &RecordFact,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<FactRecorded, Refusal> {
    check_validity(c.valid_from, c.valid_to, c.sources.len())?;
    at_work(ctx, loaded, c.agent)?;
    let business = ctx.business.as_subject();
    let of_task = person_of_task(ctx, loaded, c.agent, c.task)?;
    let about = c.about.filter(|subject| *subject != business);
    let subject = about.or(of_task).or(ctx.person_behind).unwrap_or(business);
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

fn revise(c: &ReviseFact, fact: &Fact, ctx: &Context) -> Result<FactRevised, Refusal> {
    check_validity(c.valid_from, c.valid_to, c.sources.len())?;
    let of_nobody = fact.subject == ctx.business.as_subject();
    let subject = ctx.person_behind.filter(|_| of_nobody).unwrap_or(fact.subject);
    Ok(FactRevised {
        revision: fact.revision + 1,
        statement: c.statement.clone().about(subject),
        value: as_text(c.value.as_ref(), subject),
        valid_from: c.valid_from,
        valid_to: c.valid_to,
        confidence: c.confidence,
        sources: c.sources.clone(),
        subject,
    })
}

fn standing(what: &'static str, status: Option<FactStatus>) -> Result<(), Refusal> {
    match status {
        None => Err(Refusal::Unknown { what }),
        Some(FactStatus::Standing) => Ok(()),
        Some(status @ (FactStatus::Superseded | FactStatus::Retracted)) => {
            Err(Refusal::WrongStatus { what, status: status.as_str(), wanted: "standing" })
        }
    }
}

fn add(c: &AddDocument, ctx: &Context) -> Result<DocumentAdded, Refusal> {
    let subject = c.about.unwrap_or_else(|| ctx.business.as_subject());
    let text = c.text.clear().map_or("", String::as_str);
    let chunks = chunks::cut(text)
        .ok_or(Refusal::OutOfRange { field: "text", rule: "1 to 1,000,000 characters" })?;
    Ok(DocumentAdded {
        fact_kind: c.fact_kind.unwrap_or(FactKind::DomainExpertise),
        title: c.title.clone().about(subject),
        chunks: chunks.into_iter().map(|chunk| Text::new(subject, chunk.to_owned())).collect(),
        source: c.source.clone().map(|t| t.about(subject)),
        subject,
    })
}

/// Refuses a change unless the fact still stands and the actor may change it.
fn own_standing_fact(ctx: &Context, loaded: &LoadedAggregates, fact: &Fact) -> Result<(), Refusal> {
    own_record(ctx, loaded, fact.recorded_by, fact.agent)?;
    standing("fact", fact.status)
}

fn on_document(
    c: &RetractDocument,
    document: &Document,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Option<DocumentRetracted>, Refusal> {
    own_record(ctx, loaded, document.added_by, None)?;
    if document.status == Some(FactStatus::Retracted) {
        return Ok(None);
    }
    standing("document", document.status)?;
    Ok(Some(DocumentRetracted {
        reason: c.reason.clone().map(|t| t.about(document.subject)),
        subject: document.subject,
    }))
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        let recorder = || {
            loaded.if_loaded(FactId(ctx.target)).and_then(|fact| fact.agent).map(AggregateRef::from)
        };
        match self {
            Self::RecordFact(c) => c
                .agent
                .map(AggregateRef::from)
                .into_iter()
                .chain(c.task.map(AggregateRef::from))
                .collect(),
            Self::SupersedeFact(c) => recorder().into_iter().chain([c.by.into()]).collect(),
            Self::ReviseFact(_) | Self::RetractFact(_) => recorder().into_iter().collect(),
            Self::AddDocument(_) | Self::RetractDocument(_) => Vec::new(),
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            Self::RecordFact(c) => inputs.in_the_name_of_an_agent = c.agent.is_some(),
            Self::ReviseFact(_)
            | Self::RetractFact(_)
            | Self::SupersedeFact(_)
            | Self::AddDocument(_)
            | Self::RetractDocument(_) => {}
        }
    }

    fn task(&self, _: &Context) -> Option<TaskId> {
        match self {
            Self::RecordFact(c) => c.task,
            Self::ReviseFact(_)
            | Self::RetractFact(_)
            | Self::SupersedeFact(_)
            | Self::AddDocument(_)
            | Self::RetractDocument(_) => None,
        }
    }

    fn rests_on(&self) -> Vec<EventId> {
        match self {
            Self::RecordFact(c) => c.sources.clone(),
            Self::ReviseFact(c) => c.sources.clone(),
            Self::RetractFact(_)
            | Self::SupersedeFact(_)
            | Self::AddDocument(_)
            | Self::RetractDocument(_) => Vec::new(),
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let (id, document) = (FactId(ctx.target), DocumentId(ctx.target));
        let event: Option<domain::Event> = match self {
            Self::RecordFact(c) => Some(record(c, ctx, loaded)?.into()),
            Self::ReviseFact(c) => {
                let fact = loaded.get(id)?;
                own_standing_fact(ctx, loaded, fact)?;
                Some(revise(c, fact, ctx)?.into())
            }
            Self::RetractFact(_) if loaded.get(id)?.status == Some(FactStatus::Retracted) => None,
            Self::RetractFact(c) => {
                let fact = loaded.get(id)?;
                own_standing_fact(ctx, loaded, fact)?;
                Some(
                    FactRetracted {
                        reason: c.reason.clone().map(|t| t.about(fact.subject)),
                        subject: fact.subject,
                    }
                    .into(),
                )
            }
            Self::SupersedeFact(c) if loaded.get(id)?.superseded_by == Some(c.by) => None,
            Self::SupersedeFact(c) => {
                own_standing_fact(ctx, loaded, loaded.get(id)?)?;
                if c.by == id || loaded.get(c.by)?.status.is_none() {
                    return Err(Refusal::Unknown { what: "fact to take its place" });
                }
                Some(FactSuperseded { by: c.by }.into())
            }
            Self::AddDocument(c) => return Ok(vec![(document.into(), add(c, ctx)?.into())]),
            Self::RetractDocument(c) => {
                let event = on_document(c, loaded.get(document)?, ctx, loaded)?;
                return Ok(event
                    .into_iter()
                    .map(|event| (document.into(), event.into()))
                    .collect());
            }
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
