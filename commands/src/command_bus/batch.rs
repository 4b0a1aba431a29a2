//! Batches: many commands of one business at once, each with its own key, attempt and answer.

use futures_util::future::join_all;

use super::CommandBus;
use super::turn::Turn;
use crate::command::{CommandError, Receipt, Submission};
use crate::rates::Admitted;

/// A command of a batch, or why it is none. One without a token of the rate limits takes one when
/// its turn comes.
pub type BatchItem = Result<(Option<Admitted>, Submission), CommandError>;

impl CommandBus {
    /// Takes the commands of a batch to their answers, which come in the same order. Each command
    /// is decided on the state after those before it, if they are of the same business. One that is
    /// refused does not stop the others; each is repeated under its own key.
    pub async fn submit_batch(&self, items: Vec<BatchItem>) -> Vec<Result<Receipt, CommandError>> {
        let turns = Turn::of(items.len());
        join_all(items.into_iter().zip(turns).map(async |(item, mut turn)| {
            turn.begin().await;
            let (admitted, submission) = item?;
            let admitted = match admitted {
                Some(admitted) => admitted,
                None => self.rates.admit(&submission.actor, submission.business)?,
            };
            self.submit_in_turn(admitted, submission, &mut turn).await
        }))
        .await
    }
}
