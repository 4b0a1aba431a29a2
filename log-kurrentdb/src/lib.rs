//! The log in a KurrentDB cluster, for several server processes.
//!
//! A business is the stream `business-<id>`; an event is our stored bytes under our event id, its
//! revision its `seq` − 1, its commit position our position (so positions have gaps). What is read
//! is read from a mirror: an SQLite file that a catch-up subscription fills, and that can be
//! deleted at any time. Nothing is acknowledged before the mirror has it.
//!
//! An append is checked against the mirror at a revision and appended expecting that revision, so
//! that nobody else's event can lie between. When the cluster refuses, or does not answer, the
//! store waits until the mirror is as far as the stream, and looks for its own ids there, before it
//! does anything again: the same bytes at the same revision, which the cluster recognises, or a new
//! decision.

mod cluster;
mod commit;
mod consumers;
mod form;
mod lease;
mod mirror;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::EventId;
use domain::limits::QUEUE_MAX;
use domain::{AggregateRef, BusinessId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use cluster::Cluster;
use commit::{Committer, QueuedAppend};
use event_log::envelope::Recorded;
use event_log::{
    Append, AppendError, Capabilities, Cause, Head, Inspect, Keyring, Log, LogError, Pending,
    Position, RawRow, Seq, Version,
};
use lease::{KeyringLease, Serving};
use mirror::Mirror;

pub use consumers::KurrentConsumers;

/// Longest time that opening waits while the mirror makes no progress.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// Longest wait for a position that the mirror may be about to reach.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Longest time that closing waits for queued appends.
const CLOSE_MAX: Duration = Duration::from_secs(40);

/// The log in a KurrentDB cluster.
pub struct KurrentLog {
    queue: Mutex<Option<mpsc::Sender<QueuedAppend>>>,
    room: Arc<Semaphore>,
    cluster: Arc<Cluster>,
    mirror: Arc<Mirror>,
    committing: Mutex<Option<JoinHandle<()>>>,
    lease: Mutex<Option<KeyringLease>>,
    serving: Arc<Serving>,
}

/// A log whose address was parsed, and which is not open yet.
pub struct Connecting(Arc<Cluster>);

impl Connecting {
    /// Opens the log, with its mirror in a folder whose lock the caller holds, and waits until the
    /// mirror has everything. `keyring` says whether keys were destroyed since an append was
    /// sealed.
    ///
    /// # Errors
    /// If the cluster can't be reached, or the folder can't be used.
    pub async fn open(
        self,
        folder: &Path,
        keyring: Arc<dyn Keyring>,
    ) -> Result<KurrentLog, LogError> {
        let Self(cluster) = self;
        let mirror = Arc::new(Mirror::open(folder, Arc::clone(&cluster)).await?);
        if let Err(e) = mirror.caught_up(CATCH_UP_MAX).await {
            mirror.close().await;
            return Err(e);
        }
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let serving = Arc::new(Serving::default());
        let committer = Committer::new(
            Arc::clone(&cluster),
            Arc::clone(&mirror),
            keyring,
            Arc::clone(&serving),
        );
        let committing = event_log::vital::task("kurrent-committer", committer.run(queued));
        let (queue, committing) = (Mutex::new(Some(queue)), Mutex::new(Some(committing)));
        Ok(KurrentLog {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_MAX)),
            cluster,
            mirror,
            committing,
            lease: Mutex::default(),
            serving,
        })
    }
}

impl KurrentLog {
    /// Parses an address, `esdb://…`. Call this before anything else in the process uses TLS: the
    /// client panics if a TLS provider is installed already.
    ///
    /// # Errors
    /// If the address can't be parsed.
    pub fn prepare(address: &str) -> Result<Connecting, LogError> {
        Ok(Connecting(Arc::new(Cluster::open(address)?)))
    }

    /// Records for good that the keys of this log are in a keyring that several processes share.
    ///
    /// # Errors
    /// A sentence that says what to do if the keys are in a file, or the cluster can't be reached.
    pub async fn serve_together(&self) -> Result<(), LogError> {
        lease::keep(&self.cluster, lease::KeysLocation::Shared).await
    }

    /// Ensures that no other process serves this log, and records for good that its keys are in a
    /// file. If this process loses the lease, it appends nothing more.
    ///
    /// A sentence that says what to do if another process serves, if the keys are in a shared
    /// keyring, or if the cluster can't be reached.
    pub async fn serve_alone(&self) -> Result<(), LogError> {
        lease::keep(&self.cluster, lease::KeysLocation::File).await?;
        let lease =
            KeyringLease::take(Arc::clone(&self.cluster), Arc::clone(&self.serving)).await?;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Ok(())
    }
}

#[async_trait]
impl Log for KurrentLog {
    async fn enqueue(&self, append: Append) -> Result<Pending, AppendError> {
        append.check_caps()?;
        let closed = || AppendError::Closed("the store is shutting down".to_owned());
        let queue =
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let (answer, pending) = oneshot::channel();
        queue
            .send(QueuedAppend { append, answer, sent: false, _place: place })
            .await
            .map_err(|_| closed())?;
        Ok(Pending::new(pending))
    }

    async fn find(&self, business: BusinessId, id: EventId) -> Result<Option<Recorded>, LogError> {
        self.mirror.log().find(business, id).await
    }

    async fn read_aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_aggregate(business, aggregate, after, limit).await
    }

    async fn read_business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_business(business, after, limit).await
    }

    async fn read_events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_events(business, seqs).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_all(after, limit).await
    }

    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError> {
        self.mirror.log().head(business).await
    }

    fn position(&self) -> watch::Receiver<Position> {
        self.mirror.position()
    }

    async fn catch_up(&self, business: BusinessId) -> Result<(), LogError> {
        let cant_say =
            |why: String| LogError::Storage(Cause::new("what others did can't be heard of", why));
        // Nobody waits for what is known not to answer.
        if let Some(why) = self.mirror.unavailable_reason() {
            return Err(cant_say(why));
        }
        // What another process appended may not have been heard of here.
        let last = self.cluster.last(&business.stream_name()).await?;
        self.mirror.reach(business, last.map_or(Seq::START, |e| e.seq()), commit::HEAR_MAX).await?;
        self.mirror.broken(business).map_or(Ok(()), |why| Err(cant_say(why)))
    }

    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<Version>, LogError> {
        self.catch_up(business).await?;
        self.mirror.log().versions(business, aggregates).await
    }

    async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committing) = committing
            && tokio::time::timeout(CLOSE_MAX, committing).await.is_err()
        {
            tracing::error!(
                "what was queued could not be appended in time; whoever sent it has no answer and \
                 may send it again"
            );
        }
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease) = lease {
            lease.give_back().await;
        }
        self.mirror.close().await;
    }
}

#[async_trait]
impl Inspect for KurrentLog {
    async fn read_erasures(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_erasures(after, limit).await
    }

    async fn read_back(&self, before: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.mirror.log().read_back(before, limit).await
    }

    async fn is_place(&self, position: Position) -> Result<bool, LogError> {
        // Who was told a place by another server may be here before the event is.
        let mut heard = self.mirror.position();
        let _ = tokio::time::timeout(PLACE_WAIT_MAX, heard.wait_for(|at| *at >= position)).await;
        Ok(position == Position::START || self.mirror.log().has(position)?)
    }

    async fn lag(&self, position: Position) -> Result<u64, LogError> {
        self.mirror.log().count_after(position)
    }

    async fn heads(&self) -> Result<Vec<Head>, LogError> {
        self.mirror.log().heads().await
    }

    async fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        self.mirror.log().raw_rows(after, limit).await
    }

    async fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError> {
        self.mirror.log().consistent_heads().await
    }

    async fn check_indexes(&self) -> Result<Option<(Position, String)>, LogError> {
        if let Some(why) = self.mirror.any_broken() {
            return Ok(Some((Position::START, why)));
        }
        self.mirror.log().check_indexes().await
    }
}

#[async_trait]
impl Capabilities for KurrentLog {
    fn positions_have_gaps(&self) -> bool {
        true
    }

    fn keys_elsewhere(&self) -> Option<String> {
        self.serving.check().err()
    }

    fn unavailable_reason(&self) -> Option<String> {
        self.serving.check().err().or_else(|| self.mirror.unavailable_reason())
    }

    fn shared(&self) -> bool {
        true
    }
}
