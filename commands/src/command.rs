//! A command as it reaches the command bus, and the answers it can get.

use domain::ids::{ApprovalId, EventId};
use domain::limits::COMMAND_MS_MAX;
use domain::values::Digest;
use domain::{BusinessId, Event, PrincipalId, Timestamp, approvals, tasks};
use event_log::{AppendError, Cause, KeyringError, LogError, Position, Seq, Version};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::authorize::Actor;
use crate::refusal::Refusal;

/// A command with everything that came with it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The business whose stream the command is for.
    pub business: BusinessId,
    /// The principal that sends the command, with its roles.
    pub actor: Actor,
    /// The caller's idempotency key.
    pub key: String,
    /// Type of the command: `context.imperative`.
    pub r#type: String,
    /// Id of the aggregate that the command is for; `None` = the command bus derives it.
    pub id: Option<Uuid>,
    /// Data of the command: its own fields, as JSON.
    pub data: Box<RawValue>,
    /// The approval that the command presents; `None` = none.
    pub approval_id: Option<ApprovalId>,
    /// The principal in whose name the actor sends the command; `None` = the actor itself.
    pub on_behalf_of: Option<PrincipalId>,
    /// When the subject of the command happened in the world; `None` = now.
    pub occurred_at: Option<Timestamp>,
    /// The event that led to the command; `None` = none.
    pub causation: Option<EventId>,
    /// The correlation id that the command's events share with related events; without one, the
    /// lane chooses it.
    pub correlation: Option<Uuid>,
    /// The version that the target must have; `None` = any.
    pub if_match: Option<Version>,
}

impl Submission {
    /// A submission without the optional fields.
    #[must_use]
    pub fn new(
        business: BusinessId,
        actor: Actor,
        key: impl Into<String>,
        r#type: &str,
        id: Option<Uuid>,
        data: &Value,
    ) -> Self {
        let data = serde_json::value::to_raw_value(data).unwrap_or_default();
        Self {
            business,
            actor,
            key: key.into(),
            r#type: r#type.to_owned(),
            id,
            data,
            approval_id: None,
            on_behalf_of: None,
            occurred_at: None,
            causation: None,
            correlation: None,
            if_match: None,
        }
    }

    /// The content that a retry under the same key must have too: RFC 8785 bytes of the command.
    /// `on_behalf_of` is left out: an import that somebody else starts again is the same import.
    ///
    /// # Errors
    /// When the data is no JSON.
    pub fn content(&self) -> Result<Vec<u8>, serde_json::Error> {
        let data: Value = serde_json::from_str(self.data.get())?;
        Ok(proof::canonical::value_to_bytes(&json!({
            "business": self.business,
            "type": self.r#type,
            "id": self.id,
            "data": data,
            "approval_id": self.approval_id.map(|a| a.0),
            "occurred_at": self.occurred_at,
            "causation": self.causation,
            "correlation": self.correlation,
        })))
    }
}

/// An event that a command made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReceiptEvent {
    /// Id of the event.
    pub event_id: EventId,
    /// Type of the event: `context.past_tense`.
    pub r#type: String,
    /// Place of the event in its business.
    pub seq: Seq,
    /// Kind of the event's aggregate.
    pub kind: String,
    /// Id of the event's aggregate.
    pub id: Uuid,
    /// Version of the aggregate with this event.
    pub version: Version,
}

/// The answer to an accepted command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Receipt {
    /// The business whose stream the command was for.
    pub business: BusinessId,
    /// Events that the command made; empty if nothing had to change.
    pub events: Vec<ReceiptEvent>,
    /// Position to wait for before reading the changes; absent if the command made no events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// True if the same command had been accepted before.
    pub repeated: bool,
    /// Public fields of the events that the caller needs next; the same in a repeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ReceiptResult>,
}

/// What the caller of a command needs for the next one, so that it need not ask the views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReceiptResult {
    /// Of `tasks.lease` and a heartbeat that extends it: the token that everything the holder
    /// does must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u32>,
    /// Of the same commands: when the lease ends unless it is extended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Timestamp>,
    /// Of `tasks.submit`: the digest that a review of this result names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_digest: Option<Digest>,
    /// Of a command that opened a request for approval: its id, for the votes and the approved
    /// command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<ApprovalId>,
}

impl ReceiptResult {
    /// Takes from an event what the caller needs next.
    #[allow(clippy::wildcard_enum_match_arm, reason = "few events of all have it")]
    pub(crate) fn take(result: &mut Option<Self>, event: &Event, id: Uuid) {
        let before = result.unwrap_or_default();
        let now = match event {
            Event::Tasks(tasks::Event::Leased(e)) => Self {
                fencing_token: Some(e.fencing_token),
                lease_expires_at: Some(e.expires_at),
                ..before
            },
            Event::Tasks(tasks::Event::LeaseExtended(e)) => Self {
                fencing_token: Some(e.fencing_token),
                lease_expires_at: Some(e.expires_at),
                ..before
            },
            Event::Tasks(tasks::Event::Submitted(e)) => {
                Self { artifact_digest: Some(e.artifact.digest), ..before }
            }
            Event::Approvals(approvals::Event::Requested(_)) => {
                Self { approval_id: Some(ApprovalId(id)), ..before }
            }
            _ => return,
        };
        *result = Some(now);
    }
}

/// Why a command has no receipt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The command is malformed; the text names the fault, for example an unknown type or data that
    /// does not fit it.
    #[error("{0}")]
    Malformed(String),
    /// The actor has no role in the business and is no operator; the answer is the same as for a
    /// business that does not exist.
    #[error(
        "no business has this slug or id, or you have no role in it; check the name, or ask an \
        operator for a role"
    )]
    NotFound(BusinessId),
    /// The actor's roles don't allow the command.
    #[error("your roles do not allow {what}; {instead}")]
    Forbidden {
        /// What the actor may not do: a command's name or a few words.
        what: String,
        /// A sentence that says who may do it, or whom to ask for a role.
        instead: &'static str,
    },
    /// A rule refused the command.
    #[error("{0}")]
    Refused(Refusal),
    /// The idempotency key was used for another command.
    #[error(
        "the idempotency key `{0}` was used for another command; take a new key for a new command"
    )]
    KeyReused(String),
    /// The target has another version than `If-Match` names.
    #[error(
        "the aggregate is at version {actual}, If-Match asked for {expected}; read it again and \
         decide anew"
    )]
    PreconditionFailed {
        /// Version that the caller named.
        expected: Version,
        /// Version that the target has.
        actual: Version,
    },
    /// Other processes kept changing what the decision read.
    #[error(
        "{aggregate} kept changing: decided at version {expected}, found at {actual}; try again"
    )]
    Conflict {
        /// Kind and id of the aggregate that kept changing.
        aggregate: String,
        /// Version that the decision was made on.
        expected: Version,
        /// Version that the store had.
        actual: Version,
    },
    /// The sender reached a rate limit.
    #[error(
        "the rate limit of {limit} is reached; send the request again in {retry_after_ms} ms, a \
         command under the same key, or ask an operator to raise the limit with \
         access.set_rate_profile"
    )]
    RateLimited {
        /// The limit that the sender reached, in words: `100 commands a second`.
        limit: String,
        /// Milliseconds after which the sender may try again.
        retry_after_ms: u64,
    },
    /// Too many commands wait in the command bus.
    #[error("the command bus's queue is full; try again in a second")]
    Busy,
    /// The command or an event of it is larger than a limit; the text names the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The clock is in doubt, and the outcome of the command depends on time alone.
    #[error("{0}")]
    ClockInDoubt(Refusal),
    /// The store did not answer in time, or ended before it could: the command may be stored, or
    /// not.
    #[error(
        "the store gave no answer (it has {COMMAND_MS_MAX} ms): the outcome is unknown; send it \
         again under the same key, which gives the first receipt if it was stored"
    )]
    OutcomeUnknown,
    /// The log, the keyring or the disk failed; nothing was stored.
    #[error(transparent)]
    Unavailable(Cause),
}

impl CommandError {
    /// Makes [`CommandError::Unavailable`] from a sentence, or from the error of what failed.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Cause::of(cause))
    }

    /// Name of the error, as the APIs and the list of attempts show it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NotFound(_) => "not_found",
            Self::Forbidden { .. } => "forbidden",
            Self::Refused(refusal) => refusal.name(),
            Self::KeyReused(_) => "key_reused",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::Conflict { .. } => "conflict",
            Self::RateLimited { .. } => "rate_limited",
            Self::Busy => "busy",
            Self::TooLarge(_) => "too_large",
            Self::ClockInDoubt(refusal) => refusal.name(),
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        if matches!(refusal, Refusal::Undeclared { .. }) {
            // A fault of ours is no rule that the caller could mind.
            Self::unavailable(refusal)
        } else if matches!(refusal, Refusal::ClockInDoubt { .. }) {
            Self::ClockInDoubt(refusal)
        } else {
            Self::Refused(refusal)
        }
    }
}

impl From<AppendError> for CommandError {
    fn from(e: AppendError) -> Self {
        match e {
            AppendError::TooLarge { .. } => Self::TooLarge(e.to_string()),
            AppendError::Conflict { aggregate, expected, actual } => {
                Self::Conflict { aggregate: aggregate.to_string(), expected, actual }
            }
            AppendError::IdTaken(_)
            | AppendError::ChainBroken
            | AppendError::KeysDestroyed
            | AppendError::Empty
            | AppendError::DiskFull
            | AppendError::OutOfPlace { .. }
            | AppendError::Closed(_)
            | AppendError::Storage(_) => Self::unavailable(e),
            AppendError::OutcomeUnknown(_) => Self::OutcomeUnknown,
        }
    }
}

impl From<LogError> for CommandError {
    fn from(e: LogError) -> Self {
        Self::unavailable(e)
    }
}

impl From<KeyringError> for CommandError {
    fn from(e: KeyringError) -> Self {
        Self::unavailable(e)
    }
}
