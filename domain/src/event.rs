//! One event type over all contexts: `{"type": "tasks.planned", "data": {…}}`.
//!
//! The macros below only list; what an event means stands in its context.

use schemars::Schema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::Kind;
use crate::{upcast, with_contexts};

/// Whether an event has a public form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Subscribers outside the installation read the event's public form, without sealed fields.
    Public,
    /// The event has no public form: it says how the installation is run, or holds nothing but
    /// personal text.
    Private,
}

/// The declaration of an event type.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// Name of the type: `context.past_tense`.
    pub name: &'static str,
    /// Version of the schema in which new events are written.
    pub schema: u16,
    /// The sentence above the event's declaration, which says what happened.
    pub sentence: &'static str,
    /// The kind of the aggregate that the event belongs to.
    pub kind: Kind,
    /// Whether the event has a public form.
    pub reach: Reach,
    /// Makes the JSON Schema of the event's `data`.
    pub json_schema: fn() -> Schema,
}

/// Why stored data did not become an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The program does not know the type, or not this version of it.
    #[error("unknown event type `{name}` version {schema}; a newer program wrote it")]
    UnknownType {
        /// The stored type.
        name: String,
        /// The stored schema version.
        schema: u16,
    },
    /// The data does not fit the type's schema.
    #[error("the data of `{name}` version {schema} does not fit its schema: {source}")]
    Data {
        /// The stored type.
        name: String,
        /// The stored schema version.
        schema: u16,
        /// The error that says where the data does not fit.
        source: serde_json::Error,
    },
}

/// Declares the events of one context, each below its sentence: `Variant = "name" v <schema
/// version> on <Kind>, <Reach> { fields }`.
macro_rules! events {
    ($context:literal { $(
        $(#[doc = $doc:literal])+
        $variant:ident = $name:literal v $schema:literal on $kind:ident, $reach:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
        }
    )* }) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $variant {
                $($(#[$field_meta])* pub $field: $type,)*
            }
        )*
        /// The events of this context.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "events are short-lived and few at a time")]
        pub enum Event {
            $($(#[doc = $doc])+ $variant($variant),)*
        }
        impl Event {
            /// The declarations of the event types of this context.
            pub const TYPES: &'static [$crate::EventType] = &[$($crate::EventType {
                name: concat!($context, ".", $name),
                schema: $schema,
                sentence: concat!($($doc),+),
                kind: $crate::Kind::$kind,
                reach: $crate::Reach::$reach,
                json_schema: || schemars::schema_for!($variant),
            },)*];

            pub(crate) fn index(&self) -> usize {
                let mut n = 0;
                $(if matches!(self, Self::$variant(_)) { return n; } n += 1;)*
                n
            }

            pub(crate) fn decode(name: &str, json: &str) -> Option<Result<Self,
                serde_json::Error>> {
                match name {
                    $(concat!($context, ".", $name) => Some(serde_json::from_str::<$variant>(json).map(Self::$variant)),)*
                    _ => None,
                }
            }

            pub(crate) fn serialize_data<S: serde::Serializer>(&self, s: S) -> Result<S::Ok,
                S::Error> {
                match self { $(Self::$variant(data) => serde::Serialize::serialize(data, s),)* }
            }
        }
        $(
            impl From<$variant> for Event {
                fn from(data: $variant) -> Self {
                    Self::$variant(data)
                }
            }
            impl From<$variant> for $crate::Event {
                fn from(data: $variant) -> Self {
                    Event::$variant(data).into()
                }
            }
        )*
    };
}
pub(crate) use events;

/// Joins the events of all contexts in one type.
macro_rules! contexts {
    ($($variant:ident = $module:ident,)*) => {
        /// An event of any context.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $(#[doc = concat!("Of the context \
                `", stringify!($module), "`.")] $variant(crate::$module::Event),)*
        }
        $(impl From<crate::$module::Event> for Event {
            fn from(event: crate::$module::Event) -> Self {
                Self::$variant(event)
            }
        })*
        impl Event {
            /// Every event type there is, context by context.
            pub fn types() -> impl Iterator<Item = &'static EventType> {
                [$(crate::$module::Event::TYPES,)*].into_iter().flatten()
            }

            /// The declaration of this event's type.
            #[must_use]
            pub fn event_type(&self) -> &'static EventType {
                match self { $(Self::$variant(e) => &crate::$module::Event::TYPES[e.index()],)* }
            }

            fn decode_current(name: &str, json: &str) -> Option<Result<Self, serde_json::Error>> {
                $(if let Some(result) = crate::$module::Event::decode(name,
                    json) { return Some(result.map(Self::from)); })*
                None
            }
        }
        impl Serialize for Data<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self.0 { $(Event::$variant(e) => e.serialize_data(s),)* }
            }
        }
    };
}

with_contexts!(contexts);

/// The `data` of an event, to be serialised.
pub struct Data<'a>(&'a Event);

impl Event {
    /// The stored type: `context.past_tense`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.event_type().name
    }

    /// The declaration of the type with that name; `None` if there is none.
    #[must_use]
    pub fn type_named(name: &str) -> Option<&'static EventType> {
        Self::types().find(|t| t.name == name)
    }

    /// The event's `data` alone.
    #[must_use]
    pub fn data(&self) -> Data<'_> {
        Data(self)
    }

    /// An event from its stored type, schema version and data; older versions are upcast.
    ///
    /// # Errors
    /// [`DecodeError`], naming type and version.
    pub fn decode(name: &str, schema: u16, json: &str) -> Result<Self, DecodeError> {
        let failed = |source| DecodeError::Data { name: name.to_owned(), schema, source };
        let unknown = || DecodeError::UnknownType { name: name.to_owned(), schema };
        let decoded = match upcast::to_current(name, schema, json) {
            upcast::Upcast::Current => Self::decode_current(name, json),
            upcast::Upcast::Upcast(result) => Self::decode_current(name, &result.map_err(failed)?),
            upcast::Upcast::Unknown => None,
        };
        decoded.ok_or_else(unknown)?.map_err(failed)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("Event", 2)?;
        out.serialize_field("type", self.name())?;
        out.serialize_field("data", &self.data())?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tagged {
            r#type: String,
            data: serde_json::Value,
        }
        let tagged = Tagged::deserialize(d)?;
        let current = Self::types().find(|t| t.name == tagged.r#type);
        let schema = current.map_or(1, |t| t.schema);
        Self::decode(&tagged.r#type, schema, &tagged.data.to_string()).map_err(de::Error::custom)
    }
}
