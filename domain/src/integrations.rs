//! Integrations. Aggregate: `call`, one call to an outside service: intended before it happens,
//! then with what became of it. Replaying the stream never calls again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Meta;
use crate::event::events;
use crate::ids::{
    AgentId, BudgetId, DecisionId, PrincipalId, ReservationId, SubjectId, TaskId, names,
};
use crate::personal::{ContentDigest, Text};
use crate::usage::{Cost, Usage};
use crate::values::{Money, Name};

names! {
    /// What an operation does to the world.
    OperationClass {
        /// Changes nothing.
        Read = "read",
        /// Changes something that can be changed back.
        Write = "write",
        /// Spends money.
        Spending = "spending",
        /// Shows something to the public.
        Publishing = "publishing",
        /// Binds the business.
        Contracting = "contracting",
        /// Destroys something.
        Deleting = "deleting",
    }
}

names! {
    /// How secret the data is that an operation touches, from the least to the most.
    DataClass {
        /// Anybody may know it.
        Public = "public",
        /// Known inside the business.
        Internal = "internal",
        /// Known to those who need it.
        Confidential = "confidential",
        /// Known to as few as can be.
        Restricted = "restricted",
    }
}

events!("integrations" {
    /// A call is about to be made.
    CallIntended = "call_intended" v 2 on Call, Public {
        /// The outside service.
        connector: Name,
        /// What it is asked to do.
        operation: Name,
        /// What that does to the world.
        class: OperationClass,
        /// How secret the data is that it touches.
        #[serde(skip_serializing_if = "Option::is_none")]
        data_class: Option<DataClass>,
        /// The agent on whose work it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// The task it is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The decision that led to it.
        #[serde(skip_serializing_if = "Option::is_none")]
        decision: Option<DecisionId>,
        /// JSON of the arguments.
        arguments: Text,
        /// Digest of the arguments.
        arguments_digest: ContentDigest,
        /// Money set aside for it in budgets.
        #[serde(skip_serializing_if = "Option::is_none")]
        reservation: Option<ReservationId>,
        /// The most it may cost.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost_max: Option<Money>,
        /// The budgets in which it is set aside.
        budgets: Vec<BudgetId>,
        /// Whom the texts are about.
        subject: SubjectId,
    }

    /// The service answered that it is done.
    CallSucceeded = "call_succeeded" v 2 on Call, Public {
        /// The service's status code.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// How long it took.
        #[serde(skip_serializing_if = "Option::is_none")]
        latency_ms: Option<u32>,
        /// What it answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Digest of the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_digest: Option<ContentDigest>,
        /// What a model behind it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// What it cost.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// Whom the texts are about.
        subject: SubjectId,
    }

    /// The service answered that it is not done.
    CallFailed = "call_failed" v 2 on Call, Public {
        /// The service's status code.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// How long it took.
        #[serde(skip_serializing_if = "Option::is_none")]
        latency_ms: Option<u32>,
        /// What went wrong.
        error: Text,
        /// What a model behind it used all the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// What it cost all the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// Whom the texts are about.
        subject: SubjectId,
    }

    /// Nobody knows whether it is done.
    CallAmbiguous = "call_ambiguous" v 1 on Call, Public {
        /// What was seen.
        reason: Text,
        /// Whom the text is about.
        subject: SubjectId,
    }
});

names! {
    /// Where a call stands.
    CallStatus {
        /// It is about to be made.
        Intended = "intended",
        /// Done.
        Succeeded = "succeeded",
        /// Not done.
        Failed = "failed",
        /// Nobody knows.
        Ambiguous = "ambiguous",
    }
}

/// A call as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Call {
    /// Where it stands; `None` before it is intended.
    pub status: Option<CallStatus>,
    /// Whom its texts are about.
    pub subject: SubjectId,
    /// What else belongs to it; its outcome carries it on.
    pub correlation: Uuid,
    /// The principal that said it would be made, and so reports what became of it.
    pub intended_by: PrincipalId,
    /// The agent on whose work it is.
    pub agent: Option<AgentId>,
    /// The task it is for.
    pub task: Option<TaskId>,
    /// The outside service.
    pub connector: Option<Name>,
    /// Money set aside for it.
    pub reservation: Option<ReservationId>,
    /// The budgets in which it is set aside.
    pub budgets: Vec<BudgetId>,
    /// The most it may cost.
    pub cost_max: Option<Money>,
}

impl Call {
    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::CallIntended(e) => {
                *self = Self {
                    status: Some(CallStatus::Intended),
                    subject: e.subject,
                    correlation: meta.correlation,
                    intended_by: meta.actor,
                    agent: e.agent,
                    task: e.task,
                    connector: Some(e.connector.clone()),
                    reservation: e.reservation,
                    budgets: e.budgets.clone(),
                    cost_max: e.cost_max,
                };
            }
            Event::CallSucceeded(_) => self.status = Some(CallStatus::Succeeded),
            Event::CallFailed(_) => self.status = Some(CallStatus::Failed),
            Event::CallAmbiguous(_) => self.status = Some(CallStatus::Ambiguous),
        }
    }
}
