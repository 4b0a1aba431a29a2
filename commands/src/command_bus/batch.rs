//! Batches: many commands of one business at once, each with its own key, attempt and answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::CommandBus;
use super::turn::Turn;
use crate::command::{CommandError, Receipt, Submission};
use crate::rates::Admitted;

/// A command of a batch, or why it is none. One that was not admitted yet takes its token of the
/// rate limits when its turn comes.
pub type BatchItem = Result<(Option<Admitted>, Submission), CommandError>;

/// The commands of a batch that are in flight.
#[derive(Default)]
struct InFlight {
    n: AtomicUsize,
    landed: Notify,
}

impl CommandBus {
    /// Takes the commands of a batch to their answers, which come in the same order. Each command
    /// is decided on the state after those before it, if they are of the same business. One that is
    /// refused does not stop the others; each is repeated under its own key.
    pub async fn submit_batch(&self, items: Vec<BatchItem>) -> Vec<Result<Receipt, CommandError>> {
        let (turns, in_flight) = (Turn::of(items.len()), InFlight::default());
        let in_flight = &in_flight;
        join_all(items.into_iter().zip(turns).map(async |(item, mut turn)| {
            turn.begin().await;
            let (admitted, submission) = item?;
            let admitted = match admitted {
                Some(admitted) => admitted,
                None => self.admit_in_batch(&submission, in_flight).await?,
            };
            in_flight.n.fetch_add(1, Ordering::Relaxed);
            let result = self.submit_in_turn(admitted, submission, &mut turn).await;
            in_flight.n.fetch_sub(1, Ordering::Relaxed);
            in_flight.landed.notify_waiters();
            result
        }))
        .await
    }

    /// Admits a command whose turn has come. While its sender has as many in flight as it may, it
    /// waits for one of the batch to land: a batch is no burst of single commands.
    async fn admit_in_batch(
        &self,
        submission: &Submission,
        in_flight: &InFlight,
    ) -> Result<Admitted, CommandError> {
        let actor = &submission.actor;
        self.rates.take_token(actor, submission.business)?;
        loop {
            let landed = in_flight.landed.notified();
            if let Some(admitted) = self.rates.enter(actor) {
                return Ok(admitted);
            }
            if in_flight.n.load(Ordering::Relaxed) == 0 {
                return Err(self.rates.too_many_at_once(actor));
            }
            landed.await;
        }
    }
}
