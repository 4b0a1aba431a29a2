//! The facts about approvals.

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
    /// What a voter said.
    Choice {
        /// Yes.
        Approve = "approve",
        /// No.
        Reject = "reject",
    }
}

events!("approvals" {
    /// What needs approval, and whose, was laid down.
    PolicyDefined = "policy_defined" v 2 on ApprovalPolicy, Private {
        /// 1, 2, 3 …; the shipped approval policy is 0.
        approval_policy_version: u32,
        /// The first rule that matches a command counts.
        rules: Vec<ApprovalRule>,
        /// What operations of outside services do to the world, and with which data; where the
        /// compiled-in table says something else, this counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operation_classes: Vec<OperationRule>,
    }

    /// Somebody asked for approval of one exact command.
    Requested = "requested" v 2 on Approval, Public {
        /// The command's type.
        command_type: Name,
        /// The aggregate that the command is for.
        #[schemars(extend("x-class" = "internal"))]
        target: Uuid,
        /// Digest over the whole command with approval policy version and expiry.
        command_digest: ContentDigest,
        /// JSON of the command's data, for those who decide.
        preview: Text,
        /// The approval policy that asked for it.
        approval_policy_version: u32,
        /// The rule that asked for it.
        rule: Name,
        /// How many must say yes.
        quorum: u8,
        /// Who may vote.
        roles: Vec<Role>,
        /// Who asked may not vote.
        separation_of_duties: bool,
        /// Who may vote after an escalation.
        escalate_to: Vec<Role>,
        /// What it may cost.
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
        /// How much harm it may do.
        #[serde(skip_serializing_if = "Option::is_none")]
        risk: Option<RiskTier>,
        /// Events it rests on.
        evidence: Vec<EventId>,
        /// Who asked.
        requested_by: PrincipalId,
        /// Until when it can be granted and used.
        expires_at: Timestamp,
        /// True when a rule that no approval policy removes asked for it: an operator may vote too.
        #[serde(default, skip_serializing_if = "is_false")]
        built_in: bool,
        /// Types of the events that the command would write, as things stood.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        effects: Vec<Name>,
        /// The task that the command is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// Whom the preview is about.
        subject: SubjectId,
    }

    /// An approver said yes or no.
    Voted = "voted" v 1 on Approval, Public {
        /// Who voted.
        voter: PrincipalId,
        /// Whose right to vote was used, when it was delegated.
        #[serde(skip_serializing_if = "Option::is_none")]
        delegated_by: Option<PrincipalId>,
        /// Yes or no.
        choice: Choice,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<Text>,
        /// Whom the comment is about.
        subject: SubjectId,
    }

    /// Somebody said something without voting.
    Commented = "commented" v 1 on Approval, Private {
        /// What.
        comment: Text,
        /// Whom the comment is about.
        subject: SubjectId,
    }

    /// An approver let another vote for a time.
    Delegated = "delegated" v 1 on Approval, Public {
        /// Whose right.
        from: PrincipalId,
        /// Who may use it.
        to: PrincipalId,
        /// Until when.
        until: Timestamp,
    }

    /// An approver took that back.
    DelegationRevoked = "delegation_revoked" v 1 on Approval, Public {
        /// Whose right.
        from: PrincipalId,
        /// Who may no longer use it.
        to: PrincipalId,
    }

    /// Others may vote too.
    Escalated = "escalated" v 1 on Approval, Public {
        /// Who.
        to_roles: Vec<Role>,
    }

    /// Enough approvers said yes.
    Granted = "granted" v 2 on Approval, Public {
        /// How many said yes.
        votes: u8,
        /// True when one human did what should take two, because there was no second one.
        #[serde(default, skip_serializing_if = "is_false")]
        alone: bool,
    }

    /// An approver said no.
    Rejected = "rejected" v 1 on Approval, Public {
        /// Who.
        by: PrincipalId,
    }

    /// Its time ran out, which counts as no.
    Expired = "expired" v 1 on Approval, Public {
        /// When its time ran out.
        expired_at: Timestamp,
    }

    /// Who asked does not want it any more.
    Withdrawn = "withdrawn" v 1 on Approval, Public {}

    /// The command it was given for was carried out.
    Consumed = "consumed" v 1 on Approval, Public {
        /// The command's type.
        command_type: Name,
        /// The aggregate it was for.
        #[schemars(extend("x-class" = "internal"))]
        target: Uuid,
    }
});

names! {
    /// Where a request for approval stands.
    ApprovalStatus {
        /// Votes are open.
        Requested = "requested",
        /// It may be used.
        Granted = "granted",
        /// No.
        Rejected = "rejected",
        /// Its time ran out.
        Expired = "expired",
        /// Not wanted any more.
        Withdrawn = "withdrawn",
        /// It was used.
        Consumed = "consumed",
    }
}
