//! Memory. Aggregates: `fact`, something a business knows, with where it knows it from; `document`,
//! a longer text in chunks. What was known at a time is the stream up to that time; when a fact
//! holds in the world is in the fact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{AgentId, DocumentId, EventId, FactId, PrincipalId, SubjectId, names};
use crate::personal::Text;
use crate::values::{Name, Ratio, Timestamp};

names! {
    /// What holds a piece of knowledge.
    MemoryItem {
        /// A fact: one statement, with its revisions.
        Fact = "fact",
        /// A document, in chunks.
        Document = "document",
    }
}
names! {
    /// The sort of knowledge that a fact or a document holds.
    FactKind {
        /// Knowledge about the business itself.
        BusinessContext = "business_context",
        /// Knowledge about the trade of the business.
        DomainExpertise = "domain_expertise",
        /// Knowledge about how the business works.
        ProcessMemory = "process_memory",
        /// Knowledge about the outside services of the business.
        IntegrationState = "integration_state",
    }
}

events!("memory" {
    /// A fact was recorded: something became known.
    FactRecorded = "fact_recorded" v 1 on Fact, Public {
        /// The sort of knowledge that the fact holds.
        fact_kind: FactKind,
        /// The fact, in a sentence.
        statement: Text,
        /// The same fact as JSON, for programs; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Text>,
        /// The topic of the fact, such as a connector or a process; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<Name>,
        /// The agent that learned the fact; absent when a human did.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// When the fact begins to hold in the world; absent = always.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
        /// When the fact ceases to hold in the world; absent = until further notice.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_to: Option<Timestamp>,
        /// How sure the fact is, 0 to 1; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// Events that the fact is known from.
        sources: Vec<EventId>,
        /// The data subject whose key seals the texts of the fact.
        subject: SubjectId,
    }

    /// A fact was revised: it is known better now.
    FactRevised = "fact_revised" v 1 on Fact, Public {
        /// Number of the revision: 2, 3, 4 …; the fact as it was recorded is 1.
        revision: u32,
        /// The revised fact, in a sentence.
        statement: Text,
        /// The same fact as JSON, for programs; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Text>,
        /// When the revised fact begins to hold in the world; absent = always.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
        /// When the revised fact ceases to hold in the world; absent = until further notice.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_to: Option<Timestamp>,
        /// How sure the revised fact is, 0 to 1; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// Events that the revised fact is known from.
        sources: Vec<EventId>,
        /// The data subject whose key seals the texts of the revision.
        subject: SubjectId,
    }

    /// A fact was retracted: it is not held to be true any more.
    FactRetracted = "fact_retracted" v 1 on Fact, Public {
        /// Why the fact was retracted; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// The data subject whose key seals the reason.
        subject: SubjectId,
    }

    /// A fact was superseded: another fact took its place.
    FactSuperseded = "fact_superseded" v 1 on Fact, Public {
        /// The fact that took its place.
        by: FactId,
    }

    /// A document was added to the memory of a business.
    DocumentAdded = "document_added" v 2 on Document, Public {
        /// The sort of knowledge that the document holds.
        fact_kind: FactKind,
        /// Title of the document.
        title: Text,
        /// The document's markdown, cut at headings and paragraphs; joined it is whole again.
        chunks: Vec<Text>,
        /// Where the document comes from, such as a file's name; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<Text>,
        /// The data subject whose key seals the texts of the document.
        subject: SubjectId,
    }

    /// A document was retracted: it is not held to be true any more.
    DocumentRetracted = "document_retracted" v 1 on Document, Public {
        /// Why the document was retracted; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// The data subject whose key seals the reason.
        subject: SubjectId,
    }
});

names! {
    /// Whether a fact or a document still stands.
    FactStatus {
        /// The fact or document is held to be true.
        Standing = "standing",
        /// Another fact took its place.
        Superseded = "superseded",
        /// The fact or document is not held to be true any more.
        Retracted = "retracted",
    }
}

/// A fact as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fact {
    /// Whether the fact stands; `None` before it is recorded.
    pub status: Option<FactStatus>,
    /// Number of the newest revision; the fact as it was recorded is 1.
    pub revision: u32,
    /// The data subject whose key seals the texts of the fact.
    pub subject: SubjectId,
    /// The principal that recorded the fact.
    pub recorded_by: PrincipalId,
    /// The agent that learned the fact; `None` when a human did.
    pub agent: Option<AgentId>,
    /// The fact that took the place of this one; `None` if none did.
    pub superseded_by: Option<FactId>,
}

impl Fact {
    /// Folds one event in; events of documents change nothing.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::FactRecorded(e) => {
                self.status = Some(FactStatus::Standing);
                self.revision = 1;
                self.subject = e.subject;
                self.recorded_by = meta.actor;
                self.agent = e.agent;
            }
            Event::FactRevised(e) => self.revision = e.revision,
            Event::FactRetracted(_) => self.status = Some(FactStatus::Retracted),
            Event::FactSuperseded(e) => {
                self.status = Some(FactStatus::Superseded);
                self.superseded_by = Some(e.by);
            }
            Event::DocumentAdded(_) | Event::DocumentRetracted(_) => {}
        }
    }
}

/// A document as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Document {
    /// Whether the document stands; `None` before it is added.
    pub status: Option<FactStatus>,
    /// The data subject whose key seals the texts of the document.
    pub subject: SubjectId,
    /// The principal that added the document.
    pub added_by: PrincipalId,
}

impl Document {
    /// Folds one event in; events of facts change nothing.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::DocumentAdded(e) => {
                self.status = Some(FactStatus::Standing);
                self.subject = e.subject;
                self.added_by = meta.actor;
            }
            Event::DocumentRetracted(_) => self.status = Some(FactStatus::Retracted),
            Event::FactRecorded(_)
            | Event::FactRevised(_)
            | Event::FactRetracted(_)
            | Event::FactSuperseded(_) => {}
        }
    }
}

impl DocumentId {
    /// Derives a document's id from its source: the same source gives the same id in this business.
    #[must_use]
    pub fn of(business: crate::BusinessId, source: &str) -> Self {
        Self(business.derive_id(&format!("document:{source}")))
    }
}
