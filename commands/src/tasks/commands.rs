//! The commands of tasks.

use domain::ids::{AgentId, HistoryId, TaskId};
use domain::personal::Text;
use domain::tasks::{Artifact, Attribute, Resolution, SourceMoney, Verdict};
use domain::values::{Currency, Digest, Name, Role, Team, ValueError};
use domain::{Personal, PrincipalId, SubjectId, Usage};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cost::{CostInput, source_amount};
use crate::registry::{Target, commands};

commands!("tasks" {
    /// Says that a piece of work is wanted.
    Plan = "plan" opens Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// What is to be done, in a line.
        title: Text,
        /// What is to be done, in full.
        #[serde(default)]
        instructions: Option<Text>,
        /// The team that is to do the task.
        team: Team,
        /// The person whom the task serves; absent = the business.
        #[serde(default)]
        serves: Option<SubjectId>,
        /// Tasks that must be completed first, at most 100.
        #[serde(default)]
        depends_on: Vec<TaskId>,
        /// Priority, 0 (whenever) to 9 (now); absent = 5.
        #[serde(default)]
        priority: Option<u8>,
        /// How often reviewers may ask for changes, 0 to 100; absent = 3.
        #[serde(default)]
        rework_rounds_max: Option<u16>,
        /// How many attempts the task may have, 1 to 100; absent = 3.
        #[serde(default)]
        attempts_max: Option<u16>,
    }

    /// Offers a task to its team.
    Offer = "offer" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {}

    /// Leases a task to an agent for a time.
    Lease = "lease" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// The agent that takes the task.
        agent: AgentId,
        /// Length of the lease, 120 to 86,400 seconds; absent = 900.
        #[serde(default)]
        lease_seconds: Option<u32>,
    }

    /// Extends the lease of a task.
    Heartbeat = "heartbeat" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
    }

    /// Gives a leased task back.
    Release = "release" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// Why the holder gives the task back.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Hands in the result of a task.
    Submit = "submit" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// The agent that made the result.
        agent: AgentId,
        /// Fencing token of the lease under which the result was made.
        fencing_token: u32,
        /// Files that belong to the result.
        #[serde(default)]
        artifacts: Vec<Artifact>,
        /// The result in words.
        #[serde(default)]
        result: Option<Text>,
        /// Model and tokens that the work used.
        #[serde(default)]
        usage: Option<Usage>,
        /// What it cost to make the result.
        #[serde(default)]
        cost: Option<CostInput>,
    }

    /// Gives a reviewer's verdict on the submitted result.
    Review = "review" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// The agent that reviewed the result.
        reviewer: AgentId,
        /// The `artifact_digest` of the reviewed result.
        artifact_digest: Digest,
        /// Verdict of the review: passed or changes requested.
        verdict: Verdict,
        /// What the reviewer found.
        #[serde(default)]
        findings: Option<Text>,
        /// True if no further revision may come: the task fails if changes are requested.
        #[serde(default)]
        r#final: bool,
    }

    /// Asks a human how a task is to go on.
    Escalate = "escalate" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// Fencing token of the holder's lease; absent if the task is not leased.
        #[serde(default)]
        fencing_token: Option<u32>,
        /// Role of the humans who are asked; absent = owner.
        #[serde(default)]
        to_role: Option<Role>,
        /// What the humans should know.
        #[serde(default)]
        note: Option<Text>,
        /// The result that the holder leaves, in words.
        #[serde(default)]
        result: Option<Text>,
    }

    /// Says, as a human, how an escalated or quarantined task goes on.
    Resolve = "resolve" acts Task {
        from: [Owner, Member, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// How the task goes on: offered, submitted, completed, failed or cancelled.
        resolution: Resolution,
        /// Reason for the resolution.
        #[serde(default)]
        note: Option<Text>,
    }

    /// Reports that an attempt at a task failed.
    Fail = "fail" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// Whether another attempt makes sense.
        retryable: bool,
        /// What went wrong.
        #[serde(default)]
        error: Option<Text>,
    }

    /// Sets a leased task aside, because nobody knows what happened outside.
    Quarantine = "quarantine" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// Fencing token of the holder's lease.
        fencing_token: u32,
        /// What is unknown about the outside.
        reason: Text,
    }

    /// Cancels a task that is not wanted any more.
    Cancel = "cancel" acts Task {
        from: [Owner, Member] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why the task is cancelled.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Ends the lease of a holder that did not extend it in time.
    Expire = "expire" acts Task {
        from: [Owner, Member, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Records what was done for a task elsewhere.
    RecordActivity = "record_activity" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Refused, when_retired: Refused, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// Name of the activity.
        activity: Name,
        /// Step of the activity, such as `start` or `complete`.
        #[serde(default)]
        lifecycle: Option<Name>,
        /// The principal that did the activity.
        #[serde(default)]
        resource: Option<PrincipalId>,
        /// What the activity cost those whom the task serves; it is no cost of the business.
        #[serde(default)]
        customer_cost: Option<SourceCost>,
        /// Model and tokens that the activity used.
        #[serde(default)]
        usage: Option<Usage>,
        /// What the activity cost the business.
        #[serde(default)]
        cost: Option<CostInput>,
        /// Time of the activity as the source wrote it, with its offset.
        #[serde(default)]
        source_time: Option<Name>,
        /// All else that the source says of the activity, in its order; personal.
        #[serde(default)]
        attributes: Option<Personal<Vec<Attribute>>>,
        /// Keys of attributes that are about nobody and are kept in clear text as well.
        #[serde(default)]
        clear: Vec<String>,
        /// Anything else about the activity, in words.
        #[serde(default)]
        note: Option<Text>,
    }

    /// Records the header of a log of work that was done elsewhere.
    OpenHistory = "open_history" opens History {
        from: [] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Format of the log, such as `xes` or `csv`.
        format: Name,
        /// Header of the log, as JSON.
        header: Text,
    }

    /// Ends a task that was done elsewhere.
    CloseHistory = "close_history" acts Task {
        from: [] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// True if the task was completed, false if it failed.
        completed: bool,
        /// The log that has the task as a case; absent = none.
        #[serde(default)]
        history: Option<HistoryId>,
        /// Place of the case in that log.
        #[serde(default)]
        place: Option<u32>,
        /// What the log says of the case, in the log's order; personal.
        #[serde(default)]
        attributes: Option<Personal<Vec<Attribute>>>,
    }
});

/// Money in a source's own notation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCost {
    /// The number exactly as the source wrote it; it is rounded half-even to 9 fraction digits.
    pub source_text: String,
    /// ISO 4217 code of the currency.
    pub currency: Currency,
}

impl SourceCost {
    pub(super) fn into_source_money(self) -> Result<SourceMoney, ValueError> {
        Ok(SourceMoney {
            amount: source_amount(&self.source_text)?,
            currency: self.currency,
            source_text: self.source_text,
        })
    }
}
