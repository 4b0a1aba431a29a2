//! One record on its way through the command bus.

use super::super::Counts;
use super::Session;
use commands::{AnyCommand, CommandError, Receipt, Submission};
use domain::ids::{AgentId, EventId};
use domain::limits::EVENT_BYTES_MAX;
use domain::{PrincipalId, Timestamp};
use event_log::chain;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use uuid::Uuid;

/// What an event has besides its command's fields, at most.
const ENVELOPE_BYTES: usize = 4 << 10;

/// One command of a record.
pub struct ImportCommand<'a> {
    /// Its part of the record: its key is `<format>:<record>:<part>`.
    pub part: &'a str,
    /// `context.imperative`.
    pub command: &'a str,
    /// The aggregate.
    pub id: Uuid,
    /// The command's fields.
    pub data: Value,
    /// When it happened in the world.
    pub at: Option<Timestamp>,
    /// The event that led to it.
    pub causation: Option<EventId>,
}

impl<'a> ImportCommand<'a> {
    /// A command that happened when it is recorded, and that nothing in the source led to.
    #[must_use]
    pub fn new(part: &'a str, command: &'a str, id: Uuid, data: Value) -> Self {
        Self { part, command, id, data, at: None, causation: None }
    }

    /// Sets when the command happened in the world; `None` if the source does not say.
    #[must_use]
    pub fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }

    /// That event led to it.
    #[must_use]
    pub fn caused_by(self, causation: Option<EventId>) -> Self {
        Self { causation, ..self }
    }
}

/// One record on its way through the command bus: rehearsed first, so that a record of which one
/// command can't be taken is not taken at all.
pub struct Run<'a> {
    /// The import it belongs to.
    pub session: &'a Session,
    /// What stands for the record in ids and keys.
    pub(super) record: String,
    /// True if `record` is an HMAC; false if an earlier version imported the record under its id in
    /// the clear.
    pub(super) hashed: bool,
    /// The task of the record; it correlates all of its events.
    pub task: Uuid,
    /// What came in.
    pub counts: Counts,
    /// True until [`Run::rehearsed`]: commands are looked at, and not sent.
    pub(super) is_rehearsal: bool,
}

impl<'a> Run<'a> {
    /// Ends the rehearsal: from now on commands are sent.
    ///
    /// # Errors
    /// The sentence that says what is wrong with the record; nothing of it was sent.
    pub fn rehearsed(self, result: Result<(), CommandError>) -> Result<Self, String> {
        let session = self.session;
        self.end(result)?;
        Ok(Run { counts: session.no_counts(), is_rehearsal: false, ..self })
    }

    /// The idempotency key of a part of the record.
    #[must_use]
    pub fn key(&self, part: &str) -> String {
        format!("{}:{}:{part}", self.session.format, self.record)
    }

    /// Whether that part of the record was carried out before.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn was_sent(&self, part: &str) -> Result<bool, CommandError> {
        self.session.was_sent(&self.key(part)).await
    }

    /// What stands in ids and keys for something that the source calls by a name of its own.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        if self.hashed { self.session.hashed(name) } else { name.to_owned() }
    }

    /// The id of something in the record.
    #[must_use]
    pub fn id(&self, part: &str) -> Uuid {
        self.session.business.derive_id(&self.key(part))
    }

    /// Sends a command that happened when it is recorded.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn send(
        &mut self,
        part: &str,
        command: &str,
        id: Uuid,
        data: Value,
    ) -> Result<Receipt, CommandError> {
        self.step(ImportCommand::new(part, command, id, data)).await
    }

    /// An agent of that name ([`Session::enrol`]).
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn enrol(
        &self,
        name: &str,
        role: &str,
        model: &str,
        connector: &str,
    ) -> Result<AgentId, CommandError> {
        if self.is_rehearsal {
            return self.session.agent(name).await;
        }
        self.session.enrol(name, role, model, connector).await
    }

    /// The principal of somebody named in the source ([`Session::principal`]).
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn principal(&self, name: &str) -> Result<PrincipalId, CommandError> {
        if self.is_rehearsal {
            rehearse("access.add_principal", &json!({"kind": "human", "display_name": name}))?;
            return self.session.principal_id(name).await;
        }
        self.session.principal(name).await
    }

    /// The first event of a receipt, as it is stored; `None` in a rehearsal.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn stored(&self, receipt: &Receipt) -> Result<Option<Value>, CommandError> {
        if self.is_rehearsal {
            return Ok(None);
        }
        self.session.stored(receipt).await.map(Some)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn step(&mut self, step: ImportCommand<'_>) -> Result<Receipt, CommandError> {
        let session = self.session;
        if self.is_rehearsal {
            rehearse(step.command, &step.data)?;
            return Ok(Receipt {
                business: session.business,
                events: Vec::new(),
                position: None,
                repeated: false,
                result: None,
            });
        }
        let mut key = self.key(step.part);
        if !self.hashed && !session.was_sent(&key).await? {
            // What has grown since an earlier version imported the record has no name in the clear.
            key = format!(
                "{}:{}:{}",
                session.format,
                session.hashed(&self.record),
                session.hashed(step.part)
            );
        }
        let mut submission = Submission::new(
            session.business,
            session.actor.clone(),
            key,
            step.command,
            Some(step.id),
            &step.data,
        );
        submission.correlation = Some(self.task);
        submission.on_behalf_of = Some(session.on_behalf_of);
        submission.occurred_at = step.at;
        submission.causation = step.causation;
        let receipt = session.bus.submit(submission).await?;
        self.counts.count(&receipt);
        Ok(receipt)
    }

    /// What came in; or a sentence that says why it did not.
    ///
    /// # Errors
    /// The sentence.
    pub fn end(&self, result: Result<(), CommandError>) -> Result<Counts, String> {
        match result {
            Ok(()) => Ok(self.counts.clone()),
            Err(CommandError::KeyReused(key)) => Err(format!(
                "this record was imported before with other content (at {key}); what is on record \
                 stays as it is"
            )),
            Err(e) => Err(chain(&e).to_string()),
        }
    }
}

/// Looks at what the command bus would refuse before it asks a rule: fields that do not fit, and
/// texts that are too large once they are sealed (ciphertext is stored as Base64: four bytes for
/// three).
fn rehearse(command: &str, data: &Value) -> Result<(), CommandError> {
    let data = to_raw_value(data).map_err(|e| CommandError::Malformed(e.to_string()))?;
    AnyCommand::parse(command, &data).map_err(CommandError::Malformed)?.check_fields()?;
    let bytes = data.get().len() / 3 * 4 + ENVELOPE_BYTES;
    if bytes > EVENT_BYTES_MAX {
        return Err(CommandError::TooLarge(format!(
            "an event of {bytes} bytes is beyond the limit of {EVENT_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// The id of the first event of a receipt.
#[must_use]
pub fn first_event(receipt: &Receipt) -> Option<EventId> {
    receipt.events.first().map(|e| e.event_id)
}
