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
    /// A decision was recorded: an agent or a human made a choice, with what it was based on.
    Recorded = "recorded" v 2 on Decision, Public {
        /// The task that the decision was made for; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The agent that made the decision; absent when a human did.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// The question that was decided.
        #[serde(skip_serializing_if = "Option::is_none")]
        question: Option<Text>,
        /// The options that could have been chosen instead.
        options: Vec<Text>,
        /// The option that was chosen.
        choice: Text,
        /// Why this option was chosen.
        #[serde(skip_serializing_if = "Option::is_none")]
        rationale: Option<Text>,
        /// How sure the decider was, 0 to 1; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
        /// How much harm a wrong choice would do.
        risk: RiskTier,
        /// Events that the decision rested on.
        evidence: Vec<EventId>,
        /// The model that made the decision, and the tokens that it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of making the decision.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The data subject whose key seals the texts of the decision.
        subject: SubjectId,
    }

    /// A decision was superseded: another decision took its place.
    Superseded = "superseded" v 1 on Decision, Public {
        /// The decision that took its place.
        by: DecisionId,
    }

    /// A decision was reversed: somebody took it back.
    Reversed = "reversed" v 1 on Decision, Public {
        /// Why the decision was reversed.
        reason: Text,
        /// The data subject whose key seals the reason.
        subject: SubjectId,
    }

    /// The outcome of a decision was observed.
    OutcomeObserved = "outcome_observed" v 1 on Decision, Public {
        /// The outcome that was observed, in words.
        outcome: Text,
        /// Whether the outcome was wanted; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        as_wanted: Option<bool>,
        /// The data subject whose key seals the outcome.
        subject: SubjectId,
    }
});

names! {
    /// Whether a decision still stands.
    DecisionStatus {
        /// The decision stands.
        Standing = "standing",
        /// Another decision took its place.
        Superseded = "superseded",
        /// Somebody took the decision back.
        Reversed = "reversed",
    }
}

/// A decision as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the decision stands; `None` before it is recorded.
    pub status: Option<DecisionStatus>,
    /// The data subject whose key seals the texts of the decision.
    pub subject: SubjectId,
    /// The principal that recorded the decision.
    pub recorded_by: PrincipalId,
    /// The agent that made the decision; `None` when a human did.
    pub agent: Option<AgentId>,
    /// The decision that took the place of this one; `None` if none did.
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
