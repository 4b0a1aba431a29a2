//! The scalars of the schema: texts of a fixed form.

use async_graphql::{
    ID, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value, scalar,
};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Type, ValueRef};
use rusqlite::{Row, ToSql};
use serde::{Deserialize, Serialize};

use crate::of_business::id_text;
use crate::row::{Column, FromColumn, ReadAnswer};

/// Reads a column that holds JSON.
pub(crate) fn json_column<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    i: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(i)?.as_str()?).map_err(|e| {
        let why = FromSqlError::Other(Box::new(e));
        rusqlite::Error::FromSqlConversionFailure(i, Type::Text, Box::new(why))
    })
}

/// Declares scalars that are texts. `parse` checks a caller's text, and gives it the form that the
/// views hold.
macro_rules! text_scalars {
    ($($(#[$doc:meta])* $name:ident = $graphql:literal, $url:literal, $example:literal,
        $parse:expr, $column:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) String);

        $(#[$doc])*
        #[Scalar(name = $graphql, specified_by_url = $url)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                let Value::String(text) = &value else {
                    return Err(InputValueError::custom(concat!("a ", $graphql, " is a string")));
                };
                let parse: fn(&str) -> Option<String> = $parse;
                parse(text).map(Self).ok_or_else(|| {
                    let shown: String = text.chars().take(64).collect();
                    InputValueError::custom(format!("`{shown}` is no {}", $graphql))
                        .with_extension("code", "BAD_VALUE")
                        .with_extension("hint", concat!("write it as ", $example))
                })
            }
            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl FromColumn for $name {
            fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
                column::$column(row, i).map(Self)
            }
        }
        impl Column for $name {
            const ANSWER: Option<ReadAnswer> =
                Some(|row, i| column::$column(row, i).map(Value::from));
        }
    )*};
}

/// Reads columns of the views as the texts of scalars.
mod column {
    use super::{FromSqlError, Row, Type};
    use domain::Timestamp;
    use domain::values::Digest;

    pub(super) use crate::of_business::id_text as id;

    pub(super) fn text(row: &Row<'_>, i: usize) -> rusqlite::Result<String> {
        row.get(i)
    }

    pub(super) fn time(row: &Row<'_>, i: usize) -> rusqlite::Result<String> {
        row.get(i).map(|micros| Timestamp::from_micros(micros).to_string())
    }

    pub(super) fn digest(row: &Row<'_>, i: usize) -> rusqlite::Result<String> {
        let bytes = row.get_ref(i)?.as_blob()?.try_into();
        bytes.map(|bytes| Digest(bytes).to_string()).map_err(|e| {
            let why = FromSqlError::Other(Box::new(e));
            rusqlite::Error::FromSqlConversionFailure(i, Type::Blob, Box::new(why))
        })
    }
}

/// A time as an argument of a statement: microseconds since 1970, as columns hold it.
impl ToSql for DateTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let at = self.0.parse::<domain::Timestamp>();
        let at = at.map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        Ok(at.as_micros().into())
    }
}

text_scalars! {
    /// A moment in UTC: RFC 3339 with six digits of the second. Any RFC 3339 time is taken as an
    /// argument.
    DateTime = "DateTime", "https://scalars.graphql.org/andimarek/date-time.html",
        "2026-11-22T20:00:00Z",
        |text| text.parse::<domain::Timestamp>().ok().map(|t| t.to_string()), time;
    /// A day in UTC: RFC 3339 full-date.
    Date = "Date", "https://scalars.graphql.org/andimarek/local-date.html", "2026-11-22",
        |text| format!("{text}T00:00:00Z").parse::<domain::Timestamp>().ok().map(|t| t.date()), text;
    /// An id of RFC 9562 that names no object of this schema.
    Uuid = "UUID", "https://www.rfc-editor.org/rfc/rfc9562", "0199a1b2-0000-7000-8000-000000000000",
        |text| text.parse::<uuid::Uuid>().ok().map(|id| id.to_string()), id;
    /// An exact decimal number, as a string: digits, and a point before fractions.
    Decimal = "Decimal", "https://www.w3.org/TR/xmlschema11-2/#decimal", "12.50",
        |text| text.parse::<rust_decimal::Decimal>().ok().map(|d| d.to_string()), text;
    /// A SHA-256 digest, or an HMAC of it, in 64 hexadecimal digits.
    Digest = "Digest", "https://www.rfc-editor.org/rfc/rfc6234", "64 hexadecimal digits",
        |text| text.parse::<domain::values::Digest>().ok().map(|d| d.to_string()), digest;
}

/// Any JSON value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct JsonValue(pub(crate) serde_json::Value);
scalar!(JsonValue, "JSON", "Any JSON value.", "https://www.rfc-editor.org/rfc/rfc8259");

impl FromColumn for JsonValue {
    fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
        row.get(i)
    }
}

impl Column for JsonValue {
    const ANSWER: Option<ReadAnswer> = None;
}

impl FromSql for JsonValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Self)
            .map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

impl FromColumn for ID {
    fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
        id_text(row, i).map(Self)
    }
}

impl Column for ID {
    const ANSWER: Option<ReadAnswer> = Some(|row, i| id_text(row, i).map(Value::from));
}

/// Makes columns that hold a JSON array of texts.
macro_rules! json_arrays {
    ($($ty:ty = $make:expr;)*) => {$(
        impl FromColumn for Vec<$ty> {
            fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
                let texts: Vec<String> = json_column(row, i)?;
                Ok(texts.into_iter().map($make).collect())
            }
        }
    )*};
}
json_arrays! {
    String = |text| text;
    ID = ID;
}

impl<T> Column for Vec<T> {
    const ANSWER: Option<ReadAnswer> = None;
}

/// Money: an exact decimal and its ISO 4217 currency.
#[derive(SimpleObject, Clone)]
pub(crate) struct Money {
    /// The exact decimal.
    pub(crate) amount: Decimal,
    /// ISO 4217 code of the currency.
    pub(crate) currency: String,
}
