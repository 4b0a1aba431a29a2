//! The run of one record through the command bus.

use super::super::Counts;
use super::Session;
use commands::{AnyCommand, BatchItem, CommandError, Receipt, Submission};
use domain::ids::{AgentId, EventId};
use domain::limits::{BATCH_COMMANDS_MAX, EVENT_BYTES_MAX};
use domain::{PrincipalId, Timestamp};
use event_log::chain;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use uuid::Uuid;

/// Most bytes of an event besides its command's fields.
const ENVELOPE_BYTES: usize = 4 << 10;

/// One command of a record that is imported.
pub struct ImportCommand<'a> {
    /// Names the command within its record; the idempotency key is `<format>:<record>:<part>`.
    pub part: &'a str,
    /// Type of the command, `context.imperative`.
    pub command: &'a str,
    /// Id of the aggregate that the command is for.
    pub id: Uuid,
    /// Fields of the command.
    pub data: Value,
    /// When the command happened in the world; `None` if the source does not say.
    pub at: Option<Timestamp>,
    /// The event that led to the command; `None` = none.
    pub causation: Option<EventId>,
}

impl<'a> ImportCommand<'a> {
    /// Makes a command without a time in the world and without a cause.
    #[must_use]
    pub fn new(part: &'a str, command: &'a str, id: Uuid, data: Value) -> Self {
        Self { part, command, id, data, at: None, causation: None }
    }

    /// Sets when the command happened in the world; `None` if the source does not say.
    #[must_use]
    pub fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }

    /// Sets the event that led to the command.
    #[must_use]
    pub fn caused_by(self, causation: Option<EventId>) -> Self {
        Self { causation, ..self }
    }
}

/// One record on its way through the command bus: rehearsed first, so that a record of which one
/// command can't be taken is not taken at all.
pub struct Run<'a> {
    /// The import that the record belongs to.
    pub session: &'a Session,
    /// Stands for the record in ids and keys: see `hashed`.
    pub(super) record: String,
    /// True if `record` is an HMAC; false if an earlier version imported the record under its id in
    /// the clear.
    pub(super) hashed: bool,
    /// Id of the task that the record becomes; it is the correlation id of all its events.
    pub task: Uuid,
    /// The counts of the record so far.
    pub counts: Counts,
    /// Commands that wait to be sent at once.
    pub(super) waiting: Vec<Submission>,
    /// True until [`Run::rehearsed`]: commands are checked but not sent.
    pub(super) is_rehearsal: bool,
}

impl<'a> Run<'a> {
    /// Ends the rehearsal: further commands are sent.
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

    /// True if the command of that part was carried out before.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn was_sent(&self, part: &str) -> Result<bool, CommandError> {
        self.session.was_sent(&self.key(part)).await
    }

    /// Stands in ids and keys for something that the source gives a name of its own.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        if self.hashed { self.session.hashed(name) } else { name.to_owned() }
    }

    /// The id of a part of the record.
    #[must_use]
    pub fn id(&self, part: &str) -> Uuid {
        self.session.business.derive_id(&self.key(part))
    }

    /// Sends a command without a time in the world and without a cause.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn send(
        &mut self,
        part: &str,
        command: &str,
        id: Uuid,
        data: Value,
    ) -> Result<Receipt, CommandError> {
        self.step(ImportCommand::new(part, command, id, data)).await
    }

    /// Enrols an agent with this name ([`Session::enrol`]).
    ///
    /// # Errors
    /// The error of the command bus.
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

    /// The principal that stands for somebody whom the source names ([`Session::principal`]).
    ///
    /// # Errors
    /// The error of the command bus.
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

    /// Sends a command, after those that wait; in the rehearsal only checks it.
    ///
    /// # Errors
    /// The error of the command bus, for this command or one that waited.
    pub async fn step(&mut self, step: ImportCommand<'_>) -> Result<Receipt, CommandError> {
        self.send_waiting().await?;
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
        let submission = self.submission(step).await?;
        let receipt = session.bus.submit(submission).await?;
        self.counts.count(&receipt);
        Ok(receipt)
    }

    /// Has a command wait until many are sent at once, in their order; in the rehearsal only checks
    /// it. Whoever lets commands wait calls [`Run::send_waiting`] after the last.
    ///
    /// # Errors
    /// The error of the command bus, for one of the commands that waited.
    pub async fn later(&mut self, step: ImportCommand<'_>) -> Result<(), CommandError> {
        if self.is_rehearsal {
            return rehearse(step.command, &step.data);
        }
        let submission = self.submission(step).await?;
        self.waiting.push(submission);
        if self.waiting.len() < BATCH_COMMANDS_MAX { Ok(()) } else { self.send_waiting().await }
    }

    /// Sends the commands that wait.
    ///
    /// # Errors
    /// The error of the command bus for the first command that it refused; those after it were
    /// sent all the same.
    pub async fn send_waiting(&mut self) -> Result<(), CommandError> {
        let session = self.session;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let items =
            waiting.map(|submission| Box::new(|| Ok(submission)) as BatchItem<'_>).collect();
        let (actor, mut first) = (&session.actor, Ok(()));
        for result in session.bus.submit_batch(actor, session.business, None, items).await {
            match result {
                Ok(receipt) => self.counts.count(&receipt),
                Err(e) => first = first.and(Err(e)),
            }
        }
        first
    }

    /// The command as it is submitted, under its key.
    async fn submission(&self, step: ImportCommand<'_>) -> Result<Submission, CommandError> {
        let session = self.session;
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
        Ok(submission)
    }

    /// The counts of the record, or a sentence that says why it could not be imported.
    ///
    /// # Errors
    /// The sentence that says why.
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

/// Checks what the command bus would refuse before it asks a rule: fields that do not fit, and
/// texts that are too large once sealed (ciphertext is stored as Base64: four bytes for three).
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
