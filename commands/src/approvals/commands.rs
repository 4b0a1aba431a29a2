//! The commands of approvals.

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
    /// Sets the approval policy: which commands need approval, and by whom.
    DefinePolicy = "define_policy" sets ApprovalPolicy {
        from: [Owner, Operator] of Business,
        target: Target::Business,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Rules of the policy; the first rule that matches a command applies.
        rules: Vec<ApprovalRule>,
        /// Classes of outside services' operations; they take precedence over the compiled-in
        /// table.
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
        /// The command that needs approval.
        command: IntendedCommand,
        /// Events on which the request rests.
        #[serde(default)]
        evidence: Vec<EventId>,
        /// The person whom the request is about, if its command or evidence does not tell; absent =
        /// the business.
        #[serde(default)]
        serves: Option<SubjectId>,
    }

    /// Votes for or against a request for approval.
    Vote = "vote" acts Approval {
        from: [Owner, Approver, Member, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The vote: approve or reject.
        choice: Choice,
        /// Reason for the vote.
        #[serde(default)]
        comment: Option<Text>,
        /// The principal whose delegated right the voter uses; absent = the voter's own right.
        #[serde(default)]
        delegated_by: Option<PrincipalId>,
    }

    /// Comments on a request for approval without voting.
    Comment = "comment" acts Approval {
        from: [Owner, Member, Approver, Agent, Service, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Text of the comment.
        comment: Text,
    }

    /// Lets another principal vote in the sender's place for a time.
    Delegate = "delegate" acts Approval {
        from: [Owner, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The principal that may vote in the sender's place by the delegation.
        to: PrincipalId,
        /// When the delegation ends.
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
        /// The principal that loses the delegated right.
        to: PrincipalId,
    }

    /// Lets the roles vote too that the rule names for an escalation.
    Escalate = "escalate" acts Approval {
        from: [Owner, Member, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Withdraws a request for approval.
    Withdraw = "withdraw" acts Approval {
        from: [Owner, Member, Agent, Service, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Ends a request or a granted approval whose time ran out.
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
    /// Type of the command, such as `budgets.raise`.
    pub r#type: Name,
    /// Id of the aggregate that the command is for.
    pub id: Uuid,
    /// Data of the command, exactly as it will be sent.
    pub data: Personal<Value>,
}
