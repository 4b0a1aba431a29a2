//! The one task of a process that appends, on a connection of its own.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use domain::BusinessId;
use domain::ids::EventId;
use proof::tree::Frontier;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::follower::{Heard, advance};
use super::plan::{Believed, Plan, plan};
use super::{QueuedAppend, count, within};
use event_log::batch::{AppendBatch, AppenderWork, BatchCaps};
use event_log::{AppendError, Cause, Committed, KeyEpoch, Position, Seq, Version, chain};

/// The most that one call to the database stores.
const BATCH_CAPS: BatchCaps = BatchCaps { appends: 500, bytes: 8 << 20 };
/// How many stream ends are cached.
const HEADS_MAX: usize = 100_000;
/// How long a batch with an unknown outcome is tried again before its callers are told.
const DOUBT_MAX: Duration = Duration::from_secs(30);
/// Longest time of a call before its connection is dropped. The server may still be working: the
/// same batch, sent again, waits for its lock and finds the ids stored.
const CALL_MAX: Duration = Duration::from_secs(15);
/// Longest time that connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Pause before a lost connection is replaced.
const PAUSE: Duration = Duration::from_millis(200);

/// What a failed call means for its batch.
enum Failure {
    /// The batch may be stored or not: the same ids are sent again.
    Unknown(Cause),
    /// The batch is not stored; the same call may succeed in a moment.
    Again(Cause),
    /// The batch is not stored, and trying again would not help.
    Final(AppendError),
}

fn failure(e: sqlx::Error) -> Failure {
    let Some(code) = e.as_database_error().and_then(|d| d.code().map(std::borrow::Cow::into_owned))
    else {
        return Failure::Unknown(Cause::of(e));
    };
    match (code.as_str(), code.get(..2).unwrap_or_default()) {
        // Not accepted by what was asked, such as a pooler, or by a primary that is one no more.
        ("25006", _) | (_, "08") => Failure::Unknown(Cause::of(e)),
        ("53100", _) => Failure::Final(AppendError::DiskFull),
        // Shut down, crashed, or starting: the connection is gone.
        (_, "57") if code != "57014" => Failure::Unknown(Cause::of(e)),
        // Waited too long for the lock or the statement, deadlock, no connection left.
        ("57014" | "55P03", _) | (_, "40" | "53") => Failure::Again(Cause::of(e)),
        _ => Failure::Final(AppendError::Storage(super::cause(e))),
    }
}

struct Appender {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    believed: Believed,
    moved: watch::Sender<Position>,
    heard: Heard,
    /// Events that were sent and whose outcome is unknown.
    doubtful: HashSet<EventId>,
}

/// Appends what is queued until the queue says to stop.
pub(super) async fn run(
    options: PgConnectOptions,
    mut jobs: mpsc::Receiver<AppenderWork<QueuedAppend>>,
    moved: watch::Sender<Position>,
    heard: Heard,
) {
    let mut appender = Appender {
        options,
        connection: None,
        believed: Believed::default(),
        moved,
        heard,
        doubtful: HashSet::new(),
    };
    while let Some(first) = jobs.recv().await {
        fail::fail_point!("log-appender");
        let mut batch = AppendBatch::begin(first, &mut jobs, BATCH_CAPS);
        while batch.take_next(&mut jobs) {}
        appender.store(batch.appends).await;
    }
}

impl Appender {
    async fn store(&mut self, mut queue: Vec<QueuedAppend>) {
        let began = Instant::now();
        while !queue.is_empty() {
            let Err(e) = self.round(&mut queue).await else { continue };
            let failure = failure(e);
            if let Failure::Unknown(_) = failure {
                self.connection = None;
                self.doubtful
                    .extend(queue.iter().flat_map(|q| q.append.events.iter().map(|e| e.event_id)));
            }
            // What was believed may be of before a fail-over.
            self.believed.heads.clear();
            self.believed.forget_refusal();
            let error = match failure {
                Failure::Unknown(e) | Failure::Again(e) if began.elapsed() <= DOUBT_MAX => {
                    tracing::warn!(error = %chain(&e), log.appends = queue.len(), "appends are \
                        sent again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Failure::Unknown(e) | Failure::Again(e) => AppendError::Storage(Cause::new(
                    "PostgreSQL did not answer in time; try again",
                    e,
                )),
                Failure::Final(error) => error,
            };
            // An earlier try had no answer: it may have been stored.
            let error = if self.doubtful.is_empty() {
                error
            } else {
                AppendError::OutcomeUnknown(Cause::of(error))
            };
            tracing::error!(error = %chain(&error), log.appends = queue.len(), "appends were not \
                stored");
            self.heard.stored(Some(&error));
            for queued in std::mem::take(&mut queue) {
                self.answer(queued, Err(error.clone()));
            }
        }
        self.doubtful.clear();
    }

    fn answer(&mut self, queued: QueuedAppend, result: Result<Committed, AppendError>) {
        if result.is_err() {
            self.believed.refused(&queued.append);
        }
        let _ = queued.answer.send(result);
    }

    /// Makes one call to the database, and removes the answered appends from the queue.
    async fn round(&mut self, queue: &mut Vec<QueuedAppend>) -> Result<(), sqlx::Error> {
        self.learn_heads(queue).await?;
        let plan = plan(queue, &self.believed);
        let mut answers: HashMap<usize, Result<Committed, AppendError>> =
            plan.answered.iter().map(|(i, e)| (*i, Err(e.clone()))).collect();
        if !plan.placed.is_empty() {
            let rows = self.call(&plan).await?;
            self.heard.stored(None);
            answers.extend(self.understand(&plan, queue, &rows)?);
        }
        for (i, queued) in std::mem::take(queue).into_iter().enumerate() {
            match answers.remove(&i) {
                Some(result) => self.answer(queued, result),
                None => queue.push(queued),
            }
        }
        Ok(())
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => within(CONNECT_MAX, self.options.connect()).await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn learn_heads(&mut self, queue: &[QueuedAppend]) -> Result<(), sqlx::Error> {
        if self.believed.heads.len() > HEADS_MAX {
            self.believed.heads.clear();
        }
        let unknown: HashSet<Uuid> = queue
            .iter()
            .map(|q| q.append.business)
            .filter(|b| !self.believed.heads.contains_key(b))
            .map(|b| b.0)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<Uuid> = unknown.into_iter().collect();
        let sql = "SELECT business, seq, frontier FROM heads WHERE business = ANY($1)";
        let asked = sqlx::query_as(sql).bind(&unknown).fetch_all(self.connection().await?);
        let found: Vec<(Uuid, i64, Vec<u8>)> = within(CALL_MAX, asked).await?;
        self.believed
            .heads
            .extend(unknown.into_iter().map(|b| (BusinessId(b), Frontier::default())));
        for (business, seq, frontier) in found {
            self.believe(BusinessId(business), seq, &frontier);
        }
        Ok(())
    }

    /// Caches the end of a stream. If it is no valid end of a Merkle tree, its business takes no
    /// more appends, and no other business is affected.
    fn believe(&mut self, business: BusinessId, seq: i64, frontier: &[u8]) {
        if let Ok(frontier) = Frontier::from_bytes(count(seq), frontier) {
            self.believed.damaged.remove(&business);
            self.believed.heads.insert(business, frontier);
        } else {
            self.believed.damaged.insert(business);
            self.believed.heads.remove(&business);
        }
    }

    async fn call(&mut self, plan: &Plan) -> Result<Vec<PgRow>, sqlx::Error> {
        let sql = "SELECT what, i, n, m, b FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
            $11, $12, $13, $14, $15, $16, $17, $18)";
        let (heads, guards, events) = (&plan.heads, &plan.guards, &plan.events);
        let query = sqlx::query(sql)
            .bind(plan.key_epoch.map(|epoch| super::number(epoch.0)))
            .bind(&heads.business)
            .bind(&heads.seq)
            .bind(&heads.next_seq)
            .bind(&heads.frontier)
            .bind(&heads.next_frontier);
        let query =
            query.bind(&guards.business).bind(&guards.kind).bind(&guards.id).bind(&guards.version);
        let query = query
            .bind(&events.head)
            .bind(&events.seq)
            .bind(&events.kind)
            .bind(&events.id)
            .bind(&events.version);
        let query = query.bind(&events.event_id).bind(&events.leaf).bind(&events.bytes);
        let connection = self.connection().await?;
        // A half-open connection says nothing at all.
        within(CALL_MAX, query.fetch_all(connection)).await
    }

    /// Turns the rows that `append()` returned into answers, and updates the cached versions,
    /// stream ends and key epoch.
    fn understand(
        &mut self,
        plan: &Plan,
        queue: &[QueuedAppend],
        rows: &[PgRow],
    ) -> Result<HashMap<usize, Result<Committed, AppendError>>, sqlx::Error> {
        self.believed.forget_refusal();
        let mut stored: HashMap<usize, (Seq, Position, Vec<u8>)> = HashMap::new();
        let mut ends: HashMap<BusinessId, u64> = HashMap::new();
        for row in rows {
            let (what, i, n): (&str, i64, i64) =
                (row.try_get("what")?, row.try_get("i")?, row.try_get("n")?);
            let at = usize::try_from(i - 1).unwrap_or_default();
            match what {
                "done" => return Ok(self.done(plan, queue, Position(count(n)), &ends)),
                "id" => {
                    stored.insert(
                        at,
                        (Seq(count(n)), Position(count(row.try_get("m")?)), row.try_get("b")?),
                    );
                }
                "keys" => self.believed.key_epoch = Some(KeyEpoch(count(n))),
                "version" => {
                    if let Some(place) = plan.guards.place.get(at) {
                        self.believed.versions.insert(*place, Version(count(n)));
                    }
                }
                "head" | "moved" => {
                    if let Some(business) = plan.heads.business.get(at).map(|b| BusinessId(*b)) {
                        self.believe(business, n, row.try_get("b")?);
                        ends.insert(business, count(n));
                    }
                }
                other => return Err(sqlx::Error::Protocol(format!("append() said `{other}`"))),
            }
        }
        let mut answers = HashMap::new();
        for placed in &plan.placed {
            let Some(QueuedAppend { append, .. }) = queue.get(placed.queued) else { continue };
            let found: Vec<_> =
                (0..append.events.len()).map(|k| stored.get(&(placed.events_before + k))).collect();
            if found.iter().all(Option::is_none) {
                self.believed.asked.extend(append.events.first().map(|e| e.event_id));
                continue;
            }
            let other = append
                .events
                .iter()
                .zip(&found)
                .find(|(event, found)| found.is_none_or(|(_, _, bytes)| *bytes != event.bytes));
            let answer =
                match (other, found.first().copied().flatten(), found.last().copied().flatten()) {
                    // Law 4: ids that are there with the same bytes are answered as before.
                    (None, Some((first_seq, _, _)), Some((_, position, _))) => {
                        let ours =
                            append.events.iter().all(|e| self.doubtful.contains(&e.event_id));
                        Ok(Committed {
                            first_seq: *first_seq,
                            position: *position,
                            repeated: !ours,
                        })
                    }
                    (other, _, _) => Err(AppendError::IdTaken(
                        other.map_or(EventId(Uuid::nil()), |(event, _)| event.event_id),
                    )),
                };
            answers.insert(placed.queued, answer);
        }
        Ok(answers)
    }

    /// Answers a batch that was stored; `ends` holds the ends of the streams that other processes
    /// had moved on.
    fn done(
        &mut self,
        plan: &Plan,
        queue: &[QueuedAppend],
        last: Position,
        ends: &HashMap<BusinessId, u64>,
    ) -> HashMap<usize, Result<Committed, AppendError>> {
        let as_planned = plan.next.iter().filter(|(business, _)| !ends.contains_key(business));
        self.believed.heads.extend(as_planned.map(|(business, head)| (*business, head.clone())));
        // Readers are told before the callers, so that nobody waits for what is already there.
        advance(&self.moved, last);
        let before = Position(last.0 - plan.events.event_id.len() as u64);
        let mut answers = HashMap::new();
        for placed in &plan.placed {
            let Some(QueuedAppend { append, .. }) = queue.get(placed.queued) else { continue };
            let position = before.plus((placed.events_before + append.events.len()) as u64);
            let planned = plan.next.get(&append.business).map_or(0, Frontier::size);
            let end = ends.get(&append.business).copied().unwrap_or(planned);
            answers.insert(
                placed.queued,
                Ok(Committed {
                    first_seq: Seq(end - (planned - placed.first_seq.0)),
                    position,
                    repeated: false,
                }),
            );
        }
        answers
    }
}
