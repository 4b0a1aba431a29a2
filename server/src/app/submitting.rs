//! Commands on their way to the command bus, and what some of them ask for beyond the log.

use commands::{Actor, Admitted, BatchItem, CommandError, Submission};
use domain::BusinessId;
use event_log::Cause;

use super::{App, AppError};

impl App {
    /// Takes a command to its receipt, and carries out what the command asks for beyond the log.
    ///
    /// # Errors
    /// The error of the command bus, or that a key could not be destroyed, with what to do.
    pub async fn submit(&self, submission: Submission) -> Result<commands::Receipt, CommandError> {
        let admitted = self.bus.rates().admit(&submission.actor, submission.business)?;
        self.submit_admitted(admitted, submission).await
    }

    /// Like [`App::submit`], for a command that was admitted before its body was read.
    ///
    /// # Errors
    /// As for [`App::submit`].
    pub async fn submit_admitted(
        &self,
        admitted: Admitted,
        submission: Submission,
    ) -> Result<commands::Receipt, CommandError> {
        let forgets = forgets(&submission);
        if forgets && let Some(why) = self.log.keys_elsewhere() {
            return Err(CommandError::unavailable(why));
        }
        let receipt = self.bus.submit_admitted(admitted, submission).await?;
        if forgets {
            // It is on record by then; the same command under the same key goes on from here, and
            // so does this process by itself.
            let failed = |e: AppError| {
                CommandError::Unavailable(Cause::new(
                    "the forgetting is on record, and not everything is forgotten yet",
                    e,
                ))
            };
            self.forgettings.apply(Some(&self.views)).await.map_err(failed)?;
        }
        Ok(receipt)
    }

    /// Like [`App::submit`], for the commands of a batch ([`commands::CommandBus::submit_batch`]).
    /// What has somebody forgotten is no part of one: it is done when keys and texts are gone, and
    /// what is decided in between would rest on keys that still exist.
    pub async fn submit_batch(
        &self,
        actor: &Actor,
        business: BusinessId,
        first: Option<Admitted>,
        items: Vec<BatchItem<'_>>,
    ) -> Vec<Result<commands::Receipt, CommandError>> {
        let alone = |item: BatchItem<'_>| {
            let submission = item()?;
            if !forgets(&submission) {
                return Ok(submission);
            }
            Err(CommandError::Malformed(format!(
                "{} is sent alone, not in a batch",
                submission.r#type
            )))
        };
        let items = items.into_iter().map(|item| Box::new(move || alone(item)) as BatchItem<'_>);
        self.bus.submit_batch(actor, business, first, items.collect()).await
    }
}

/// True if a command has somebody forgotten, which is more than an event.
fn forgets(submission: &Submission) -> bool {
    ["businesses.forget", "privacy.forget_subject", "privacy.forget_name"]
        .contains(&&*submission.r#type)
}
