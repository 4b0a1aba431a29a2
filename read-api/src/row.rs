//! Rows of lists, and the columns that an answer reads of them.
//!
//! async-graphql makes a future of every field. For a page of rows whose columns are there already
//! that is most of the work. So a selection of nothing but plain columns is read off the view: only
//! these columns, and as the answer that they are.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{
    Context, ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value,
};

use crate::node::Node;

/// A value that is read from a column.
pub(crate) trait FromColumn: Sized {
    /// Reads the column with index `i` of a row of this business.
    fn from_column(row: &rusqlite::Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self>;
}

/// Reads a column as an answer.
pub(crate) type ReadAnswer = fn(&rusqlite::Row<'_>, usize) -> rusqlite::Result<Value>;

/// A type of column.
pub(crate) trait Column {
    /// Reads a column of this type as an answer; `None` if an answer takes more than the column.
    const ANSWER: Option<ReadAnswer>;
}

macro_rules! columns {
    ($($ty:ty),*) => {$(impl FromColumn for $ty {
        fn from_column(row: &rusqlite::Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
            row.get(i)
        }
    }
    impl Column for $ty {
        const ANSWER: Option<ReadAnswer> = Some(|row, i| row.get::<_, $ty>(i).map(Value::from));
    })*};
}
columns!(String, i64, bool, f64);

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(row: &rusqlite::Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self> {
        if is_null(row, i)? { Ok(None) } else { T::from_column(row, i, business).map(Some) }
    }
}

fn is_null(row: &rusqlite::Row<'_>, i: usize) -> rusqlite::Result<bool> {
    Ok(row.get_ref(i)? == rusqlite::types::ValueRef::Null)
}

impl<T: Column> Column for Option<T> {
    const ANSWER: Option<ReadAnswer> = match T::ANSWER {
        Some(_) => Some(|row, i| match T::ANSWER {
            Some(read) if !is_null(row, i)? => read(row, i),
            Some(_) | None => Ok(Value::Null),
        }),
        None => None,
    };
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

/// A plain column: its name, and how it is read.
#[derive(Clone, Copy)]
pub(crate) struct PlainColumn {
    pub(crate) name: &'static str,
    pub(crate) read: ReadAnswer,
}

/// What a request selects of each row of a list, if that is nothing but plain columns.
#[derive(Clone)]
pub(crate) struct Selected(Arc<Vec<(Name, Option<PlainColumn>)>>);

/// Two selections are equal if they answer with the same names from the same columns.
impl PartialEq for Selected {
    fn eq(&self, other: &Self) -> bool {
        self.parts().eq(other.parts())
    }
}
impl Eq for Selected {}
impl Hash for Selected {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().for_each(|part| part.hash(state));
    }
}
impl std::fmt::Debug for Selected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

impl Selected {
    /// What the field of a list selects of its `nodes`; `None` if that takes whole rows.
    pub(crate) fn of<N: Node>(ctx: &Context<'_>) -> Option<Self> {
        let mut nodes = None;
        for item in &ctx.item.node.selection_set.node.items {
            let Selection::Field(field) = &item.node else { return None };
            match field.node.name.node.as_str() {
                "nodes" if nodes.is_none() && field.node.directives.is_empty() => {
                    nodes = Some(&field.node.selection_set.node);
                }
                "nodes" | "edges" => return None,
                _ => {}
            }
        }
        // Without `nodes` no column is asked for: only whether there are more rows.
        nodes.map_or_else(|| Some(Self(Arc::default())), Self::of_nodes::<N>)
    }

    fn of_nodes<N: Node>(set: &SelectionSet) -> Option<Self> {
        let mut fields = Vec::with_capacity(set.items.len());
        for item in &set.items {
            let Selection::Field(field) = &item.node else { return None };
            let field: &Field = &field.node;
            if !field.directives.is_empty() || !field.arguments.is_empty() {
                return None;
            }
            let column = match field.name.node.as_str() {
                "__typename" => None,
                name => Some(N::column(name)?),
            };
            fields.push((field.response_key().node.clone(), column));
        }
        Some(Self(Arc::new(fields)))
    }

    fn parts(&self) -> impl Iterator<Item = (&str, Option<&'static str>)> {
        self.0.iter().map(|(name, column)| (name.as_str(), column.map(|c| c.name)))
    }

    /// The columns as SQL, each with a comma before it.
    pub(crate) fn columns(&self) -> String {
        let columns = self.0.iter().filter_map(|(_, column)| *column);
        columns.flat_map(|column| [", ", column.name]).collect()
    }

    /// Reads the answer off a row whose first selected column has the index `at`.
    pub(crate) fn read<N: OutputType>(
        &self,
        row: &rusqlite::Row<'_>,
        mut at: usize,
    ) -> rusqlite::Result<Value> {
        let mut object = IndexMap::with_capacity(self.0.len());
        for (name, column) in self.0.iter() {
            let value = match column {
                Some(column) => {
                    at += 1;
                    (column.read)(row, at - 1)?
                }
                None => Value::String(N::type_name().into_owned()),
            };
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    }
}

/// A row as an item of a list: whole, or as the answer that is selected of it.
#[derive(Clone)]
pub(crate) enum Row<N> {
    Whole(N),
    Answer(Value),
}

impl<N: Node + OutputType> Row<N> {
    /// Reads a row whose first column after those of the caller has the index `at`.
    pub(crate) fn read(
        selected: Option<&Selected>,
        row: &rusqlite::Row<'_>,
        at: usize,
    ) -> rusqlite::Result<Self> {
        match selected {
            Some(selected) => selected.read::<N>(row, at).map(Self::Answer),
            None => N::from_row(row, at).map(Self::Whole),
        }
    }

    /// The columns that [`read`](Self::read) reads, as SQL, each with a comma before it.
    pub(crate) fn columns(selected: Option<&Selected>) -> String {
        selected.map_or_else(|| format!(", {}", N::COLUMNS), Selected::columns)
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
        match self {
            Self::Answer(value) => Ok(value.clone()),
            Self::Whole(node) => node.resolve(ctx, field).await,
        }
    }
}
