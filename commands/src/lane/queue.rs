//! The queue of a lane: appends and answers in the order they were decided.

use std::sync::Arc;

use event_log::{Append, AppendError, Chain, Committed, LaneEpoch, LogError, Pending};
use futures_util::StreamExt as _;

use super::{Job, Lane, LaneServices, Plan, Versions};
use crate::command::{CommandError, Receipt};

/// A decided job in the queue.
pub(super) struct Flight {
    pub(super) job: Job,
    /// The lane's epoch when the job was decided.
    pub(super) epoch: LaneEpoch,
    pub(super) outcome: Outcome,
}

/// The result of a flight when its turn has come.
pub(super) enum Outcome {
    /// The append is durable, or failed.
    Appended(Receipt, Result<Committed, AppendError>),
    /// An answer that writes nothing, with the versions that it was decided on.
    Answer(Result<Receipt, CommandError>, Versions),
    /// An append of the same key was in flight when the job came; it has ended by now.
    DuplicateInFlight,
}

/// An answer whose turn has come, and what a shared log said about it.
pub(super) struct Staleness {
    pub(super) job: Job,
    pub(super) result: Result<Receipt, CommandError>,
    /// The lane's epoch when the job was decided.
    pub(super) epoch: LaneEpoch,
    /// True if an aggregate that the answer rests on has moved on since, by whoever, or if this
    /// command was carried out.
    pub(super) is_stale: Result<bool, LogError>,
}

impl Lane {
    /// Decides a job and queues what comes of it.
    pub(super) async fn process(&mut self, mut job: Job) {
        fail::fail_point!("lane");
        // Its caller was told that the outcome is unknown, or is gone: this try is not made.
        if job.answer.is_closed() {
            return;
        }
        let epoch = self.epoch;
        if self.ids_in_flight.contains(&job.first_id) {
            return self.queue(Flight { job, epoch, outcome: Outcome::DuplicateInFlight });
        }
        match self.decide(&mut job).await.unwrap_or_else(|e| Plan::Answer(Err(e), Vec::new())) {
            Plan::Answer(result, versions) => {
                let flight = Flight { job, epoch, outcome: Outcome::Answer(result, versions) };
                if self.in_flight.is_empty() { self.land(flight).await } else { self.queue(flight) }
            }
            Plan::Append(receipt, append) => {
                self.ids_in_flight.insert(job.first_id);
                let append = Append { chain: Some(Chain { lane: self.id, epoch }), ..append };
                let pending: Result<Pending, AppendError> = self.services.log.enqueue(append).await;
                self.in_flight.push_back(Box::pin(async move {
                    let result = match pending {
                        Ok(pending) => pending.done().await,
                        Err(e) => Err(e),
                    };
                    Flight { job, epoch, outcome: Outcome::Appended(receipt, result) }
                }));
            }
        }
    }

    fn queue(&mut self, flight: Flight) {
        self.in_flight.push_back(Box::pin(std::future::ready(flight)));
    }

    /// Gives a flight whose turn has come its answer, or keeps its job to be decided again.
    pub(super) async fn land(&mut self, flight: Flight) {
        let Flight { mut job, epoch, outcome } = flight;
        let is_current = epoch == self.epoch;
        match outcome {
            Outcome::DuplicateInFlight => {
                job.check_duplicate = true;
                self.retries.push_back(job);
            }
            // Nobody waits for the answer: it is not worth a question to the log.
            Outcome::Answer(..) if job.answer.is_closed() => {}
            Outcome::Answer(..) if !is_current => self.retries.push_back(job),
            Outcome::Answer(result, versions) => {
                if versions.is_empty() || !self.services.log.shared() {
                    return job.answer(result);
                }
                let services = Arc::clone(&self.services);
                self.stale_checks.push(Box::pin(async move {
                    let is_stale = services.is_stale(&job, &versions).await;
                    Staleness { job, result, epoch, is_stale }
                }));
            }
            Outcome::Appended(receipt, result) => {
                self.ids_in_flight.remove(&job.first_id);
                match result {
                    Ok(committed) => job.answer(Ok(completed(receipt, committed))),
                    Err(e) => self.append_failed(job, e, is_current).await,
                }
            }
        }
    }

    /// Lands everything under way, when no new job can come; what must be decided again is left in
    /// `retries`.
    pub(super) async fn finish_all(&mut self) {
        while let Some(flight) = self.in_flight.next().await {
            self.land(flight).await;
        }
        while let Some(staleness) = self.stale_checks.next().await {
            self.answer_unless_stale(staleness);
        }
    }
}

impl LaneServices {
    /// True if an aggregate has another version by now (from another process, or from a later
    /// append of this lane), or if this very command was carried out. Only answers need this check:
    /// an append finds it out by itself.
    async fn is_stale(&self, job: &Job, versions: &Versions) -> Result<bool, LogError> {
        let business = job.submission.business;
        let aggregates: Vec<_> = versions.iter().map(|(aggregate, _)| *aggregate).collect();
        let now = self.log.versions(business, &aggregates).await?;
        Ok(versions.iter().zip(now).any(|((_, decided_on), now)| *decided_on != now)
            || self.log.find(business, job.first_id).await?.is_some())
    }
}

/// The receipt with the `seq` numbers and the position that the store assigned.
fn completed(mut receipt: Receipt, committed: Committed) -> Receipt {
    for (n, event) in (0..).zip(&mut receipt.events) {
        event.seq = committed.first_seq.plus(n);
    }
    receipt.position = Some(committed.position);
    receipt.repeated = committed.repeated;
    receipt
}
