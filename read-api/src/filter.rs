//! Filters of lists: the conditions that rows must meet.

use async_graphql::{Context, ID, Result};
use domain::limits::PAGE_MAX;
use rusqlite::ToSql;

use crate::closed_sets::{EnumValue, GraphqlEnum};
use crate::node::Node;
use crate::of_business::{self, IDS, IdArg};
use crate::page::client_error;
use crate::scalars::Uuid;
use crate::sight::Sight;

/// A value that is bound to a `?` of a filter.
pub(crate) type Arg = Box<dyn ToSql + Send + Sync>;

/// The conditions that rows of a list must meet.
pub(crate) struct Filter {
    /// Id of the business that rows must be of; `None` = of any.
    business: Option<String>,
    conditions: Vec<String>,
    args: Vec<Arg>,
    /// A column that must have one of several values.
    several: Option<Several>,
}

/// A column that must have one of several values: the rows of each value are walked in the order of
/// an index, no further than a page goes.
pub(crate) struct Several {
    pub(crate) column: &'static str,
    /// The values as a JSON array.
    pub(crate) values: String,
    are_ids: bool,
}

impl Several {
    /// The query for the values, which are those of one `?`.
    pub(crate) const fn query(&self) -> &'static str {
        if self.are_ids { IDS } else { "SELECT value FROM json_each(?)" }
    }
}

impl Filter {
    fn none(business: Option<&str>) -> Self {
        Self {
            business: business.map(str::to_owned),
            conditions: Vec::new(),
            args: Vec::new(),
            several: None,
        }
    }

    /// Rows of one business.
    pub(crate) fn of(business: &str) -> Self {
        Self::none(Some(business))
    }

    /// Businesses that a viewer may see: these, or every one.
    pub(crate) fn of_visible(businesses: Option<Vec<String>>) -> Self {
        match businesses {
            Some(ids) => Self::none(None)
                .all(format!("id IN ({IDS})"), vec![serde_json::Value::from(ids).to_string()]),
            None => Self::none(None).all("1", Vec::<String>::new()),
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

    /// Adds the condition that the column has the value.
    pub(crate) fn is<T: ToSql + Send + Sync + 'static>(
        self,
        column: &'static str,
        wanted: Option<T>,
    ) -> Self {
        match wanted {
            Some(value) => self.all(format!("{column} = ?"), vec![value]),
            None => self,
        }
    }

    /// Adds the condition that the column has one of the values.
    ///
    /// # Errors
    /// If there are more values than a page has rows.
    pub(crate) fn one_of<T: AsText>(
        mut self,
        column: &'static str,
        wanted: Option<Vec<T>>,
    ) -> Result<Self> {
        let Some(wanted) = wanted else { return Ok(self) };
        if wanted.len() > PAGE_MAX {
            return Err(client_error(
                "BAD_ARGUMENT",
                &format!("a filter takes at most {PAGE_MAX} values, not {}", wanted.len()),
                "ask in several queries",
            ));
        }
        let mut values = wanted.iter().map(AsText::text).collect::<Result<Vec<_>>>()?;
        values.sort_unstable();
        values.dedup();
        if values.len() > 1 && self.several.is_none() {
            let values = serde_json::Value::from(values).to_string();
            self.several = Some(Several { column, values, are_ids: T::IS_ID });
            return Ok(self);
        }
        let condition = format!("{column} IN ({})", vec!["?"; values.len()].join(", "));
        Ok(if T::IS_ID {
            self.all(condition, values.iter().map(|id| IdArg::new(id)).collect())
        } else {
            self.all(condition, values)
        })
    }

    /// Adds the condition that the viewer sees the row.
    fn seen<N: Node>(mut self, ctx: &Context<'_>) -> Result<Self> {
        if let Some(business) = &self.business {
            let condition = Sight::of(ctx, business)?.condition::<N>();
            self.conditions.extend(condition.map(|c| format!("({c})")));
        }
        Ok(self)
    }

    /// The conditions on rows of `N` as SQL, for rows that every viewer of the business sees.
    pub(crate) fn without_sight<N: Node>(mut self) -> Conditions {
        if let Some(business) = &self.business {
            self.args.insert(0, Box::new(IdArg::new(business)));
        }
        Conditions {
            of_business: self.business.map(|_| of_business::condition(N::KEY, "")),
            of_business_alone: self.conditions.is_empty() && self.several.is_none(),
            rest: self.conditions.iter().map(|c| format!(" AND {c}")).collect(),
            args: self.args,
            several: self.several,
        }
    }

    /// The conditions on rows of `N` as SQL, with the one that the viewer sees the row.
    pub(crate) fn into_sql<N: Node>(self, ctx: &Context<'_>) -> Result<Conditions> {
        Ok(self.seen::<N>(ctx)?.without_sight::<N>())
    }
}

/// Conditions as SQL.
pub(crate) struct Conditions {
    /// That a row is of the business; `None` if it may be of any.
    of_business: Option<String>,
    /// All others, each with ` AND ` before it.
    pub(crate) rest: String,
    /// The business, if rows are of one; then the values of the `?` in the others.
    args: Vec<Arg>,
    /// A condition that is not among them.
    pub(crate) several: Option<Several>,
    /// True if the rows are only those of a business. Every table is indexed by that, in the order
    /// of the stream.
    pub(crate) of_business_alone: bool,
}

impl Conditions {
    /// All conditions in one: that on the business, then that on several values, then the others.
    pub(crate) fn whole(mut self) -> (String, Vec<Arg>) {
        let mut sql = self.of_business.unwrap_or_else(|| "1".to_owned());
        if let Some(several) = self.several.take() {
            sql.push_str(&format!(" AND {} IN ({})", several.column, several.query()));
            let after_business = usize::from(sql.contains(":business"));
            self.args.insert(after_business, Box::new(several.values));
        }
        sql.push_str(&self.rest);
        (sql, self.args)
    }
}

/// A value that a column of texts holds.
pub(crate) trait AsText {
    /// True if the column holds an id, and the text is that of the id.
    const IS_ID: bool = false;
    /// The text.
    ///
    /// # Errors
    /// If it can't be a value of the column.
    fn text(&self) -> Result<String>;
}

impl AsText for String {
    fn text(&self) -> Result<String> {
        Ok(self.clone())
    }
}

impl AsText for ID {
    const IS_ID: bool = true;
    fn text(&self) -> Result<String> {
        let id = self.0.parse::<uuid::Uuid>();
        let bad =
            |_| client_error("BAD_VALUE", "that is no id", "take it from a field of that name");
        id.map(|id| id.to_string()).map_err(bad)
    }
}

impl AsText for Uuid {
    const IS_ID: bool = true;
    fn text(&self) -> Result<String> {
        Ok(self.0.clone())
    }
}

impl<T: GraphqlEnum> AsText for EnumValue<T> {
    fn text(&self) -> Result<String> {
        Ok(self.0.name().to_owned())
    }
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
    (@type where $ty:ty) => { $ty };
    (@add is $filter:ident, $column:literal, $value:expr) => { $filter.is($column, $value) };
    (@add in $filter:ident, $column:literal, $value:expr) => { $filter.one_of($column, $value)? };
    (@add where $filter:ident, $condition:literal, $value:expr) => {
        match $value {
            Some(value) => $filter.all($condition, vec![value]),
            None => $filter,
        }
    };
}
pub(crate) use filter;
