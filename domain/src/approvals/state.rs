//! What the rules need to know of a request for approval.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Meta;

use super::events::{ApprovalStatus, Choice, Event};
use crate::ids::{EventId, PrincipalId, SubjectId, TaskId};
use crate::personal::ContentDigest;
use crate::values::{Name, Role, Timestamp};

/// A vote that was cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The human who voted.
    pub voter: PrincipalId,
    /// Whether the voter approved or rejected the command.
    pub choice: Choice,
}

/// A request for approval as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approval {
    /// Status of the request; `None` before it is made.
    pub status: Option<ApprovalStatus>,
    /// Type of the command; `None` before the request is made.
    pub command_type: Option<Name>,
    /// Id of the aggregate that the command is for.
    pub target: Uuid,
    /// Digest over the command, the version of the approval policy and the expiry.
    pub command_digest: Option<ContentDigest>,
    /// Version of the approval policy that was in force when the request was made.
    pub approval_policy_version: u32,
    /// How many people must approve.
    pub quorum: u8,
    /// Roles whose holders may vote; an escalation adds roles.
    pub roles: BTreeSet<Role>,
    /// Roles whose holders may vote too after an escalation.
    pub escalate_to: BTreeSet<Role>,
    /// True if who made the request, or whom it was made for, may not vote on it.
    pub separation_of_duties: bool,
    /// The principal that made the request.
    pub requested_by: PrincipalId,
    /// The principal in whose name the request was made; `None` = the requester's own.
    pub requested_for: Option<PrincipalId>,
    /// When the request was recorded.
    pub requested_at: Option<Timestamp>,
    /// Correlation id of the request; the approved command shares it, and so do the
    /// votes that name no other.
    pub correlation: Uuid,
    /// The event that granted the request, which is the cause of the approved command.
    pub granted: Option<EventId>,
    /// True if only a built-in rule asked, which no policy removes: operators may vote too.
    pub built_in: bool,
    /// The task that the command is for; `None` = none.
    pub task: Option<TaskId>,
    /// Until when the approval can be granted and used.
    pub expires_at: Timestamp,
    /// The data subject whose key seals the texts of the request.
    pub subject: SubjectId,
    /// The votes, each under the human whose right to vote was used.
    pub votes: BTreeMap<PrincipalId, Vote>,
    /// When each delegation ends, by who delegated the right and who may use it.
    pub delegations: BTreeMap<(PrincipalId, PrincipalId), Timestamp>,
    /// True once the request was escalated.
    pub escalated: bool,
}

impl Approval {
    /// The principals that count as requesters: the one that asked, and the one it asked for.
    pub fn requesters(&self) -> impl Iterator<Item = PrincipalId> {
        [Some(self.requested_by), self.requested_for].into_iter().flatten()
    }

    /// How many people said yes: nobody counts twice, not even with somebody else's right.
    #[must_use]
    pub fn approvals(&self) -> usize {
        let yes = self.votes.values().filter(|v| v.choice == Choice::Approve);
        yes.map(|v| v.voter).collect::<BTreeSet<_>>().len()
    }

    /// Whether that person has a part in a vote that was cast: as the voter, or by delegating.
    #[must_use]
    pub fn has_part_in_a_vote(&self, person: PrincipalId) -> bool {
        self.votes.iter().any(|(right, vote)| *right == person || vote.voter == person)
    }

    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::PolicyDefined(_) | Event::Commented(_) => {}
            Event::Requested(e) => {
                *self = Self {
                    status: Some(ApprovalStatus::Requested),
                    command_type: Some(e.command_type.clone()),
                    target: e.target,
                    command_digest: Some(e.command_digest.clone()),
                    approval_policy_version: e.approval_policy_version,
                    quorum: e.quorum,
                    roles: e.roles.iter().copied().collect(),
                    escalate_to: e.escalate_to.iter().copied().collect(),
                    separation_of_duties: e.separation_of_duties,
                    requested_by: e.requested_by,
                    requested_for: meta.on_behalf_of,
                    requested_at: Some(meta.recorded_at),
                    correlation: meta.correlation,
                    built_in: e.built_in,
                    task: e.task,
                    expires_at: e.expires_at,
                    subject: e.subject,
                    ..Self::default()
                };
            }
            Event::Voted(e) => {
                self.votes.insert(
                    e.delegated_by.unwrap_or(e.voter),
                    Vote { voter: e.voter, choice: e.choice },
                );
            }
            Event::Delegated(e) => {
                self.delegations.insert((e.from, e.to), e.until);
            }
            Event::DelegationRevoked(e) => {
                self.delegations.remove(&(e.from, e.to));
            }
            Event::Escalated(e) => {
                self.escalated = true;
                self.roles.extend(e.to_roles.iter().copied());
            }
            Event::Granted(_) => {
                self.status = Some(ApprovalStatus::Granted);
                self.granted = Some(meta.event_id);
            }
            Event::Rejected(_) => self.status = Some(ApprovalStatus::Rejected),
            Event::Expired(_) => self.status = Some(ApprovalStatus::Expired),
            Event::Withdrawn(_) => self.status = Some(ApprovalStatus::Withdrawn),
            Event::Consumed(_) => self.status = Some(ApprovalStatus::Consumed),
        }
    }
}
