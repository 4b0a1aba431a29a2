//! What can be asked of approvals.

use domain::approvals::{ApprovalRule, Choice, OperationRule};
use domain::ids::EventId;
use domain::personal::Text;
use domain::values::Name;
use domain::{Personal, PrincipalId, SubjectId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::registry::{Target, commands};

commands!("approvals" {
    /// Lays down what needs approval, and whose.
    DefinePolicy = "define_policy" sets ApprovalPolicy {
        from: [Owner, Operator] of Business,
        target: Target::Business,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The first rule that matches a command counts.
        rules: Vec<ApprovalRule>,
        /// What operations of outside services do to the world, and with which data.
        #[serde(default)]
        operation_classes: Vec<OperationRule>,
    }

    /// Asks for approval of one exact command.
    Request = "request" opens Approval {
        from: [Owner, Member, Agent, Service, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// The command.
        command: IntendedCommand,
        /// Events it rests on.
        #[serde(default)]
        evidence: Vec<EventId>,
        /// The person it is about; the business when it is left out.
        #[serde(default)]
        serves: Option<SubjectId>,
    }

    /// Says yes or no.
    Vote = "vote" acts Approval {
        from: [Owner, Approver, Member, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Yes or no.
        choice: Choice,
        /// Why.
        #[serde(default)]
        comment: Option<Text>,
        /// Whose delegated right is used.
        #[serde(default)]
        delegated_by: Option<PrincipalId>,
    }

    /// Says something without voting.
    Comment = "comment" acts Approval {
        from: [Owner, Member, Approver, Agent, Service, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// What.
        comment: Text,
    }

    /// Lets another vote for a time.
    Delegate = "delegate" acts Approval {
        from: [Owner, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The principal that may vote in the sender's place by the delegation.
        to: PrincipalId,
        /// Until when.
        until: Timestamp,
    }

    /// Takes back a delegation of the right to vote.
    RevokeDelegation = "revoke_delegation" acts Approval {
        from: [Owner, Approver, Member] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Who.
        to: PrincipalId,
    }

    /// Lets others vote too.
    Escalate = "escalate" acts Approval {
        from: [Owner, Member, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Says that it is not wanted any more.
    Withdraw = "withdraw" acts Approval {
        from: [Owner, Member, Agent, Service, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Ends it when its time ran out.
    Expire = "expire" acts Approval {
        from: [Owner, Member, Approver, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}
});

/// A command that somebody intends to send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntendedCommand {
    /// Its type.
    pub r#type: Name,
    /// The aggregate it is for.
    pub id: Uuid,
    /// Its data, exactly as it will be sent.
    pub data: Personal<Value>,
}
