//! Every command there is. All that is fixed about a command stands in one declaration in its
//! context's file: its sentence, its name, what it does to which kind of aggregate, who may send
//! it, where its target's id comes from, what approval rules can look at, and when it is refused.
//! Nothing has a default: a part that is left out does not compile.

use domain::access::PrincipalKind;
use domain::approvals::{CarriedInputs, Carries};
use domain::ids::{EventId, TaskId};
use domain::values::Role;
use domain::{AggregateRef, BusinessId, Kind, SubjectId, with_contexts};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::authorize::Actor;
use crate::root::{Changes, Context, Decide, LoadedAggregates};
use crate::{Refusal, agents};

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

    fn is(self, actor: &Actor) -> bool {
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
    pub(crate) fn fixed(self, command: &C, business: BusinessId) -> Option<Uuid> {
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

/// Declares the commands of a context, each with all that is fixed about it (see [`CommandType`]).
macro_rules! commands {
    ($context:literal { $(
        $(#[doc = $doc:literal])+
        $variant:ident = $name:literal $verb:ident $kind:ident {
            from: [$($sender:ident),*] of $stream:ident,
            target: $target:expr,
            carries: [$($carries:ident),*],
            when_suspended: $suspended:ident, when_retired: $retired:ident, after_end: $end:ident,
                historic: $historic:literal,
            when_fenced: $fenced:ident,
        } with {
            $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
        }
    )* }) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $variant {
                $($(#[$field_meta])* pub $field: $type,)*
            }
        )*
        /// The commands of this context.
        #[derive(Debug, Clone)]
        #[allow(clippy::large_enum_variant, reason = "commands are short-lived and few at a time")]
        pub enum Command {
            $($(#[doc = $doc])+ $variant($variant),)*
        }
        impl Command {
            /// What is fixed about each of them.
            pub const TYPES: &'static [$crate::CommandType] = &[$($crate::CommandType {
                name: concat!($context, ".", $name),
                sentence: concat!($($doc),+),
                kind: domain::Kind::$kind,
                verb: $crate::registry::Verb::$verb,
                from: &[$($crate::registry::Sender::$sender),*],
                stream: $crate::registry::Stream::$stream,
                carries: &[$(domain::approvals::Carries::$carries),*],
                when_suspended: $crate::registry::When::$suspended,
                when_retired: $crate::registry::When::$retired,
                after_end: $crate::registry::When::$end,
                historic: $historic,
                when_fenced: $crate::registry::WhenFenced::$fenced,
                json_schema: || schemars::schema_for!($variant),
            },)*];

            pub(crate) fn command_type(&self) -> &'static $crate::CommandType {
                let mut n = 0;
                $(if matches!(self, Self::$variant(_)) { return &Self::TYPES[n]; } n += 1;)*
                &Self::TYPES[n]
            }

            pub(crate) fn fixed_target(&self, business: domain::BusinessId) -> Option<uuid::Uuid> {
                match self {
                    $(Self::$variant(c) => {
                        let target: $crate::registry::Target<$variant> = $target;
                        target.fixed(c, business)
                    })*
                }
            }

            pub(crate) fn parse(name: &str, data: &str) -> Option<Result<Self, serde_json::Error>> {
                match name {
                    $(concat!($context, ".", $name) => Some(serde_json::from_str::<$variant>(data).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
        $(impl From<$variant> for Command {
            fn from(data: $variant) -> Self {
                Self::$variant(data)
            }
        })*
    };
}
pub(crate) use commands;

macro_rules! contexts {
    ($($variant:ident = $module:ident,)*) => {
        /// A command of any context.
        #[derive(Debug, Clone)]
        #[allow(clippy::large_enum_variant, reason = "commands are short-lived and few at a time")]
        pub enum AnyCommand {
            $(#[doc = concat!("Of the context \
                `", stringify!($module), "`.")] $variant(crate::$module::Command),)*
        }
        impl AnyCommand {
            /// Every command type there is, context by context.
            pub fn types() -> impl Iterator<Item = &'static CommandType> {
                [$(crate::$module::Command::TYPES,)*].into_iter().flatten()
            }

            /// What is fixed about this command's type.
            #[must_use]
            pub fn command_type(&self) -> &'static CommandType {
                match self { $(Self::$variant(c) => c.command_type(),)* }
            }

            /// The id of the aggregate it is for, where the caller has no choice.
            #[must_use]
            pub fn fixed_target(&self, business: BusinessId) -> Option<Uuid> {
                match self { $(Self::$variant(c) => c.fixed_target(business),)* }
            }

            /// A command from its type and data.
            ///
            /// # Errors
            /// A sentence for the caller: no such command, or what does not fit.
            pub fn parse(name: &str, data: &RawValue) -> Result<Self, String> {
                $(if let Some(result) = crate::$module::Command::parse(name, data.get()) {
                    return result.map(Self::$variant).map_err(|e| format!("the data of {name} does \
                        not fit: {e}"));
                })*
                Err(unknown(name))
            }

            fn context(&self) -> &dyn ContextRules {
                match self { $(Self::$variant(c) => c,)* }
            }
        }
    };
}
with_contexts!(contexts);

/// A context's own rules, over its own commands. What is the same for all commands stands in
/// [`AnyCommand`], which asks them.
pub(crate) trait ContextRules {
    /// Which aggregates the decision reads besides the target.
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef>;

    /// Says what approval rules look at; what is not said counts as the highest.
    fn carried_inputs(&self, inputs: &mut CarriedInputs);

    /// The task that the command is for, where it is for one.
    fn task(&self, _ctx: &Context) -> Option<TaskId> {
        None
    }

    /// The events that the command says it rests on: it is about whom they are about.
    fn rests_on(&self) -> Vec<EventId> {
        Vec::new()
    }

    /// The data subject that the command forgets, where it forgets one.
    fn forgets(&self, _ctx: &Context) -> Option<SubjectId> {
        None
    }

    /// The events that the command makes, or why not. No events: it is so already.
    ///
    /// # Errors
    /// The [`Refusal`] of the first rule that says no.
    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal>;
}

/// The answer to a name that no command has: with the nearest one.
fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(100).collect();
    let near =
        AnyCommand::types().map(|t| (strsim::damerau_levenshtein(t.name, &shown), t.name)).min();
    match near {
        Some((steps, near)) if steps <= near.len() / 2 => {
            format!(
                "there is no command `{shown}`; did you mean `{near}`? `minutebook do --list` \
                 shows them all"
            )
        }
        Some(_) | None => {
            format!("there is no command `{shown}`; `minutebook do --list` shows them all")
        }
    }
}

impl AnyCommand {
    /// What is fixed about the command type of that name.
    #[must_use]
    pub fn type_named(name: &str) -> Option<&'static CommandType> {
        Self::types().find(|t| t.name == name)
    }

    /// What is fixed about the command type of that name, or a sentence that names the nearest one.
    ///
    /// # Errors
    /// That sentence.
    pub fn known(name: &str) -> Result<&'static CommandType, String> {
        Self::type_named(name).ok_or_else(|| unknown(name))
    }

    /// The task that the command is for, where it is for one.
    #[must_use]
    pub fn task(&self, ctx: &Context) -> Option<TaskId> {
        self.context().task(ctx)
    }

    /// The data subject that the command forgets, where it forgets one.
    #[must_use]
    pub fn forgets(&self, ctx: &Context) -> Option<SubjectId> {
        self.context().forgets(ctx)
    }

    /// The events that the command says it rests on.
    #[must_use]
    pub fn rests_on(&self) -> Vec<EventId> {
        self.context().rests_on()
    }

    /// Says what approval rules look at.
    pub(crate) fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        self.context().carried_inputs(inputs);
    }
}

impl Decide for AnyCommand {
    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        let mut reads = self.context().reads(ctx, loaded);
        reads.push(self.target(ctx));
        reads.extend(ctx.own_agent().map(AggregateRef::from));
        reads
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let (fixed, exists) = (self.command_type(), loaded.exists(self.target(ctx))?);
        match fixed.verb {
            Verb::opens if exists => return Err(Refusal::Exists { what: fixed.kind.as_str() }),
            Verb::acts if !exists => return Err(Refusal::Unknown { what: fixed.kind.as_str() }),
            Verb::opens | Verb::acts | Verb::sets => {}
        }
        let mut inputs = CarriedInputs::default();
        self.carried_inputs(&mut inputs);
        agents::own_standing(ctx, loaded, inputs.in_the_name_of_an_agent)?;
        self.context().decide(ctx, loaded)
    }
}

impl AnyCommand {
    fn target(&self, ctx: &Context) -> AggregateRef {
        AggregateRef::new(self.command_type().kind, ctx.target)
    }
}
