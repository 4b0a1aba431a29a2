//! One record on its way through the command bus.

use super::super::Counts;
use super::Session;
use commands::{CommandError, Receipt, Submission};
use domain::Timestamp;
use domain::ids::EventId;
use event_log::chain;
use serde_json::Value;
use uuid::Uuid;

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

/// One record on its way through the command bus.
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
}

impl Run<'_> {
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

    /// Sends a command.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn step(&mut self, step: ImportCommand<'_>) -> Result<Receipt, CommandError> {
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
        let receipt = session.bus.submit(submission).await?;
        self.counts.count(&receipt);
        Ok(receipt)
    }

    /// What came in; or a sentence that says why it did not.
    ///
    /// # Errors
    /// The sentence.
    pub fn end(self, result: Result<(), CommandError>) -> Result<Counts, String> {
        match result {
            Ok(()) => Ok(self.counts),
            Err(CommandError::KeyReused(key)) => Err(format!(
                "this record was imported before with other content (at {key}); what is on record \
                 stays as it is"
            )),
            Err(e) => Err(chain(&e).to_string()),
        }
    }
}

/// The id of the first event of a receipt.
#[must_use]
pub fn first_event(receipt: &Receipt) -> Option<EventId> {
    receipt.events.first().map(|e| e.event_id)
}
