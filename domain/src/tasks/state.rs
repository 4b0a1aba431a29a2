//! What the rules need to know of a task.

use serde::{Deserialize, Serialize};

use crate::Meta;

use super::events::{Event, Resolution, Status, Verdict};
use crate::ids::{AgentId, PrincipalId, SubjectId, TaskId};
use crate::values::{Digest, Role, Team, Timestamp};

/// Who holds a task, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The agent that holds the task.
    pub agent: AgentId,
    /// How long the lease lasts, in seconds; an extension is as long.
    pub lease_seconds: u32,
    /// When the lease ends, as last recorded.
    pub expires_at: Timestamp,
}

/// The newest result of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedResult {
    /// The agent that made the result.
    pub producer: AgentId,
    /// The principal that handed the result in: the credentials that a reviewer must not share.
    pub submitted_by: PrincipalId,
    /// Digest over the result, which a review must name.
    pub artifact_digest: Digest,
}

/// A task as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Task {
    /// Status of the task; `None` before it is planned.
    pub status: Option<Status>,
    /// The team whose agents are to do the work; `None` before the task is planned.
    pub team: Option<Team>,
    /// The data subject whose key seals the task's texts.
    pub subject: SubjectId,
    /// The principal that planned the task.
    pub planned_by: PrincipalId,
    /// Tasks that must be completed before this one can be offered.
    pub depends_on: Vec<TaskId>,
    /// The revision being made, or made last; 0 before the first offer.
    pub revision: u32,
    /// The newest fencing token, which is the number of leases so far.
    pub fencing_token: u32,
    /// The lease in force; `None` while nobody holds the task.
    pub lease: Option<Lease>,
    /// The agents that held the task, one for each lease: the n-th lease has the fencing token n.
    pub holders: Vec<AgentId>,
    /// The newest result; `None` before one is made, and once a new revision is offered.
    pub submission: Option<SubmittedResult>,
    /// How often reviewers asked for changes.
    pub rework_rounds: u16,
    /// How often reviewers may ask for changes before the task is escalated.
    pub rework_rounds_max: u16,
    /// The principal whose credentials took the last lease.
    pub leased_by: PrincipalId,
    /// How many attempts failed.
    pub attempts_failed: u16,
    /// How many attempts the task has; it fails when all of them have failed.
    pub attempts_max: u16,
    /// The role that the task was last escalated to; `None` if it never was.
    pub escalated_to: Option<Role>,
    /// True once a human intervened: the task no longer counts as done without one.
    pub human_involved: bool,
    /// Number of activities that were recorded for the task.
    pub activities: u32,
}

impl Task {
    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::Planned(e) => {
                self.status = Some(Status::Planned);
                self.team = Some(e.team);
                self.subject = e.subject;
                self.planned_by = meta.actor;
                self.depends_on.clone_from(&e.depends_on);
                self.rework_rounds_max = e.rework_rounds_max;
                self.attempts_max = e.attempts_max;
            }
            Event::Offered(e) => {
                self.enter(Status::Offered);
                if e.revision > self.revision {
                    self.submission = None;
                }
                self.team = Some(e.team);
                self.revision = e.revision;
            }
            Event::Leased(e) => {
                self.enter(Status::Leased);
                self.leased_by = meta.actor;
                self.fencing_token = e.fencing_token;
                self.holders.push(e.agent);
                self.lease = Some(Lease {
                    agent: e.agent,
                    lease_seconds: e.lease_seconds,
                    expires_at: e.expires_at,
                });
            }
            Event::LeaseExtended(e) => {
                if let Some(lease) = &mut self.lease {
                    lease.expires_at = e.expires_at;
                }
            }
            Event::Released(_) | Event::LeaseExpired(_) => self.enter(Status::Offered),
            Event::Submitted(e) => {
                self.enter(Status::Submitted);
                self.human_involved |= e.by_human;
                self.submission = Some(SubmittedResult {
                    producer: e.agent,
                    submitted_by: meta.actor,
                    artifact_digest: e.artifact.digest,
                });
            }
            Event::HumanIntervened(_) => self.human_involved = true,
            Event::LateResultRecorded(_) | Event::HistoryOpened(_) => {}
            Event::Reviewed(e) => {
                if e.verdict == Verdict::ChangesRequested {
                    self.rework_rounds = self.rework_rounds.saturating_add(1);
                }
            }
            Event::Completed(_) => self.enter(Status::Completed),
            Event::AttemptFailed(_) => {
                self.attempts_failed = self.attempts_failed.saturating_add(1);
                self.enter(Status::Offered);
            }
            Event::Failed(_) => self.enter(Status::Failed),
            Event::Escalated(e) => {
                self.enter(Status::Escalated);
                self.escalated_to = Some(e.to_role);
                self.human_involved = true;
                if let (Some(artifact), Some(producer)) = (&e.artifact, e.producer) {
                    self.submission = Some(SubmittedResult {
                        producer,
                        submitted_by: meta.actor,
                        artifact_digest: artifact.digest,
                    });
                }
            }
            Event::Resolved(e) => {
                self.human_involved = true;
                self.enter(resolved(e.resolution));
            }
            Event::Quarantined(_) => self.enter(Status::Quarantined),
            Event::Cancelled(_) => self.enter(Status::Cancelled),
            Event::ActivityRecorded(_) => self.activities = self.activities.saturating_add(1),
            Event::HistoryClosed(e) => {
                self.enter(if e.completed { Status::Completed } else { Status::Failed })
            }
        }
    }

    fn enter(&mut self, status: Status) {
        self.status = Some(status);
        self.lease = None;
    }
}

fn resolved(resolution: Resolution) -> Status {
    match resolution {
        Resolution::Offered => Status::Offered,
        Resolution::Submitted => Status::Submitted,
        Resolution::Completed => Status::Completed,
        Resolution::Failed => Status::Failed,
        Resolution::Cancelled => Status::Cancelled,
    }
}

/// A log of work done elsewhere, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// True once the log is on record.
    pub opened: bool,
}

impl History {
    /// Folds one event in; events of tasks change nothing.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        self.opened |= matches!(event, Event::HistoryOpened(_));
    }
}
