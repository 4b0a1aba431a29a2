//! Every command there is: its name, what it opens, how it is parsed.

use domain::approvals::ActionFacts;
use domain::{AggregateRef, Kind};
use serde_json::value::RawValue;

use crate::root::{Boundary, Changes, Context, Decide};
use crate::{Refusal, access, agents, approvals, budgets, businesses, decisions, integrations, memory, metrics, operations, tasks};

/// What is fixed about a command's type.
#[derive(Debug, Clone, Copy)]
pub struct CommandType {
    /// `context.imperative`.
    pub name: &'static str,
    /// The kind of aggregate it is for.
    pub kind: Kind,
    /// Whether it opens that aggregate, so that `id` may be left out.
    pub opens: bool,
    /// JSON Schema of its `data`.
    pub json_schema: fn() -> schemars::Schema,
}

/// Declares the commands of a context: `Variant = "name" on Kind` or `... opens Kind`.
macro_rules! commands {
    ($context:literal { $($(#[$doc:meta])* $variant:ident = $name:literal $verb:ident $kind:ident,)* }) => {
        /// The commands of this context.
        #[derive(Debug, Clone)]
        #[allow(clippy::large_enum_variant, reason = "commands are short-lived and few at a time")]
        pub enum Command {
            $($(#[$doc])* $variant($variant),)*
        }
        impl Command {
            /// What is fixed about each of them.
            pub const TYPES: &'static [$crate::CommandType] = &[$($crate::CommandType {
                name: concat!($context, ".", $name),
                kind: domain::Kind::$kind,
                opens: $crate::registry::opens(stringify!($verb)),
                json_schema: || schemars::schema_for!($variant),
            },)*];

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

pub(crate) const fn opens(verb: &str) -> bool {
    // `opens` has five letters, `on` two.
    verb.len() == 5
}

macro_rules! contexts {
    ($($variant:ident = $module:ident,)*) => {
        /// A command of any context.
        #[derive(Debug, Clone)]
        #[allow(clippy::large_enum_variant, reason = "commands are short-lived and few at a time")]
        pub enum AnyCommand {
            $(#[doc = concat!("Of the context `", stringify!($module), "`.")] $variant($module::Command),)*
        }
        impl AnyCommand {
            /// Every command type there is, context by context.
            pub fn types() -> impl Iterator<Item = &'static CommandType> {
                [$($module::Command::TYPES,)*].into_iter().flatten()
            }

            /// A command from its type and data.
            ///
            /// # Errors
            /// A sentence for the caller: no such command, or what does not fit.
            pub fn parse(name: &str, data: &RawValue) -> Result<Self, String> {
                $(if let Some(result) = $module::Command::parse(name, data.get()) {
                    return result.map(Self::$variant).map_err(|e| format!("the data of {name} does not fit: {e}"));
                })*
                Err(format!("there is no command `{name}`; `minutebook do --list` shows them all"))
            }
        }
        impl Decide for AnyCommand {
            fn reads(&self, ctx: &Context, seen: &Boundary) -> Vec<AggregateRef> {
                match self { $(Self::$variant(c) => c.reads(ctx, seen),)* }
            }
            fn facts(&self, facts: &mut ActionFacts) {
                match self { $(Self::$variant(c) => c.facts(facts),)* }
            }
            fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
                match self { $(Self::$variant(c) => c.decide(ctx, seen),)* }
            }
        }
    };
}

contexts! {
    Businesses = businesses,
    Access = access,
    Agents = agents,
    Tasks = tasks,
    Decisions = decisions,
    Approvals = approvals,
    Budgets = budgets,
    Integrations = integrations,
    Memory = memory,
    Metrics = metrics,
    Operations = operations,
}

impl AnyCommand {
    /// What is fixed about the command type of that name.
    #[must_use]
    pub fn type_named(name: &str) -> Option<&'static CommandType> {
        Self::types().find(|t| t.name == name)
    }
}
