//! Runs a consumer: one process at a time acts on events, from a durable checkpoint, at least once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_log::consumers::{Claim, Consumers, LEASE};
use event_log::{Cause, EventLog, Recorded, chain};
use tokio::sync::watch;
use uuid::Uuid;

/// How many events are acted on before the checkpoint is moved.
const PAGE: usize = 100;
/// How often a process that waits for its turn asks for the lease.
const ASK_EVERY: Duration = Duration::from_secs(1);
// Promised: who dies is followed within ten seconds. A store that does not know since when a lease
// stands counts from the first look at it.
const _: () = assert!(LEASE.as_secs() + 2 * ASK_EVERY.as_secs() <= 10);
/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The action of a consumer on events outside.
#[async_trait]
pub trait Effect: Send {
    /// Acts on events in their order. After a failure it is given the same events again, also those
    /// that it has acted on.
    ///
    /// # Errors
    /// Why it failed; the events are tried again.
    async fn act(&mut self, events: &[Recorded]) -> Result<(), Cause>;
}

/// Runs one consumer in this process.
pub struct Runner {
    /// Name of the consumer, such as `amqp`.
    pub name: &'static str,
    /// Id of this process as the holder of the consumer's lease.
    pub owner: Uuid,
    /// The log whose events the consumer acts on.
    pub log: Arc<dyn EventLog>,
    /// The store of the consumer's checkpoint and lease.
    pub consumers: Arc<dyn Consumers>,
}

impl Runner {
    /// Acts whenever this process holds the lease, until it is told to stop.
    pub async fn run(self, mut effect: impl Effect, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            fail::fail_point!("consumer");
            match self.consumers.claim(self.name, self.owner).await {
                Ok(Some(claim)) => {
                    tracing::info!(
                        consumer.name = self.name,
                        consumer.epoch = claim.epoch,
                        position = claim.position.0,
                        "this process acts for a consumer"
                    );
                    self.hold(claim, &mut effect, &mut stop).await;
                    let _ = self.consumers.release(self.name, claim.epoch).await;
                }
                Ok(None) => {}
                Err(e) => {
                    tracing::warn!(consumer.name = self.name, error = %chain(&e), "a consumer's place \
                        could not be asked for")
                }
            }
            if !*stop.borrow() {
                let _ = tokio::time::timeout(ASK_EVERY, stop.changed()).await;
            }
        }
    }

    /// Acts as long as this process holds the lease.
    async fn hold(&self, claim: Claim, effect: &mut impl Effect, stop: &mut watch::Receiver<bool>) {
        let (mut position, mut moved, mut pause) =
            (claim.position, self.log.position(), ASK_EVERY / 4);
        while !*stop.borrow() {
            moved.mark_unchanged();
            let page = match self.log.read_all(position, PAGE).await {
                Ok(page) => page,
                Err(e) => {
                    tracing::warn!(consumer.name = self.name, error = %chain(&e), "the log could not be \
                        read");
                    Vec::new()
                }
            };
            let Some(last) = page.last().map(|r| r.position) else {
                if !self
                    .wait(claim.epoch, LEASE / 3, async { drop(moved.changed().await) }, stop)
                    .await
                {
                    return;
                }
                continue;
            };
            let Some(acted) = self.while_renewing(claim.epoch, effect.act(&page)).await else {
                return;
            };
            match acted {
                Ok(()) => match self.consumers.advance(self.name, claim.epoch, last).await {
                    Ok(true) => {
                        (position, pause) = (last, ASK_EVERY / 4);
                        // Who is paused lets go, however much there is still to do.
                        if !self.consumers.renew(self.name, claim.epoch).await.unwrap_or(true) {
                            return;
                        }
                    }
                    Ok(false) => {
                        return tracing::info!(
                            consumer.name = self.name,
                            consumer.epoch = claim.epoch,
                            "another acts for this consumer now"
                        );
                    }
                    Err(e) => {
                        tracing::warn!(consumer.name = self.name, error = %chain(&e), "a consumer's place \
                            could not be moved; its events come again");
                        if !self.wait(claim.epoch, pause, std::future::pending(), stop).await {
                            return;
                        }
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                },
                Err(e) => {
                    tracing::warn!(
                        consumer.name = self.name,
                        position = position.0,
                        error = %chain(&e),
                        "a consumer could not act; it tries again"
                    );
                    if !self.wait(claim.epoch, pause, std::future::pending(), stop).await {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Waits for `something`, for a limited time, and renews the lease meanwhile; returns false if
    /// the lease is lost.
    async fn wait(
        &self,
        epoch: u64,
        at_most: Duration,
        something: impl Future<Output = ()>,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        let waited = async {
            tokio::select! {
                () = something => {}
                _ = stop.changed() => {}
                () = tokio::time::sleep(at_most) => {}
            }
        };
        self.while_renewing(epoch, waited).await.is_some()
            && self.consumers.renew(self.name, epoch).await.unwrap_or(true)
    }

    /// Runs `something` and renews the lease meanwhile; `None` if the lease is lost.
    async fn while_renewing<T>(&self, epoch: u64, something: impl Future<Output = T>) -> Option<T> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return Some(done),
                () = tokio::time::sleep(LEASE / 3) => {
                    // A store that can't be asked says nothing about the lease: moving the place
                    // will.
                    if !self.consumers.renew(self.name, epoch).await.unwrap_or(true) {
                        return None;
                    }
                }
            }
        }
    }
}
