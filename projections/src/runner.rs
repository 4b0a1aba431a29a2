//! The runner: reads the log from the least advanced projection on, applies bounded batches, and
//! writes rows and checkpoints of all projections in one transaction. New events wake it.
//!
//! A shadow build has a view file of its own and is advanced by the same thread in turns. When it
//! has caught up, its rows are compared with the current views, and it replaces them between two
//! reads; the old ones are kept for a rollback. An audit is a shadow build that is then deleted.

mod shadow_build;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::values::Digest;
use event_log::{EventLog, Keyring, Position, chain};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::generations::Generations;
use crate::snapshots::{SharedFolder, Snapshots};
use crate::view_file::{Sources, ViewFile};
use crate::views::{Building, PublishedState, Purpose, Request, Views, ViewsError, digests};
use crate::{ALL, Unsealer};
use shadow_build::Build;

/// How often a waiting thread checks for something to do.
const GLANCE_EVERY: Duration = Duration::from_millis(2);
/// How long after the start the first audit compares the views with the log.
const FIRST_AUDIT_AFTER: Duration = Duration::from_secs(600);
/// Time from one audit to the next.
const AUDIT_EVERY: Duration = Duration::from_secs(86_400);
/// How often a process asks whether another one has destroyed keys.
const KEYS_ASKED_EVERY: Duration = Duration::from_secs(1);

/// The runner of one folder of view files.
pub struct Runner {
    sources: Sources,
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
    /// Opens the views, and runs on a thread of its own. Views that another version of this program
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
    ) -> Result<(Views, JoinHandle<()>), ViewsError> {
        let own = folder.to_owned();
        // Before anything is opened: keys that are destroyed from now on are noticed.
        let epoch = keyring.epoch().await.ok();
        let sources =
            Sources { log, unsealer: Unsealer { keyring, runtime: Handle::current() }, pages_max };
        let opened =
            tokio::task::spawn_blocking(move || Self::open(&own, sources, Snapshots::new(shared)))
                .await;
        let mut runner = opened.map_err(ViewsError::storage)??;
        let (requests, inbox) = mpsc::channel(16);
        event_log::vital::task("projections-clock", remind(requests.downgrade()));
        let (purged, text) = watch::channel(Instant::now());
        event_log::vital::task(
            "projections-keys",
            watch_keys(
                requests.downgrade(),
                Arc::clone(&runner.sources.unsealer.keyring),
                epoch,
                purged,
            ),
        );
        let views = Views {
            published: runner.published.clone(),
            position: runner.moved.subscribe(),
            building: runner.building.subscribe(),
            trouble: runner.trouble.subscribe(),
            text,
            requests,
        };
        let thread = event_log::vital::thread("projections", move || runner.run(inbox))
            .map_err(ViewsError::storage)?;
        Ok((views, thread))
    }

    /// Asks a running runner to finish its batch and to end.
    pub async fn stop(views: &Views) {
        let _ = views.requests.send(Request::Stop).await;
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
        let mut fold = ViewFile::open(Path::new(""), &sources)?;
        while fold.step(up_to)? > 0 {}
        digests(&fold.connection)
    }

    fn open(
        folder: &Path,
        sources: Sources,
        snapshots: Option<Snapshots>,
    ) -> Result<Self, ViewsError> {
        let mut generations = Generations::open(folder)?;
        let mut current = generations.current().unwrap_or_else(|| generations.next());
        if generations.current().is_none()
            && let Some(position) =
                snapshots.as_ref().and_then(|s| s.adopt(&generations.path(current), &sources))
        {
            tracing::info!(
                position = position.0,
                "the views begin with a snapshot; what is searchable is filled from the log"
            );
        }
        let mut live = ViewFile::open(&generations.path(current), &sources)?;
        if generations.current().is_none() {
            generations.flip(current)?;
        }
        if !live.stale.is_empty()
            && let Some(previous) = generations.previous()
        {
            // An earlier program is back: it goes on with what it made.
            if let Ok(earlier) = ViewFile::open(&generations.path(previous), &sources)
                && earlier.stale.is_empty()
            {
                generations.flip(previous)?;
                (live, current) = (earlier, previous);
            }
        }
        let (published, position) = (PublishedState::default(), live.position());
        if !sources.unsealer.runtime.block_on(sources.log.is_place(position))? {
            return Err(ViewsError::storage(format!(
                "they are of position {position}, at which this log has no event: it was put back \
                 to an earlier day"
            )));
        }
        published.serve(generations.path(current));
        let (moved, building, trouble) =
            (watch::channel(position).0, watch::channel(None).0, watch::channel(None).0);
        let mut this = Self {
            sources,
            generations,
            live,
            snapshots,
            build: None,
            published,
            moved,
            building,
            trouble,
        };
        this.go_on_building()?;
        this.purge_previous();
        Ok(this)
    }

    /// Continues a build that an earlier process began, and rebuilds what another version made.
    fn go_on_building(&mut self) -> Result<(), ViewsError> {
        if let Some(number) = self.generations.building() {
            match ViewFile::open(&self.generations.path(number), &self.sources) {
                Ok(fold) if fold.stale.is_empty() => {
                    self.build = Some(Build::new(number, fold, Purpose::Rebuild))
                }
                // Cut off while it was copied, or of yet another version.
                Ok(_) | Err(_) => self.generations.give_up(number)?,
            }
        }
        if self.build.is_none() && !self.live.stale.is_empty() {
            self.begin_rebuild(&[])?;
        }
        if !self.live.is_readable()? {
            tracing::warn!(
                "this program can't read the tables that another version made; what is asked \
                 before they are built finds less"
            );
            self.flip()?;
        }
        self.publish();
        Ok(())
    }

    fn run(&mut self, mut inbox: mpsc::Receiver<Request>) {
        let runtime = self.sources.unsealer.runtime.clone();
        let mut appended = self.sources.log.position();
        loop {
            fail::fail_point!("projections");
            appended.mark_unchanged();
            let step = self.live.step(Position::END);
            let trouble = step.as_ref().err().map(|e| chain(e).to_string());
            self.trouble
                .send_if_modified(|known| std::mem::replace(known, trouble.clone()) != trouble);
            let (more, pause) = match step {
                Ok(applied) => {
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
                && self.live.stale.is_empty()
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
                inbox.try_recv().ok()
            } else if let Some(pause) = pause {
                let until = Instant::now() + pause;
                while Instant::now() < until
                    && inbox.is_empty()
                    && appended.has_changed().is_ok_and(|changed| !changed)
                {
                    std::thread::sleep(GLANCE_EVERY.min(pause));
                }
                inbox.try_recv().ok()
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

    /// Carries out a request; returns false if the runner is to stop.
    fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Stop => return false,
            Request::Tick => self.due(),
            Request::Forgotten(answer) => {
                let _ = answer.send(self.purge_forgotten());
            }
            Request::Rebuild(name, answer) => {
                let _ = answer.send(self.rebuild(name.as_deref()));
            }
            Request::Rollback(answer) => {
                let _ = answer.send(self.rollback());
            }
            Request::Audit(answer) => {
                let _ = answer.send(self.cancel_audit_or_busy().and_then(|()| self.begin_audit()));
            }
            Request::Retry(answer) => {
                let retried = self.live.retry();
                let beside = self.build.as_mut().map_or(Ok(()), |b| b.fold.retry());
                let _ = answer.send(retried.and(beside));
            }
            Request::Purge(business, subject, up_to, answer) => {
                let _ = answer.send(self.purge(business, subject, up_to));
            }
        }
        true
    }

    fn rebuild(&mut self, name: Option<&str>) -> Result<(), ViewsError> {
        let which = match name {
            None => (0..ALL.len()).collect(),
            Some(name) => vec![
                ALL.iter()
                    .position(|p| p.name == name)
                    .ok_or_else(|| ViewsError::Unknown(name.to_owned()))?,
            ],
        };
        self.cancel_audit_or_busy()?;
        self.begin_rebuild(&which)
    }
}
