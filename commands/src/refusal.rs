//! Refusals: every rule that says no, by name, with a sentence that says what to do.

mod samples;

use crate::clock_watch::ClockDoubt;
use domain::ids::{AgentId, ApprovalId, BudgetId, ReservationId, TaskId};
use domain::values::{Currency, Digest};
use domain::{Money, PrincipalId, SubjectId, Timestamp};
use samples::Sample;

/// Gives each refusal its stored name beside its sentence.
macro_rules! refusals {
    ($($(#[$meta:meta])* $variant:ident $({ $($field:ident: $type:ty),* })? = $name:literal,)*) => {
        /// Why a rule said no.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$meta])* $variant $({ $($field: $type),* })?,)*
        }
        impl Refusal {
            /// Every refusal with sample arguments, in the order of the contexts.
            #[must_use]
            pub fn samples() -> Vec<Self> {
                vec![$(Self::$variant $({ $($field: Sample::sample(stringify!($field))),* })?,)*]
            }

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
    #[error("{id} is the id of a {is}, and {wanted} is wanted; send the id of the {wanted}")]
    WrongKind { id: uuid::Uuid, is: &'static str, wanted: &'static str } = "wrong_kind",
    #[error("this {what} exists already; leave it as it is or use another id")]
    Exists { what: &'static str } = "exists",
    #[error("this {what} is {status}; for that it would have to be {wanted}")]
    WrongStatus { what: &'static str, status: &'static str, wanted: &'static str } = "wrong_status",
    #[error("{field} must be {rule}")]
    OutOfRange { field: &'static str, rule: &'static str } = "out_of_range",
    #[error("the id of this {what} is {expected}; leave `id` out or send that one")]
    WrongId { what: &'static str, expected: uuid::Uuid } = "wrong_id",
    #[error("the decision did not say that it reads {aggregate}; this is a fault of the program, \
        please report it")]
    Undeclared { aggregate: domain::AggregateRef } = "undeclared",
    #[error("there is no principal {principal} in this business; the operator adds it with \
        access.add_principal and access.grant_role")]
    PrincipalUnknown { principal: PrincipalId } = "principal_unknown",
    #[error("that is not yours: only {who} may do that")]
    NotYours { who: &'static str } = "not_yours",
    #[error("it is too early for that: wait until {at}")]
    TooEarly { at: Timestamp } = "too_early",
    #[error("what time alone decides waits: {doubt}; then send it again under the same key")]
    ClockInDoubt { doubt: ClockDoubt } = "clock_in_doubt",
    // privacy
    #[error("nothing here is about {subject}: no key of that subject was ever made; `minutebook \
        keys subjects` says who can be forgotten")]
    NothingToForget { subject: SubjectId } = "nothing_to_forget",
    #[error("{subject} is forgotten here: nothing new about that person is taken; leave them out \
        of what you send")]
    SubjectFenced { subject: SubjectId } = "subject_fenced",
    #[error("that is the business itself: send businesses.forget, with the approval of a second \
        human")]
    ForgetBusinessInstead = "forget_business_instead",
    // businesses
    #[error("the business is wound up; nothing more can happen in it")]
    WoundUp = "wound_up",
    #[error("the business is not registered; send businesses.register first")]
    NotRegistered = "not_registered",
    #[error("after {from} comes {next}; advance to that first")]
    PhaseOrder { from: &'static str, next: &'static str } = "phase_order",
    #[error("the slug `{slug}` can't be had; choose another")]
    SlugTaken { slug: String } = "slug_taken",
    #[error("you may register at most {per_day} businesses in 24 hours; ask the operator, or try \
        again tomorrow")]
    TooManyRegistrations { per_day: u32 } = "too_many_registrations",
    #[error("the owner must be a known human principal; add them with access.add_principal first")]
    OwnerUnknown = "owner_unknown",
    // access
    #[error("that is the last key of the last operator; issue another first, or say that it is \
        meant (`last`, --yes)")]
    LastKey = "last_key",
    #[error("a principal has at most two keys; revoke one first")]
    TooManyKeys = "too_many_keys",
    // agents
    #[error("agent {agent} is not active; resume it or take another")]
    AgentInactive { agent: AgentId } = "agent_inactive",
    #[error("agent {agent} acts with other credentials than yours; use its own key")]
    NotTheAgent { agent: AgentId } = "not_the_agent",
    #[error("agent {agent} may not use the connector {connector}; ask for agents.change of its \
        permissions")]
    ConnectorNotAllowed { agent: AgentId, connector: String } = "connector_not_allowed",
    #[error("agent {agent} may not use the operation {operation}; ask for agents.change of its \
        permissions (`tools`)")]
    OperationNotAllowed { agent: AgentId, operation: String } = "operation_not_allowed",
    #[error("agent {agent} may not touch {data_class} data; ask for agents.change of its \
        permissions (`data_classes`)")]
    DataClassNotAllowed { agent: AgentId, data_class: &'static str } = "data_class_not_allowed",
    #[error("agent {agent} may not report {measure}; ask for agents.change of its permissions (the \
        tool `report:{measure}`)")]
    MeasureNotAllowed { agent: AgentId, measure: String } = "measure_not_allowed",
    #[error("agent {agent} holds {held} tasks and may hold no more at once; finish or release one \
        first")]
    TooManyLeases { agent: AgentId, held: usize } = "too_many_leases",
    #[error("an agent says which agent it is: send `agent`")]
    AgentUnnamed = "agent_unnamed",
    #[error("the principal {principal} is no agent of this business; the operator adds it (kind \
        agent) and grants it the role agent first")]
    PrincipalNoAgent { principal: PrincipalId } = "principal_no_agent",
    // tasks
    #[error("the lease is lost: token {token} is no longer valid, the current one is {current}; \
        take the task again if it is offered")]
    LeaseLost { token: u32, current: u32 } = "lease_lost",
    #[error("the task is leased until {expires_at}; wait, or let it expire")]
    LeaseHeld { expires_at: Timestamp } = "lease_held",
    #[error("the task waits for {task}; complete that first")]
    Waiting { task: TaskId } = "waiting",
    #[error("who made a result can't review it: {why}; let another agent review")]
    SelfReview { why: &'static str } = "self_review",
    #[error("the review looked at {named}, the result at hand is {at_hand}; look at that one")]
    StaleArtifact { named: Digest, at_hand: Digest } = "stale_artifact",
    #[error("agent {agent} belongs to another team or role; this needs a {wanted} of the task's \
        team")]
    WrongTeam { agent: AgentId, wanted: &'static str } = "wrong_team",
    #[error("agent {agent} never held the lease {token} of this task; only who held it hands in \
        its result")]
    NeverHeld { agent: AgentId, token: u32 } = "never_held",
    #[error("the task waits for a human with the role {role}; ask one of them")]
    NotEscalatedToYou { role: &'static str } = "not_escalated_to_you",
    #[error("there is no result at hand; resolve to offered, failed or cancelled instead")]
    NothingSubmitted = "nothing_submitted",
    #[error("only a human may do that")]
    HumanOnly = "human_only",
    // approvals
    #[error("the rule `{rule}` asks for approval; send approvals.request with this command and its \
        id {id}, then repeat it with approval_id, that id and the same data")]
    ApprovalRequired { rule: String, id: uuid::Uuid } = "approval_required",
    #[error("your roles do not allow {command}, so an approval of it would be of no use to you; \
        ask somebody who may send it")]
    RequesterMayNot { command: &'static str } = "requester_may_not",
    #[error("the command would change nothing; there is nothing to approve")]
    NothingToApprove = "nothing_to_approve",
    #[error("rule `{rule}`: {fault}")]
    RuleFaulty { rule: String, fault: String } = "rule_faulty",
    #[error("the rule `{rule}` forbids this command")]
    Forbidden { rule: String } = "forbidden_by_approval_policy",
    #[error("approval {approval} was given for another command; send exactly the one that was \
        approved")]
    ApprovalMismatch { approval: ApprovalId } = "approval_mismatch",
    #[error("approval {approval} was given under a rule that asks for less than the one that \
        applies now; ask again")]
    ApprovalOutdated { approval: ApprovalId } = "approval_outdated",
    #[error("approval {approval} ran out at {expires_at}; ask again")]
    ApprovalExpired { approval: ApprovalId, expires_at: Timestamp } = "approval_expired",
    #[error("the digest of approval {approval} can't be checked: its subject is forgotten; ask \
        again")]
    ApprovalForgotten { approval: ApprovalId } = "approval_forgotten",
    #[error("no rule asks for approval of this command; send it without")]
    NoApprovalNeeded = "no_approval_needed",
    #[error("who asked for approval can't vote on it; let another approver vote")]
    OwnRequest = "own_request",
    #[error("who asked made you an owner or approver, so you are no second human for this; \
        somebody whom another made one must vote")]
    MadeByRequester = "own_request",
    #[error("you may not vote on this; it needs one of: {roles}")]
    NotAnApprover { roles: String } = "not_an_approver",
    #[error("you have a part in a vote on this already, by your own or a delegated right; another \
        human must vote")]
    VotedAlready = "voted_already",
    #[error("its time has not run out: it is open until {expires_at}")]
    NotYetExpired { expires_at: Timestamp } = "not_yet_expired",
    #[error("only who asked may withdraw")]
    NotTheRequester = "not_the_requester",
    // budgets
    #[error("budget {budget} has {left} left in this window, {wanted} are wanted; ask for \
        budgets.raise")]
    BudgetExceeded { budget: BudgetId, left: Money, wanted: Money } = "budget_exceeded",
    #[error("the budget reckons in {budget}, not in {given}; convert first")]
    WrongCurrency { budget: Currency, given: Currency } = "wrong_currency",
    #[error("reservation {reservation} is not open in this budget")]
    ReservationUnknown { reservation: ReservationId } = "reservation_unknown",
    #[error("reservation {reservation} belongs to a call; report the call's outcome instead")]
    ReservationOfCall { reservation: ReservationId } = "reservation_of_call",
    #[error("budget {budget} is used up in this window; ask for budgets.raise, or wait for its \
        next window")]
    BudgetUsedUp { budget: BudgetId } = "budget_exceeded",
    #[error("a budget matches this call; say with cost_max what it may cost at most")]
    CostMaxMissing = "cost_max_missing",
    #[error("no budget matches; set one with budgets.set first")]
    NoBudget = "no_budget",
    #[error("the budget's limit is {limit}; to raise it ask for budgets.raise")]
    RaiseInstead { limit: Money } = "raise_instead",
}
