//! Appends events: one call at a time for each business, all businesses in parallel. Queued appends
//! of a business go in one call, checked as if they had come one by one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{AggregateRef, BusinessId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::cluster::{Cluster, ClusterError, Given};
use super::form::metadata;
use super::lease::Serving;
use super::mirror::Mirror;
use event_log::{
    Append, AppendError, Cause, Committed, Keyring, LaneEpoch, Log, Position, Seq, Version, chain,
};

/// Most bytes of one call, unless a single append has more.
const CALL_BYTES_MAX: usize = 900_000;
/// Bytes of an event besides ours: type, metadata and id.
const AROUND_BYTES: usize = 512;
/// Most appends of one call.
const CALL_APPENDS_MAX: usize = 500;
/// Longest wait until the mirror has what was appended.
pub(super) const HEAR_MAX: Duration = Duration::from_secs(15);
/// Longest time that an append is tried.
const TRY_MAX: Duration = Duration::from_secs(30);
/// How often another writer may come first before an append is given up.
const CONFLICTS_MAX: u32 = 20;
/// First wait before trying again, and the longest.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// An append that waits for its call.
pub(super) struct QueuedAppend {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Committed, AppendError>>,
    /// True once the append was sent to the cluster: if its events are found afterwards, they are
    /// this append's own and no duplicate.
    pub(super) sent: bool,
    /// Permit that bounds how many appends wait; dropped with the append.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Hands appends to one task for each business.
pub(super) struct Committer(Arc<CommitterState>);

struct CommitterState {
    cluster: Arc<Cluster>,
    mirror: Arc<Mirror>,
    keyring: Arc<dyn Keyring>,
    serving: Arc<Serving>,
}

/// The last broken epoch of each lane, of one business.
type Broken = HashMap<u64, LaneEpoch>;

impl Committer {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        mirror: Arc<Mirror>,
        keyring: Arc<dyn Keyring>,
        serving: Arc<Serving>,
    ) -> Self {
        Self(Arc::new(CommitterState { cluster, mirror, keyring, serving }))
    }

    /// Runs until the queue is closed and every append in it is answered.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<QueuedAppend>) {
        let mut waiting: HashMap<BusinessId, VecDeque<QueuedAppend>> = HashMap::new();
        let mut broken: HashMap<BusinessId, Broken> = HashMap::new();
        let mut busy: HashSet<BusinessId> = HashSet::new();
        let (done, mut finished) = mpsc::unbounded_channel::<(BusinessId, Broken)>();
        let mut open = true;
        while open || !busy.is_empty() || !waiting.is_empty() {
            let next = tokio::select! {
                queued = queue.recv(), if open => match queued {
                    Some(queued) => {
                        fail::fail_point!("kurrent-committer");
                        let business = queued.append.business;
                        waiting.entry(business).or_default().push_back(queued);
                        business
                    }
                    None => {
                        open = false;
                        continue;
                    }
                },
                Some((business, lanes)) = finished.recv() => {
                    busy.remove(&business);
                    broken.insert(business, lanes);
                    business
                }
            };
            if busy.contains(&next) {
                continue;
            }
            let Some(batch) = waiting.get_mut(&next).map(take_batch) else { continue };
            if waiting.get(&next).is_some_and(VecDeque::is_empty) {
                waiting.remove(&next);
            }
            busy.insert(next);
            let (shared, done, lanes) =
                (Arc::clone(&self.0), done.clone(), broken.remove(&next).unwrap_or_default());
            tokio::spawn(async move {
                // Of its own: whatever becomes of it, the business must not stay busy.
                let lanes = tokio::spawn(
                    Batch { shared, business: next, left: batch, lanes, alone: false }.commit(),
                )
                .await;
                let _ = done.send((next, lanes.unwrap_or_default()));
            });
        }
    }
}

fn bytes(append: &Append) -> usize {
    append.events.iter().map(|e| e.bytes.len() + AROUND_BYTES).sum()
}

fn take_batch(queue: &mut VecDeque<QueuedAppend>) -> Vec<QueuedAppend> {
    let (mut batch, mut total) = (Vec::new(), 0);
    while let Some(next) = queue.front() {
        total += bytes(&next.append);
        if !batch.is_empty() && (total > CALL_BYTES_MAX || batch.len() >= CALL_APPENDS_MAX) {
            break;
        }
        batch.extend(queue.pop_front());
    }
    batch
}

/// Appends of one business that are sent in one call.
struct Batch {
    shared: Arc<CommitterState>,
    business: BusinessId,
    left: Vec<QueuedAppend>,
    lanes: Broken,
    /// If true, each append gets its own call, because the cluster refused a call with several.
    alone: bool,
}

impl Batch {
    async fn commit(mut self) -> Broken {
        let until = Instant::now() + TRY_MAX;
        let (mut conflicts, mut pause, mut in_doubt) = (0, AGAIN_AFTER.0, false);
        let mut failed = loop {
            let (head, given) = match self.check().await {
                Ok(checked) => checked,
                Err(e) => break e,
            };
            if self.left.is_empty() {
                return self.lanes;
            }
            if Instant::now() > until {
                break AppendError::storage("KurrentDB gave no answer in time; try again");
            }
            if let Err(why) = self.shared.serving.check() {
                break AppendError::Closed(why);
            }
            let stream = self.business.stream_name();
            let count = given.len() as u64;
            let result = self.shared.cluster.append(&stream, head.0.checked_sub(1), given).await;
            let reach = match result {
                Ok(_) => head.plus(count),
                Err(ClusterError::WrongRevision(current)) => {
                    conflicts += 1;
                    if conflicts > CONFLICTS_MAX {
                        break AppendError::storage(format!(
                            "others wrote to {stream} {CONFLICTS_MAX} times in between; try again"
                        ));
                    }
                    current.map_or(Seq::START, |revision| Seq(revision).next())
                }
                Err(ClusterError::Refused(_)) if !self.alone && self.left.len() > 1 => {
                    self.alone = true;
                    continue;
                }
                Err(e @ ClusterError::Refused(_)) => break AppendError::storage(e),
                Err(e @ (ClusterError::Unknown(_) | ClusterError::Elsewhere)) => {
                    in_doubt |= matches!(e, ClusterError::Unknown(_));
                    tracing::warn!(business.id = %self.business, error = %chain(&e), "an append \
                        has no answer; looking for it");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_AFTER.1);
                    self.shared
                        .cluster
                        .last(&stream)
                        .await
                        .map_or(head, |last| last.map_or(Seq::START, |e| e.seq()))
                }
            };
            if let Err(e) = self.shared.mirror.reach(self.business, reach, HEAR_MAX).await {
                tracing::warn!(business.id = %self.business, error = %chain(&e), "an append is \
                    not in the mirror yet");
            }
        };
        for QueuedAppend { append, answer, .. } in std::mem::take(&mut self.left) {
            self.lanes.extend(append.chain.map(|c| (c.lane, c.epoch)));
            if in_doubt {
                // They were sent together.
                let unknown = AppendError::OutcomeUnknown(Cause::of(failed.clone()));
                let _ = answer.send(Err(unknown));
                continue;
            }
            let _ = answer.send(Err(failed));
            failed = AppendError::storage("an append before this one failed; try again");
        }
        self.lanes
    }

    /// Answers the appends that are duplicates or must be refused; returns the last `seq` of the
    /// stream and the events of the others, to be appended.
    async fn check(&mut self) -> Result<(Seq, Vec<Given>), AppendError> {
        if let Some(why) = self.shared.mirror.broken(self.business) {
            return Err(AppendError::storage(why));
        }
        let epoch = self.shared.keyring.epoch().await.map_err(AppendError::storage)?;
        let head = self
            .shared
            .mirror
            .log()
            .head(self.business)
            .await
            .map_err(AppendError::storage)?
            .map_or(Seq::START, |h| h.seq);
        let mut versions: HashMap<AggregateRef, Version> = HashMap::new();
        let mut first_ids = HashSet::new();
        let mut given = Vec::new();
        let mut waiting = VecDeque::from(std::mem::take(&mut self.left));
        while let Some(mut queued) = waiting.pop_front() {
            // A repeat of one that is in this same call is answered once that one is.
            let twin =
                queued.append.events.first().is_some_and(|e| first_ids.contains(&e.event_id));
            if twin || (self.alone && !given.is_empty()) {
                self.left.push(queued);
                continue;
            }
            match self.verdict(&queued, epoch, &mut versions).await {
                Ok(Ok(None)) => {
                    first_ids.extend(queued.append.events.first().map(|e| e.event_id));
                    given.extend(to_be_given(&queued.append));
                    queued.sent = true;
                    self.left.push(queued);
                }
                Ok(Ok(Some(committed))) => drop(queued.answer.send(Ok(committed))),
                Ok(Err(e)) => {
                    self.lanes.extend(queued.append.chain.map(|c| (c.lane, c.epoch)));
                    drop(queued.answer.send(Err(e)));
                }
                Err(e) => {
                    // Nobody is forgotten: they are all told.
                    self.left.push(queued);
                    self.left.extend(waiting);
                    return Err(e);
                }
            }
        }
        Ok((head, given))
    }

    /// Whether an append is stored already (and where), must be refused (and why), or is to be
    /// sent.
    async fn verdict(
        &self,
        queued: &QueuedAppend,
        epoch: event_log::KeyEpoch,
        versions: &mut HashMap<AggregateRef, Version>,
    ) -> Result<Result<Option<Committed>, AppendError>, AppendError> {
        let append = &queued.append;
        if append.chain.is_some_and(|c| self.lanes.get(&c.lane) == Some(&c.epoch)) {
            return Ok(Err(AppendError::ChainBroken));
        }
        if let Some(found) = self.stored(append, queued.sent).await? {
            return Ok(found.map(Some));
        }
        if append.key_epoch.is_some_and(|sealed| sealed != epoch) {
            return Ok(Err(AppendError::KeysDestroyed));
        }
        Ok(self.fits(append, versions).await?.map(|()| None))
    }

    /// Law 4: an append whose ids are stored with the same bytes gets the first answer again.
    async fn stored(
        &self,
        append: &Append,
        sent: bool,
    ) -> Result<Option<Result<Committed, AppendError>>, AppendError> {
        let log = self.shared.mirror.log();
        let (mut first_seq, mut position) = (Seq::START, Position::START);
        for (n, event) in append.events.iter().enumerate() {
            match log.find(self.business, event.event_id).await.map_err(AppendError::storage)? {
                Some(found) if found.bytes == event.bytes => {
                    first_seq = if n == 0 { found.seq } else { first_seq };
                    position = found.position;
                }
                None if n == 0 => return Ok(None),
                Some(_) | None => return Ok(Some(Err(AppendError::IdTaken(event.event_id)))),
            }
        }
        Ok(Some(Ok(Committed { first_seq, position, repeated: !sent })))
    }

    /// Checks that every aggregate has the version that the decision saw, counting earlier appends
    /// of this call.
    async fn fits(
        &self,
        append: &Append,
        versions: &mut HashMap<AggregateRef, Version>,
    ) -> Result<Result<(), AppendError>, AppendError> {
        let log = self.shared.mirror.log();
        let mut next = HashMap::new();
        let wanted = append.reads.iter().map(|&(aggregate, version)| (aggregate, version, false));
        for (aggregate, expected, written) in
            wanted.chain(append.events.iter().map(|e| (e.aggregate, e.version.previous(), true)))
        {
            let known = next.get(&aggregate).or_else(|| versions.get(&aggregate)).copied();
            let actual = match known {
                Some(version) => version,
                None => log
                    .versions(self.business, &[aggregate])
                    .await
                    .map_err(AppendError::storage)?
                    .first()
                    .copied()
                    .unwrap_or_default(),
            };
            if actual != expected {
                return Ok(Err(AppendError::Conflict { aggregate, expected, actual }));
            }
            next.insert(aggregate, if written { expected.next() } else { expected });
        }
        versions.extend(next);
        Ok(Ok(()))
    }
}

fn to_be_given(append: &Append) -> impl Iterator<Item = Given> + '_ {
    append.events.iter().enumerate().map(|(n, event)| {
        let (event_type, metadata) = metadata(event, append.events.len() - n - 1);
        Given { id: event.event_id.0, event_type, metadata, data: event.bytes.clone() }
    })
}
