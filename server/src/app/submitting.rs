//! Commands on their way to the command bus, and what some of them ask for beyond the log.

use std::sync::atomic::{AtomicBool, Ordering};

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
            self.forget_everywhere().await?;
        }
        Ok(receipt)
    }

    /// Like [`App::submit`], for the commands of a batch: see [`CommandBus::submit_batch`].
    pub async fn submit_batch(
        &self,
        actor: &Actor,
        business: BusinessId,
        first: Option<Admitted>,
        items: Vec<BatchItem<'_>>,
    ) -> Vec<Result<commands::Receipt, CommandError>> {
        let forgetting: Vec<AtomicBool> = items.iter().map(|_| AtomicBool::default()).collect();
        let checked = items.into_iter().zip(&forgetting).map(|(item, forgetting)| {
            let check = move || {
                let submission = item()?;
                if forgets(&submission) {
                    if let Some(why) = self.log.keys_elsewhere() {
                        return Err(CommandError::unavailable(why));
                    }
                    forgetting.store(true, Ordering::Relaxed);
                }
                Ok(submission)
            };
            Box::new(check) as BatchItem<'_>
        });
        let mut results = self.bus.submit_batch(actor, business, first, checked.collect()).await;
        let forgot = |(result, forgetting): &(&mut Result<_, _>, &AtomicBool)| {
            result.is_ok() && forgetting.load(Ordering::Relaxed)
        };
        let mut forgot = results.iter_mut().zip(&forgetting).filter(forgot).peekable();
        if forgot.peek().is_some()
            && let Err(e) = self.forget_everywhere().await
        {
            forgot.for_each(|(result, _)| *result = Err(e.clone()));
        }
        results
    }

    /// Destroys the keys of what was forgotten, and the text in the views. The forgetting is on
    /// record by then; the same command under the same key goes on from here, and so does this
    /// process by itself.
    async fn forget_everywhere(&self) -> Result<(), CommandError> {
        let failed = |e: AppError| {
            CommandError::Unavailable(Cause::new(
                "the forgetting is on record, and not everything is forgotten yet",
                e,
            ))
        };
        self.forgettings.apply(Some(&self.views)).await.map(drop).map_err(failed)
    }
}

/// True if a command has somebody forgotten, which is more than an event.
fn forgets(submission: &Submission) -> bool {
    ["businesses.forget", "privacy.forget_subject", "privacy.forget_name"]
        .contains(&&*submission.r#type)
}
