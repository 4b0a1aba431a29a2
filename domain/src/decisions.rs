//! Decisions. Aggregate: `decision`, one choice of an agent or a human, with what it rested on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{AgentId, DecisionId, EventId, PrincipalId, SubjectId, TaskId, names};
use crate::personal::Text;
use crate::usage::{Cost, Usage};
use crate::values::{Ratio, RiskTier};

events!("decisions" {
    /// Somebody made a choice, with what it was based on.
    Recorded = "recorded" v 2 on Decision, Public {
        /// The task it was made for.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The agent that made it; absent when a human did.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// What was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        question: Option<Text>,
        /// What else could have been chosen.
        options: Vec<Text>,
        /// What was chosen.
        choice: Text,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        rationale: Option<Text>,
        /// How sure the decider was.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// How much harm a wrong choice would do.
        risk: RiskTier,
        /// Events it rested on.
        evidence: Vec<EventId>,
        /// What it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// What deciding cost.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// Whom its texts are about.
        subject: SubjectId,
    }

    /// Another decision took its place.
    Superseded = "superseded" v 1 on Decision, Public {
        /// Which one.
        by: DecisionId,
    }

    /// It was taken back.
    Reversed = "reversed" v 1 on Decision, Public {
        /// Why.
        reason: Text,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// What came of it was seen.
    OutcomeObserved = "outcome_observed" v 1 on Decision, Public {
        /// What was seen.
        outcome: Text,
        /// Whether it was what was wanted.
        #[serde(skip_serializing_if = "Option::is_none")]
        as_wanted: Option<bool>,
        /// Whom the text is about.
        subject: SubjectId,
    }
});

names! {
    /// Whether a decision still stands.
    DecisionStatus {
        /// It stands.
        Standing = "standing",
        /// Another took its place.
        Superseded = "superseded",
        /// It was taken back.
        Reversed = "reversed",
    }
}

/// A decision as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it stands; `None` before it is recorded.
    pub status: Option<DecisionStatus>,
    /// Whom its texts are about.
    pub subject: SubjectId,
    /// The principal that recorded it.
    pub recorded_by: PrincipalId,
    /// The agent that made it; `None` when a human did.
    pub agent: Option<AgentId>,
    /// The decision that took its place.
    pub superseded_by: Option<DecisionId>,
}

impl Decision {
    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::Recorded(e) => {
                self.status = Some(DecisionStatus::Standing);
                self.subject = e.subject;
                self.recorded_by = meta.actor;
                self.agent = e.agent;
            }
            Event::Superseded(e) => {
                self.status = Some(DecisionStatus::Superseded);
                self.superseded_by = Some(e.by);
            }
            Event::Reversed(_) => self.status = Some(DecisionStatus::Reversed),
            Event::OutcomeObserved(_) => {}
        }
    }
}
