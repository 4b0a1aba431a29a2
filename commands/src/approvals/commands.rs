//! What can be asked of approvals.

use domain::approvals::{ApprovalRule, Choice};
use domain::ids::EventId;
use domain::personal::Text;
use domain::values::Name;
use domain::{Personal, PrincipalId, SubjectId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::registry::commands;

commands!("approvals" {
    /// Lays down what needs approval, and whose.
    DefinePolicy = "define_policy" opens ApprovalPolicy,
    /// Asks for approval of one exact command.
    Request = "request" opens Approval,
    /// Says yes or no.
    Vote = "vote" on Approval,
    /// Says something without voting.
    Comment = "comment" on Approval,
    /// Lets another vote for a time.
    Delegate = "delegate" on Approval,
    /// Takes that back.
    RevokeDelegation = "revoke_delegation" on Approval,
    /// Lets others vote too.
    Escalate = "escalate" on Approval,
    /// Says that it is not wanted any more.
    Withdraw = "withdraw" on Approval,
    /// Ends it when its time ran out.
    Expire = "expire" on Approval,
});

/// Lays down what needs approval, and whose.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefinePolicy {
    /// The first rule that matches a command counts.
    pub rules: Vec<ApprovalRule>,
}

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

/// Asks for approval of one exact command.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The command.
    pub command: IntendedCommand,
    /// Events it rests on.
    #[serde(default)]
    pub evidence: Vec<EventId>,
    /// The person it is about; the business when it is left out.
    #[serde(default)]
    pub serves: Option<SubjectId>,
}

/// Says yes or no.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Yes or no.
    pub choice: Choice,
    /// Why.
    #[serde(default)]
    pub comment: Option<Text>,
    /// Whose delegated right is used.
    #[serde(default)]
    pub delegated_by: Option<PrincipalId>,
}

/// Says something without voting.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// What.
    pub comment: Text,
}

/// Lets another vote for a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// Who.
    pub to: PrincipalId,
    /// Until when.
    pub until: Timestamp,
}

/// Takes that back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeDelegation {
    /// Who.
    pub to: PrincipalId,
}

/// Lets others vote too.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalate {}

/// Says that it is not wanted any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {}

/// Ends it when its time ran out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expire {}
