//! Decisions: recorded once, later superseded, reversed, or judged by what came of them.

use domain::approvals::ActionFacts;
use domain::decisions::{DecisionStatus, OutcomeObserved, Recorded, Reversed, Superseded};
use domain::ids::{AgentId, DecisionId, EventId, TaskId};
use domain::personal::Text;
use domain::values::{Ratio, RiskTier};
use domain::{AggregateRef, Usage};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::agents::{acting_as, named};
use crate::cost::CostInput;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

/// Most options and pieces of evidence of one decision.
const LIST_MAX: usize = 100;

commands!("decisions" {
    /// Puts a choice on record.
    Record = "record" opens Decision,
    /// Says that another decision took its place.
    Supersede = "supersede" on Decision,
    /// Takes it back.
    Reverse = "reverse" on Decision,
    /// Says what came of it.
    ObserveOutcome = "observe_outcome" on Decision,
});

/// Puts a choice on record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The task it was made for.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// The agent that made it; left out when a human did.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// What was asked.
    #[serde(default)]
    pub question: Option<Text>,
    /// What else could have been chosen.
    #[serde(default)]
    pub options: Vec<Text>,
    /// What was chosen.
    pub choice: Text,
    /// Why.
    #[serde(default)]
    pub rationale: Option<Text>,
    /// How sure the decider was, 0 to 1.
    #[serde(default)]
    pub confidence: Option<Ratio>,
    /// How much harm a wrong choice would do; low when it is left out.
    #[serde(default)]
    pub risk: Option<RiskTier>,
    /// Events it rested on.
    #[serde(default)]
    pub evidence: Vec<EventId>,
    /// What it used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What deciding cost.
    #[serde(default)]
    pub cost: Option<CostInput>,
}

/// Says that another decision took its place.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supersede {
    /// Which one.
    pub by: DecisionId,
}

/// Takes it back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reverse {
    /// Why.
    pub reason: Text,
}

/// Says what came of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObserveOutcome {
    /// What was seen.
    pub outcome: Text,
    /// Whether it was what was wanted.
    #[serde(default)]
    pub as_wanted: Option<bool>,
}

fn record(c: &Record, ctx: &Context, seen: &Boundary) -> Result<Recorded, Refusal> {
    if c.options.len() > LIST_MAX || c.evidence.len() > LIST_MAX {
        return Err(Refusal::OutOfRange { field: "options and evidence", rule: "at most 100 each" });
    }
    let subject = match c.task {
        Some(id) => {
            let task = seen.task(id);
            if task.status.is_none() {
                return Err(Refusal::Unknown { what: "task" });
            }
            task.subject
        }
        None => ctx.business.as_subject(),
    };
    if let Some(id) = named(ctx, c.agent)? {
        acting_as(ctx, id, &seen.agent(id))?;
    }
    let text = |t: &Text| t.clone().about(subject);
    Ok(Recorded {
        task: c.task,
        agent: c.agent,
        question: c.question.as_ref().map(text),
        options: c.options.iter().map(text).collect(),
        choice: text(&c.choice),
        rationale: c.rationale.as_ref().map(text),
        confidence: c.confidence,
        risk: c.risk.unwrap_or(RiskTier::Low),
        evidence: c.evidence.clone(),
        usage: c.usage.clone(),
        cost: c.cost.as_ref().map(CostInput::cost).transpose()?,
        subject,
    })
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        let mut reads = vec![DecisionId(ctx.target).into()];
        match self {
            Self::Record(c) => {
                reads.extend(c.task.map(AggregateRef::from));
                reads.extend(c.agent.map(AggregateRef::from));
            }
            Self::Supersede(c) => reads.push(c.by.into()),
            Self::Reverse(_) | Self::ObserveOutcome(_) => {}
        }
        reads
    }

    fn facts(&self, facts: &mut ActionFacts) {
        if let Self::Record(c) = self {
            facts.risk = Some(c.risk.unwrap_or(RiskTier::Low));
            facts.confidence = c.confidence;
            facts.amount = c.cost.as_ref().and_then(CostInput::money);
            facts.amount_unsaid = c.cost.is_none();
            facts.confidence_unsaid = c.confidence.is_none();
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = DecisionId(ctx.target);
        let decision = seen.decision(id);
        let one = |event: domain::Event| Ok(vec![(id.into(), event)]);
        if let Self::Record(c) = self {
            if decision.status.is_some() {
                return Err(Refusal::Exists { what: "decision" });
            }
            return one(record(c, ctx, seen)?.into());
        }
        let Some(status) = decision.status else { return Err(Refusal::Unknown { what: "decision" }) };
        let standing = || match status {
            DecisionStatus::Standing => Ok(()),
            DecisionStatus::Superseded | DecisionStatus::Reversed => {
                Err(Refusal::WrongStatus { what: "decision", status: status.as_str(), wanted: "standing" })
            }
        };
        let subject = decision.subject;
        match self {
            Self::Record(_) => Ok(Vec::new()),
            Self::Supersede(c) => {
                if decision.superseded_by == Some(c.by) {
                    return Ok(Vec::new());
                }
                standing()?;
                if c.by == id || seen.decision(c.by).status.is_none() {
                    return Err(Refusal::Unknown { what: "decision to take its place" });
                }
                one(Superseded { by: c.by }.into())
            }
            Self::Reverse(c) => {
                if status == DecisionStatus::Reversed {
                    return Ok(Vec::new());
                }
                standing()?;
                one(Reversed { reason: c.reason.clone().about(subject), subject }.into())
            }
            Self::ObserveOutcome(c) => one(OutcomeObserved { outcome: c.outcome.clone().about(subject), as_wanted: c.as_wanted, subject }.into()),
        }
    }
}
