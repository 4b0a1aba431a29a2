//! What can be asked of tasks.

use domain::ids::{AgentId, HistoryId, TaskId};
use domain::personal::Text;
use domain::tasks::{Artifact, Attribute, Resolution, SourceMoney, Verdict};
use domain::values::{Currency, Digest, Name, Role, Team, ValueError};
use domain::{Personal, PrincipalId, SubjectId, Usage};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cost::{CostInput, source_amount};
use crate::registry::commands;

commands!("tasks" {
    /// Says that a piece of work is wanted.
    Plan = "plan" opens Task,
    /// Lets the team take it.
    Offer = "offer" on Task,
    /// Takes it for a time.
    Lease = "lease" on Task,
    /// Keeps it longer.
    Heartbeat = "heartbeat" on Task,
    /// Gives it back.
    Release = "release" on Task,
    /// Hands in a result.
    Submit = "submit" on Task,
    /// Says what a reviewer thinks of the result at hand.
    Review = "review" on Task,
    /// Asks a human how it goes on.
    Escalate = "escalate" on Task,
    /// Says, as a human, how it goes on.
    Resolve = "resolve" on Task,
    /// Says that this attempt failed.
    Fail = "fail" on Task,
    /// Says that nobody knows what happened outside.
    Quarantine = "quarantine" on Task,
    /// Says that it is not wanted any more.
    Cancel = "cancel" on Task,
    /// Takes it from a holder who was not heard of in time.
    Expire = "expire" on Task,
    /// Says what was done for it elsewhere.
    RecordActivity = "record_activity" on Task,
    /// Puts a log of work done elsewhere on record.
    OpenHistory = "open_history" opens History,
    /// Ends work that was done elsewhere.
    CloseHistory = "close_history" on Task,
});

/// Says that a piece of work is wanted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is to be done, in a line.
    pub title: Text,
    /// What is to be done, in full.
    #[serde(default)]
    pub instructions: Option<Text>,
    /// Who is to do it.
    pub team: Team,
    /// The person it serves; the business when it is left out.
    #[serde(default)]
    pub serves: Option<SubjectId>,
    /// What must be completed first.
    #[serde(default)]
    pub depends_on: Vec<TaskId>,
    /// 0 (whenever) to 9 (now); 5 when it is left out.
    #[serde(default)]
    pub priority: Option<u8>,
    /// How often reviewers may ask for changes; 3 when it is left out.
    #[serde(default)]
    pub rework_rounds_max: Option<u16>,
    /// How often it may fail; 3 when it is left out.
    #[serde(default)]
    pub attempts_max: Option<u16>,
}

/// Lets the team take it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {}

/// Takes it for a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Who takes it.
    pub agent: AgentId,
    /// 120 to 86,400; 900 when it is left out.
    #[serde(default)]
    pub lease_seconds: Option<u32>,
}

/// Keeps it longer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The holder's token.
    pub fencing_token: u32,
}

/// Gives it back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The holder's token.
    pub fencing_token: u32,
    /// Why.
    #[serde(default)]
    pub reason: Option<Text>,
}

/// Hands in a result.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Who made it.
    pub agent: AgentId,
    /// The holder's token.
    pub fencing_token: u32,
    /// Files that were made.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// The result in words.
    #[serde(default)]
    pub result: Option<Text>,
    /// What it used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What making it cost.
    #[serde(default)]
    pub cost: Option<CostInput>,
}

/// Says what a reviewer thinks of the result at hand.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Who looked.
    pub reviewer: AgentId,
    /// The `artifact_digest` it looked at.
    pub artifact_digest: Digest,
    /// What it says.
    pub verdict: Verdict,
    /// What it found.
    #[serde(default)]
    pub findings: Option<Text>,
    /// True when no further revision will come.
    #[serde(default)]
    pub r#final: bool,
}

/// Asks a human how it goes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// The holder's token, when it is leased.
    #[serde(default)]
    pub fencing_token: Option<u32>,
    /// Which humans; the owner when it is left out.
    #[serde(default)]
    pub to_role: Option<Role>,
    /// What they should know.
    #[serde(default)]
    pub note: Option<Text>,
    /// The result the holder leaves, in words.
    #[serde(default)]
    pub result: Option<Text>,
}

/// Says, as a human, how it goes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// Where it goes.
    pub resolution: Resolution,
    /// Why.
    #[serde(default)]
    pub note: Option<Text>,
}

/// Says that this attempt failed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The holder's token.
    pub fencing_token: u32,
    /// Whether another attempt makes sense.
    pub retryable: bool,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<Text>,
}

/// Says that nobody knows what happened outside.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// The holder's token.
    pub fencing_token: u32,
    /// What is unknown.
    pub reason: Text,
}

/// Says that it is not wanted any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Why.
    #[serde(default)]
    pub reason: Option<Text>,
}

/// Takes it from a holder who was not heard of in time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expire {}

/// Money in a source's own notation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCost {
    /// To the letter; rounded half-even to 9 fraction digits.
    pub source_text: String,
    /// ISO 4217.
    pub currency: Currency,
}

impl SourceCost {
    pub(super) fn into_source_money(self) -> Result<SourceMoney, ValueError> {
        Ok(SourceMoney { amount: source_amount(&self.source_text)?, currency: self.currency, source_text: self.source_text })
    }
}

/// Says what was done for it elsewhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordActivity {
    /// What was done.
    pub activity: Name,
    /// Which step of doing it.
    #[serde(default)]
    pub lifecycle: Option<Name>,
    /// Who did it.
    #[serde(default)]
    pub resource: Option<PrincipalId>,
    /// What it cost those the task serves; no cost of ours.
    #[serde(default)]
    pub customer_cost: Option<SourceCost>,
    /// What a model used for it.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What it cost us.
    #[serde(default)]
    pub cost: Option<CostInput>,
    /// The time as the source wrote it, with its offset.
    #[serde(default)]
    pub source_time: Option<Name>,
    /// Everything else the source says of it, in its order; personal.
    #[serde(default)]
    pub attributes: Option<Personal<Vec<Attribute>>>,
    /// Keys of attributes that are about nobody and may be kept in the clear as well.
    #[serde(default)]
    pub clear: Vec<String>,
    /// Anything else, in words.
    #[serde(default)]
    pub note: Option<Text>,
}

/// Puts a log of work done elsewhere on record: what it says of itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenHistory {
    /// Its format, such as `xes` or `csv`.
    pub format: Name,
    /// JSON of its header.
    pub header: Text,
}

/// Ends work that was done elsewhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseHistory {
    /// True when it was completed, false when it failed.
    pub completed: bool,
    /// The log that it is a case of.
    #[serde(default)]
    pub history: Option<HistoryId>,
    /// Its place in that log.
    #[serde(default)]
    pub place: Option<u32>,
    /// What the log says of the case, in its order; personal.
    #[serde(default)]
    pub attributes: Option<Personal<Vec<Attribute>>>,
}
