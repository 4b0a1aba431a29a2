//! Pages of lists that a text orders, such as businesses by slug.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, OutputType, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Row, ToSql};

use crate::Sources;
use crate::allowance::read;
use crate::filter::Arg;
use crate::page::{Page, Total, bad_cursor, size};

/// A list whose rows a text orders.
pub(crate) struct ByText<T> {
    /// Name of the list, which its cursors have.
    pub(crate) name: &'static str,
    /// SELECT of the rows; its column `place` is the text, and no two rows have the same.
    pub(crate) rows: String,
    /// The values of the `?` in it.
    pub(crate) args: Vec<Arg>,
    /// The columns that `read` reads, as SQL.
    pub(crate) columns: &'static str,
    /// Reads an item off a row whose first column has the index given.
    pub(crate) read: fn(&Row<'_>, usize) -> rusqlite::Result<T>,
}

impl<T: OutputType + 'static> ByText<T> {
    fn cursor(&self, place: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{place}", self.name))
    }

    fn place(&self, cursor: Option<&String>) -> Result<Option<String>> {
        let Some(cursor) = cursor else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|b| String::from_utf8(b).ok());
        let place = text.as_deref().and_then(|t| t.strip_prefix(self.name)?.strip_prefix(':'));
        place.map(|place| Some(place.to_owned())).ok_or_else(bad_cursor)
    }

    /// Reads a page.
    pub(crate) async fn page(
        mut self,
        ctx: &Context<'_>,
        page: Page,
    ) -> Result<Connection<String, T, Total>> {
        let (n, backwards) = size(&page)?;
        let (after, before) = (self.place(page.after.as_ref())?, self.place(page.before.as_ref())?);
        let (has_after, has_before) = (after.is_some(), before.is_some());
        let args = Arc::new(std::mem::take(&mut self.args));
        let count = format!("SELECT count(*) FROM ({})", self.rows);
        let total = Total::Sql(count, Arc::clone(&args));
        let sql = format!(
            "SELECT place, {} FROM ({}) WHERE (? IS NULL OR place > ?) AND (? IS NULL OR place < ?) \
             ORDER BY place {} LIMIT {}",
            self.columns,
            self.rows,
            if backwards { "DESC" } else { "ASC" },
            n + 1
        );
        let sources = ctx.data::<Sources>()?.clone();
        let (allowance, item) = (sources.allowance.clone(), self.read);
        let mut rows: Vec<(String, T)> = read(&sources, move |c| {
            let mut all: Vec<&dyn ToSql> = args.iter().map(|a| &**a as &dyn ToSql).collect();
            all.extend([&after as &dyn ToSql, &after, &before, &before]);
            let row = |r: &Row<'_>| {
                allowance.spend_row(r)?;
                Ok((r.get(0)?, item(r, 1)?))
            };
            c.prepare_cached(&sql)?.query_map(&*all, row)?.collect()
        })
        .await?;
        let more = rows.len() > n;
        rows.truncate(n);
        if backwards {
            rows.reverse();
        }
        let (previous, next) = if backwards { (more, has_before) } else { (has_after, more) };
        let mut page = Connection::with_additional_fields(previous, next, total);
        let edges = rows.into_iter().map(|(place, item)| Edge::new(self.cursor(&place), item));
        page.edges.extend(edges);
        Ok(page)
    }
}
