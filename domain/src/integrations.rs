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
    /// What an operation does to the world; of two classes given for it the later one counts.
    OperationClass {
        /// The operation changes nothing.
        Read = "read",
        /// The operation changes something that can be changed back.
        Write = "write",
        /// The operation spends money.
        Spending = "spending",
        /// The operation shows something to the public.
        Publishing = "publishing",
        /// The operation binds the business by a contract.
        Contracting = "contracting",
        /// The operation destroys something.
        Deleting = "deleting",
    }
}

names! {
    /// How secret the data is that an operation touches, from the least to the most.
    DataClass {
        /// Anybody may know the data.
        Public = "public",
        /// Everybody inside the business may know the data.
        Internal = "internal",
        /// Only those who need the data may know it.
        Confidential = "confidential",
        /// As few as possible may know the data.
        Restricted = "restricted",
    }
}

events!("integrations" {
    /// A call to an outside service is about to be made.
    CallIntended = "call_intended" v 2 on Call, Public {
        /// Name of the outside service.
        connector: Name,
        /// Name of the operation that the service is asked for.
        operation: Name,
        /// What the operation does to the world.
        class: OperationClass,
        /// How secret the data is that the operation touches; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        data_class: Option<DataClass>,
        /// The agent on whose work the call is made; absent = no agent.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// The task that the call is for; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The decision that led to the call; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        decision: Option<DecisionId>,
        /// The arguments of the call, as JSON.
        arguments: Text,
        /// Digest of the arguments of the call.
        arguments_digest: ContentDigest,
        /// The reservation of the money for the call; absent = no money is set aside.
        #[serde(skip_serializing_if = "Option::is_none")]
        reservation: Option<ReservationId>,
        /// The most that the call may cost; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost_max: Option<Money>,
        /// The budgets in which money is set aside for the call.
        budgets: Vec<BudgetId>,
        /// The data subject whose key seals the arguments.
        subject: SubjectId,
    }

    /// A call succeeded: the outside service answered that the operation is done.
    CallSucceeded = "call_succeeded" v 2 on Call, Public {
        /// Status code of the service's answer; absent = not reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// How long the call took, in milliseconds; absent = not reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        latency_ms: Option<u32>,
        /// The service's answer; absent = not reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Digest of the service's answer; absent = no answer was reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_digest: Option<ContentDigest>,
        /// The model behind the service, and the tokens that it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of the call; all that was set aside if the report does not say.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The data subject whose key seals the answer.
        subject: SubjectId,
    }

    /// A call failed: the outside service answered that the operation is not done.
    CallFailed = "call_failed" v 2 on Call, Public {
        /// Status code of the service's answer; absent = not reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// How long the call took, in milliseconds; absent = not reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        latency_ms: Option<u32>,
        /// What went wrong, in words.
        error: Text,
        /// The model behind the service, and the tokens that it used although the call failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of the call although it failed; absent = it cost nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The data subject whose key seals the error.
        subject: SubjectId,
    }

    /// A call is ambiguous: nobody knows whether the operation is done.
    CallAmbiguous = "call_ambiguous" v 1 on Call, Public {
        /// What was seen of the call, in words.
        reason: Text,
        /// The data subject whose key seals the reason.
        subject: SubjectId,
    }
});

names! {
    /// Where a call stands.
    CallStatus {
        /// The call was announced; its outcome is not reported yet.
        Intended = "intended",
        /// The operation is done.
        Succeeded = "succeeded",
        /// The operation is not done.
        Failed = "failed",
        /// Nobody knows whether the operation is done; its outcome can still be reported.
        Ambiguous = "ambiguous",
    }
}

/// A call as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Call {
    /// Status of the call; `None` before it is announced.
    pub status: Option<CallStatus>,
    /// The data subject whose key seals the texts of the call.
    pub subject: SubjectId,
    /// Correlation id of the call; its outcome shares it.
    pub correlation: Uuid,
    /// The principal that announced the call, and may report its outcome.
    pub intended_by: PrincipalId,
    /// The agent on whose work the call is made; `None` = no agent.
    pub agent: Option<AgentId>,
    /// The task that the call is for; `None` = none.
    pub task: Option<TaskId>,
    /// Name of the outside service; `None` before the call is announced.
    pub connector: Option<Name>,
    /// The reservation of the money for the call; `None` = no money is set aside.
    pub reservation: Option<ReservationId>,
    /// The budgets in which money is set aside for the call.
    pub budgets: Vec<BudgetId>,
    /// The most that the call may cost; `None` = not stated.
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
