//! How statements find the rows of a business. In a view file a business has a number; the key of
//! most rows is their place, which is that number and the `seq` of the row's event. A statement
//! names the business once, as the parameter `:business`, however often that stands in it.

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Row, ToSql};
use uuid::Uuid;

/// SQL of the number of the business.
pub(crate) const NUMBER: &str = "(SELECT n FROM business_numbers WHERE id = :business)";

/// SQL of the first place that the business can have; with a `seq` added, of the place of that.
pub(crate) const FIRST_PLACE: &str = "(SELECT first FROM business_places WHERE id = :business)";

const LAST_PLACE: &str = "(SELECT last FROM business_places WHERE id = :business)";

/// The column that orders the rows of a table whose cursors hold `key`.
pub(crate) fn order(key: &'static str) -> &'static str {
    if key == "seq" { "place" } else { key }
}

/// The SQL condition that a row is of the business. `key` is what the cursors of the table hold,
/// and `table` its name before columns, such as `t.`.
pub(crate) fn condition(key: &str, table: &str) -> String {
    if key == "seq" {
        format!("{table}place BETWEEN {FIRST_PLACE} AND {LAST_PLACE}")
    } else {
        format!("{table}business = {NUMBER}")
    }
}

/// The SQL condition that a row is of the business, and after one value of the key and before
/// another, each SQL too; neither may be of another business. There is one bound in each direction:
/// of two SQLite might follow the wider one, from the first row of the business on.
pub(crate) fn range(key: &'static str, after: Option<String>, before: Option<String>) -> String {
    let column = order(key);
    let bound = |value: Option<String>, op: &str| {
        value.map(|value| format!(" AND {column} {op} {}", placed(key, &value)))
    };
    let (after, before) = (bound(after, ">"), bound(before, "<"));
    if key == "seq" {
        let after = after.unwrap_or_else(|| format!(" AND place >= {FIRST_PLACE}"));
        let before = before.unwrap_or_else(|| format!(" AND place <= {LAST_PLACE}"));
        return format!("1{after}{before}");
    }
    let (after, before) = (after.unwrap_or_default(), before.unwrap_or_default());
    format!("business = {NUMBER}{after}{before}")
}

/// Largest `seq` that a place can hold.
pub(crate) const SEQ_MAX: i64 = (1 << 36) - 1;

/// SQL of what the column [`order`] holds for a value of the key, which is SQL too.
pub(crate) fn placed(key: &str, value: &str) -> String {
    if key == "seq" { format!("{FIRST_PLACE} + {value}") } else { value.to_owned() }
}

/// The SQL condition that a row `t` is of the business, where its key is one of the business's: a
/// place says it itself.
pub(crate) fn of_row(key: &str) -> String {
    if key == "seq" { "1".to_owned() } else { condition(key, "t.") }
}

/// The same condition with the business in it, for where no parameter can be.
pub(crate) fn literal(key: &str, business: domain::BusinessId) -> String {
    condition(key, "").replace(":business", &id_literal(business.0))
}

/// An id as SQL.
pub(crate) fn id_literal(id: Uuid) -> String {
    format!("x'{}'", id.simple())
}

/// SQL of the values of a JSON array of ids, as columns hold them.
pub(crate) const IDS: &str = "SELECT unhex(value, '-') FROM json_each(?)";

/// An id as an argument of a statement. A text that is no id is the id of nothing.
pub(crate) struct IdArg(Option<Uuid>);

impl IdArg {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.parse().ok())
    }
}

impl ToSql for IdArg {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        Ok(ToSqlOutput::Owned(Value::Blob(bytes)))
    }
}

/// Reads a column that holds an id, as its text.
pub(crate) fn id_text(row: &Row<'_>, i: usize) -> rusqlite::Result<String> {
    row.get::<_, Uuid>(i).map(|id| id.to_string())
}
