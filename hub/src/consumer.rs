//! A consumer that acts on events: one process at a time, from a durable place, at least once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_log::consumers::{Claim, Consumers, LEASE};
use event_log::{Cause, EventLog, Recorded, chain};
use tokio::sync::watch;
use uuid::Uuid;

/// Events that are acted on before the place is moved.
const PAGE: usize = 100;
/// How often somebody who waits for its turn asks.
const ASK_EVERY: Duration = Duration::from_secs(1);
// Promised: who dies is followed within ten seconds. A store that does not know since when a lease
// stands counts from the first look at it.
const _: () = assert!(LEASE.as_secs() + 2 * ASK_EVERY.as_secs() <= 10);
/// Longest pause after something went wrong.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a consumer does with events.
#[async_trait]
pub trait Effect: Send {
    /// Acts on events, in their order. What it did before it failed it will be asked to do again.
    ///
    /// # Errors
    /// Why it could not; it is tried again.
    async fn act(&mut self, events: &[Recorded]) -> Result<(), Cause>;
}

/// A consumer and where it works.
pub struct Runner {
    /// Its name.
    pub name: &'static str,
    /// Which process this is.
    pub owner: Uuid,
    /// What it follows.
    pub log: Arc<dyn EventLog>,
    /// Where its place is kept.
    pub consumers: Arc<dyn Consumers>,
}

impl Runner {
    /// Acts whenever it is this process's turn, until it is told to stop.
    pub async fn run(self, mut effect: impl Effect, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            fail::fail_point!("consumer");
            match self.consumers.claim(self.name, self.owner).await {
                Ok(Some(claim)) => {
                    tracing::info!(
                        consumer.name = self.name,
                        consumer.epoch = claim.epoch,
                        position = claim.position,
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

    /// Acts as long as the lease is held.
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
                        position,
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

    /// Waits for something, at most so long, with the lease held; false when it is lost.
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

    /// Does something with the lease renewed meanwhile; `None` when it is lost.
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
