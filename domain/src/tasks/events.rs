//! The facts about tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::{AgentId, HistoryId, PrincipalId, SubjectId, TaskId, names};
use crate::personal::{ContentDigest, Text};
use crate::tasks::Attribute;
use crate::usage::{Cost, Usage};
use crate::values::{Amount, Currency, Digest, Name, Role, Team, Timestamp};

names! {
    /// Where a task stands.
    Status {
        /// Not yet offered.
        Planned = "planned",
        /// A team may take it.
        Offered = "offered",
        /// An agent holds it.
        Leased = "leased",
        /// A result waits for review.
        Submitted = "submitted",
        /// A human must say how it goes on.
        Escalated = "escalated",
        /// Its outcome outside is unknown; nobody may try again blindly.
        Quarantined = "quarantined",
        /// Accepted.
        Completed = "completed",
        /// Given up.
        Failed = "failed",
        /// Not wanted any more.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// True while something may still happen.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Planned | Self::Offered | Self::Leased | Self::Submitted | Self::Escalated | Self::Quarantined => true,
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

names! {
    /// What a reviewer said.
    Verdict {
        /// It is good.
        Passed = "passed",
        /// It must be done again.
        ChangesRequested = "changes_requested",
    }
}
names! {
    /// Why a task went to a human.
    EscalationReason {
        /// Somebody asked for it.
        Requested = "requested",
        /// Reviewers asked for changes too often.
        ReworkBound = "rework_bound",
    }
}
names! {
    /// Why a task failed.
    FailureReason {
        /// All attempts are used.
        AttemptsUsed = "attempts_used",
        /// It can't be retried.
        NotRetryable = "not_retryable",
        /// The review said that no further revision will come.
        Rejected = "rejected",
        /// A human said so.
        Resolved = "resolved",
    }
}
names! {
    /// How a human let an escalated or quarantined task go on.
    Resolution {
        /// The team tries again.
        Offered = "offered",
        /// The result at hand goes to review.
        Submitted = "submitted",
        /// Accepted as it is.
        Completed = "completed",
        /// Given up.
        Failed = "failed",
        /// Not wanted any more.
        Cancelled = "cancelled",
    }
}

events!("tasks" {
    /// Somebody wants a piece of work done.
    Planned = "planned" v 1 on Task,
    /// A team may take it.
    Offered = "offered" v 1 on Task,
    /// An agent took it for a time.
    Leased = "leased" v 1 on Task,
    /// Its holder is alive and keeps it longer.
    LeaseExtended = "lease_extended" v 1 on Task,
    /// Its holder gave it back.
    Released = "released" v 1 on Task,
    /// Its holder was not heard of in time.
    LeaseExpired = "lease_expired" v 1 on Task,
    /// A result waits for review.
    Submitted = "submitted" v 2 on Task,
    /// A result came from somebody who no longer held the task: history without effect.
    LateResultRecorded = "late_result_recorded" v 1 on Task,
    /// A reviewer said what it thinks of one revision.
    Reviewed = "reviewed" v 1 on Task,
    /// The work is accepted.
    Completed = "completed" v 1 on Task,
    /// The holder could not do it.
    AttemptFailed = "attempt_failed" v 1 on Task,
    /// The work is given up.
    Failed = "failed" v 1 on Task,
    /// A human must say how it goes on.
    Escalated = "escalated" v 1 on Task,
    /// A human said how it goes on.
    Resolved = "resolved" v 1 on Task,
    /// What happened outside is unknown; nobody may try again blindly.
    Quarantined = "quarantined" v 1 on Task,
    /// The work is not wanted any more.
    Cancelled = "cancelled" v 1 on Task,
    /// Something was done for it elsewhere.
    ActivityRecorded = "activity_recorded" v 2 on Task,
    /// A log of work done elsewhere came in.
    HistoryOpened = "history_opened" v 1 on History,
    /// Work that was done elsewhere ended.
    HistoryClosed = "history_closed" v 2 on Task,
});

/// Somebody wants a piece of work done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// What is to be done, in a line.
    pub title: Text,
    /// What is to be done, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Text>,
    /// Who is to do it.
    pub team: Team,
    /// Whom its texts are about: the person it serves, else the business.
    pub subject: SubjectId,
    /// What must be completed first.
    pub depends_on: Vec<TaskId>,
    /// 0 (whenever) to 9 (now).
    pub priority: u8,
    /// How often reviewers may ask for changes before a human decides.
    pub rework_rounds_max: u16,
    /// How often it may fail before it is given up.
    pub attempts_max: u16,
}

/// A team may take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// Which team.
    pub team: Team,
    /// Which revision is to be made; the first is 1.
    pub revision: u32,
}

/// An agent took it for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leased {
    /// Who.
    pub agent: AgentId,
    /// Number of leases so far; what its holder shows with everything it does.
    pub fencing_token: u32,
    /// For how long.
    pub lease_seconds: u32,
    /// Until when, unless it is extended.
    pub expires_at: Timestamp,
}

/// Its holder is alive and keeps it longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseExtended {
    /// The holder's token.
    pub fencing_token: u32,
    /// The new end.
    pub expires_at: Timestamp,
}

/// Its holder gave it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Released {
    /// The holder's token.
    pub fencing_token: u32,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Whom the reason is about.
    pub subject: SubjectId,
}

/// Its holder was not heard of in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseExpired {
    /// The token that is worth nothing now.
    pub fencing_token: u32,
    /// When the lease ended.
    pub expired_at: Timestamp,
}

/// A thing that was made, known by its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name.
    pub name: Name,
    /// SHA-256 of its content.
    pub sha256: Digest,
}

/// A result waits for review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submitted {
    /// Which revision this is.
    pub revision: u32,
    /// Who made it.
    pub agent: AgentId,
    /// The holder's token.
    pub fencing_token: u32,
    /// Whether a human handed it in, in the agent's name.
    pub by_human: bool,
    /// Files that were made, personal as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<crate::Personal<Vec<Artifact>>>,
    /// The result in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Text>,
    /// What a review must name: digest over artifacts and result.
    pub artifact: ContentDigest,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What making it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Whom the texts are about.
    pub subject: SubjectId,
}

/// Money that came from a source's own notation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceMoney {
    /// Rounded half-even to 9 fraction digits.
    pub amount: Amount,
    /// ISO 4217.
    pub currency: Currency,
    /// What the source said, to the letter.
    #[schemars(extend("x-class" = "confidential"))]
    pub source_text: String,
}

/// A result came from somebody who no longer held the task: history without effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LateResultRecorded {
    /// Who sent it.
    pub agent: AgentId,
    /// The token it showed.
    pub fencing_token: u32,
    /// The token that was valid then.
    pub current_token: u32,
    /// The result in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Text>,
    /// Whom the text is about.
    pub subject: SubjectId,
}

/// A reviewer said what it thinks of one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// Which revision it looked at.
    pub revision: u32,
    /// Who looked.
    pub reviewer: AgentId,
    /// What it looked at.
    pub artifact_digest: Digest,
    /// What it said.
    pub verdict: Verdict,
    /// True when no further revision will come.
    pub r#final: bool,
    /// What it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Text>,
    /// Whom the findings are about.
    pub subject: SubjectId,
}

/// The work is accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Completed {
    /// Which revision was accepted; 0 when none was made.
    pub revision: u32,
    /// True when no human decided, edited or took over anything on the way.
    pub without_human: bool,
}

/// The holder could not do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptFailed {
    /// The holder's token.
    pub fencing_token: u32,
    /// Whether another attempt makes sense.
    pub retryable: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// Whom the error is about.
    pub subject: SubjectId,
}

/// The work is given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Why.
    pub reason: FailureReason,
}

/// A human must say how it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalated {
    /// Where it stood.
    pub from: Status,
    /// Why.
    pub reason: EscalationReason,
    /// Which humans are to decide.
    pub to_role: Role,
    /// What they should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
    /// The result that the holder left, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Text>,
    /// Digest of the result at hand, when the holder left one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ContentDigest>,
    /// Who made the result at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<AgentId>,
    /// Whom the note is about.
    pub subject: SubjectId,
}

/// A human said how it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// Where it goes.
    pub resolution: Resolution,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
    /// Whom the note is about.
    pub subject: SubjectId,
}

/// What happened outside is unknown; nobody may try again blindly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// The holder's token.
    pub fencing_token: u32,
    /// What is unknown.
    pub reason: Text,
    /// Whom the reason is about.
    pub subject: SubjectId,
}

/// The work is not wanted any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Whom the reason is about.
    pub subject: SubjectId,
}

/// Something was done for it elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityRecorded {
    /// What was done.
    pub activity: Name,
    /// Which step of doing it, such as `start` or `complete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Name>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<PrincipalId>,
    /// What it cost those the task serves, such as a simulated customer; no cost of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_cost: Option<SourceMoney>,
    /// What a model used for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The time as the source wrote it, with its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_time: Option<Name>,
    /// Everything else the source says of it, in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<crate::Personal<Vec<Attribute>>>,
    /// Those of the attributes that are about nobody, as whoever imported them said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clear_attributes: Vec<Attribute>,
    /// Anything else, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
    /// Whom note and attributes are about.
    pub subject: SubjectId,
}

/// A log of work done elsewhere came in: what it says of itself, so that nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryOpened {
    /// Its format, such as `xes` or `csv`.
    pub format: Name,
    /// JSON of its header: attributes, extensions, globals, classifiers, columns.
    pub header: Text,
    /// Whom the header is about.
    pub subject: SubjectId,
}

/// Work that was done elsewhere ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryClosed {
    /// True when it was completed, false when it failed.
    pub completed: bool,
    /// The log that it is a case of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryId>,
    /// Its place in that log: 1, 2, 3 …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// What the log says of the case, in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<crate::Personal<Vec<Attribute>>>,
    /// Whom the attributes are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
}
