//! Decisions. Aggregate: `decision`, one choice of an agent or a human, with what it rested on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::{AgentId, DecisionId, EventId, SubjectId, TaskId, names};
use crate::personal::Text;
use crate::usage::{Cost, Usage};
use crate::values::{Ratio, RiskTier};

events!("decisions" {
    /// Somebody chose.
    Recorded = "recorded" v 2 on Decision,
    /// Another decision took its place.
    Superseded = "superseded" v 1 on Decision,
    /// It was taken back.
    Reversed = "reversed" v 1 on Decision,
    /// What came of it was seen.
    OutcomeObserved = "outcome_observed" v 1 on Decision,
});

/// Somebody chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The task it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The agent that made it; absent when a human did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<Text>,
    /// What else could have been chosen.
    pub options: Vec<Text>,
    /// What was chosen.
    pub choice: Text,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<Text>,
    /// How sure the decider was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Ratio>,
    /// How much harm a wrong choice would do.
    pub risk: RiskTier,
    /// Events it rested on.
    pub evidence: Vec<EventId>,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What deciding cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Whom its texts are about.
    pub subject: SubjectId,
}

/// Another decision took its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Superseded {
    /// Which one.
    pub by: DecisionId,
}

/// It was taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reversed {
    /// Why.
    pub reason: Text,
    /// Whom the reason is about.
    pub subject: SubjectId,
}

/// What came of it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeObserved {
    /// What was seen.
    pub outcome: Text,
    /// Whether it was what was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_wanted: Option<bool>,
    /// Whom the text is about.
    pub subject: SubjectId,
}

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
    /// The decision that took its place.
    pub superseded_by: Option<DecisionId>,
}

impl Decision {
    /// Folds one event in.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::Recorded(e) => {
                self.status = Some(DecisionStatus::Standing);
                self.subject = e.subject;
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
