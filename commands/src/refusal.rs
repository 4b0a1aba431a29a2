//! Refusals: every rule that says no, by name, with a sentence that says what to do.

use domain::ids::{AgentId, ApprovalId, BudgetId, ReservationId, TaskId};
use domain::values::{Currency, Digest};
use domain::{Money, Timestamp};

/// Gives each refusal its stored name beside its sentence.
macro_rules! refusals {
    ($($(#[$meta:meta])* $variant:ident $({ $($field:ident: $type:ty),* })? = $name:literal,)*) => {
        /// Why a rule said no.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$meta])* $variant $({ $($field: $type),* })?,)*
        }
        impl Refusal {
            /// Every name there is.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The name that doors and the list of attempts show.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
        }
    };
}

refusals! {
    // any context
    #[error("there is no such {what}; check its id")]
    Unknown { what: &'static str } = "unknown",
    #[error("this {what} exists already; leave it as it is or use another id")]
    Exists { what: &'static str } = "exists",
    #[error("this {what} is {status}; for that it would have to be {wanted}")]
    WrongStatus { what: &'static str, status: &'static str, wanted: &'static str } = "wrong_status",
    #[error("{field} must be {rule}")]
    OutOfRange { field: &'static str, rule: &'static str } = "out_of_range",
    #[error("the id of this {what} is {expected}; leave `id` out or send that one")]
    WrongId { what: &'static str, expected: uuid::Uuid } = "wrong_id",
    // businesses
    #[error("the business is wound up; nothing more can happen in it")]
    WoundUp = "wound_up",
    #[error("the business is not registered; send businesses.register first")]
    NotRegistered = "not_registered",
    #[error("after {from} comes {next}; advance to that first")]
    PhaseOrder { from: &'static str, next: &'static str } = "phase_order",
    #[error("the slug `{slug}` is taken; choose another")]
    SlugTaken { slug: String } = "slug_taken",
    #[error("the owner must be a known human principal; add them with access.add_principal first")]
    OwnerUnknown = "owner_unknown",
    // access
    #[error("a principal has at most two keys; revoke one first")]
    TooManyKeys = "too_many_keys",
    // agents
    #[error("agent {agent} is not active; resume it or take another")]
    AgentInactive { agent: AgentId } = "agent_inactive",
    #[error("agent {agent} acts with other credentials than yours; use its own key")]
    NotTheAgent { agent: AgentId } = "not_the_agent",
    #[error("agent {agent} may not use the connector {connector}; ask for agents.change of its permissions")]
    ConnectorNotAllowed { agent: AgentId, connector: String } = "connector_not_allowed",
    #[error("an agent says which agent it is: send `agent`")]
    AgentUnnamed = "agent_unnamed",
    // tasks
    #[error("the lease is lost: token {token} is no longer valid, the current one is {current}; take the task again if it is offered")]
    LeaseLost { token: u32, current: u32 } = "lease_lost",
    #[error("the task is leased until {expires_at}; wait, or let it expire")]
    LeaseHeld { expires_at: Timestamp } = "lease_held",
    #[error("the task waits for {task}; complete that first")]
    Waiting { task: TaskId } = "waiting",
    #[error("who made a result can't review it: {why}; let another agent review")]
    SelfReview { why: &'static str } = "self_review",
    #[error("the review looked at {named}, the result at hand is {at_hand}; look at that one")]
    StaleArtifact { named: Digest, at_hand: Digest } = "stale_artifact",
    #[error("agent {agent} belongs to another team or role; this needs a {wanted} of the task's team")]
    WrongTeam { agent: AgentId, wanted: &'static str } = "wrong_team",
    #[error("there is no result at hand; resolve to offered, failed or cancelled instead")]
    NothingSubmitted = "nothing_submitted",
    #[error("only a human may do that")]
    HumanOnly = "human_only",
    // approvals
    #[error("the rule `{rule}` asks for approval; send approvals.request with this command, then repeat it with approval_id and the same id and data")]
    ApprovalRequired { rule: String } = "approval_required",
    #[error("the rule `{rule}` forbids this command")]
    Forbidden { rule: String } = "forbidden_by_approval_policy",
    #[error("approval {approval} was given for another command; send exactly the one that was approved")]
    ApprovalMismatch { approval: ApprovalId } = "approval_mismatch",
    #[error("approval {approval} was given under a rule that asks for less than the one that applies now; ask again")]
    ApprovalOutdated { approval: ApprovalId } = "approval_outdated",
    #[error("approval {approval} ran out at {expires_at}; ask again")]
    ApprovalExpired { approval: ApprovalId, expires_at: Timestamp } = "approval_expired",
    #[error("the digest of approval {approval} can't be checked: its subject is forgotten; ask again")]
    ApprovalForgotten { approval: ApprovalId } = "approval_forgotten",
    #[error("no rule asks for approval of this command; send it without")]
    NoApprovalNeeded = "no_approval_needed",
    #[error("who asked for approval can't vote on it; let another approver vote")]
    OwnRequest = "own_request",
    #[error("you may not vote on this; it needs one of: {roles}")]
    NotAnApprover { roles: String } = "not_an_approver",
    #[error("you voted otherwise before; a vote can't be changed")]
    VotedAlready = "voted_already",
    #[error("its time has not run out: it is open until {expires_at}")]
    NotYetExpired { expires_at: Timestamp } = "not_yet_expired",
    #[error("only who asked may withdraw")]
    NotTheRequester = "not_the_requester",
    // budgets
    #[error("budget {budget} has {left} left in this window, {wanted} are wanted; ask for budgets.raise")]
    BudgetExceeded { budget: BudgetId, left: Money, wanted: Money } = "budget_exceeded",
    #[error("the budget reckons in {budget}, not in {given}; convert first")]
    WrongCurrency { budget: Currency, given: Currency } = "wrong_currency",
    #[error("reservation {reservation} is not open in this budget")]
    ReservationUnknown { reservation: ReservationId } = "reservation_unknown",
    #[error("reservation {reservation} belongs to a call; report the call's outcome instead")]
    ReservationOfCall { reservation: ReservationId } = "reservation_of_call",
    #[error("no budget matches; set one with budgets.set first")]
    NoBudget = "no_budget",
    #[error("the budget's limit is {limit}; to raise it ask for budgets.raise")]
    RaiseInstead { limit: Money } = "raise_instead",
}
