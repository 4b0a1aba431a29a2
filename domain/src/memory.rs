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
    /// What sort of thing is known.
    FactKind {
        /// About the business itself.
        BusinessContext = "business_context",
        /// About its trade.
        DomainExpertise = "domain_expertise",
        /// About how it works.
        ProcessMemory = "process_memory",
        /// About its outside services.
        IntegrationState = "integration_state",
    }
}

events!("memory" {
    /// Something became known.
    FactRecorded = "fact_recorded" v 1 on Fact, Public {
        /// What sort of thing.
        fact_kind: FactKind,
        /// What, in a sentence.
        statement: Text,
        /// The same as JSON, for programs.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Text>,
        /// What it is about, such as a connector or a process.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<Name>,
        /// The agent that learned it; absent when a human did.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// Since when it holds in the world; absent = always.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
        /// Until when; absent = until further notice.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_to: Option<Timestamp>,
        /// How sure.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// Events it is known from.
        sources: Vec<EventId>,
        /// Whom its texts are about.
        subject: SubjectId,
    }

    /// It is known better now.
    FactRevised = "fact_revised" v 1 on Fact, Public {
        /// 2, 3, 4 …: the first is what was recorded.
        revision: u32,
        /// What, in a sentence.
        statement: Text,
        /// The same as JSON, for programs.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Text>,
        /// Since when it holds in the world; absent = always.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
        /// Until when; absent = until further notice.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_to: Option<Timestamp>,
        /// How sure.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// Events it is known from.
        sources: Vec<EventId>,
        /// Whom its texts are about.
        subject: SubjectId,
    }

    /// It is not held to be true any more.
    FactRetracted = "fact_retracted" v 1 on Fact, Public {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// Another fact took its place.
    FactSuperseded = "fact_superseded" v 1 on Fact, Public {
        /// Which one.
        by: FactId,
    }

    /// A document came in.
    DocumentAdded = "document_added" v 2 on Document, Public {
        /// What sort of knowledge is in it.
        fact_kind: FactKind,
        /// Its title.
        title: Text,
        /// Its markdown, cut at headings; put together again they are the whole text.
        chunks: Vec<Text>,
        /// Where it comes from, such as a file's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<Text>,
        /// Whom its texts are about.
        subject: SubjectId,
    }

    /// A document is not held to be true any more.
    DocumentRetracted = "document_retracted" v 1 on Document, Public {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// Whom the reason is about.
        subject: SubjectId,
    }
});

names! {
    /// Whether something known still stands.
    FactStatus {
        /// It stands.
        Standing = "standing",
        /// Another fact took its place.
        Superseded = "superseded",
        /// It is not held to be true any more.
        Retracted = "retracted",
    }
}

/// A fact as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fact {
    /// Whether it stands; `None` before it is recorded.
    pub status: Option<FactStatus>,
    /// Which revision it is at.
    pub revision: u32,
    /// Whom its texts are about.
    pub subject: SubjectId,
    /// The principal that recorded it.
    pub recorded_by: PrincipalId,
    /// The agent that learned it; `None` when a human did.
    pub agent: Option<AgentId>,
    /// The fact that took its place.
    pub superseded_by: Option<FactId>,
}

impl Fact {
    /// Folds one event in; the events of documents are not its own.
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
    /// Whether it stands; `None` before it is added.
    pub status: Option<FactStatus>,
    /// Whom its texts are about.
    pub subject: SubjectId,
    /// The principal that added it.
    pub added_by: PrincipalId,
}

impl Document {
    /// Folds one event in; the events of facts are not its own.
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
    /// The id that the same source gives again in this business.
    #[must_use]
    pub fn of(business: crate::BusinessId, source: &str) -> Self {
        Self(business.derive_id(&format!("document:{source}")))
    }
}
