//! Batches: many commands of one business at once, each with its own key, attempt and answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::BusinessId;
use futures_util::future::join_all;
use tokio::sync::Notify;

use super::CommandBus;
use super::turn::Turn;
use crate::authorize::Actor;
use crate::command::{CommandError, Receipt, Submission};
use crate::rates::Admitted;

/// Makes the submission of one command of a batch; called when the command's turn has come and its
/// sender was admitted. The error is the command's answer.
pub type BatchItem<'a> = Box<dyn FnOnce() -> Result<Submission, CommandError> + Send + 'a>;

/// The commands of a batch that are in flight.
#[derive(Default)]
struct InFlight {
    n: AtomicUsize,
    landed: Notify,
}

impl CommandBus {
    /// Takes the commands of a batch, which one sender sends to one business, to their answers,
    /// which come in the same order. Each command is decided on the state after those before it.
    /// One that is refused does not stop the others; each is repeated under its own key. `first`
    /// admits the first command; each of the others takes its own token of the rate limits, before
    /// it is looked at.
    pub async fn submit_batch(
        &self,
        actor: &Actor,
        business: BusinessId,
        first: Option<Admitted>,
        items: Vec<BatchItem<'_>>,
    ) -> Vec<Result<Receipt, CommandError>> {
        let (turns, in_flight) = (Turn::of(items.len()), InFlight::default());
        let in_flight = &in_flight;
        let mut first = first;
        let tokens: Vec<Option<Admitted>> = items.iter().map(|_| first.take()).collect();
        let commands = items.into_iter().zip(turns).zip(tokens);
        join_all(commands.map(async |((item, mut turn), admitted)| {
            turn.begin().await;
            let admitted = match admitted {
                Some(admitted) => admitted,
                None => self.admit_in_batch(actor, business, in_flight).await?,
            };
            let submission = item()?;
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
        actor: &Actor,
        business: BusinessId,
        in_flight: &InFlight,
    ) -> Result<Admitted, CommandError> {
        self.rates.take_token(actor, business)?;
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
