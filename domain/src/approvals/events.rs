//! The facts about approvals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::ApprovalRule;
use crate::event::events;
use crate::ids::{EventId, PrincipalId, SubjectId, names};
use crate::personal::{ContentDigest, Text};
use crate::values::{Money, Name, RiskTier, Role, Timestamp};

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
    PolicyDefined = "policy_defined" v 1 on ApprovalPolicy,
    /// Somebody asked for approval of one exact command.
    Requested = "requested" v 1 on Approval,
    /// An approver said yes or no.
    Voted = "voted" v 1 on Approval,
    /// Somebody said something without voting.
    Commented = "commented" v 1 on Approval,
    /// An approver let another vote for a time.
    Delegated = "delegated" v 1 on Approval,
    /// An approver took that back.
    DelegationRevoked = "delegation_revoked" v 1 on Approval,
    /// Others may vote too.
    Escalated = "escalated" v 1 on Approval,
    /// Enough approvers said yes.
    Granted = "granted" v 1 on Approval,
    /// An approver said no.
    Rejected = "rejected" v 1 on Approval,
    /// Its time ran out, which counts as no.
    Expired = "expired" v 1 on Approval,
    /// Who asked does not want it any more.
    Withdrawn = "withdrawn" v 1 on Approval,
    /// The command it was given for was carried out.
    Consumed = "consumed" v 1 on Approval,
});

/// What needs approval, and whose, was laid down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyDefined {
    /// 1, 2, 3 …; the shipped approval policy is 0.
    pub approval_policy_version: u32,
    /// The first rule that matches a command counts.
    pub rules: Vec<ApprovalRule>,
}

/// Somebody asked for approval of one exact command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// The command's type.
    pub command_type: Name,
    /// The aggregate that the command is for.
    #[schemars(extend("x-class" = "internal"))]
    pub target: Uuid,
    /// Digest over the whole command with approval policy version and expiry.
    pub command_digest: ContentDigest,
    /// JSON of the command's data, for those who decide.
    pub preview: Text,
    /// The approval policy that asked for it.
    pub approval_policy_version: u32,
    /// The rule that asked for it.
    pub rule: Name,
    /// How many must say yes.
    pub quorum: u8,
    /// Who may vote.
    pub roles: Vec<Role>,
    /// Who asked may not vote.
    pub separation_of_duties: bool,
    /// Who may vote after an escalation.
    pub escalate_to: Vec<Role>,
    /// What it may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// How much harm it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskTier>,
    /// Events it rests on.
    pub evidence: Vec<EventId>,
    /// Who asked.
    pub requested_by: PrincipalId,
    /// Until when it can be granted and used.
    pub expires_at: Timestamp,
    /// Whom the preview is about.
    pub subject: SubjectId,
}

/// An approver said yes or no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Voted {
    /// Who voted.
    pub voter: PrincipalId,
    /// Whose right to vote was used, when it was delegated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegated_by: Option<PrincipalId>,
    /// Yes or no.
    pub choice: Choice,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Text>,
    /// Whom the comment is about.
    pub subject: SubjectId,
}

/// Somebody said something without voting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commented {
    /// What.
    pub comment: Text,
    /// Whom the comment is about.
    pub subject: SubjectId,
}

/// An approver let another vote for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegated {
    /// Whose right.
    pub from: PrincipalId,
    /// Who may use it.
    pub to: PrincipalId,
    /// Until when.
    pub until: Timestamp,
}

/// An approver took that back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationRevoked {
    /// Whose right.
    pub from: PrincipalId,
    /// Who may no longer use it.
    pub to: PrincipalId,
}

/// Others may vote too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalated {
    /// Who.
    pub to_roles: Vec<Role>,
}

/// Enough approvers said yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// How many said yes.
    pub votes: u8,
}

/// An approver said no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Who.
    pub by: PrincipalId,
}

/// Its time ran out, which counts as no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expired {
    /// When its time ran out.
    pub expired_at: Timestamp,
}

/// Who asked does not want it any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {}

/// The command it was given for was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consumed {
    /// The command's type.
    pub command_type: Name,
    /// The aggregate it was for.
    #[schemars(extend("x-class" = "internal"))]
    pub target: Uuid,
}

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
