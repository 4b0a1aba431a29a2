//! Filters of lists: the conditions that rows must meet.

use async_graphql::{Context, ID, Result};
use domain::limits::PAGE_MAX;
use rusqlite::ToSql;

use crate::node::Node;
use crate::page::client_error;
use crate::sight::Sight;

/// A value that is bound to a `?` of a filter.
pub(crate) type Arg = Box<dyn ToSql + Send + Sync>;

/// The conditions that rows of a list must meet.
pub(crate) struct Filter {
    business: String,
    conditions: Vec<String>,
    args: Vec<Arg>,
}

impl Filter {
    /// Rows of one business.
    pub(crate) fn of(business: &str) -> Self {
        let none = Self { business: business.to_owned(), conditions: Vec::new(), args: Vec::new() };
        none.all("business = ?", vec![business.to_owned()])
    }

    /// Rows of all businesses that a viewer may see: of these, or of every one.
    pub(crate) fn of_visible(businesses: Option<Vec<String>>) -> Self {
        let none = Self { business: String::new(), conditions: Vec::new(), args: Vec::new() };
        match businesses {
            Some(ids) => none.all(
                "business IN (SELECT value FROM json_each(?))",
                vec![serde_json::Value::from(ids).to_string()],
            ),
            None => none.all("1", Vec::<String>::new()),
        }
    }

    /// Adds a condition with one `?` for each of the values.
    pub(crate) fn all<T: ToSql + Send + Sync + 'static>(
        mut self,
        condition: impl Into<String>,
        values: Vec<T>,
    ) -> Self {
        self.conditions.push(condition.into());
        self.args.extend(values.into_iter().map(|v| Box::new(v) as Arg));
        self
    }

    /// Adds the condition that the column has the value, or one of the values.
    ///
    /// # Errors
    /// If there are more values than a page has rows.
    pub(crate) fn by(self, column: &str, wanted: Option<impl Wanted>) -> Result<Self> {
        let Some(wanted) = wanted else { return Ok(self) };
        let values = wanted.values();
        if values.len() > PAGE_MAX {
            return Err(client_error(
                "BAD_ARGUMENT",
                &format!("a filter takes at most {PAGE_MAX} values, not {}", values.len()),
                "ask in several queries",
            ));
        }
        let marks = vec!["?"; values.len()].join(", ");
        let mut filter = self;
        filter.conditions.push(format!("{column} IN ({marks})"));
        filter.args.extend(values);
        Ok(filter)
    }

    /// Adds the condition that the viewer sees the row.
    fn seen<N: Node>(mut self, ctx: &Context<'_>) -> Result<Self> {
        let condition = Sight::of(ctx, &self.business)?.condition::<N>();
        self.conditions.extend(condition.map(|c| format!("({c})")));
        Ok(self)
    }

    /// The conditions as SQL, for rows that every viewer of the business sees.
    pub(crate) fn without_sight(self) -> (String, Vec<Arg>) {
        (self.conditions.join(" AND "), self.args)
    }

    /// The conditions on rows of `N` as SQL, with the one that the viewer sees the row.
    pub(crate) fn into_sql<N: Node>(self, ctx: &Context<'_>) -> Result<Conditions> {
        let seen = self.seen::<N>(ctx)?;
        Ok(Conditions {
            of_business_alone: seen.conditions.len() <= 1,
            sql: seen.conditions.join(" AND "),
            args: seen.args,
        })
    }
}

/// Conditions as SQL.
pub(crate) struct Conditions {
    pub(crate) sql: String,
    /// The values of the `?` in it.
    pub(crate) args: Vec<Arg>,
    /// True if the rows are only those of a business. Every table is indexed by that, in the order
    /// of the stream.
    pub(crate) of_business_alone: bool,
}

/// What a caller wants a column to be.
pub(crate) trait Wanted {
    /// The values, one of which the column must have.
    fn values(self) -> Vec<Arg>;
}

/// One of these; none of them if the list is empty.
impl<T: ToSql + Send + Sync + 'static> Wanted for Vec<T> {
    fn values(self) -> Vec<Arg> {
        self.into_iter().map(|v| Box::new(v) as Arg).collect()
    }
}

/// An id as a value of SQL.
pub(crate) fn ids(ids: Option<Vec<ID>>) -> Option<Vec<String>> {
    ids.map(|ids| ids.into_iter().map(|id| id.0).collect())
}

/// What a list is asked for, as an input object of GraphQL.
pub(crate) trait ListFilter: Default {
    /// Adds the conditions.
    fn add_to(self, filter: Filter) -> Result<Filter>;
}

/// Declares an input object of GraphQL whose fields are conditions on columns. A row must meet all
/// that are given: `is` takes one value, `in` takes several, of which the column must have one, and
/// `where` takes one value for the `?` of a condition.
macro_rules! filter {
    ($(#[$doc:meta])* $name:ident { $(
        $(#[$fdoc:meta])* $field:ident: $ty:ty, $how:ident $column:literal;
    )* }) => {
        $(#[$doc])*
        #[derive(async_graphql::InputObject, Default, Clone)]
        pub(crate) struct $name {
            $($(#[$fdoc])* pub(crate) $field: Option<$crate::filter::filter!(@type $how $ty)>,)*
        }
        impl $crate::filter::ListFilter for $name {
            fn add_to(
                self,
                filter: $crate::filter::Filter,
            ) -> async_graphql::Result<$crate::filter::Filter> {
                $(let filter =
                    $crate::filter::filter!(@add $how filter, $column, self.$field);)*
                Ok(filter)
            }
        }
    };
    (@type is $ty:ty) => { $ty };
    (@type in $ty:ty) => { Vec<$ty> };
    (@type ids $ty:ty) => { Vec<$ty> };
    (@type where $ty:ty) => { $ty };
    (@add is $filter:ident, $column:literal, $value:expr) => {
        $filter.by($column, $value.map(|value| vec![value]))?
    };
    (@add in $filter:ident, $column:literal, $value:expr) => { $filter.by($column, $value)? };
    (@add ids $filter:ident, $column:literal, $value:expr) => {
        $filter.by($column, $crate::filter::ids($value))?
    };
    (@add where $filter:ident, $condition:literal, $value:expr) => {
        match $value {
            Some(value) => $filter.all($condition, vec![value]),
            None => $filter,
        }
    };
}
pub(crate) use filter;
