//! What readers know of the runner of one set of projections, and how they ask it for something.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::personal::Generation;
use domain::{BusinessId, SubjectId};
use event_log::Position;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Building, Served, ViewsError, ViewsHealth};

/// Answers a request.
type Answer = oneshot::Sender<Result<(), ViewsError>>;

/// A request to a runner. A build carries the number of the request.
pub(crate) enum Request {
    Rebuild(Option<&'static str>, u64, Answer),
    Rollback(u64, Answer),
    Audit(u64, Answer),
    Retry(Answer),
    Purge(BusinessId, SubjectId, Generation, Answer),
    Tick,
    Forgotten(oneshot::Sender<bool>),
    Stop,
}

/// State that a runner publishes to readers.
#[derive(Clone)]
pub(crate) struct PublishedState {
    served: Served,
    is_search: bool,
    health: Arc<Mutex<ViewsHealth>>,
    /// How many readers wait for a position that the tables have not applied yet.
    waiting: Arc<AtomicUsize>,
}

/// A reader that waits; it does no longer once this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PublishedState {
    pub(crate) fn new(served: Served, is_search: bool) -> Self {
        Self { served, is_search, health: Arc::default(), waiting: Arc::default() }
    }

    /// True if a reader waits for what the tables have not applied yet.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// Has new readers use this file; whoever reads another file finishes there.
    pub(crate) fn serve(&self, path: PathBuf) {
        self.served.serve(path, self.is_search);
    }

    /// Changes the published state of the views.
    pub(crate) fn note(&self, change: impl FnOnce(&mut ViewsHealth)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A runner, as readers see it.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) published: PublishedState,
    pub(crate) position: watch::Receiver<Position>,
    pub(crate) building: watch::Receiver<Option<Building>>,
    /// Why the tables can't follow the log; `None` when they can.
    pub(crate) trouble: watch::Receiver<Option<String>>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Follower {
    pub(super) fn position(&self) -> Position {
        *self.position.borrow()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    pub(super) fn health(&self) -> ViewsHealth {
        self.published.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the tables have applied a position.
    pub(super) async fn wait_for(
        &self,
        position: Position,
        at_most: Duration,
    ) -> Result<(), ViewsError> {
        if self.position() >= position {
            return Ok(());
        }
        let (_waiting, mut moved) = (self.published.wait(), self.position.clone());
        let waited = tokio::time::timeout(at_most, moved.wait_for(|at| *at >= position)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ViewsError::Stopped),
            Err(_) => Err(ViewsError::Behind { at: self.position(), wanted: position }),
        }
    }

    /// Sends a request, and waits for its answer.
    pub(super) async fn ask(
        &self,
        request: impl FnOnce(Answer) -> Request,
    ) -> Result<(), ViewsError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| ViewsError::Stopped)?;
        wait.await.unwrap_or(Err(ViewsError::Stopped))
    }
}
