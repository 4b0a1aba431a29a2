//! Ids are UUID newtypes: v7 where we make them, v5 of the source where they must be made again.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::with_aggregates;

/// Declares id types; each is a UUID that can't be taken for another.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            Default)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": "uuid", "x-class": "internal"})
            }
        }
    )*};
}

ids! {
    /// A person (or the business itself) that personal data is about.
    SubjectId;
    /// Money set aside in budgets for one purpose.
    ReservationId;
    /// The id of an API key, never the key itself.
    KeyId;
    /// The id of a stored event.
    EventId;
}

/// The installation stream, above all businesses, has the nil UUID as its business.
pub const INSTALLATION: BusinessId = BusinessId(Uuid::nil());

impl BusinessId {
    /// Derives an id from a name: the same name gives the same id in this business (UUID v5).
    #[must_use]
    pub fn derive_id(self, name: &str) -> Uuid {
        Uuid::new_v5(&self.0, name.as_bytes())
    }

    /// The business as the subject of text that is about nobody else.
    #[must_use]
    pub fn as_subject(self) -> SubjectId {
        SubjectId(self.0)
    }

    /// The id of the business's approval policy.
    #[must_use]
    pub fn approval_policy(self) -> ApprovalPolicyId {
        ApprovalPolicyId(self.0)
    }

    /// The name of the business's stream, wherever a stream name is needed.
    #[must_use]
    pub fn stream_name(self) -> String {
        if self == INSTALLATION {
            "installation".to_owned()
        } else {
            format!("business-{}", self.0.simple())
        }
    }
}

impl PrincipalId {
    /// The principal as a data subject: the person its display name is about.
    #[must_use]
    pub fn as_subject(self) -> SubjectId {
        SubjectId(self.0)
    }
}

/// A closed set of names, such as the statuses of a task.
pub trait ClosedSet: Copy + Eq + Send + Sync + 'static {
    /// The sentence that says what the set is.
    const SENTENCE: &'static str;
    /// Every value, in the order of declaration.
    const VALUES: &'static [Self];

    /// The name that is stored and shown.
    fn name(self) -> &'static str;

    /// The sentence that says what the value means.
    fn sentence(self) -> &'static str;

    /// The value with that name; `None` if no value has it.
    fn named(name: &str) -> Option<Self> {
        Self::VALUES.iter().copied().find(|value| value.name() == name)
    }
}

/// Declares an enum with fixed snake_case names that stand in stored bytes.
macro_rules! names {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident =
        $text:literal,)* }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize,
            serde::Deserialize, schemars::JsonSchema)]
        pub enum $name {
            $($(#[doc = $vdoc])+ #[serde(rename = $text)] $variant,)*
        }
        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
        impl $crate::ids::ClosedSet for $name {
            const SENTENCE: &'static str = concat!($($doc),+).trim_ascii();
            const VALUES: &'static [Self] = Self::ALL;

            fn name(self) -> &'static str {
                self.as_str()
            }

            fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($vdoc),+).trim_ascii(),)* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    other => Err(format!("`{other}` is none of \
                        {}", Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", "))),
                }
            }
        }
    };
}
pub(crate) use names;

/// Makes the kinds of aggregates and the ids of each from their table.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal: $id:ident =>
        $module:ident::$state:ident of $context:ident,)*) => {
        names! {
            /// The kind of an aggregate, such as a task, an approval or a budget.
            Kind { $($(#[doc = $doc])+ $kind = $name,)* }
        }
        ids! { $(#[doc = concat!("Id of an aggregate of kind `", $name, "`.")] $id;)* }
        $(
            impl From<$id> for AggregateRef {
                fn from(id: $id) -> Self {
                    Self { kind: Kind::$kind, id: id.0 }
                }
            }
            impl From<$id> for Uuid {
                fn from(id: $id) -> Self {
                    id.0
                }
            }
        )*
    };
}
with_aggregates!(kinds);

/// Names one aggregate of a business.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct AggregateRef {
    /// The kind of the aggregate.
    pub kind: Kind,
    /// The id of the aggregate, unique within its kind and business.
    pub id: Uuid,
}

impl AggregateRef {
    /// The aggregate of that kind and id.
    #[must_use]
    pub fn new(kind: Kind, id: impl Into<Uuid>) -> Self {
        Self { kind, id: id.into() }
    }
}

impl fmt::Display for AggregateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}
