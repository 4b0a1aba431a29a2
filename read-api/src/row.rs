//! A row of a list, whose plain columns are answered at once.
//!
//! async-graphql makes a future of every field. For a page of rows whose columns are there already
//! that is most of the work; so a selection of nothing but plain columns is read off the row.

use std::borrow::Cow;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection};
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value};

use crate::node::Node;

/// A value that is read from a column.
pub(crate) trait FromColumn: Sized {
    /// Reads the column with index `i` of a row of this business.
    fn from_column(row: &rusqlite::Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self>;
}

/// A column whose value needs nothing but the row.
pub(crate) trait Column {
    /// Value of the column; `None` if it takes more than the row to answer.
    fn plain(&self) -> Option<Value>;
}

macro_rules! columns {
    ($($ty:ty),*) => {$(impl FromColumn for $ty {
        fn from_column(row: &rusqlite::Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
            row.get(i)
        }
    }
    impl Column for $ty {
        fn plain(&self) -> Option<Value> {
            Some(Value::from(self.clone()))
        }
    })*};
}
columns!(String, i64, bool, f64);

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(row: &rusqlite::Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self> {
        let null = row.get_ref(i)? == rusqlite::types::ValueRef::Null;
        if null { Ok(None) } else { T::from_column(row, i, business).map(Some) }
    }
}

impl<T: Column> Column for Option<T> {
    fn plain(&self) -> Option<Value> {
        self.as_ref().map_or(Some(Value::Null), Column::plain)
    }
}

/// True if `graphql` is the camelCase form of `snake`.
pub(crate) fn names(graphql: &str, snake: &str) -> bool {
    let mut wanted = snake.bytes();
    graphql.bytes().all(|c| match wanted.next() {
        Some(b'_') => wanted.next().is_some_and(|w| w.to_ascii_uppercase() == c),
        Some(w) => w == c,
        None => false,
    }) && wanted.next().is_none()
}

/// A node as an item of a list.
pub(crate) struct Row<N>(pub(crate) N);

impl<N: Node + OutputType> Row<N> {
    /// Answers the whole selection, if it has only plain columns; `None` otherwise.
    fn plain(&self, ctx: &ContextSelectionSet<'_>) -> Option<Value> {
        let mut object = IndexMap::with_capacity(ctx.item.node.items.len());
        for item in &ctx.item.node.items {
            let Selection::Field(field) = &item.node else { return None };
            let field: &Field = &field.node;
            if !field.directives.is_empty() || !field.arguments.is_empty() {
                return None;
            }
            let value = match field.name.node.as_str() {
                "__typename" => Value::String(N::type_name().into_owned()),
                name => self.0.plain(name)?,
            };
            let key: &Name = &field.response_key().node;
            object.insert(key.clone(), value);
        }
        Some(Value::Object(object))
    }
}

impl<N: Node + OutputType> OutputType for Row<N> {
    fn type_name() -> Cow<'static, str> {
        N::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        N::create_type_info(registry)
    }
    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match self.plain(ctx) {
            Some(value) => Ok(value),
            None => self.0.resolve(ctx, field).await,
        }
    }
}
