//! Rows of the views as GraphQL objects: one declaration gives the object and how it is read.

use async_graphql::{SimpleObject, Value, scalar};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use serde::{Deserialize, Serialize};

use crate::row::Column;

/// A row that can stand in a list.
pub(crate) trait Node: Send + Sync + Sized + 'static {
    /// The table it stands in.
    const TABLE: &'static str;
    /// The column that orders it and that cursors hold.
    const KEY: &'static str;
    /// The columns it is read from.
    const COLUMNS: &'static str;
    /// Reads it from those columns, the first of them at `at`.
    fn from_row(row: &Row<'_>, at: usize) -> rusqlite::Result<Self>;
    /// The field of that GraphQL name, where it is a plain column.
    fn plain(&self, name: &str) -> Option<Value>;
}

/// Any JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct JsonValue(pub(crate) serde_json::Value);
scalar!(JsonValue, "JSON", "Any JSON value.");

impl Column for JsonValue {
    fn plain(&self) -> Option<Value> {
        None
    }
}

impl FromSql for JsonValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

/// Money: an exact decimal and its ISO 4217 currency.
#[derive(SimpleObject, Clone)]
pub(crate) struct Money {
    /// The decimal, as a string.
    pub(crate) amount: String,
    /// ISO 4217.
    pub(crate) currency: String,
}

/// Declares a node: its table, its plain columns, and columns that come in pairs of money.
macro_rules! node {
    (
        $(#[$doc:meta])* $name:ident in $table:literal by $key:literal {
            $($(#[$fdoc:meta])* $field:ident: $ty:ty,)*
        } money { $($(#[$mdoc:meta])* $money:ident = $amount:literal, $currency:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject, Clone)]
        #[graphql(complex)]
        pub(crate) struct $name {
            $($(#[$fdoc])* pub(crate) $field: $ty,)*
            $($(#[$mdoc])* pub(crate) $money: Option<$crate::node::Money>,)*
            #[graphql(skip)]
            #[allow(dead_code, reason = "read where the node has lists of its own")]
            pub(crate) business: String,
        }
        impl $crate::node::Node for $name {
            const TABLE: &'static str = $table;
            const KEY: &'static str = $key;
            const COLUMNS: &'static str = concat!("business", $(", ", stringify!($field),)* $(", ", $amount, ", ", $currency,)*);
            #[allow(unused_assignments, unused_mut, unused_variables, reason = "the last step has no successor")]
            fn from_row(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Self> {
                let business = row.get(at)?;
                let mut i = at;
                $(i += 1; let $field = row.get(i)?;)*
                $(
                    let (amount, currency): (Option<String>, Option<String>) = (row.get(i + 1)?, row.get(i + 2)?);
                    i += 2;
                    let $money = amount.zip(currency).map(|(amount, currency)| $crate::node::Money { amount, currency });
                )*
                Ok(Self { $($field,)* $($money,)* business })
            }
            fn plain(&self, name: &str) -> Option<async_graphql::Value> {
                $(if $crate::row::names(name, stringify!($field)) {
                    return $crate::row::Column::plain(&self.$field);
                })*
                None
            }
        }
    };
}
pub(crate) use node;
