//! Decisions: recorded once, later superseded, reversed, or judged by what came of them.

use domain::approvals::CarriedInputs;
use domain::decisions::{
    Decision, DecisionStatus, OutcomeObserved, Recorded, Reversed, Superseded,
};
use domain::ids::{AgentId, DecisionId, EventId, TaskId};
use domain::personal::Text;
use domain::values::{Ratio, RiskTier};
use domain::{AggregateRef, Usage};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::agents::{at_work, own_record, person_of_task};
use crate::budgets::{self, Spending};
use crate::cost::CostInput;
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

/// Most options and pieces of evidence of one decision.
const LIST_MAX: usize = 100;

commands!("decisions" {
    /// Puts a choice on record.
    Record = "record" opens Decision {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount, Risk, Confidence],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// The task that the decision was made for; absent = none.
        #[serde(default)]
        task: Option<TaskId>,
        /// The agent that made the decision; absent = a human did.
        #[serde(default)]
        agent: Option<AgentId>,
        /// The question that was decided.
        #[serde(default)]
        question: Option<Text>,
        /// Other options that could have been chosen, at most 100.
        #[serde(default)]
        options: Vec<Text>,
        /// The option that was chosen.
        choice: Text,
        /// Reasons for the choice.
        #[serde(default)]
        rationale: Option<Text>,
        /// How sure the decider was, 0 to 1.
        #[serde(default)]
        confidence: Option<Ratio>,
        /// How much harm a wrong choice would do; low when it is left out.
        #[serde(default)]
        risk: Option<RiskTier>,
        /// Stored events of this business that the decision rested on, at most 100.
        #[serde(default)]
        evidence: Vec<EventId>,
        /// Model and tokens that the decision used.
        #[serde(default)]
        usage: Option<Usage>,
        /// What it cost to make the decision.
        #[serde(default)]
        cost: Option<CostInput>,
    }

    /// Says that another decision took the place of this one.
    Supersede = "supersede" acts Decision {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// The decision that takes the place of this one.
        by: DecisionId,
    }

    /// Takes a decision back.
    Reverse = "reverse" acts Decision {
        from: [Owner, Member] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why the decision is taken back.
        reason: Text,
    }

    /// Records what came of a decision.
    ObserveOutcome = "observe_outcome" acts Decision {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The outcome that was observed.
        outcome: Text,
        /// True if the outcome is what the decision was made for; absent = not stated.
        #[serde(default)]
        as_wanted: Option<bool>,
    }
});

fn record(c: &Record, ctx: &Context, loaded: &LoadedAggregates) -> Result<Recorded, Refusal> {
    if c.options.len() > LIST_MAX || c.evidence.len() > LIST_MAX {
        return Err(Refusal::OutOfRange {
            field: "options and evidence",
            rule: "at most 100 each",
        });
    }
    let business = ctx.business.as_subject();
    let of_task = person_of_task(ctx, loaded, c.agent, c.task)?;
    let subject = of_task.or(ctx.person_behind).unwrap_or(business);
    at_work(ctx, loaded, c.agent)?;
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

/// Counts what the decision cost in the budgets, whether or not it was set aside.
fn spent(
    c: &Record,
    recorded: &Recorded,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    match &recorded.cost {
        Some(cost) => budgets::charge(ctx, loaded, &c.spending(loaded), cost.money()),
        None => Ok(Changes::new()),
    }
}

impl Record {
    fn spending(&self, loaded: &LoadedAggregates) -> Spending {
        Spending::of(loaded, self.agent, self.task, None)
    }
}

fn standing(decision: &Decision) -> Result<(), Refusal> {
    match decision.status {
        Some(DecisionStatus::Standing) => Ok(()),
        Some(status @ (DecisionStatus::Superseded | DecisionStatus::Reversed)) => {
            Err(Refusal::WrongStatus {
                what: "decision",
                status: status.as_str(),
                wanted: "standing",
            })
        }
        None => Err(Refusal::Unknown { what: "decision" }),
    }
}

impl ContextRules for Command {
    fn check_fields(&self) -> Result<(), Refusal> {
        match self {
            Self::Record(c) => c.cost.as_ref().map(CostInput::cost).transpose().map(|_| ()),
            Self::Supersede(_) | Self::Reverse(_) | Self::ObserveOutcome(_) => Ok(()),
        }
    }

    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        let recorder = || {
            loaded.if_loaded(DecisionId(ctx.target)).and_then(|d| d.agent).map(AggregateRef::from)
        };
        match self {
            Self::Record(c) => {
                let mut reads: Vec<AggregateRef> =
                    c.task.map(AggregateRef::from).into_iter().collect();
                reads.extend(c.agent.map(AggregateRef::from));
                if c.cost.is_some() {
                    reads.extend(c.spending(loaded).charge_reads(ctx, loaded));
                }
                reads
            }
            Self::Supersede(c) => recorder().into_iter().chain([c.by.into()]).collect(),
            Self::Reverse(_) | Self::ObserveOutcome(_) => recorder().into_iter().collect(),
        }
    }

    fn task(&self, _: &Context) -> Option<TaskId> {
        match self {
            Self::Record(c) => c.task,
            Self::Supersede(_) | Self::Reverse(_) | Self::ObserveOutcome(_) => None,
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            Self::Record(c) => {
                inputs.risk = c.risk;
                inputs.confidence = c.confidence;
                inputs.amount = c.cost.as_ref().and_then(CostInput::money);
                inputs.in_the_name_of_an_agent = c.agent.is_some();
            }
            Self::Supersede(_) | Self::Reverse(_) | Self::ObserveOutcome(_) => {}
        }
    }

    fn rests_on(&self) -> Vec<EventId> {
        match self {
            Self::Record(c) => c.evidence.clone(),
            Self::Supersede(_) | Self::Reverse(_) | Self::ObserveOutcome(_) => Vec::new(),
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = DecisionId(ctx.target);
        let decision = loaded.get(id)?;
        let (status, subject) = (decision.status, decision.subject);
        let event: Option<domain::Event> = match self {
            Self::Record(c) => {
                let recorded = record(c, ctx, loaded)?;
                let spent = spent(c, &recorded, ctx, loaded)?;
                return Ok(std::iter::once((id.into(), recorded.into())).chain(spent).collect());
            }
            Self::Supersede(c) if decision.superseded_by == Some(c.by) => None,
            Self::Supersede(c) => {
                own_record(ctx, loaded, decision.recorded_by, decision.agent)?;
                standing(decision)?;
                if c.by == id || loaded.get(c.by)?.status.is_none() {
                    return Err(Refusal::Unknown { what: "decision to take its place" });
                }
                Some(Superseded { by: c.by }.into())
            }
            Self::Reverse(_) if status == Some(DecisionStatus::Reversed) => None,
            Self::Reverse(c) => {
                own_record(ctx, loaded, decision.recorded_by, decision.agent)?;
                standing(decision)?;
                Some(Reversed { reason: c.reason.clone().about(subject), subject }.into())
            }
            // Agents judge their own team's decisions; what came of one is no secret of who made
            // it.
            Self::ObserveOutcome(c) => {
                if ctx.own_agent().is_some() {
                    own_record(ctx, loaded, decision.recorded_by, decision.agent)?;
                }
                Some(
                    OutcomeObserved {
                        outcome: c.outcome.clone().about(subject),
                        as_wanted: c.as_wanted,
                        subject,
                    }
                    .into(),
                )
            }
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
