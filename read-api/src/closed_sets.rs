//! Closed sets of names as enums of GraphQL. The stored name in upper case is the enum's value, and
//! the set's own sentences are the descriptions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, TypeKind, TypeSystemDefinition};
use async_graphql::registry::{Deprecation, MetaEnumValue, MetaType, MetaTypeId, Registry};
use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, Name, OutputType,
    Positioned, ServerResult, Value,
};
use domain::ids::ClosedSet;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Row, ToSql};

use crate::row::{Column, FromColumn, ReadAnswer};

/// A closed set with its names in GraphQL.
pub(crate) trait GraphqlEnum: ClosedSet {
    /// Name of the enum.
    const TYPE: &'static str;

    /// Names of the values, in the order of [`ClosedSet::VALUES`].
    fn names() -> &'static [Name];
}

/// A value of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnumValue<T>(pub(crate) T);

/// Declares enums of GraphQL over closed sets of the domain.
macro_rules! enums {
    ($($name:ident = $set:ty;)*) => {$(
        pub(crate) type $name = EnumValue<$set>;
        impl GraphqlEnum for $set {
            const TYPE: &'static str = stringify!($name);
            fn names() -> &'static [Name] {
                static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
                    <$set>::VALUES.iter().map(|v| Name::new(v.name().to_uppercase())).collect()
                });
                &NAMES
            }
        }
    )*};
}

enums! {
    AgentRole = domain::agents::AgentRole;
    AgentStatus = domain::agents::AgentStatus;
    AggregateKind = domain::Kind;
    ApprovalStatus = domain::approvals::ApprovalStatus;
    BudgetWindow = domain::budgets::Window;
    BusinessPhase = domain::businesses::Phase;
    CallStatus = domain::integrations::CallStatus;
    DataClass = domain::integrations::DataClass;
    DecisionStatus = domain::decisions::DecisionStatus;
    ExportFormat = domain::operations::ExportFormat;
    KpiDirection = domain::metrics::Direction;
    MemoryItem = domain::memory::MemoryItem;
    MemoryKind = domain::memory::FactKind;
    OperationClass = domain::integrations::OperationClass;
    PrincipalKind = domain::access::PrincipalKind;
    RateProfile = domain::access::RateProfile;
    ReviewVerdict = domain::tasks::Verdict;
    RiskTier = domain::values::RiskTier;
    Role = domain::values::Role;
    TaskFailure = domain::tasks::FailureReason;
    TaskStatus = domain::tasks::Status;
    Team = domain::values::Team;
    VoteChoice = domain::approvals::Choice;
}

impl<T: GraphqlEnum> EnumValue<T> {
    fn graphql(self) -> Value {
        let place = T::VALUES.iter().position(|v| *v == self.0);
        place.and_then(|n| T::names().get(n)).map_or(Value::Null, |name| Value::Enum(name.clone()))
    }

    fn meta_type() -> MetaType {
        let value = |(value, name): (&T, &Name)| {
            let meta = MetaEnumValue {
                name: name.to_string(),
                description: Some(value.sentence().to_owned()),
                deprecation: Deprecation::NoDeprecated,
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                directive_invocations: Vec::new(),
            };
            (name.to_string(), meta)
        };
        MetaType::Enum {
            name: T::TYPE.to_owned(),
            description: Some(T::SENTENCE.to_owned()),
            enum_values: T::VALUES.iter().zip(T::names()).map(value).collect::<IndexMap<_, _>>(),
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            rust_typename: Some(std::any::type_name::<Self>()),
            directive_invocations: Vec::new(),
            requires_scopes: Vec::new(),
        }
    }
}

impl<T: GraphqlEnum> OutputType for EnumValue<T> {
    fn type_name() -> Cow<'static, str> {
        T::TYPE.into()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Enum, |_| Self::meta_type())
    }
    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        Ok(self.graphql())
    }
}

impl<T: GraphqlEnum> InputType for EnumValue<T> {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        T::TYPE.into()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_input_type::<Self, _>(MetaTypeId::Enum, |_| Self::meta_type())
    }
    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let value = value.unwrap_or_default();
        // A variable's value is a string of JSON.
        let text = match &value {
            Value::Enum(name) => name.as_str(),
            Value::String(text) => text.as_str(),
            Value::Null
            | Value::Number(_)
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::List(_)
            | Value::Object(_) => {
                return Err(InputValueError::custom(format!("a {} is a name", T::TYPE)));
            }
        };
        let found = T::names().iter().position(|name| name.as_str() == text);
        found.and_then(|n| T::VALUES.get(n)).map(|v| Self(*v)).ok_or_else(|| {
            let all: Vec<&str> = T::names().iter().map(Name::as_str).collect();
            let error = InputValueError::custom(unknown_value(T::TYPE, text, &all));
            error.with_extension("code", "UNKNOWN_VALUE").with_extension("hint", HINT)
        })
    }
    fn to_value(&self) -> Value {
        self.graphql()
    }
    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

impl<T: GraphqlEnum> FromColumn for EnumValue<T> {
    fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
        let text = row.get_ref(i)?.as_str()?;
        T::named(text).map(Self).ok_or_else(|| {
            let why = FromSqlError::Other(format!("no {} is named `{text}`", T::TYPE).into());
            rusqlite::Error::FromSqlConversionFailure(i, Type::Text, Box::new(why))
        })
    }
}

/// A JSON array of names.
impl<T: GraphqlEnum> FromColumn for Vec<EnumValue<T>> {
    fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
        let names: Vec<String> = crate::scalars::json_column(row, i)?;
        Ok(names.iter().filter_map(|name| T::named(name)).map(EnumValue).collect())
    }
}

impl<T: GraphqlEnum> Column for EnumValue<T> {
    const ANSWER: Option<ReadAnswer> =
        Some(|row, i| Self::from_column(row, i, "").map(Self::graphql));
}

impl<T: GraphqlEnum> ToSql for EnumValue<T> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.0.name().into())
    }
}

/// What a caller is told to do about an unknown value.
const HINT: &str = "use one of the values that the error lists";

fn unknown_value(ty: &str, value: &str, all: &[&str]) -> String {
    let shown: String = value.chars().take(64).collect();
    format!("`{shown}` is no {ty}; the values are {}", all.join(", "))
}

/// The error for a value that an enum does not have, with the values that it has, made from what
/// the validation says; `None` if it says something else.
pub(crate) fn of_validation(message: &str) -> Option<(String, &'static str)> {
    /// The values of every enum of the schema.
    static ENUMS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let sdl = async_graphql::parser::parse_schema(crate::sdl());
        let types = sdl.into_iter().flat_map(|document| document.definitions);
        let of_enum = |definition| match definition {
            TypeSystemDefinition::Type(ty) => match ty.node.kind {
                TypeKind::Enum(of) => {
                    let values = of.values.iter().map(|v| v.node.value.node.to_string());
                    Some((ty.node.name.node.to_string(), values.collect()))
                }
                TypeKind::Scalar
                | TypeKind::Object(_)
                | TypeKind::Interface(_)
                | TypeKind::Union(_)
                | TypeKind::InputObject(_) => None,
            },
            TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
        };
        types.filter_map(of_enum).collect()
    });
    let (_, rest) = message.split_once("enumeration type \"")?;
    let (ty, rest) = rest.split_once("\" does not contain the value \"")?;
    let value = rest.strip_suffix('"')?;
    let all: Vec<&str> = ENUMS.get(ty)?.iter().map(String::as_str).collect();
    Some((unknown_value(ty, value, &all), HINT))
}
