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
    /// The status of a task.
    Status {
        /// The task is planned, and not on offer yet.
        Planned = "planned",
        /// An agent of the team may take the task.
        Offered = "offered",
        /// An agent holds the task.
        Leased = "leased",
        /// A result waits for review.
        Submitted = "submitted",
        /// A human must say how the task goes on.
        Escalated = "escalated",
        /// The task's effect outside is unknown; nobody may try again blindly.
        Quarantined = "quarantined",
        /// The task is closed: its work is accepted.
        Completed = "completed",
        /// The task is closed: its work is given up.
        Failed = "failed",
        /// The task is closed: its work is not wanted any more.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// True unless the task is completed, failed or cancelled.
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
    /// A reviewer's judgement of one revision.
    Verdict {
        /// The revision is accepted, and the task is completed.
        Passed = "passed",
        /// The revision is not accepted: the task is offered again, escalated or failed.
        ChangesRequested = "changes_requested",
    }
}
names! {
    /// Why a task was escalated.
    EscalationReason {
        /// Somebody asked for a human with `tasks.escalate`.
        Requested = "requested",
        /// Reviewers asked for changes more often than the plan allows.
        ReworkBound = "rework_bound",
    }
}
names! {
    /// Why a task failed.
    FailureReason {
        /// As many attempts failed as the plan allows.
        AttemptsUsed = "attempts_used",
        /// The holder said that another attempt makes no sense.
        NotRetryable = "not_retryable",
        /// A reviewer asked for changes and said that no further revision will come.
        Rejected = "rejected",
        /// The task was resolved as failed.
        Resolved = "resolved",
    }
}
names! {
    /// How a human intervened in a task.
    Intervention {
        /// The human voted on a command for the task.
        Vote = "vote",
        /// The human asked for changes in the place of the reviewing agent.
        Review = "review",
    }
}
names! {
    /// How a human lets an escalated or quarantined task go on.
    Resolution {
        /// The task is offered to its team again.
        Offered = "offered",
        /// The newest result goes to review.
        Submitted = "submitted",
        /// The work is accepted as it is.
        Completed = "completed",
        /// The work is given up.
        Failed = "failed",
        /// The work is not wanted any more.
        Cancelled = "cancelled",
    }
}

events!("tasks" {
    /// A task was planned: somebody wants a piece of work done.
    Planned = "planned" v 1 on Task, Public {
        /// The work to be done, in a line.
        title: Text,
        /// The work to be done, in full; absent = only the title says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        instructions: Option<Text>,
        /// The team whose agents are to do the work.
        team: Team,
        /// The data subject of the task's texts: the person the task serves, else the business.
        subject: SubjectId,
        /// Tasks that must be completed before this one can be offered.
        depends_on: Vec<TaskId>,
        /// How urgent the task is: 0 (whenever) to 9 (now).
        priority: u8,
        /// How often reviewers may ask for changes before the task is escalated.
        rework_rounds_max: u16,
        /// How many attempts the task has; it fails when all of them have failed.
        attempts_max: u16,
    }

    /// A task was offered to a team: one of its producers may take it.
    Offered = "offered" v 1 on Task, Public {
        /// The team that may take the task.
        team: Team,
        /// Number of the revision to be made; the first is 1.
        revision: u32,
    }

    /// An agent took a task for a time.
    Leased = "leased" v 1 on Task, Public {
        /// The agent that holds the task.
        agent: AgentId,
        /// Number of the lease, from 1 on; the holder shows it with everything it does.
        fencing_token: u32,
        /// How long the lease lasts, in seconds; an extension is as long.
        lease_seconds: u32,
        /// When the lease ends unless it is extended.
        expires_at: Timestamp,
    }

    /// A lease was extended: the holder is alive and keeps the task longer.
    LeaseExtended = "lease_extended" v 1 on Task, Public {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// When the lease ends now, unless it is extended again.
        expires_at: Timestamp,
    }

    /// The holder gave a task back, and it is on offer again.
    Released = "released" v 1 on Task, Public {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// Why the holder gave the task back; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// The data subject of the task, whose key seals the reason.
        subject: SubjectId,
    }

    /// A lease expired: its holder was not heard of in time, and the task is on offer again.
    LeaseExpired = "lease_expired" v 1 on Task, Public {
        /// Fencing token of the lease that expired.
        fencing_token: u32,
        /// When the lease ended; the event may be recorded later.
        expired_at: Timestamp,
    }

    /// A result was handed in and waits for review.
    Submitted = "submitted" v 2 on Task, Public {
        /// Number of the revision that was handed in.
        revision: u32,
        /// The agent that made the result.
        agent: AgentId,
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// True if a human handed the result in, in the name of the agent.
        by_human: bool,
        /// Names and digests of the files that were made, sealed as one field; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        artifacts: Option<crate::Personal<Vec<Artifact>>>,
        /// The result in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Digest over artifacts and result, which a review must name.
        artifact: ContentDigest,
        /// The model that made the result, and the tokens that it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of making the result.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The data subject of the task, whose key seals artifacts and result.
        subject: SubjectId,
    }

    /// An agent that no longer held the task handed in a result, which changes nothing.
    LateResultRecorded = "late_result_recorded" v 1 on Task, Public {
        /// The agent that sent the result; it once held the task.
        agent: AgentId,
        /// The fencing token that the agent showed.
        fencing_token: u32,
        /// The newest fencing token of the task at that time.
        current_token: u32,
        /// The result in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// The data subject of the task, whose key seals the result.
        subject: SubjectId,
    }

    /// A reviewer judged one revision of a task.
    Reviewed = "reviewed" v 1 on Task, Public {
        /// Number of the revision that was reviewed.
        revision: u32,
        /// The agent that reviewed the result.
        reviewer: AgentId,
        /// Digest over the artifacts and the result that were reviewed.
        artifact_digest: Digest,
        /// The reviewer's verdict on the revision.
        verdict: Verdict,
        /// True if no further revision will come: when changes are requested, the task fails.
        r#final: bool,
        /// The findings of the reviewer, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        findings: Option<Text>,
        /// The data subject of the task, whose key seals the findings.
        subject: SubjectId,
    }

    /// A task was completed: its work is accepted.
    Completed = "completed" v 1 on Task, Public {
        /// Number of the revision that was accepted; 0 when none was made.
        revision: u32,
        /// True when no human decided, edited or took over anything on the way.
        without_human: bool,
    }

    /// An attempt failed: the holder of a task could not do the work.
    AttemptFailed = "attempt_failed" v 1 on Task, Public {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// Whether another attempt makes sense, as the holder says.
        retryable: bool,
        /// What went wrong, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Text>,
        /// The data subject of the task, whose key seals the error.
        subject: SubjectId,
    }

    /// A task failed: its work is given up.
    Failed = "failed" v 1 on Task, Public {
        /// Why the work is given up.
        reason: FailureReason,
    }

    /// A task was escalated: a human must say how it goes on.
    Escalated = "escalated" v 1 on Task, Public {
        /// Status of the task before it was escalated.
        from: Status,
        /// Why the task was escalated.
        reason: EscalationReason,
        /// The role whose holders may decide how the task goes on; an owner always may.
        to_role: Role,
        /// A note to those who are to decide.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// The result that the holder left, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text>,
        /// Digest over the result that the holder left; absent = none was left.
        #[serde(skip_serializing_if = "Option::is_none")]
        artifact: Option<ContentDigest>,
        /// The agent that left the result; absent = none was left.
        #[serde(skip_serializing_if = "Option::is_none")]
        producer: Option<AgentId>,
        /// The data subject of the task, whose key seals note and result.
        subject: SubjectId,
    }

    /// A human decided how an escalated or quarantined task goes on.
    Resolved = "resolved" v 1 on Task, Public {
        /// How the task goes on.
        resolution: Resolution,
        /// Why the human decided so; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// The data subject of the task, whose key seals the note.
        subject: SubjectId,
    }

    /// A human intervened in a task: it no longer counts as done without one.
    HumanIntervened = "human_intervened" v 1 on Task, Public {
        /// How the human intervened.
        how: Intervention,
        /// The approval that was voted on; absent when the human reviewed.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    }

    /// A task was quarantined: its effect outside is unknown, and nobody may try again blindly.
    Quarantined = "quarantined" v 1 on Task, Public {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// What the holder does not know about the effect outside.
        reason: Text,
        /// The data subject of the task, whose key seals the reason.
        subject: SubjectId,
    }

    /// A task was cancelled: its work is not wanted any more.
    Cancelled = "cancelled" v 1 on Task, Public {
        /// Why the task was cancelled; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// The data subject of the task, whose key seals the reason.
        subject: SubjectId,
    }

    /// An activity was recorded: something was done for a task elsewhere.
    ActivityRecorded = "activity_recorded" v 2 on Task, Public {
        /// Name of the activity.
        activity: Name,
        /// The step of the activity, such as `start` or `complete`; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        lifecycle: Option<Name>,
        /// The principal that did the activity; absent = not stated.
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<PrincipalId>,
        /// Cost for those whom the task serves, such as a simulated customer, not for the business.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_cost: Option<SourceMoney>,
        /// The model that did the activity, and the tokens that it used.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of the activity for the business.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The time as the source wrote it, with its offset.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_time: Option<Name>,
        /// Everything else that the source says of the activity, in its order.
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<crate::Personal<Vec<Attribute>>>,
        /// Attributes about nobody, as the sender says, repeated in the clear.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clear_attributes: Vec<Attribute>,
        /// Anything else about the activity, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// The data subject of the task, whose key seals note and attributes.
        subject: SubjectId,
    }

    /// A log of work done elsewhere came in, with its header, so that nothing of it is lost.
    HistoryOpened = "history_opened" v 1 on History, Private {
        /// Format of the log, such as `xes` or `csv`.
        format: Name,
        /// JSON of the log's header: attributes, extensions, globals, classifiers, columns.
        header: Text,
        /// The data subject whose key seals the header: the business.
        subject: SubjectId,
    }

    /// A task whose work was done elsewhere was closed.
    HistoryClosed = "history_closed" v 2 on Task, Public {
        /// True if the work was completed, false if it failed.
        completed: bool,
        /// The log that the task is a case of; absent = none.
        #[serde(skip_serializing_if = "Option::is_none")]
        history: Option<HistoryId>,
        /// Number of the case in that log: 1, 2, 3 …
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<u32>,
        /// The attributes of the case, in the order of the log.
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<crate::Personal<Vec<Attribute>>>,
        /// The data subject of the task, whose key seals the attributes; absent without attributes.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<SubjectId>,
    }
});

/// A file that was made, known by its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Name of the file.
    pub name: Name,
    /// SHA-256 of the file's content.
    pub sha256: Digest,
}

/// Money that a source states in its own notation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceMoney {
    /// The amount, rounded half-even to 9 fraction digits.
    pub amount: Amount,
    /// ISO 4217 code of the currency.
    pub currency: Currency,
    /// The amount as the source wrote it, to the letter.
    #[schemars(extend("x-class" = "confidential"))]
    pub source_text: String,
}
