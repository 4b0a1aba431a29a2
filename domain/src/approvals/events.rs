//! The events of approvals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::{ApprovalRule, OperationRule};
use crate::event::events;
use crate::ids::{EventId, PrincipalId, SubjectId, TaskId, names};
use crate::personal::{ContentDigest, Text};
use crate::values::{Money, Name, RiskTier, Role, Timestamp};

fn is_false(value: &bool) -> bool {
    !value
}

names! {
    /// A voter's answer to a request for approval.
    Choice {
        /// The voter approves the command.
        Approve = "approve",
        /// The voter rejects the command; one such vote ends the request.
        Reject = "reject",
    }
}

events!("approvals" {
    /// A business got a new approval policy: which commands need approval, and whose.
    PolicyDefined = "policy_defined" v 2 on ApprovalPolicy, Private {
        /// Version of the approval policy: 1, 2, 3 …; the shipped one is 0.
        approval_policy_version: u32,
        /// The rules in order; the first one that matches a command counts.
        rules: Vec<ApprovalRule>,
        /// What operations of outside services do to the world, and with which data; an entry here
        /// overrides the compiled-in table.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operation_classes: Vec<OperationRule>,
    }

    /// Somebody asked for approval of one exact command.
    Requested = "requested" v 2 on Approval, Public {
        /// Type of the command, such as `budgets.raise`.
        command_type: Name,
        /// Id of the aggregate that the command is for.
        #[schemars(extend("x-class" = "internal"))]
        target: Uuid,
        /// Digest over the command, the version of the approval policy and the expiry.
        command_digest: ContentDigest,
        /// JSON of the command's data, for those who decide.
        preview: Text,
        /// Version of the approval policy that was in force when the request was made.
        approval_policy_version: u32,
        /// Name of the rule that asked for the approval.
        rule: Name,
        /// How many people must approve.
        quorum: u8,
        /// Roles whose holders may vote.
        roles: Vec<Role>,
        /// True if who made the request, or whom it was made for, may not vote on it.
        separation_of_duties: bool,
        /// Roles whose holders may vote too after an escalation.
        escalate_to: Vec<Role>,
        /// The amount of money that the command states; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
        /// How much harm the command may do; absent = the command does not say.
        #[serde(skip_serializing_if = "Option::is_none")]
        risk: Option<RiskTier>,
        /// Events that the request rests on.
        evidence: Vec<EventId>,
        /// The principal that made the request.
        requested_by: PrincipalId,
        /// Until when the approval can be granted and used.
        expires_at: Timestamp,
        /// True if only a built-in rule asked, which no policy removes: operators may vote too.
        #[serde(default, skip_serializing_if = "is_false")]
        built_in: bool,
        /// Types of the events that the command would have written when the request was made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        effects: Vec<Name>,
        /// The task that the command is for; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The data subject whose key seals the preview.
        subject: SubjectId,
    }

    /// A human voted: they approved or rejected the command of a request.
    Voted = "voted" v 1 on Approval, Public {
        /// The human who voted.
        voter: PrincipalId,
        /// The human whose delegated right to vote was used; absent = the voter's own right.
        #[serde(skip_serializing_if = "Option::is_none")]
        delegated_by: Option<PrincipalId>,
        /// Whether the voter approved or rejected the command.
        choice: Choice,
        /// The voter's comment, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<Text>,
        /// The data subject whose key seals the comment.
        subject: SubjectId,
    }

    /// Somebody commented on a request for approval without voting.
    Commented = "commented" v 1 on Approval, Private {
        /// The comment, in words.
        comment: Text,
        /// The data subject whose key seals the comment.
        subject: SubjectId,
    }

    /// An approver delegated the right to vote on one request, for a time.
    Delegated = "delegated" v 1 on Approval, Public {
        /// The approver who delegated the right.
        from: PrincipalId,
        /// The principal that may vote with the right.
        to: PrincipalId,
        /// When the delegation ends.
        until: Timestamp,
    }

    /// An approver revoked a delegation of the right to vote.
    DelegationRevoked = "delegation_revoked" v 1 on Approval, Public {
        /// The approver who had delegated the right.
        from: PrincipalId,
        /// The principal that may no longer vote with the right.
        to: PrincipalId,
    }

    /// A request was escalated: holders of more roles may vote on it.
    Escalated = "escalated" v 1 on Approval, Public {
        /// The roles whose holders may vote too from now on.
        to_roles: Vec<Role>,
    }

    /// A request was granted: enough people approved the command.
    Granted = "granted" v 2 on Approval, Public {
        /// How many people approved.
        votes: u8,
        /// True if the requester alone approved what a built-in rule asks a second human for,
        /// because there was no other.
        #[serde(default, skip_serializing_if = "is_false")]
        alone: bool,
    }

    /// A request was rejected: somebody voted no.
    Rejected = "rejected" v 1 on Approval, Public {
        /// The human whose vote rejected the request.
        by: PrincipalId,
    }

    /// The time of a request or of a granted approval ran out, which counts as no.
    Expired = "expired" v 1 on Approval, Public {
        /// When the time ran out; the event may be recorded later.
        expired_at: Timestamp,
    }

    /// A request was withdrawn by whoever made it.
    Withdrawn = "withdrawn" v 1 on Approval, Public {}

    /// A granted approval was used: its command was carried out.
    Consumed = "consumed" v 1 on Approval, Public {
        /// Type of the command that was carried out.
        command_type: Name,
        /// Id of the aggregate that the command was for.
        #[schemars(extend("x-class" = "internal"))]
        target: Uuid,
    }
});

names! {
    /// Where a request for approval stands.
    ApprovalStatus {
        /// The request is open for votes.
        Requested = "requested",
        /// Enough people approved: the command may be carried out once.
        Granted = "granted",
        /// Somebody voted no: the command may not be carried out.
        Rejected = "rejected",
        /// The time of the request or of the granted approval ran out.
        Expired = "expired",
        /// Whoever made the request withdrew it.
        Withdrawn = "withdrawn",
        /// The command was carried out with the approval.
        Consumed = "consumed",
    }
}
