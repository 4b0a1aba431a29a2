//! Requests for approval, votes, and the approval policy in force.

use std::collections::BTreeSet;

use domain::approvals::{ApprovalStatus, Choice, Event as Approvals, Requested};
use domain::ids::{ApprovalId, TaskId};
use domain::values::{Amount, Currency, RiskTier, Role};
use domain::{Event, PrincipalId, Timestamp};
use uuid::Uuid;

use crate::rows::{BusinessNumber, Field, Place, Tables, aggregate_table, keyed_table, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of requests for approval, votes and approval policies.
pub const PROJECTION: Projection = Projection {
    name: "approvals",
    version: 5,
    sql: include_str!("approvals.sql"),
    indexes: &[
        ("approvals_by_status", "approvals(status)"),
        ("approvals_by_task", "approvals(task) WHERE task IS NOT NULL"),
        ("votes_by_approval", "votes(approval)"),
    ],
    tables: &[("approvals", "place"), ("votes", "place"), ("approval_policies", "business")],
    apply: Apply::Sealed(apply),
};

aggregate_table! {
    /// A request for approval. `roles` and `effects` are JSON.
    Approval in "approvals" {
        command_type: String,
        target: Uuid,
        preview: Field,
        rule: String,
        approval_policy_version: u32,
        quorum: u8,
        roles: String,
        amount: Option<Amount>,
        currency: Option<Currency>,
        risk: Option<RiskTier>,
        requested_by: PrincipalId,
        status: ApprovalStatus,
        escalated: bool,
        requested_at: Timestamp,
        expires_at: Timestamp,
        closed_at: Option<Timestamp>,
        consumed_at: Option<Timestamp>,
        built_in: bool,
        effects: String,
        task: Option<TaskId>,
        alone: bool,
    }
}

table! {
    /// A vote on a request for approval.
    Vote in "votes" {
        place: Place,
        approval: ApprovalId,
        voter: PrincipalId,
        delegated_by: Option<PrincipalId>,
        choice: Choice,
        comment: Option<Field>,
        at: Timestamp,
    }
}

keyed_table! {
    /// The approval policy in force, with its rules and classes of operations as JSON.
    ApprovalPolicy in "approval_policies" by (business: BusinessNumber) {
        version: u32,
        rules: String,
        operation_classes: String,
        defined_at: Timestamp,
    }
}

fn requested(a: &Applied<'_>, e: &Requested) -> Result<Approval, ApplyError> {
    let (amount, currency) = e.amount.map(|m| (m.amount, m.currency)).unzip();
    Ok(Approval {
        place: a.place,
        id: a.stored.id,
        command_type: e.command_type.to_string(),
        target: e.target,
        preview: a.field("/data/preview"),
        rule: e.rule.to_string(),
        approval_policy_version: e.approval_policy_version,
        quorum: e.quorum,
        roles: serde_json::to_string(&e.roles.iter().collect::<BTreeSet<_>>())?,
        amount,
        currency,
        risk: e.risk,
        requested_by: e.requested_by,
        status: ApprovalStatus::Requested,
        escalated: false,
        requested_at: a.at(),
        expires_at: e.expires_at,
        closed_at: None,
        consumed_at: None,
        built_in: e.built_in,
        effects: serde_json::to_string(&e.effects)?,
        task: e.task,
        alone: false,
    })
}

impl Approval {
    /// Adds the roles that an escalation lets vote too; those who might vote before still may.
    fn escalate(&mut self, to: &[Role]) -> Result<(), ApplyError> {
        let mut roles: BTreeSet<Role> = serde_json::from_str(&self.roles)?;
        roles.extend(to);
        self.roles = serde_json::to_string(&roles)?;
        self.escalated = true;
        Ok(())
    }

    fn close(&mut self, a: &Applied<'_>, status: ApprovalStatus) {
        (self.status, self.closed_at) = (status, Some(a.at()));
    }
}

/// Changes the request that the event belongs to.
fn change(tables: &mut Tables<'_>, a: &Applied<'_>, event: &Approvals) -> Result<(), ApplyError> {
    let Some(approval) = tables.change::<Approval>(&a.aggregate())? else { return Ok(()) };
    match event {
        Approvals::Escalated(e) => approval.escalate(&e.to_roles)?,
        Approvals::Granted(e) => {
            approval.alone = e.alone;
            approval.close(a, ApprovalStatus::Granted);
        }
        Approvals::Rejected(_) => approval.close(a, ApprovalStatus::Rejected),
        Approvals::Expired(_) => approval.close(a, ApprovalStatus::Expired),
        Approvals::Withdrawn(_) => approval.close(a, ApprovalStatus::Withdrawn),
        Approvals::Consumed(_) => {
            (approval.status, approval.consumed_at) = (ApprovalStatus::Consumed, Some(a.at()));
        }
        Approvals::PolicyDefined(_)
        | Approvals::Requested(_)
        | Approvals::Voted(_)
        | Approvals::Commented(_)
        | Approvals::Delegated(_)
        | Approvals::DelegationRevoked(_) => {}
    }
    Ok(())
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Approvals(event) = a.event else { return Ok(()) };
    match event {
        Approvals::PolicyDefined(e) => {
            let policy = ApprovalPolicy {
                business: a.business,
                version: e.approval_policy_version,
                rules: serde_json::to_string(&e.rules)?,
                operation_classes: serde_json::to_string(&e.operation_classes)?,
                defined_at: a.at(),
            };
            tables.set(policy)
        }
        Approvals::Requested(e) => tables.put(requested(a, e)?),
        Approvals::Voted(e) => tables.add(&Vote {
            place: a.place,
            approval: ApprovalId(a.stored.id),
            voter: e.voter,
            delegated_by: e.delegated_by,
            choice: e.choice,
            comment: a.optional_field(e.comment.as_ref(), "/data/comment"),
            at: a.at(),
        }),
        Approvals::Commented(_) | Approvals::Delegated(_) | Approvals::DelegationRevoked(_) => {
            Ok(())
        }
        Approvals::Escalated(_)
        | Approvals::Granted(_)
        | Approvals::Rejected(_)
        | Approvals::Expired(_)
        | Approvals::Withdrawn(_)
        | Approvals::Consumed(_) => change(tables, a, event),
    }
}
