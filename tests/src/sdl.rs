//! The schema of GraphQL as its SDL has it: what changed between two of them, and questions that
//! ask
//! for everything there is.

mod changes;
mod questions;

use std::collections::BTreeMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    FieldDefinition, InputValueDefinition, TypeKind, TypeSystemDefinition,
};

pub use changes::{Change, changes};
pub use questions::{Question, questions};

/// The types of a schema by name.
pub struct Schema(pub BTreeMap<String, Type>);

/// A type of a schema.
pub enum Type {
    /// A scalar.
    Scalar,
    /// An object with its fields, and the interfaces that it implements.
    Object(Vec<Field>, Vec<String>),
    /// An interface with its fields.
    Interface(Vec<Field>),
    /// A union of types.
    Union(Vec<String>),
    /// An enum with its values.
    Enum(Vec<String>),
    /// An input object with its fields.
    Input(Vec<Input>),
}

/// A field of an object or interface.
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type, such as `[Task!]!`.
    pub ty: String,
    /// Its arguments.
    pub arguments: Vec<Input>,
}

/// An argument, or a field of an input object.
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type, such as `Int!`.
    pub ty: String,
    /// True if it has a default.
    pub has_default: bool,
}

impl Input {
    /// True if it must be given.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.ty.ends_with('!') && !self.has_default
    }
}

/// The name of a type without its lists and its `!`.
#[must_use]
pub fn bare(ty: &str) -> &str {
    ty.trim_matches(|c| matches!(c, '[' | ']' | '!'))
}

impl Type {
    /// The fields of an object or interface.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Object(fields, _) | Self::Interface(fields) => fields,
            Self::Scalar | Self::Union(_) | Self::Enum(_) | Self::Input(_) => &[],
        }
    }
}

fn input(definition: &InputValueDefinition) -> Input {
    Input {
        name: definition.name.node.to_string(),
        ty: definition.ty.node.to_string(),
        has_default: definition.default_value.is_some(),
    }
}

fn field(definition: &FieldDefinition) -> Field {
    Field {
        name: definition.name.node.to_string(),
        ty: definition.ty.node.to_string(),
        arguments: definition.arguments.iter().map(|a| input(&a.node)).collect(),
    }
}

impl Schema {
    /// Parses an SDL.
    ///
    /// # Panics
    /// When it does not parse.
    #[must_use]
    pub fn parse(sdl: &str) -> Self {
        let mut types = BTreeMap::new();
        for definition in parse_schema(sdl).unwrap().definitions {
            let TypeSystemDefinition::Type(ty) = definition else { continue };
            let kind = match ty.node.kind {
                TypeKind::Scalar => Type::Scalar,
                TypeKind::Object(of) => Type::Object(
                    of.fields.iter().map(|f| field(&f.node)).collect(),
                    of.implements.iter().map(|i| i.node.to_string()).collect(),
                ),
                TypeKind::Interface(of) => {
                    Type::Interface(of.fields.iter().map(|f| field(&f.node)).collect())
                }
                TypeKind::Union(of) => {
                    Type::Union(of.members.iter().map(|m| m.node.to_string()).collect())
                }
                TypeKind::Enum(of) => {
                    Type::Enum(of.values.iter().map(|v| v.node.value.node.to_string()).collect())
                }
                TypeKind::InputObject(of) => {
                    Type::Input(of.fields.iter().map(|f| input(&f.node)).collect())
                }
            };
            types.insert(ty.node.name.node.to_string(), kind);
        }
        Self(types)
    }
}
