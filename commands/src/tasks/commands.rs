//! What can be asked of tasks.

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
        /// Who is to do it.
        team: Team,
        /// The person it serves; the business when it is left out.
        #[serde(default)]
        serves: Option<SubjectId>,
        /// What must be completed first.
        #[serde(default)]
        depends_on: Vec<TaskId>,
        /// 0 (whenever) to 9 (now); 5 when it is left out.
        #[serde(default)]
        priority: Option<u8>,
        /// How often reviewers may ask for changes; 3 when it is left out.
        #[serde(default)]
        rework_rounds_max: Option<u16>,
        /// How often it may fail; 3 when it is left out.
        #[serde(default)]
        attempts_max: Option<u16>,
    }

    /// Lets the team take it.
    Offer = "offer" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {}

    /// Takes it for a time.
    Lease = "lease" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Who takes it.
        agent: AgentId,
        /// 120 to 86,400; 900 when it is left out.
        #[serde(default)]
        lease_seconds: Option<u32>,
    }

    /// Keeps it longer.
    Heartbeat = "heartbeat" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// The holder's token.
        fencing_token: u32,
    }

    /// Gives it back.
    Release = "release" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The holder's token.
        fencing_token: u32,
        /// Why.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Hands in a result.
    Submit = "submit" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// Who made it.
        agent: AgentId,
        /// The holder's token.
        fencing_token: u32,
        /// Files that were made.
        #[serde(default)]
        artifacts: Vec<Artifact>,
        /// The result in words.
        #[serde(default)]
        result: Option<Text>,
        /// What it used.
        #[serde(default)]
        usage: Option<Usage>,
        /// What making it cost.
        #[serde(default)]
        cost: Option<CostInput>,
    }

    /// Says what a reviewer thinks of the result at hand.
    Review = "review" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// Who looked.
        reviewer: AgentId,
        /// The `artifact_digest` it looked at.
        artifact_digest: Digest,
        /// What it says.
        verdict: Verdict,
        /// What it found.
        #[serde(default)]
        findings: Option<Text>,
        /// True when no further revision will come.
        #[serde(default)]
        r#final: bool,
    }

    /// Asks a human how it goes on.
    Escalate = "escalate" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// The holder's token, when it is leased.
        #[serde(default)]
        fencing_token: Option<u32>,
        /// Which humans; the owner when it is left out.
        #[serde(default)]
        to_role: Option<Role>,
        /// What they should know.
        #[serde(default)]
        note: Option<Text>,
        /// The result the holder leaves, in words.
        #[serde(default)]
        result: Option<Text>,
    }

    /// Says, as a human, how it goes on.
    Resolve = "resolve" acts Task {
        from: [Owner, Member, Approver] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// Where it goes.
        resolution: Resolution,
        /// Why.
        #[serde(default)]
        note: Option<Text>,
    }

    /// Says that this attempt failed.
    Fail = "fail" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// The holder's token.
        fencing_token: u32,
        /// Whether another attempt makes sense.
        retryable: bool,
        /// What went wrong.
        #[serde(default)]
        error: Option<Text>,
    }

    /// Says that nobody knows what happened outside.
    Quarantine = "quarantine" acts Task {
        from: [Owner, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {
        /// The holder's token.
        fencing_token: u32,
        /// What is unknown.
        reason: Text,
    }

    /// Says that it is not wanted any more.
    Cancel = "cancel" acts Task {
        from: [Owner, Member] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Takes it from a holder who was not heard of in time.
    Expire = "expire" acts Task {
        from: [Owner, Member, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Says what was done for it elsewhere.
    RecordActivity = "record_activity" acts Task {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Refused, when_retired: Refused, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// What was done.
        activity: Name,
        /// Which step of doing it.
        #[serde(default)]
        lifecycle: Option<Name>,
        /// Who did it.
        #[serde(default)]
        resource: Option<PrincipalId>,
        /// What it cost those the task serves; no cost of ours.
        #[serde(default)]
        customer_cost: Option<SourceCost>,
        /// What a model used for it.
        #[serde(default)]
        usage: Option<Usage>,
        /// What it cost us.
        #[serde(default)]
        cost: Option<CostInput>,
        /// The time as the source wrote it, with its offset.
        #[serde(default)]
        source_time: Option<Name>,
        /// Everything else the source says of it, in its order; personal.
        #[serde(default)]
        attributes: Option<Personal<Vec<Attribute>>>,
        /// Keys of attributes that are about nobody and may be kept in the clear as well.
        #[serde(default)]
        clear: Vec<String>,
        /// Anything else, in words.
        #[serde(default)]
        note: Option<Text>,
    }

    /// Puts a log of work done elsewhere on record: what it says of itself.
    OpenHistory = "open_history" opens History {
        from: [] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Its format, such as `xes` or `csv`.
        format: Name,
        /// JSON of its header.
        header: Text,
    }

    /// Ends work that was done elsewhere.
    CloseHistory = "close_history" acts Task {
        from: [] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Withheld,
    } with {
        /// True when it was completed, false when it failed.
        completed: bool,
        /// The log that it is a case of.
        #[serde(default)]
        history: Option<HistoryId>,
        /// Its place in that log.
        #[serde(default)]
        place: Option<u32>,
        /// What the log says of the case, in its order; personal.
        #[serde(default)]
        attributes: Option<Personal<Vec<Attribute>>>,
    }
});

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
        Ok(SourceMoney {
            amount: source_amount(&self.source_text)?,
            currency: self.currency,
            source_text: self.source_text,
        })
    }
}
