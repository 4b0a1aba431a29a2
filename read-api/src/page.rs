//! Connections: pages over a table in the order of the stream.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, Enum, ErrorExtensions as _, ID, Object, OutputType, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::{PAGE_DEFAULT, PAGE_MAX, PAGE_ON_ROW_DEFAULT, SEARCH_WORDS_MAX};
use event_log::chain;
use rusqlite::ToSql;

use crate::Sources;
use crate::allowance::{read, read_here};
use crate::filter::{Arg, Conditions, Filter};
use crate::node::Node;
use crate::of_business::{self, IdArg, SEQ_MAX};
use crate::row::{Row, Selected};

/// A page of a list, with the total number of rows.
pub(crate) type List<N> = Connection<String, Row<N>, Total>;

/// The order of a list.
#[derive(Debug, Enum, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ListOrder {
    /// In the order of the business's stream: what came first is first.
    #[default]
    OldestFirst,
    /// Against the order of the business's stream: what came last is first.
    NewestFirst,
}

/// The part of a list that a caller asks for.
#[derive(Default, Clone)]
pub(crate) struct Page {
    /// The first rows of the list: how many, 200 at most.
    pub(crate) first: Option<i32>,
    /// Only rows after this cursor.
    pub(crate) after: Option<String>,
    /// The last rows of the list: how many.
    pub(crate) last: Option<i32>,
    /// Only rows before this cursor.
    pub(crate) before: Option<String>,
    /// The order of the list.
    pub(crate) order: ListOrder,
    /// True if the list is on a row of another one.
    pub(crate) on_row: bool,
}

/// Cost of `n` rows, and one for reading them. It never wraps, not even where the costs of a whole
/// document are added up or multiplied again.
pub(crate) fn times(n: usize, child: usize) -> usize {
    const MOST: usize = u32::MAX as usize;
    child.saturating_mul(n).saturating_add(1).min(MOST)
}

/// Cost of a page: one, and the cost of a child for each row that the page can have.
pub(crate) fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    cost_of(first, last, PAGE_DEFAULT, child)
}

/// The same of a list on a row.
pub(crate) fn cost_on_row(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    cost_of(first, last, PAGE_ON_ROW_DEFAULT, child)
}

fn cost_of(first: Option<i32>, last: Option<i32>, default: usize, child: usize) -> usize {
    let asked = first.or(last).and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    times(asked.min(PAGE_MAX), child)
}

/// Makes an error of the caller, with a code and a hint that says what to do.
pub(crate) fn client_error(
    code: &'static str,
    message: &str,
    hint: &'static str,
) -> async_graphql::Error {
    async_graphql::Error::new(message).extend_with(|_, e| {
        e.set("code", code);
        e.set("hint", hint);
    })
}

pub(crate) fn encode(table: &str, key: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{table}:{key}"))
}

pub(crate) fn decode(table: &str, cursor: &str) -> Result<i64> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|b| String::from_utf8(b).ok());
    let key = text.as_deref().and_then(|t| t.strip_prefix(table)?.strip_prefix(':')?.parse().ok());
    key.ok_or_else(bad_cursor)
}

/// The error for a cursor that is none of the list.
pub(crate) fn bad_cursor() -> async_graphql::Error {
    client_error(
        "BAD_CURSOR",
        "that cursor is not of this list",
        "use endCursor or startCursor of the same list",
    )
}

/// The number of rows of a page that only goes forwards.
pub(crate) fn first_rows(first: Option<i32>) -> Result<usize> {
    Ok(size(&Page { first, ..Page::default() })?.0)
}

/// The column that names a business, and the value it must have.
pub(crate) fn business_by(slug: Option<String>, id: Option<ID>) -> Result<(&'static str, Arg)> {
    match (slug, id) {
        (Some(slug), None) => Ok(("slug", Box::new(slug))),
        (None, Some(id)) => Ok(("id", Box::new(IdArg::new(&id)))),
        (Some(_), Some(_)) | (None, None) => {
            Err(client_error("BAD_ARGUMENT", "give either slug or id", "business(slug: \"acme\")"))
        }
    }
}

/// A part of a list, bounded by values of the key column that cursors hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slice {
    n: usize,
    order: ListOrder,
    backwards: bool,
    after: Option<i64>,
    before: Option<i64>,
}

impl Slice {
    /// The slice that a page asks for; `table` is the one its cursors must name.
    pub(crate) fn of(page: &Page, table: &str) -> Result<Self> {
        let (n, backwards) = size(page)?;
        let cursor =
            |cursor: &Option<String>| cursor.as_ref().map(|c| decode(table, c)).transpose();
        let (after, before) = (cursor(&page.after)?, cursor(&page.before)?);
        Ok(Self { n, order: page.order, backwards, after, before })
    }

    /// The slice of a single row, that with the largest key: the one more than a page of none.
    pub(crate) const fn newest() -> Self {
        Self { n: 0, order: ListOrder::NewestFirst, backwards: false, after: None, before: None }
    }

    /// The condition that a row is of the business and within the bounds, for a table whose cursors
    /// hold `key`. Cursors come from callers: none leads to the rows of another business.
    pub(crate) fn range(&self, key: &'static str) -> String {
        let value = |cursor: Option<i64>| {
            let of_business = |v: i64| if key == "seq" { v.clamp(0, SEQ_MAX) } else { v };
            cursor.map(|v| of_business(v).to_string())
        };
        match self.order {
            ListOrder::OldestFirst => {
                of_business::range(key, value(self.after), value(self.before))
            }
            ListOrder::NewestFirst => {
                of_business::range(key, value(self.before), value(self.after))
            }
        }
    }

    /// True if rows are read from the largest key down.
    const fn reads_down(&self) -> bool {
        match self.order {
            ListOrder::OldestFirst => self.backwards,
            ListOrder::NewestFirst => !self.backwards,
        }
    }

    /// The direction in which rows are read, as SQL.
    pub(crate) const fn direction(&self) -> &'static str {
        if self.reads_down() { "DESC" } else { "ASC" }
    }

    /// How many rows to read: one more than the page shows, to know whether there are more.
    pub(crate) const fn limit(&self) -> usize {
        self.n + 1
    }

    /// Sorts rows in the order in which they are read.
    pub(crate) fn sort<T>(&self, rows: &mut [(i64, T)]) {
        rows.sort_by_key(|(key, _)| *key);
        if self.reads_down() {
            rows.reverse();
        }
    }

    /// Cuts the rows that were read down to the page; returns whether there are rows before and
    /// after.
    pub(crate) fn trim<T>(&self, rows: &mut Vec<T>) -> (bool, bool) {
        let more = rows.len() > self.n;
        rows.truncate(self.n);
        if self.backwards {
            rows.reverse();
        }
        if self.backwards { (more, self.before.is_some()) } else { (self.after.is_some(), more) }
    }
}

/// How many rows a page may have, and whether they are the last ones.
pub(crate) fn size(page: &Page) -> Result<(usize, bool)> {
    let wrong = |m: &str| client_error("BAD_PAGE", m, "ask for first or last between 1 and 200");
    let (asked, backwards) = match (page.first, page.last) {
        (Some(_), Some(_)) => return Err(wrong("first and last can't be combined")),
        (None, Some(last)) => (last, true),
        (Some(first), None) => (first, false),
        (None, None) if page.on_row => return Ok((PAGE_ON_ROW_DEFAULT, false)),
        (None, None) => return Ok((PAGE_DEFAULT, false)),
    };
    match usize::try_from(asked) {
        Ok(n) if (1..=PAGE_MAX).contains(&n) => Ok((n, backwards)),
        Ok(_) | Err(_) => Err(wrong(&format!("a page has 1 to {PAGE_MAX} rows, not {asked}"))),
    }
}

/// Makes a full-text query of a caller's words, each quoted, so that no operator is ever run.
pub(crate) fn words(text: &str) -> Result<String> {
    let mut words =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let quoted: Vec<String> = words
        .by_ref()
        .take(SEARCH_WORDS_MAX)
        .map(|w| format!("\"{}\"", w.replace('"', "\"\"")))
        .collect();
    if words.next().is_some() {
        return Err(client_error(
            "TOO_MANY_WORDS",
            &format!("a search has at most {SEARCH_WORDS_MAX} words"),
            "search for fewer words",
        ));
    }
    Ok(quoted.join(" "))
}

/// The number of all rows of a list; counted only when a request selects it.
pub(crate) enum Total {
    /// The number is known already.
    Counted(i64),
    /// A statement that counts the rows, with its arguments.
    Sql(String, Arc<Vec<Arg>>),
    /// The rows hang on a row of another list and are counted with those of its siblings.
    Children(crate::children::Count),
}

#[Object]
impl Total {
    /// Number of rows of the whole list, not only of this page.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i64> {
        let (sql, args) = match self {
            Self::Counted(n) => return Ok(*n),
            Self::Children(count) => return crate::children::count(ctx, count.clone()).await,
            Self::Sql(sql, args) => (sql.clone(), Arc::clone(args)),
        };
        let sources = ctx.data::<Sources>()?.clone();
        read(&sources, move |c| {
            let args: Vec<&dyn ToSql> = args.iter().map(|a| &**a as &dyn ToSql).collect();
            c.prepare_cached(&sql)?.query_row(&*args, |r| r.get(0))
        })
        .await
    }
}

pub(crate) fn failed(e: &(dyn std::error::Error + 'static)) -> async_graphql::Error {
    client_error(
        "VIEWS_FAILED",
        &format!("the views could not be read: {}", chain(e)),
        "try again; if it stays, run `minutebook projections rebuild`",
    )
}

/// The statement that reads a slice of the rows; its `?` are those of the whole conditions.
fn page_sql<N: Node>(conditions: &Conditions, slice: Slice, columns: &str) -> String {
    let (key, table, order, limit) = (N::KEY, N::TABLE, slice.direction(), slice.limit());
    let (sql, range, by) = (&conditions.rest, slice.range(key), of_business::order(key));
    match &conditions.several {
        None => format!(
            "SELECT {key}{columns} FROM {table} WHERE {range}{sql} ORDER BY {by} {order} LIMIT \
             {limit}"
        ),
        // Each value's own slice is a walk along the index that ends at the limit. With `IN` SQLite
        // would sort all rows that have one of the values, or walk through all of a business.
        Some(several) => {
            let (column, values) = (several.column, several.query());
            let of = of_business::of_row(key);
            // The business is the first argument here as in the count.
            format!(
                "WITH b(id) AS (SELECT :business), v(wanted) AS ({values})
                 SELECT {key}{columns} FROM v CROSS JOIN {table} t ON t.{column} = wanted AND \
                 t.{by} IN (SELECT {by} FROM {table} WHERE {column} = wanted AND {range}{sql} \
                 ORDER BY {by} {order} LIMIT {limit})
                 WHERE {of} ORDER BY {by} {order} LIMIT {limit}"
            )
        }
    }
}

/// Reads a page of a list.
pub(crate) async fn list<N: Node + OutputType>(
    ctx: &Context<'_>,
    filter: Filter,
    page: Page,
) -> Result<List<N>> {
    let (slice, selected) = (Slice::of(&page, N::TABLE)?, Selected::of::<N>(ctx));
    let conditions = filter.into_sql::<N>(ctx)?;
    let of_business_alone = conditions.of_business_alone;
    let sql = page_sql::<N>(&conditions, slice, &Row::<N>::columns(selected.as_ref()));
    let (conditions, args) = conditions.whole();
    let args = Arc::new(args);
    let count = format!("SELECT count(*) FROM {} WHERE {conditions}", N::TABLE);
    let total = Total::Sql(count, Arc::clone(&args));
    let sources = ctx.data::<Sources>()?.clone();
    let allowance = sources.allowance.clone();
    let rows = move |c: &rusqlite::Connection| {
        let args: Vec<&dyn ToSql> = args.iter().map(|a| &**a as &dyn ToSql).collect();
        let row = |r: &rusqlite::Row<'_>| {
            allowance.spend_row(r)?;
            Ok((r.get(0)?, Row::read(selected.as_ref(), r, 1)?))
        };
        c.prepare_cached(&sql)?.query_map(&*args, row)?.collect()
    };
    let mut rows: Vec<(i64, Row<N>)> = if of_business_alone {
        read_here(|| sources.views.read(rows))?
    } else {
        read(&sources, rows).await?
    };
    let more = slice.trim(&mut rows);
    Ok(connection(rows, more, total))
}

/// Makes a page of rows; `more` says whether there are rows before and after them.
pub(crate) fn connection<N: Node + OutputType>(
    rows: Vec<(i64, Row<N>)>,
    more: (bool, bool),
    total: Total,
) -> List<N> {
    let mut connection = Connection::with_additional_fields(more.0, more.1, total);
    let edge = |(key, row)| Edge::new(encode(N::TABLE, key), row);
    connection.edges.extend(rows.into_iter().map(edge));
    connection
}
