//! The runner of a set of projections: reads the log from the least advanced projection on, applies
//! batches, and writes rows and checkpoints of all projections of the set in one transaction. New
//! events wake it. Each set has a runner with a thread of its own.
//!
//! A file far behind the log is filled in bulk. A shadow build has a view file of its own and is
//! advanced by the same thread in turns. When it has caught up, its rows are compared with the
//! current views, and it replaces them between two reads; the old ones are kept for a rollback. An
//! audit is a shadow build that is then deleted.

mod opening;
mod purging;
mod shadow_build;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::values::Digest;
use event_log::{EventLog, Keyring, Position, chain};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::generations::Generations;
use crate::snapshots::{SharedFolder, Snapshots};
use crate::view_file::{Sources, ViewFile, Writing, finish};
use crate::views::{
    Building, Follower, PublishedState, Request, Served, Views, ViewsError, digest_all,
};
use crate::{ProjectionSet, SEARCH, TABLES, Unsealer};
use shadow_build::Build;
use std::path::Path;

/// How often a waiting thread checks for something to do.
const GLANCE_EVERY: Duration = Duration::from_millis(2);
/// A batch of fewer events is small; one of fewer than the first number shows that little is
/// written at once.
const SMALL_BATCH: std::ops::Range<usize> = 8..1_000;
/// Shortest time from a small batch to the next.
const GATHER: Duration = Duration::from_millis(4);
/// The same for the searchable text, after any batch that is not large.
const GATHER_TEXT: Duration = Duration::from_millis(20);
/// While nobody waits for the views, the next batch begins later: by this for each event of the
/// last one, so that the more there is to do, the more is done at once.
const GATHER_FOR_EVENT: Duration = Duration::from_micros(250);
/// But never later than this.
const GATHER_MAX: Duration = Duration::from_millis(40);
/// How long after the start the first audit compares the views with the log.
const FIRST_AUDIT_AFTER: Duration = Duration::from_secs(600);
/// Time from one audit to the next.
const AUDIT_EVERY: Duration = Duration::from_secs(86_400);
/// How often a process asks whether another one has destroyed keys.
const KEYS_ASKED_EVERY: Duration = Duration::from_secs(1);

/// The runner of one set of projections, with its folder of view files.
pub struct Runner {
    sources: Sources,
    set: ProjectionSet,
    generations: Generations,
    live: ViewFile,
    snapshots: Option<Snapshots>,
    build: Option<Build>,
    published: PublishedState,
    moved: watch::Sender<Position>,
    building: watch::Sender<Option<Building>>,
    /// Why the last step failed; `None` when it did not.
    trouble: watch::Sender<Option<String>>,
}

/// The next request that waits; that to stop if nobody can send one any more.
fn waiting(inbox: &mut mpsc::Receiver<Request>) -> Option<Request> {
    match inbox.try_recv() {
        Ok(request) => Some(request),
        Err(mpsc::error::TryRecvError::Empty) => None,
        Err(mpsc::error::TryRecvError::Disconnected) => Some(Request::Stop),
    }
}

/// Reminds the runner when an audit of the views is due.
async fn remind(requests: mpsc::WeakSender<Request>) {
    let mut wait = FIRST_AUDIT_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        let Some(requests) = requests.upgrade() else { return };
        if requests.send(Request::Tick).await.is_err() {
            return;
        }
        wait = AUDIT_EVERY;
    }
}

/// Watches the keyring, and has the text of subjects purged whose keys another process destroyed. A
/// purge that failed is repeated. `purged` carries the last time at which nothing was left to
/// purge.
async fn watch_keys(
    requests: mpsc::WeakSender<Request>,
    keyring: Arc<dyn Keyring>,
    mut known: Option<event_log::KeyEpoch>,
    purged: watch::Sender<Instant>,
) {
    loop {
        tokio::time::sleep(KEYS_ASKED_EVERY).await;
        let Some(requests) = requests.upgrade() else { return };
        let asked = Instant::now();
        let Ok(epoch) = keyring.epoch().await else { continue };
        if known == Some(epoch) {
            purged.send_replace(asked);
            continue;
        }
        let (answer, done) = oneshot::channel();
        if requests.send(Request::Forgotten(answer)).await.is_err() {
            return;
        }
        known = done.await.is_ok_and(|done| done).then_some(epoch);
    }
}

impl Runner {
    /// Opens the views, and runs on threads of its own. Views that another version of this program
    /// made are rebuilt, and read meanwhile if this program can read them. Without any views it
    /// begins with the newest snapshot. `pages_max` bounds a view file, 0 = no limit, for tests of
    /// a full disk.
    ///
    /// # Errors
    /// When the files can't be opened.
    pub async fn start(
        folder: &Path,
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
        shared: SharedFolder,
        pages_max: u32,
    ) -> Result<(Views, Vec<JoinHandle<()>>), ViewsError> {
        // Before anything is opened: keys that are destroyed from now on are noticed.
        let epoch = keyring.epoch().await.ok();
        let sources =
            Sources { log, unsealer: Unsealer { keyring, runtime: Handle::current() }, pages_max };
        let (folder, of, served) = (folder.to_owned(), sources.clone(), Served::default());
        let opened = tokio::task::spawn_blocking({
            let served = served.clone();
            move || -> Result<[Self; 2], ViewsError> {
                let snapshots = Snapshots::new(shared);
                let tables = Self::open(&folder, TABLES, of.clone(), snapshots, &served)?;
                Ok([tables, Self::open(&folder, SEARCH, of, None, &served)?])
            }
        })
        .await;
        let [tables, search] = opened.map_err(ViewsError::storage)??;
        let (tables, tables_thread) = tables.spawn()?;
        let (search, search_thread) = search.spawn()?;
        let (purged, text) = watch::channel(Instant::now());
        event_log::vital::task(
            "projections-keys",
            watch_keys(search.requests.downgrade(), sources.unsealer.keyring, epoch, purged),
        );
        Ok((
            Views { tables, search, served, text, requests: Arc::default() },
            vec![tables_thread, search_thread],
        ))
    }

    /// Runs on a thread of its own.
    fn spawn(mut self) -> Result<(Follower, JoinHandle<()>), ViewsError> {
        let (requests, inbox) = mpsc::channel(16);
        event_log::vital::task("projections-clock", remind(requests.downgrade()));
        let follower = Follower {
            published: self.published.clone(),
            position: self.moved.subscribe(),
            building: self.building.subscribe(),
            trouble: self.trouble.subscribe(),
            requests,
        };
        let thread = event_log::vital::thread(self.set.name, move || self.run(inbox))
            .map_err(ViewsError::storage)?;
        Ok((follower, thread))
    }

    /// Asks running runners to finish their batches and to end.
    pub async fn stop(views: &Views) {
        for follower in views.followers() {
            let _ = follower.requests.send(Request::Stop).await;
        }
    }

    /// Rebuilds all projections from the log up to a position, in a temporary database, and returns
    /// their digests. It blocks: call it on a thread that may block.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn rebuilt_digests(
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
        up_to: Position,
    ) -> Result<Vec<(String, Digest)>, ViewsError> {
        let sources = Sources {
            log,
            unsealer: Unsealer { keyring, runtime: Handle::current() },
            pages_max: 0,
        };
        let mut all = Vec::new();
        for set in [TABLES, SEARCH] {
            let mut file = ViewFile::open(Path::new(""), &sources, set, Writing::Bulk)?;
            while file.step(up_to)? > 0 {}
            all.extend(digest_all(&file.connection, set)?);
        }
        Ok(all)
    }

    fn run(&mut self, mut inbox: mpsc::Receiver<Request>) {
        let runtime = self.sources.unsealer.runtime.clone();
        let mut appended = self.sources.log.position();
        loop {
            fail::fail_point!("projections");
            appended.mark_unchanged();
            let began = Instant::now();
            let step = self.follow();
            let trouble = step.as_ref().err().map(|e| chain(e).to_string());
            self.trouble
                .send_if_modified(|known| std::mem::replace(known, trouble.clone()) != trouble);
            let applied = *step.as_ref().unwrap_or(&0);
            let (more, pause) = match step {
                Ok(_) => {
                    self.moved.send_if_modified(|at| {
                        std::mem::replace(at, self.live.position()) != self.live.position()
                    });
                    (applied > 0, self.advance_build())
                }
                Err(e) => {
                    tracing::error!(error = %chain(&e), "projections could not go on; trying again in a \
                        second");
                    (false, Some(Duration::from_secs(1)))
                }
            };
            if !more
                && self.live.is_of_this_version()
                && !self.live.is_bulk()
                && let Some(snapshots) = &mut self.snapshots
            {
                snapshots.leave(
                    &self.generations.path(self.generations.current().unwrap_or(0)),
                    self.live.position(),
                    &self.sources,
                );
            }
            // Requests wait for a batch, not for the end of the log.
            let request = if more {
                self.gather(began, applied, &inbox);
                waiting(&mut inbox)
            } else if let Some(pause) = pause {
                let until = Instant::now() + pause;
                while Instant::now() < until
                    && inbox.is_empty()
                    && !inbox.is_closed()
                    && appended.has_changed().is_ok_and(|changed| !changed)
                {
                    std::thread::sleep(GLANCE_EVERY.min(pause));
                }
                // A log that is gone is not asked again.
                if appended.has_changed().is_err() {
                    Some(Request::Stop)
                } else {
                    waiting(&mut inbox)
                }
            } else {
                runtime.block_on(async {
                    tokio::select! {
                        request = inbox.recv() => Some(request.unwrap_or(Request::Stop)),
                        changed = appended.changed() =>
                            if changed.is_err() { Some(Request::Stop) } else { None },
                    }
                })
            };
            if request.is_some_and(|request| !self.answer(request)) {
                return;
            }
        }
    }

    /// Applies the next batch to the current views; returns how many events it had.
    fn follow(&mut self) -> Result<usize, ViewsError> {
        let applied = self.live.step(Position::END)?;
        // A small batch is near the end of the log; that nothing is left may never come.
        if self.live.is_bulk() && applied < SMALL_BATCH.end {
            self.end_filling()?;
        } else if self.live.is_bulk() {
            self.publish();
        }
        Ok(applied)
    }

    /// After a small batch, lets events gather for the next one: many small transactions cost more
    /// than their events.
    fn gather(&self, began: Instant, applied: usize, inbox: &mpsc::Receiver<Request>) {
        let (small, most) = if self.set.is_searchable() {
            (0..SMALL_BATCH.end, GATHER_TEXT)
        } else {
            (SMALL_BATCH, GATHER)
        };
        let unhurried = GATHER_FOR_EVENT
            .saturating_mul(u32::try_from(applied).unwrap_or(u32::MAX))
            .clamp(most, GATHER_MAX);
        while small.contains(&applied) && inbox.is_empty() {
            let hurry = self.build.is_some() || self.published.is_waited_for();
            let most = if hurry { most } else { unhurried };
            let left = most.saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(GLANCE_EVERY.min(left));
        }
    }

    /// Makes the file that was filled in bulk one that is kept, and the current one.
    fn end_filling(&mut self) -> Result<(), ViewsError> {
        finish(&self.live.connection, self.set)?;
        if let Some(number) = self.generations.building() {
            self.generations.flip(number)?;
        }
        self.live.keep()?;
        tracing::info!(position = self.live.position().0, "the views are filled from the log");
        self.publish();
        Ok(())
    }

    /// Carries out a request; returns false if the runner is to stop.
    fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Stop => return false,
            Request::Tick => self.due(),
            Request::Forgotten(answer) => {
                let _ = answer.send(self.purge_forgotten());
            }
            Request::Rebuild(name, n, answer) => {
                let _ = answer.send(self.rebuild(name, n));
            }
            Request::Rollback(n, answer) => {
                let _ = answer.send(self.rollback(n));
            }
            Request::Audit(n, answer) => {
                let _ = answer.send(self.cancel_audit_or_busy().and_then(|()| self.begin_audit(n)));
            }
            Request::Retry(answer) => {
                let retried = self.live.retry();
                let beside = self.build.as_mut().map_or(Ok(()), |b| b.retry());
                let _ = answer.send(retried.and(beside));
            }
            Request::Purge(business, subject, up_to, answer) => {
                let _ = answer.send(self.purge(business, subject, up_to));
            }
        }
        true
    }

    /// Begins to rebuild one projection of the set, or all.
    fn rebuild(&mut self, name: Option<&'static str>, n: u64) -> Result<(), ViewsError> {
        self.cancel_audit_or_busy()?;
        self.begin_rebuild(|slot| name.is_none_or(|name| slot.projection.name == name), n)
    }
}
