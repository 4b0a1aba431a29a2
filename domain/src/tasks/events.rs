//! The facts about tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::{AgentId, ApprovalId, HistoryId, PrincipalId, SubjectId, TaskId, names};
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
            Self::Planned
            | Self::Offered
            | Self::Leased
            | Self::Submitted
            | Self::Escalated
            | Self::Quarantined => true,
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
    /// How a human had a hand in a task.
    Intervention {
        /// By a vote on a command that was for it.
        Vote = "vote",
        /// By reviewing its result in a reviewer's place.
        Review = "review",
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
    Planned = "planned" v 1 on Task, Public {
        /// What is to be done, in a line.
        title: Text,
        /// What is to be done, in full.
        #[serde(skip_serializing_if = "Option::is_none")]
        instructions: Option<Text>,
        /// Who is to do it.
        team: Team,
        /// Whom its texts are about: the person it serves, else the business.
        subject: SubjectId,
        /// What must be completed first.
        depends_on: Vec<TaskId>,
        /// 0 (whenever) to 9 (now).
        priority: u8,
        /// How often reviewers may ask for changes before a human decides.
        rework_rounds_max: u16,
        /// How often it may fail before it is given up.
        attempts_max: u16,
    }

    /// A team may take it.
    Offered = "offered" v 1 on Task, Public {
        /// Which team.
        team: Team,
        /// Which revision is to be made; the first is 1.
        revision: u32,
    }

    /// An agent took it for a time.
    Leased = "leased" v 1 on Task, Public {
        /// Who.
        agent: AgentId,
        /// Number of leases so far; what its holder shows with everything it does.
        fencing_token: u32,
        /// For how long.
        lease_seconds: u32,
        /// Until when, unless it is extended.
        expires_at: Timestamp,
    }

    /// Its holder is alive and keeps it longer.
    LeaseExtended = "lease_extended" v 1 on Task, Public {
        /// The holder's token.
        fencing_token: u32,
        /// The new end.
        expires_at: Timestamp,
    }

    /// Its holder gave it back.
    Released = "released" v 1 on Task, Public {
        /// The holder's token.
        fencing_token: u32,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// Its holder was not heard of in time.
    LeaseExpired = "lease_expired" v 1 on Task, Public {
        /// The token that is worth nothing now.
        fencing_token: u32,
        /// When the lease ended.
        expired_at: Timestamp,
    }

    /// A result waits for review.
    Submitted = "submitted" v 2 on Task, Public {
        /// Which revision this is.
        revision: u32,
        /// Who made it.
        agent: AgentId,
        /// The holder's token.
        fencing_token: u32,
        /// Whether a human handed it in, in the agent's name.
        by_human: bool,
        /// Files that were made, personal as a whole.
        #[serde(skip_serializing_if = "Option::is_none")]
        artifacts: Option<crate::Personal<Vec<Artifact>>>,
        /// The result in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// What a review must name: digest over artifacts and result.
        artifact: ContentDigest,
        /// What it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// What making it cost.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// Whom the texts are about.
        subject: SubjectId,
    }

    /// A result came from somebody who no longer held the task: history without effect.
    LateResultRecorded = "late_result_recorded" v 1 on Task, Public {
        /// Who sent it.
        agent: AgentId,
        /// The token it showed.
        fencing_token: u32,
        /// The token that was valid then.
        current_token: u32,
        /// The result in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Whom the text is about.
        subject: SubjectId,
    }

    /// A reviewer said what it thinks of one revision.
    Reviewed = "reviewed" v 1 on Task, Public {
        /// Which revision it looked at.
        revision: u32,
        /// Who looked.
        reviewer: AgentId,
        /// What it looked at.
        artifact_digest: Digest,
        /// What it said.
        verdict: Verdict,
        /// True when no further revision will come.
        r#final: bool,
        /// What it found.
        #[serde(skip_serializing_if = "Option::is_none")]
        findings: Option<Text>,
        /// Whom the findings are about.
        subject: SubjectId,
    }

    /// The work is accepted.
    Completed = "completed" v 1 on Task, Public {
        /// Which revision was accepted; 0 when none was made.
        revision: u32,
        /// True when no human decided, edited or took over anything on the way.
        without_human: bool,
    }

    /// The holder could not do it.
    AttemptFailed = "attempt_failed" v 1 on Task, Public {
        /// The holder's token.
        fencing_token: u32,
        /// Whether another attempt makes sense.
        retryable: bool,
        /// What went wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Text>,
        /// Whom the error is about.
        subject: SubjectId,
    }

    /// The work is given up.
    Failed = "failed" v 1 on Task, Public {
        /// Why.
        reason: FailureReason,
    }

    /// A human must say how it goes on.
    Escalated = "escalated" v 1 on Task, Public {
        /// Where it stood.
        from: Status,
        /// Why.
        reason: EscalationReason,
        /// Which humans are to decide.
        to_role: Role,
        /// What they should know.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// The result that the holder left, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Digest of the result at hand, when the holder left one.
        #[serde(skip_serializing_if = "Option::is_none")]
        artifact: Option<ContentDigest>,
        /// Who made the result at hand.
        #[serde(skip_serializing_if = "Option::is_none")]
        producer: Option<AgentId>,
        /// Whom the note is about.
        subject: SubjectId,
    }

    /// A human said how it goes on.
    Resolved = "resolved" v 1 on Task, Public {
        /// Where it goes.
        resolution: Resolution,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// Whom the note is about.
        subject: SubjectId,
    }

    /// A human had a hand in it: it no longer counts as done without one.
    HumanIntervened = "human_intervened" v 1 on Task, Public {
        /// How.
        how: Intervention,
        /// The approval that was voted on.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    }

    /// What happened outside is unknown; nobody may try again blindly.
    Quarantined = "quarantined" v 1 on Task, Public {
        /// The holder's token.
        fencing_token: u32,
        /// What is unknown.
        reason: Text,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// The work is not wanted any more.
    Cancelled = "cancelled" v 1 on Task, Public {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// Something was done for it elsewhere.
    ActivityRecorded = "activity_recorded" v 2 on Task, Public {
        /// What was done.
        activity: Name,
        /// Which step of doing it, such as `start` or `complete`.
        #[serde(skip_serializing_if = "Option::is_none")]
        lifecycle: Option<Name>,
        /// Who did it.
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<PrincipalId>,
        /// What it cost those the task serves, such as a simulated customer; no cost of ours.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_cost: Option<SourceMoney>,
        /// What a model used for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// What it cost us.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The time as the source wrote it, with its offset.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_time: Option<Name>,
        /// Everything else the source says of it, in its order.
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<crate::Personal<Vec<Attribute>>>,
        /// Those of the attributes that are about nobody, as whoever imported them said.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clear_attributes: Vec<Attribute>,
        /// Anything else, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// Whom note and attributes are about.
        subject: SubjectId,
    }

    /// A log of work done elsewhere came in: what it says of itself, so that nothing of it is lost.
    HistoryOpened = "history_opened" v 1 on History, Private {
        /// Its format, such as `xes` or `csv`.
        format: Name,
        /// JSON of its header: attributes, extensions, globals, classifiers, columns.
        header: Text,
        /// Whom the header is about.
        subject: SubjectId,
    }

    /// Work that was done elsewhere ended.
    HistoryClosed = "history_closed" v 2 on Task, Public {
        /// True when it was completed, false when it failed.
        completed: bool,
        /// The log that it is a case of.
        #[serde(skip_serializing_if = "Option::is_none")]
        history: Option<HistoryId>,
        /// Its place in that log: 1, 2, 3 …
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<u32>,
        /// What the log says of the case, in its order.
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<crate::Personal<Vec<Attribute>>>,
        /// Whom the attributes are about.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<SubjectId>,
    }
});

/// A thing that was made, known by its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name.
    pub name: Name,
    /// SHA-256 of its content.
    pub sha256: Digest,
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
