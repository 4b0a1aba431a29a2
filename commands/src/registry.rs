//! Every command there is. All that is fixed about a command stands in one declaration in its
//! context's file: its sentence, its name, what it does to which kind of aggregate, who may send
//! it, where its target's id comes from, what approval rules can look at, and when it is refused.
//! Nothing has a default: a part that is left out does not compile.

mod command_type;

use domain::approvals::CarriedInputs;
use domain::ids::{EventId, TaskId};
use domain::{AggregateRef, BusinessId, SubjectId, with_contexts};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::root::{Changes, Context, Decide, LoadedAggregates};
use crate::{Refusal, agents};

pub(crate) use command_type::Target;
pub use command_type::{CommandType, Sender, Stream, Verb, When, WhenFenced};

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
            /// The types of the commands of this context, in the order of the declarations.
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
                // The place of the variant in `TYPES`: both follow the order of this list.
                let mut n = 0;
                $(if matches!(self, Self::$variant(_)) { return &Self::TYPES[n]; } n += 1;)*
                &Self::TYPES[n]
            }

            pub(crate) fn derived_target(&self, business: domain::BusinessId) -> Option<uuid::Uuid> {
                match self {
                    $(Self::$variant(c) => {
                        let target: $crate::registry::Target<$variant> = $target;
                        target.derived(c, business)
                    })*
                }
            }

            pub(crate) fn parse(name: &str, data: &str) -> Option<Result<Self, String>> {
                let data = data.as_bytes();
                match name {
                    $(concat!($context, ".", $name) =>
                        Some(crate::from_json::<$variant>(data).map(Self::$variant)),)*
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

            /// The type of this command, with all that its declaration says.
            #[must_use]
            pub fn command_type(&self) -> &'static CommandType {
                match self { $(Self::$variant(c) => c.command_type(),)* }
            }

            /// Id of the target where the command determines it; `None` = the caller may choose it.
            #[must_use]
            pub fn derived_target(&self, business: BusinessId) -> Option<Uuid> {
                match self { $(Self::$variant(c) => c.derived_target(business),)* }
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

    /// Refuses what the fields alone make impossible, whatever is on record; [`Self::decide`] does
    /// so again.
    ///
    /// # Errors
    /// The same [`Refusal`] as of `decide`.
    fn check_fields(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Fills in the approval inputs that the command carries; a missing one counts as the highest.
    fn carried_inputs(&self, inputs: &mut CarriedInputs);

    /// The task that the command is for, where it is for one.
    fn task(&self, _ctx: &Context) -> Option<TaskId> {
        None
    }

    /// The events that the command says it rests on: the command is about the same person as they
    /// are.
    fn rests_on(&self) -> Vec<EventId> {
        Vec::new()
    }

    /// The data subject that the command forgets, where it forgets one.
    fn forgets(&self, _ctx: &Context) -> Option<SubjectId> {
        None
    }

    /// The events that the command makes; none if nothing has to change.
    ///
    /// # Errors
    /// The [`Refusal`] of the first rule that says no.
    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal>;
}

/// The error text for an unknown command name, with the most similar name.
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
    /// The command type of that name; `None` if there is none.
    #[must_use]
    pub fn type_named(name: &str) -> Option<&'static CommandType> {
        Self::types().find(|t| t.name == name)
    }

    /// The command type of that name, or a sentence that names the most similar one.
    ///
    /// # Errors
    /// That sentence.
    pub fn known(name: &str) -> Result<&'static CommandType, String> {
        Self::type_named(name).ok_or_else(|| unknown(name))
    }

    /// Refuses what the fields alone make impossible, whatever is on record. Importers ask it of
    /// all commands of a record before they send the first.
    ///
    /// # Errors
    /// The [`Refusal`] that the command would have met.
    pub fn check_fields(&self) -> Result<(), Refusal> {
        self.context().check_fields()
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

    /// Fills in the approval inputs that the command carries.
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
