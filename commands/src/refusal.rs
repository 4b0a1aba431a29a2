//! Refusals: every rule that says no, by name, with a sentence that says what to do.

mod samples;

use crate::clock_watch::ClockDoubt;
use domain::ids::{AgentId, ApprovalId, BudgetId, EventId, ReservationId, TaskId};
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

            /// The names of all refusals.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// Name of the refusal, as the APIs and the list of attempts show it.
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
    #[error("the id {id} belongs to an aggregate of kind `{is}`, but this command needs kind \
        `{wanted}`; send the id of the {wanted}")]
    WrongKind { id: uuid::Uuid, is: &'static str, wanted: &'static str } = "wrong_kind",
    #[error("this {what} exists already; leave it as it is or use another id")]
    Exists { what: &'static str } = "exists",
    #[error("this {what} is {status}; send this command only while the {what} is {wanted}")]
    WrongStatus { what: &'static str, status: &'static str, wanted: &'static str } = "wrong_status",
    #[error("{field} must be {rule}")]
    OutOfRange { field: &'static str, rule: &'static str } = "out_of_range",
    #[error("the id of this {what} is {expected}; leave `id` out or send that one")]
    WrongId { what: &'static str, expected: uuid::Uuid } = "wrong_id",
    #[error("the command's rule needs {aggregate}, but the program did not load it before the \
        decision; this is a bug in minutebook, please report it")]
    Undeclared { aggregate: domain::AggregateRef } = "undeclared",
    #[error("there is no principal {principal} in this business; the operator adds it with \
        access.add_principal and access.grant_role")]
    PrincipalUnknown { principal: PrincipalId } = "principal_unknown",
    #[error("you may not send this command: only {who} may send it; ask one of them")]
    NotYours { who: &'static str } = "not_yours",
    #[error("no event of this business has the id {event}, so nothing can rest on it; name an \
        event from a receipt that you were given")]
    EvidenceUnknown { event: EventId } = "evidence_unknown",
    #[error("it is too early for that: wait until {at}")]
    TooEarly { at: Timestamp } = "too_early",
    #[error("the server can't rely on its clock, and the outcome of this command depends on the \
        time: {doubt}; then send the command again under the same key")]
    ClockInDoubt { doubt: ClockDoubt } = "clock_in_doubt",
    // privacy
    #[error("there is no personal data about the subject {subject} to forget: the keyring never \
        had a key for it here; run `minutebook keys subjects` to list the subjects that can be \
        forgotten")]
    NothingToForget { subject: SubjectId } = "nothing_to_forget",
    #[error("the subject {subject} was forgotten, and no new data about that person is accepted \
        here; remove the person from the command")]
    SubjectFenced { subject: SubjectId } = "subject_fenced",
    #[error("that is the business itself: send businesses.forget, with the approval of a second \
        human")]
    ForgetBusinessInstead = "forget_business_instead",
    // businesses
    #[error("the business is wound up and no longer accepts this command; docs/permissions.md \
        lists the commands that it still accepts")]
    WoundUp = "wound_up",
    #[error("the business is not registered; send businesses.register first")]
    NotRegistered = "not_registered",
    #[error("the phase after {from} is {next}; advance the business one phase at a time")]
    PhaseOrder { from: &'static str, next: &'static str } = "phase_order",
    #[error("the slug `{slug}` can't be had; choose another")]
    SlugTaken { slug: String } = "slug_taken",
    #[error("you may register at most {per_day} businesses in 24 hours; ask the operator, or try \
        again tomorrow")]
    TooManyRegistrations { per_day: u32 } = "too_many_registrations",
    #[error("the owner must be a known human principal; add them with access.add_principal first")]
    OwnerUnknown = "owner_unknown",
    // access
    #[error("this key is the only key of the only operator; issue another key first, or confirm \
        the revocation with the field `last` (on the command line, --yes)")]
    LastKey = "last_key",
    #[error("a principal has at most two keys; revoke one first")]
    TooManyKeys = "too_many_keys",
    // agents
    #[error("agent {agent} is not active; resume it or take another")]
    AgentInactive { agent: AgentId } = "agent_inactive",
    #[error("your key does not belong to agent {agent}; send the command with that agent's own \
        key")]
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
    #[error("agent {agent} may not report the measure {measure}; ask an owner to add the tool \
        `report:{measure}` to the agent's permissions with agents.change")]
    MeasureNotAllowed { agent: AgentId, measure: String } = "measure_not_allowed",
    #[error("agent {agent} holds {held} tasks and may hold no more at once; finish or release one \
        first")]
    TooManyLeases { agent: AgentId, held: usize } = "too_many_leases",
    #[error("a command that an agent sends must name that agent; put the agent's id into the field \
        `agent`")]
    AgentUnnamed = "agent_unnamed",
    #[error("the principal {principal} is no agent of this business; the operator adds it (kind \
        agent) and grants it the role agent first")]
    PrincipalNoAgent { principal: PrincipalId } = "principal_no_agent",
    // tasks
    #[error("the lease is lost: the fencing token {token} is not valid, and the task's current \
        token is {current}; lease the task again if it is offered")]
    LeaseLost { token: u32, current: u32 } = "lease_lost",
    #[error("the task is leased until {expires_at}; wait, or let it expire")]
    LeaseHeld { expires_at: Timestamp } = "lease_held",
    #[error("this task depends on task {task}, which is not completed; complete task {task} first")]
    Waiting { task: TaskId } = "waiting",
    #[error("the producer of a result can't review it: {why}; let another agent, with other \
        credentials, review it")]
    SelfReview { why: &'static str } = "self_review",
    #[error("the review names the result with the digest {named}, but the task's current result \
        has the digest {at_hand}; review the current result")]
    StaleArtifact { named: Digest, at_hand: Digest } = "stale_artifact",
    #[error("agent {agent} has another team or role than this command needs; send it for an agent \
        with the role {wanted} in the task's team")]
    WrongTeam { agent: AgentId, wanted: &'static str } = "wrong_team",
    #[error("agent {agent} never held the lease of this task with the fencing token {token}; only \
        the agent that held that lease may submit its result")]
    NeverHeld { agent: AgentId, token: u32 } = "never_held",
    #[error("the task waits for a human with the role {role}; ask one of them")]
    NotEscalatedToYou { role: &'static str } = "not_escalated_to_you",
    #[error("there is no result at hand; resolve to offered, failed or cancelled instead")]
    NothingSubmitted = "nothing_submitted",
    #[error("only a human may do that")]
    HumanOnly = "human_only",
    // approvals
    #[error("the rule `{rule}` requires an approval of this command; send approvals.request with \
        the command and its id {id}, and once the approval is granted, send the command again with \
        `approval_id`, the same id and the same data")]
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
    #[error("approval {approval} was granted under a less strict rule than the one that applies \
        now; request a new approval")]
    ApprovalOutdated { approval: ApprovalId } = "approval_outdated",
    #[error("approval {approval} ran out at {expires_at}; ask again")]
    ApprovalExpired { approval: ApprovalId, expires_at: Timestamp } = "approval_expired",
    #[error("approval {approval} can't be compared with this command, because the data subject of \
        the approval was forgotten; request a new approval")]
    ApprovalForgotten { approval: ApprovalId } = "approval_forgotten",
    #[error("no rule asks for approval of this command; send it without")]
    NoApprovalNeeded = "no_approval_needed",
    #[error("who asked for approval can't vote on it; let another approver vote")]
    OwnRequest = "own_request",
    #[error("the requester of this approval granted the role that this vote rests on, so it is not \
        the vote of an independent second human; an owner or approver whose role somebody else \
        granted must vote")]
    MadeByRequester = "own_request",
    #[error("you may not vote on this approval; a voter needs one of these roles: {roles}")]
    NotAnApprover { roles: String } = "not_an_approver",
    #[error("you, or the approver who delegated the vote to you, already took part in a vote on \
        this approval; another human must vote")]
    VotedAlready = "voted_already",
    #[error("the approval has not expired yet; send approvals.expire again after {expires_at}")]
    NotYetExpired { expires_at: Timestamp } = "not_yet_expired",
    #[error("only the requester of this approval may withdraw it; ask the requester to do so")]
    NotTheRequester = "not_the_requester",
    // budgets
    #[error("budget {budget} has {left} left in this window, {wanted} are wanted; ask for \
        budgets.raise")]
    BudgetExceeded { budget: BudgetId, left: Money, wanted: Money } = "budget_exceeded",
    #[error("the budget's currency is {budget}, but the amount is in {given}; convert the amount \
        to {budget} first")]
    WrongCurrency { budget: Currency, given: Currency } = "wrong_currency",
    #[error("reservation {reservation} is not open in this budget")]
    ReservationUnknown { reservation: ReservationId } = "reservation_unknown",
    #[error("reservation {reservation} belongs to a call; report the call's outcome instead")]
    ReservationOfCall { reservation: ReservationId } = "reservation_of_call",
    #[error("budget {budget} is used up in this window; ask for budgets.raise, or wait for its \
        next window")]
    BudgetUsedUp { budget: BudgetId } = "budget_exceeded",
    #[error("a budget applies to this call; send the highest amount that the call may cost as \
        `cost_max`")]
    CostMaxMissing = "cost_max_missing",
    #[error("no budget matches; set one with budgets.set first")]
    NoBudget = "no_budget",
    #[error("the budget's limit is {limit}; to raise it ask for budgets.raise")]
    RaiseInstead { limit: Money } = "raise_instead",
}
