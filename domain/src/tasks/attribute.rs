//! What a source says of a case or an activity, as XES has it: typed, ordered, nested.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::names;

names! {
    /// The type of an attribute (IEEE 1849-2016, 5.5).
    AttributeType {
        /// Text.
        String = "string",
        /// A time, with its offset.
        Date = "date",
        /// A whole number.
        Int = "int",
        /// A number.
        Float = "float",
        /// `true` or `false`.
        Boolean = "boolean",
        /// An id, usually a UUID.
        Id = "id",
        /// An ordered list: its values are its children.
        List = "list",
        /// A set: its values are its children.
        Container = "container",
    }
}

/// One attribute. Its value is kept as the source wrote it, so that it can be written again.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Key of the attribute.
    pub key: String,
    /// Type of the attribute.
    pub r#type: AttributeType,
    /// The value as the source wrote it; empty for lists and containers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The attributes inside this one; for lists and containers these are the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Attribute>,
}
