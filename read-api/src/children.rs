//! Lists that hang on rows of another list, such as the reviews of each task of a page. The rows of
//! one such list are read at once for all parents: a request costs as many reads as it has lists,
//! however many rows they have.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{Context, OutputType, Result};

use crate::Sources;
use crate::allowance::read;
use crate::node::Node;
use crate::of_business::{self, IDS, IdArg, id_text};
use crate::page::{List, Page, Slice, Total, connection};
use crate::row::{Row, Selected};
use crate::sight::Sight;

/// Loads rows for many parents in one read.
pub(crate) struct BatchLoader(pub(crate) Sources);

/// Makes the loader of one request; it caches nothing, because the views move.
pub(crate) fn loader(sources: &Sources) -> DataLoader<BatchLoader> {
    DataLoader::new(BatchLoader(sources.clone()), tokio::spawn).delay(Duration::ZERO)
}

/// Rows of a business whose `column` has a value: an id, or the number of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    business: String,
    column: &'static str,
    value: String,
    /// SQL condition on what the viewer sees: rows for one viewer are not those for another.
    seen: String,
}

impl RowKey {
    fn new<N: Node>(
        ctx: &Context<'_>,
        business: &str,
        column: &'static str,
        value: &str,
    ) -> Result<Self> {
        let seen = Sight::of(ctx, business)?.and::<N>();
        Ok(Self { business: business.to_owned(), column, value: value.to_owned(), seen })
    }

    /// The column as the table has it.
    fn column(&self) -> &'static str {
        of_business::order(self.column)
    }

    /// SQL of what the column must hold; `word` is the value as text.
    fn is(&self) -> String {
        match self.column {
            "seq" => of_business::placed("seq", "CAST(word AS INTEGER)"),
            _ => "unhex(word, '-')".to_owned(),
        }
    }
}

/// A slice of the rows of `N`.
#[derive(Debug)]
struct Rows<N> {
    of: RowKey,
    slice: Slice,
    selected: Option<Selected>,
    node: PhantomData<fn() -> N>,
}

impl<N> Clone for Rows<N> {
    fn clone(&self) -> Self {
        Self {
            of: self.of.clone(),
            slice: self.slice,
            selected: self.selected.clone(),
            node: PhantomData,
        }
    }
}
impl<N> PartialEq for Rows<N> {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.slice == other.slice && self.selected == other.selected
    }
}
impl<N> Eq for Rows<N> {}
impl<N> Hash for Rows<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.of, self.slice, &self.selected).hash(state);
    }
}

/// Key of a count: the rows of `table` whose column has the value of `of`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Count {
    table: &'static str,
    /// What the cursors of the table hold.
    key: &'static str,
    of: RowKey,
}

/// Groups keys by `group`; each group is loaded in one read.
pub(crate) fn grouped<K: Clone, G: Eq + Hash>(keys: &[K], group: impl Fn(&K) -> G) -> Vec<Vec<K>> {
    let mut groups: HashMap<G, Vec<K>> = HashMap::new();
    for key in keys {
        groups.entry(group(key)).or_default().push(key.clone());
    }
    groups.into_values().collect()
}

/// Makes one SQL argument of many values: a JSON array.
fn json<'a>(values: impl Iterator<Item = &'a String>) -> String {
    serde_json::Value::from(values.cloned().collect::<Vec<_>>()).to_string()
}

impl<N: Node + OutputType> Loader<Rows<N>> for BatchLoader {
    type Value = Arc<Vec<(i64, Row<N>)>>;
    type Error = async_graphql::Error;
    async fn load(&self, keys: &[Rows<N>]) -> Result<HashMap<Rows<N>, Self::Value>> {
        let mut found = HashMap::new();
        for group in grouped(keys, |k| {
            let of = &k.of;
            (of.business.clone(), of.column, of.seen.clone(), k.slice, k.selected.clone())
        }) {
            let Some(first) = group.first().cloned() else { continue };
            let (table, key, column) = (N::TABLE, N::KEY, first.of.column());
            let (range, order, seen) =
                (first.slice.range(key), first.slice.direction(), &first.of.seen);
            let (by, is) = (of_business::order(key), first.of.is());
            let of = of_business::of_row(key);
            // Each value's own slice is a walk along the index that ends at the limit. An ORDER BY
            // here, or leaving the order of the join open, has SQLite walk through all of a
            // business.
            let sql = format!(
                "WITH v(word) AS (SELECT value FROM json_each(?))
                 SELECT word, {key}{} FROM v CROSS JOIN {table} t ON {of} AND t.{column} = {is}
                 AND t.{by} IN (SELECT {by} FROM {table} WHERE {range} AND {column} = {is}{seen} \
                 ORDER BY {by} {order} LIMIT {})",
                Row::<N>::columns(first.selected.as_ref()),
                first.slice.limit()
            );
            let (sources, values) = (self.0.clone(), json(group.iter().map(|k| &k.of.value)));
            let allowance = sources.allowance.clone();
            let rows: Vec<(String, i64, Row<N>)> = read(&sources, move |c| {
                let row = |r: &rusqlite::Row<'_>| {
                    allowance.spend_row(r)?;
                    let read = Row::read(first.selected.as_ref(), r, 2)?;
                    Ok((r.get(0)?, r.get(1).unwrap_or_default(), read))
                };
                let business = IdArg::new(&first.of.business);
                c.prepare_cached(&sql)?.query_map((&values, business), row)?.collect()
            })
            .await?;
            let mut by_value: HashMap<String, Vec<(i64, Row<N>)>> = HashMap::new();
            for (value, key, node) in rows {
                by_value.entry(value).or_default().push((key, node));
            }
            found.extend(group.into_iter().map(|k| {
                let mut rows = by_value.remove(&k.of.value).unwrap_or_default();
                k.slice.sort(&mut rows);
                (k, Arc::new(rows))
            }));
        }
        Ok(found)
    }
}

impl Loader<Count> for BatchLoader {
    type Value = i64;
    type Error = async_graphql::Error;
    async fn load(&self, keys: &[Count]) -> Result<HashMap<Count, i64>> {
        let mut found = HashMap::new();
        for group in
            grouped(keys, |k| (k.table, k.of.business.clone(), k.of.column, k.of.seen.clone()))
        {
            let Some(first) = group.first().cloned() else { continue };
            let (column, seen) = (first.of.column, &first.of.seen);
            let sql = format!(
                "SELECT {column}, count(*) FROM {} WHERE {} AND {column} IN ({IDS}){seen} GROUP BY \
                 {column}",
                first.table,
                of_business::condition(first.key, "")
            );
            let (sources, values) = (self.0.clone(), json(group.iter().map(|k| &k.of.value)));
            let counts: HashMap<String, i64> = read(&sources, move |c| {
                c.prepare_cached(&sql)?
                    .query_map((IdArg::new(&first.of.business), &values), |r| {
                        Ok((id_text(r, 0)?, r.get(1)?))
                    })?
                    .collect()
            })
            .await?;
            found.extend(group.into_iter().map(|k| {
                let count = counts.get(&k.of.value).copied().unwrap_or(0);
                (k, count)
            }));
        }
        Ok(found)
    }
}

pub(crate) fn batches<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<BatchLoader>> {
    ctx.data::<DataLoader<BatchLoader>>()
}

/// Loads a page of the rows of `N` whose `column` has `value`.
pub(crate) async fn list<N: Node + OutputType>(
    ctx: &Context<'_>,
    business: &str,
    column: &'static str,
    value: &str,
    page: Page,
) -> Result<List<N>> {
    let (slice, selected) = (Slice::of(&page, N::TABLE)?, Selected::of::<N>(ctx));
    let of = RowKey::new::<N>(ctx, business, column, value)?;
    let rows = batches(ctx)?
        .load_one(Rows { of: of.clone(), slice, selected, node: PhantomData::<fn() -> N> })
        .await?
        .unwrap_or_default();
    let mut rows: Vec<(i64, Row<N>)> = rows.to_vec();
    let more = slice.trim(&mut rows);
    Ok(connection(rows, more, Total::Children(Count { table: N::TABLE, key: N::KEY, of })))
}

/// Loads the newest row of `N` whose `column` has `value`; `None` if there is none that the viewer
/// sees.
pub(crate) async fn newest<N: Node + OutputType>(
    ctx: &Context<'_>,
    business: &str,
    column: &'static str,
    value: &str,
) -> Result<Option<N>> {
    let of = RowKey::new::<N>(ctx, business, column, value)?;
    let rows = batches(ctx)?
        .load_one(Rows {
            of,
            slice: Slice::newest(),
            selected: None,
            node: PhantomData::<fn() -> N>,
        })
        .await?;
    Ok(rows.and_then(|rows| match rows.first() {
        Some((_, Row::Whole(node))) => Some(node.clone()),
        Some((_, Row::Answer(_))) | None => None,
    }))
}

/// Loads the number of rows that `count` describes.
pub(crate) async fn count(ctx: &Context<'_>, count: Count) -> Result<i64> {
    Ok(batches(ctx)?.load_one(count).await?.unwrap_or(0))
}
