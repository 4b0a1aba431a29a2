//! Who may ask for what: a role allows commands, and what no role allows is denied.

use std::collections::BTreeSet;

use domain::access::{Principal, PrincipalKind};
use domain::ids::INSTALLATION;
use domain::values::Role;
use domain::{BusinessId, PrincipalId};

use crate::command::CommandError;

/// Who asks, with the roles it has in the business it asks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who authenticated.
    pub principal: PrincipalId,
    /// What sort of actor.
    pub kind: PrincipalKind,
    /// Whether it runs the installation.
    pub operator: bool,
    /// Its roles there.
    pub roles: BTreeSet<Role>,
}

impl Actor {
    /// A principal as it stands in one business; `None` for one that was never added.
    #[must_use]
    pub fn of(principal: PrincipalId, state: &Principal, business: BusinessId) -> Option<Self> {
        Some(Self { principal, kind: state.kind?, operator: state.operator, roles: state.roles.get(&business).cloned().unwrap_or_default() })
    }

    /// Whether it may know that the business exists, and read it.
    #[must_use]
    pub fn may_see(&self) -> bool {
        self.operator || !self.roles.is_empty()
    }
}

const AGENT_COMMANDS: &[&str] = &[
    "tasks.lease",
    "tasks.heartbeat",
    "tasks.release",
    "tasks.submit",
    "tasks.review",
    "tasks.fail",
    "tasks.quarantine",
    "tasks.escalate",
    "tasks.plan",
    "tasks.offer",
    "tasks.record_activity",
    "decisions.record",
    "decisions.supersede",
    "decisions.observe_outcome",
    "approvals.request",
    "approvals.comment",
    "approvals.withdraw",
    "budgets.reserve",
    "budgets.settle",
    "budgets.release",
    "integrations.intend_call",
    "integrations.succeed_call",
    "integrations.fail_call",
    "integrations.mark_call_ambiguous",
    "memory.record_fact",
    "memory.revise_fact",
    "memory.retract_fact",
    "memory.supersede_fact",
    "memory.add_document",
    "metrics.report",
];
const SERVICE_ONLY: &[&str] = &["tasks.expire", "tasks.close_history", "tasks.resolve", "approvals.expire", "agents.enrol", "tasks.open_history"];
const APPROVER_COMMANDS: &[&str] = &["approvals.vote", "approvals.comment", "approvals.delegate", "approvals.revoke_delegation", "approvals.escalate"];
const OWNER_ONLY: &[&str] = &[
    "approvals.define_policy",
    "businesses.advance",
    "budgets.set",
    "budgets.raise",
    "agents.change",
    "agents.retire",
    "metrics.define_kpi",
    "metrics.set_target",
];

fn allows(role: Role, command: &str) -> bool {
    let listed = |list: &[&str]| list.contains(&command);
    match role {
        Role::Owner => !command.starts_with("access.") && command != "businesses.register",
        Role::Member => !command.starts_with("access.") && !command.starts_with("businesses.") && !listed(OWNER_ONLY) && command != "approvals.vote",
        Role::Approver => listed(APPROVER_COMMANDS),
        // An auditor changes nothing; that it took a copy away is on record all the same.
        Role::Auditor => command == "operations.record_export",
        Role::Agent => listed(AGENT_COMMANDS),
        Role::Service => listed(AGENT_COMMANDS) || listed(SERVICE_ONLY),
    }
}

/// Lets a command through, or says why not.
///
/// # Errors
/// [`CommandError::NotFound`] when the actor may not know that the business exists, else
/// [`CommandError::Forbidden`].
pub fn authorize(actor: &Actor, business: BusinessId, command: &str) -> Result<(), CommandError> {
    let forbidden = || Err(CommandError::Forbidden(command.to_owned()));
    if command == "businesses.register" {
        return if actor.operator || actor.kind == PrincipalKind::Human { Ok(()) } else { forbidden() };
    }
    if business == INSTALLATION {
        return if actor.operator { Ok(()) } else { forbidden() };
    }
    if command.starts_with("access.") || command == "businesses.claim_slug" {
        return forbidden();
    }
    if !actor.may_see() {
        return Err(CommandError::NotFound(business));
    }
    // An operator runs the installation and so every business in it, but a vote is an approver's.
    let operates = actor.operator && command != "approvals.vote";
    if operates || actor.roles.iter().any(|role| allows(*role, command)) { Ok(()) } else { forbidden() }
}
