//! Requests for approval, votes, and the approval policy in force.

use domain::Event;
use std::collections::BTreeSet;

use domain::approvals::{ApprovalStatus, Escalated, Event as Approvals, Requested};
use domain::values::Role;
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of requests for approval, votes and approval policies.
pub const PROJECTION: Projection = Projection {
    name: "approvals",
    version: 4,
    sql: include_str!("approvals.sql"),
    indexes: &[
        ("approvals_by_seq", "approvals(business, seq)"),
        ("approvals_by_status", "approvals(business, status, seq)"),
        ("approvals_by_task", "approvals(business, task, seq) WHERE task IS NOT NULL"),
        ("votes_by_approval", "votes(business, approval, seq)"),
    ],
    tables: &[
        ("approvals", "business, id"),
        ("votes", "business, seq"),
        ("approval_policies", "business"),
    ],
    apply: Apply::Sealed(apply),
};

fn requested(tx: &Connection, a: &Applied<'_>, e: &Requested) -> Result<(), ApplyError> {
    let (amount, currency) =
        e.amount.map(|m| (m.amount.to_string(), m.currency.to_string())).unzip();
    run(
        tx,
        "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, NULL, \
         NULL, ?, ?, ?, 0)",
        &[
            &a.business(),
            &a.id(),
            &a.recorded.seq,
            &e.command_type.as_str(),
            &e.target.to_string(),
            &a.field("/data/preview"),
            &e.rule.as_str(),
            &e.approval_policy_version,
            &e.quorum,
            &serde_json::to_string(&e.roles.iter().collect::<BTreeSet<_>>())?,
            &amount,
            &currency,
            &e.risk.map(|r| r.as_str()),
            &e.requested_by.to_string(),
            &ApprovalStatus::Requested.as_str(),
            &a.at(),
            &e.expires_at.to_string(),
            &e.built_in,
            &serde_json::to_string(&e.effects)?,
            &e.task.map(|t| t.to_string()),
        ],
    )
}

/// Adds the roles that an escalation lets vote too; those who might vote before still may.
fn escalated(tx: &Connection, a: &Applied<'_>, e: &Escalated) -> Result<(), ApplyError> {
    let before: String = tx
        .prepare_cached("SELECT roles FROM approvals WHERE business = ? AND id = ?")?
        .query_row([a.business(), a.id()], |r| r.get(0))?;
    let mut roles: BTreeSet<Role> = serde_json::from_str(&before)?;
    roles.extend(&e.to_roles);
    let roles = serde_json::to_string(&roles)?;
    run(
        tx,
        "UPDATE approvals SET escalated = 1, roles = ? WHERE business = ? AND id = ?",
        &[&roles, &a.business(), &a.id()],
    )
}

fn close(tx: &Connection, a: &Applied<'_>, status: ApprovalStatus) -> Result<(), ApplyError> {
    run(
        tx,
        "UPDATE approvals SET status = ?, closed_at = ? WHERE business = ? AND id = ?",
        &[&status.as_str(), &a.at(), &a.business(), &a.id()],
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Approvals(event) = a.event else { return Ok(()) };
    match event {
        Approvals::PolicyDefined(e) => run(
            tx,
            "INSERT OR REPLACE INTO approval_policies VALUES (?, ?, ?, ?, ?)",
            &[
                &a.business(),
                &e.approval_policy_version,
                &serde_json::to_string(&e.rules)?,
                &serde_json::to_string(&e.operation_classes)?,
                &a.at(),
            ],
        ),
        Approvals::Requested(e) => requested(tx, a, e),
        Approvals::Voted(e) => run(
            tx,
            "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                &a.business(),
                &a.recorded.seq,
                &a.id(),
                &e.voter.to_string(),
                &e.delegated_by.map(|p| p.to_string()),
                &e.choice.as_str(),
                &a.optional_field(e.comment.as_ref(), "/data/comment"),
                &a.at(),
            ],
        ),
        Approvals::Commented(_) | Approvals::Delegated(_) | Approvals::DelegationRevoked(_) => {
            Ok(())
        }
        Approvals::Escalated(e) => escalated(tx, a, e),
        Approvals::Granted(e) => {
            run(
                tx,
                "UPDATE approvals SET alone = ? WHERE business = ? AND id = ?",
                &[&e.alone, &a.business(), &a.id()],
            )?;
            close(tx, a, ApprovalStatus::Granted)
        }
        Approvals::Rejected(_) => close(tx, a, ApprovalStatus::Rejected),
        Approvals::Expired(_) => close(tx, a, ApprovalStatus::Expired),
        Approvals::Withdrawn(_) => close(tx, a, ApprovalStatus::Withdrawn),
        Approvals::Consumed(_) => run(
            tx,
            "UPDATE approvals SET status = ?, consumed_at = ? WHERE business = ? AND id = ?",
            &[&ApprovalStatus::Consumed.as_str(), &a.at(), &a.business(), &a.id()],
        ),
    }
}
