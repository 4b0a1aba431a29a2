//! What a command's declaration says: who may send it, where to, and when it is refused.

use crate::authorize::Actor;
use domain::access::PrincipalKind;
use domain::approvals::Carries;
use domain::values::Role;
use domain::{BusinessId, Kind};
use uuid::Uuid;

/// What a command does to the aggregate that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    reason = "declarations read as sentences: `Plan = \"plan\" opens Task`"
)]
pub enum Verb {
    /// The aggregate must be absent; `id` may be left out.
    opens,
    /// The aggregate must be there.
    acts,
    /// Either: the command says how it shall be, or names something inside.
    sets,
}

/// Who may send a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// Whoever has the role owner in the business.
    Owner,
    /// Whoever has the role member there.
    Member,
    /// Whoever has the role approver there.
    Approver,
    /// Whoever has the role auditor there.
    Auditor,
    /// Whoever has the role agent there.
    Agent,
    /// Whoever has the role service there.
    Service,
    /// Whoever runs the installation.
    Operator,
    /// Every human with a key, whatever their roles.
    AnyHuman,
}

impl Sender {
    /// Every sender, in the order of the permissions table.
    pub const ALL: &'static [Self] = &[
        Self::Owner,
        Self::Member,
        Self::Approver,
        Self::Auditor,
        Self::Agent,
        Self::Service,
        Self::Operator,
        Self::AnyHuman,
    ];

    pub(super) fn is(self, actor: &Actor) -> bool {
        let role = |role| actor.roles.contains(&role);
        match self {
            Self::Owner => role(Role::Owner),
            Self::Member => role(Role::Member),
            Self::Approver => role(Role::Approver),
            Self::Auditor => role(Role::Auditor),
            Self::Agent => role(Role::Agent),
            Self::Service => role(Role::Service),
            Self::Operator => actor.operator,
            Self::AnyHuman => actor.kind == PrincipalKind::Human,
        }
    }
}

/// Which stream a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// A business's own.
    Business,
    /// The one above all businesses.
    Installation,
}

/// Whether a command is taken in a state in which most are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is taken.
    Allowed,
    /// It is refused.
    Refused,
}

/// What becomes of a command with text about somebody who is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFenced {
    /// It opens or changes something about them: it is refused.
    Refused,
    /// It records or closes what goes on: it is taken, and its text is withheld from everybody for
    /// ever.
    Withheld,
}

/// Where the id of a command's aggregate comes from.
#[derive(Clone, Copy)]
pub(crate) enum Target<C> {
    /// The caller sends it; where the command opens the aggregate it may be left out.
    Sent,
    /// It is the business's own.
    Business,
    /// It follows from the command; an id that is sent must be that one.
    Derived(fn(&C, BusinessId) -> Uuid),
}

impl<C> Target<C> {
    pub(crate) fn derived(self, command: &C, business: BusinessId) -> Option<Uuid> {
        match self {
            Self::Sent => None,
            Self::Business => Some(business.0),
            Self::Derived(from) => Some(from(command, business)),
        }
    }
}

/// What is fixed about a command's type.
#[derive(Debug, Clone, Copy)]
pub struct CommandType {
    /// `context.imperative`.
    pub name: &'static str,
    /// What it asks for, in a sentence.
    pub sentence: &'static str,
    /// The kind of aggregate it is for.
    pub kind: Kind,
    /// What it does to that aggregate.
    pub verb: Verb,
    /// Who may send it; nobody else may.
    pub from: &'static [Sender],
    /// The stream it is for.
    pub stream: Stream,
    /// What it can carry that approval rules look at.
    pub carries: &'static [Carries],
    /// Whether it is taken while the agent that sends it, or in whose name it is sent, is
    /// suspended.
    pub when_suspended: When,
    /// The same for an agent that is retired.
    pub when_retired: When,
    /// Whether it is taken once the business is wound up.
    pub after_end: When,
    /// What becomes of it where its text is about somebody who is forgotten.
    pub when_fenced: WhenFenced,
    /// Whether importers send it: what they send is the past, which no approval can undo.
    pub historic: bool,
    /// JSON Schema of its `data`.
    pub json_schema: fn() -> schemars::Schema,
}

impl CommandType {
    /// Whether the actor's roles allow the command.
    #[must_use]
    pub fn is_allowed_to(&self, actor: &Actor) -> bool {
        if actor.historic { self.historic } else { self.from.iter().any(|sender| sender.is(actor)) }
    }
}
