//! The mirror: the cluster's streams of businesses in an SQLite file, as a catch-up subscription
//! gives them. It is the read path, it holds the trees, and it is worth nothing that the cluster
//! does not have: deleted, it is filled anew; of another cluster, it is thrown away.
//!
//! A business whose stream has an event that is not ours stops at that event, in the mirror and for
//! whoever appends; the others go on.

mod intake;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use domain::BusinessId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::cluster::{Cluster, ClusterError, Heard};
use super::form::taken;
use event_log::sqlite::{Durability, Options, SqliteLog};
use event_log::{Capabilities, Cause, Inspect, Log, LogError, Position, Seq, chain};

/// Prefixes of the mirrored streams: those of businesses, and that of the installation.
const PREFIXES: [&str; 2] = ["business-", "installation"];
/// Most events that are stored at once.
const BATCH_MAX: usize = 1_000;
/// Most bytes that are stored at once, unless a single append has more.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// First wait before following again after an end, and the longest.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(super) struct Mirror {
    log: Arc<SqliteLog>,
    cluster: Arc<Cluster>,
    /// Businesses that stopped, and why; kept in a file beside the mirror.
    broken: Mutex<HashMap<BusinessId, String>>,
    stopped_file: PathBuf,
    /// Why the mirror has stopped for all businesses: the cluster is no longer the one that it
    /// copies.
    other: OnceLock<String>,
    /// How often the subscription reported that there are no further events.
    caught_up: watch::Sender<u64>,
    /// Signs of life of a subscription without events.
    signs: watch::Sender<u64>,
    /// How many subscriptions were begun.
    begun: AtomicU64,
    /// The number of the latest subscription that gave no sign of life and must be started again.
    silent: watch::Sender<u64>,
    /// How many batches were stored or tried.
    batches: AtomicU64,
    /// The last error of a subscription that could not be had; empty if there is none.
    trouble: Mutex<String>,
    following: Mutex<Option<JoinHandle<()>>>,
}

impl Mirror {
    pub(super) async fn open(folder: &Path, cluster: Arc<Cluster>) -> Result<Self, LogError> {
        let path = folder.join("mirror");
        let log = Arc::new(Self::file(&path, &cluster).await?);
        let stopped_file = path.join("stopped.json");
        let broken = std::fs::read(&stopped_file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            log,
            cluster,
            broken: Mutex::new(broken),
            stopped_file,
            other: OnceLock::new(),
            caught_up: watch::Sender::new(0),
            signs: watch::Sender::new(0),
            begun: AtomicU64::new(0),
            silent: watch::Sender::new(0),
            batches: AtomicU64::new(0),
            trouble: Mutex::default(),
            following: Mutex::new(None),
        })
    }

    /// Opens the mirror's file; one that can't be read, or is of another cluster, is made anew.
    async fn file(path: &PathBuf, cluster: &Cluster) -> Result<SqliteLog, LogError> {
        let storage = |e: std::io::Error| LogError::Storage(Cause::new(path.display(), e));
        let open = || {
            std::fs::create_dir_all(path).map_err(storage)?;
            SqliteLog::open(path, &Options { durability: Durability::Normal, ..Options::default() })
        };
        let why = match open() {
            Ok(log) => match Self::same(&log, cluster).await? {
                true => return Ok(log),
                false => {
                    log.close().await;
                    "it is of another cluster, or of a later day of this one".to_owned()
                }
            },
            Err(e) => chain(&e).to_string(),
        };
        // It may be all that is left of what the cluster lost.
        let aside = path.with_file_name(format!("mirror-put-aside-{}", Uuid::now_v7()));
        tracing::warn!(why, aside = %aside.display(), "the mirror is made anew; the old one was \
            put aside");
        std::fs::rename(path, &aside).map_err(storage)?;
        open()
    }

    /// True if the mirror's last event is where the cluster has it. If somebody deleted or
    /// truncated a stream, the mirror has more than the cluster, and keeps it.
    async fn same(log: &SqliteLog, cluster: &Cluster) -> Result<bool, LogError> {
        let last = log.end();
        if last == Position::START {
            return Ok(true);
        }
        let Some(ours) = log.raw_rows(last.previous(), 1).await?.into_iter().next() else {
            return Ok(false);
        };
        let stream = BusinessId(ours.business).stream_name();
        match cluster.at(&stream, ours.seq.previous().0).await {
            Ok(Some(theirs)) => {
                Ok((theirs.position, theirs.id) == (last, ours.event_id)
                    && theirs.data == ours.bytes)
            }
            Ok(None) | Err(ClusterError::Refused(_)) => {
                let later = cluster.end().await? >= last;
                if later {
                    tracing::warn!(
                        stream,
                        revision = ours.seq.previous().0,
                        "the cluster does not have this event any more; the mirror does"
                    );
                }
                Ok(later)
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn log(&self) -> &SqliteLog {
        &self.log
    }

    pub(super) fn position(&self) -> watch::Receiver<Position> {
        self.log.position()
    }

    /// Why a business is stopped; `None` if it is not.
    pub(super) fn broken(&self, business: BusinessId) -> Option<String> {
        if let Some(why) = self.other.get() {
            return Some(why.clone());
        }
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get(&business).cloned()
    }

    /// Why any business is stopped; `None` if none is.
    pub(super) fn any_broken(&self) -> Option<String> {
        self.other.get().cloned().or_else(|| {
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned()
        })
    }

    /// Why the cluster can't be followed at the moment; `None` if it can.
    pub(super) fn unavailable_reason(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        self.other
            .get()
            .cloned()
            .or_else(|| (!trouble.is_empty()).then(|| trouble.clone()))
            .or_else(|| self.log.unavailable_reason())
    }

    /// Starts to follow the cluster and waits until the mirror has everything; gives up when
    /// nothing arrives for `at_most`.
    pub(super) async fn caught_up(self: &Arc<Self>, at_most: Duration) -> Result<(), LogError> {
        let mut caught_up = self.caught_up.subscribe();
        let (mut position, mut signs) = (self.position(), self.signs.subscribe());
        let following = event_log::vital::task("kurrent-mirror", Arc::clone(self).follow());
        *self.following.lock().unwrap_or_else(PoisonError::into_inner) = Some(following);
        while *caught_up.borrow_and_update() == 0 {
            tokio::select! {
                changed = caught_up.changed() => changed.map_err(|_| LogError::storage("the mirror stopped"))?,
                _ = signs.changed() => {}
                moved = position.changed() => moved.map_err(|_| LogError::storage("the mirror is \
                    closed"))?,
                () = tokio::time::sleep(at_most) => {
                    let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    return Err(LogError::storage(format!(
                        "KurrentDB can't be followed: {trouble}; is the address right (without TLS \
                         it ends with `?tls=false`), and the server running and at least 23.10?"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Waits until the mirror has the business's events up to `seq`, or has stopped at that
    /// business.
    pub(super) async fn reach(
        &self,
        business: BusinessId,
        seq: Seq,
        at_most: Duration,
    ) -> Result<(), LogError> {
        let mut position = self.position();
        let (begun, at, signs) =
            (self.begun.load(Ordering::Relaxed), *position.borrow(), *self.signs.borrow());
        let wait = async {
            loop {
                position.borrow_and_update();
                if self.broken(business).is_some()
                    || self.log.head(business).await?.map_or(Seq::START, |h| h.seq) >= seq
                {
                    return Ok(());
                }
                let moved =
                    tokio::time::timeout(Duration::from_millis(500), position.changed()).await;
                if let Ok(Err(_)) = moved {
                    return Err(LogError::storage("the mirror is closed"));
                }
            }
        };
        match tokio::time::timeout(at_most, wait).await {
            Ok(result) => result,
            Err(_) => {
                // A subscription that gives no sign is as good as none; one that is only behind
                // goes on.
                if (*self.position().borrow(), *self.signs.borrow()) == (at, signs) {
                    self.silent
                        .send_if_modified(|last| std::mem::replace(last, begun.max(*last)) < begun);
                }
                Err(LogError::storage(format!(
                    "the mirror did not hear of an event in {} s",
                    at_most.as_secs()
                )))
            }
        }
    }

    async fn follow(self: Arc<Self>) {
        let mut pause = AGAIN_AFTER.0;
        loop {
            fail::fail_point!("kurrent-mirror");
            let after = *self.position().borrow();
            let mut heard = self.cluster.follow(after, &PREFIXES);
            let (got, ended) = self.listen(&mut heard).await;
            drop(heard);
            tracing::warn!(error = %chain(&ended), "the subscription ended; following again");
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
                chain(&ended).to_string();
            if let ClusterError::Unknown(_) = ended {
                self.cluster.start_over();
            }
            pause = if got { AGAIN_AFTER.0 } else { (pause * 2).min(AGAIN_AFTER.1) };
            tokio::time::sleep(pause).await;
            // It may have been restored meanwhile, or be another one behind the same address.
            while let Err(e) = self.check_cluster().await {
                tracing::warn!(error = %chain(&e), "KurrentDB can't be asked; again soon");
                tokio::time::sleep(AGAIN_AFTER.1).await;
            }
            if self.other.get().is_some() {
                return;
            }
        }
    }

    async fn check_cluster(&self) -> Result<(), LogError> {
        if !Self::same(&self.log, &self.cluster).await? {
            let why = "the cluster is not what it was: it does not have the last event that was \
                read from it; start the server again: what was read is put aside, and everything \
                is read anew";
            tracing::error!("{why}");
            let _ = self.other.set(why.to_owned());
        }
        Ok(())
    }

    /// Stores what the subscription sends until it ends; returns whether anything came, and how it
    /// ended.
    async fn listen(&self, heard: &mut mpsc::Receiver<Heard>) -> (bool, ClusterError) {
        let gone = || ClusterError::Unknown(Cause::of("the subscription is gone"));
        let (mut got, mut held) = (false, Vec::new());
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let mut silent = self.silent.subscribe();
        loop {
            let first = tokio::select! {
                first = heard.recv() => match first {
                    Some(first) => first,
                    None => return (got, gone()),
                },
                _ = silent.wait_for(|last| *last >= begun) => return (got,
                    ClusterError::Unknown(Cause::of("it gave no sign"))),
            };
            let (mut events, mut caught_up, mut ended, mut next) =
                (std::mem::take(&mut held), false, None, Some(first));
            let mut bytes = 0;
            while let Some(one) = next.take() {
                match one {
                    Heard::Event(found) => {
                        bytes += found.data.len();
                        events.push(found);
                    }
                    Heard::CaughtUp => caught_up = true,
                    Heard::Sign => self.signs.send_modify(|n| *n += 1),
                    Heard::Ended(why) => ended = Some(why),
                }
                if events.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX && ended.is_none() {
                    next = heard.try_recv().ok();
                }
            }
            if caught_up || !events.is_empty() {
                got = true;
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            // Of an append that is not whole yet nothing is shown.
            let whole = events
                .iter()
                .rposition(|e| taken(e).map_or(true, |(_, more)| more == 0))
                .map_or(0, |n| n + 1);
            held = events.split_off(whole);
            if let Err(e) = self.take_in(events).await {
                return (got, ClusterError::Refused(Cause::of(e)));
            }
            if caught_up {
                self.caught_up.send_modify(|n| *n += 1);
            }
            if let Some(why) = ended {
                return (got, why);
            }
        }
    }

    pub(super) async fn close(&self) {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(following) = following {
            following.abort();
            let _ = following.await;
        }
        self.log.close().await;
    }
}
