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
    /// The aggregate must exist.
    acts,
    /// The aggregate may exist or not: the command sets all of it or a part of it.
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
    /// An operator of the installation.
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
    /// The stream of one business.
    Business,
    /// The stream `installation`, above all businesses.
    Installation,
}

/// Whether a command is accepted while its agent or its business is out of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The command is accepted.
    Allowed,
    /// The command is refused.
    Refused,
}

/// What happens to a command whose text is about a forgotten subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFenced {
    /// The command is refused, because it opens or changes something about the subject.
    Refused,
    /// The command is accepted, because it records or closes what is under way; its text is
    /// withheld from everybody for ever.
    Withheld,
}

/// Where the id of a command's aggregate comes from.
#[derive(Clone, Copy)]
pub(crate) enum Target<C> {
    /// The caller sends the id; it may be left out unless the verb is [`Verb::acts`].
    Sent,
    /// The id is that of the business.
    Business,
    /// The id is derived from the command; an id that is sent must be the same.
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

/// All that the declaration of a command says.
#[derive(Debug, Clone, Copy)]
pub struct CommandType {
    /// Name of the command: `context.imperative`.
    pub name: &'static str,
    /// What the command does, in a sentence.
    pub sentence: &'static str,
    /// Kind of the aggregate that the command is for.
    pub kind: Kind,
    /// What the command does to that aggregate.
    pub verb: Verb,
    /// The senders that may send the command; nobody else may.
    pub from: &'static [Sender],
    /// The stream that the command is for.
    pub stream: Stream,
    /// The approval inputs that the command can carry.
    pub carries: &'static [Carries],
    /// Whether the command is accepted while the agent that sends it, or in whose name it is sent,
    /// is suspended.
    pub when_suspended: When,
    /// Whether the command is accepted if that agent is retired.
    pub when_retired: When,
    /// Whether the command is accepted once the business is wound up.
    pub after_end: When,
    /// What happens to the command if its text is about a forgotten subject.
    pub when_fenced: WhenFenced,
    /// Whether importers may send the command: they record the past, which no approval can undo.
    pub historic: bool,
    /// JSON Schema of the command's `data`.
    pub json_schema: fn() -> schemars::Schema,
}

impl CommandType {
    /// Whether the actor's roles allow the command.
    #[must_use]
    pub fn is_allowed_to(&self, actor: &Actor) -> bool {
        if actor.historic { self.historic } else { self.from.iter().any(|sender| sender.is(actor)) }
    }
}
