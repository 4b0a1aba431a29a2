//! An attempt on its way to its outcome.

use std::sync::Arc;

use event_log::attempts::{Attempt, Attempts};
use tokio::runtime::Handle;
use tracing::Span;

use crate::command::CommandError;

/// An attempt that is not kept yet. A caller that goes before it has its answer drops it: then it
/// is kept with the outcome `outcome_unknown`, because its lane may still carry it out.
pub(super) struct UnkeptAttempt {
    /// `None` once it is kept.
    attempt: Option<Attempt>,
    attempts: Arc<Attempts>,
}

impl UnkeptAttempt {
    pub(super) fn new(attempt: Attempt, attempts: Arc<Attempts>) -> Self {
        Self { attempt: Some(attempt), attempts }
    }

    pub(super) fn command_type(&self) -> &str {
        self.attempt.as_ref().map_or("", |attempt| &attempt.command_type)
    }

    /// Logs the attempt within `span`, and keeps it.
    pub(super) async fn keep(mut self, outcome: &str, span: &Span) {
        if let Some(attempt) = self.take(outcome, span) {
            self.attempts.keep(attempt).await;
        }
    }

    fn take(&mut self, outcome: &str, span: &Span) -> Option<Attempt> {
        let mut attempt = self.attempt.take()?;
        outcome.clone_into(&mut attempt.outcome);
        span.in_scope(|| {
            tracing::info!(command.outcome = outcome, command.key = %attempt.key,
                actor.id = %attempt.actor, "command")
        });
        Some(attempt)
    }
}

impl Drop for UnkeptAttempt {
    fn drop(&mut self) {
        let Some(attempt) = self.take(CommandError::OutcomeUnknown.name(), &Span::current()) else {
            return;
        };
        // While the process ends there is no runtime left, nor a store that takes it.
        if let Ok(runtime) = Handle::try_current() {
            let attempts = Arc::clone(&self.attempts);
            runtime.spawn(async move { attempts.keep(attempt).await });
        }
    }
}
