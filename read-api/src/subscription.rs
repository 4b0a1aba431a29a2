//! Subscriptions: the changes of a business, in the order of its stream.
//!
//! Every subscription follows the views: it asks for the next page once the last one is taken, so a
//! slow reader costs a page and no queue. It begins after the `seq` that it is given, and each
//! change has its `seq`: a reader that is cut off continues from there.

mod kpis;
mod tasks;

use async_graphql::{Context, ID, MergedSubscription, Result, Subscription as Root};
use domain::limits::PAGE_MAX;
use event_log::Position;
use futures_util::{Stream, stream};
use rusqlite::{OptionalExtension as _, params};
use tokio::sync::watch;

use crate::allowance::{read_here, row_bytes};
use crate::audit::Event;
use crate::node::Node;
use crate::of_business::{self, FIRST_PLACE, IdArg, id_text};
use crate::page::{business_by, client_error};
use crate::sight::Sight;
use crate::{Sources, Viewer};
use kpis::KpiChanges;
use tasks::{ApprovalChanges, TaskChanges};

/// Bytes of rows that one read collects, unless a single row has more.
const READ_BYTES_MAX: usize = 1 << 20;

/// Where a subscription stands in a business: after which `seq`.
struct SubscriptionCursor {
    sources: Sources,
    business: String,
    currency: String,
    sight: Sight,
    after: i64,
    moved: watch::Receiver<Position>,
}

impl SubscriptionCursor {
    /// Makes the cursor of a subscription: after `after`, or at the end of the stream if it is
    /// `None`.
    fn open(
        ctx: &Context<'_>,
        slug: Option<String>,
        id: Option<ID>,
        after: Option<u64>,
    ) -> Result<Self> {
        let (column, value) = business_by(slug, id)?;
        let sources = ctx.data::<Sources>()?.clone();
        let sql = format!("SELECT id, currency FROM businesses WHERE {column} = ?");
        let found: Option<(String, String)> = read_here(|| {
            sources.views.read(|c| {
                c.prepare_cached(&sql)?
                    .query_row([&*value], |r| Ok((id_text(r, 0)?, r.get(1)?)))
                    .optional()
            })
        })?;
        let viewer = ctx.data::<Viewer>()?;
        let visible = found.filter(|(b, _)| b.parse().is_ok_and(|id| viewer.may_see(id)));
        let (business, currency) = visible.ok_or_else(|| {
            client_error(
                "NOT_FOUND",
                "no business has this slug or id, or you have no role in it",
                "businesses { nodes { slug } } lists yours",
            )
        })?;
        let sight = Sight::of_viewer(viewer, &sources, &business)?;
        let moved = sources.views.moved();
        let end: i64 = read_here(|| sources.views.read(|c| end_of(c, &business)))?;
        let after = after.map_or(end, |a| i64::try_from(a).unwrap_or(i64::MAX));
        Ok(Self { sources, business, currency, sight, after, moved })
    }

    /// Waits until `read` finds something; repeats the read whenever the views have moved.
    async fn next<T>(
        &mut self,
        read: impl Fn(&rusqlite::Connection, &Self) -> rusqlite::Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        loop {
            // Marked as seen before reading: what comes in between wakes the wait below.
            self.moved.mark_unchanged();
            let found = read_here(|| self.sources.views.read(|c| read(c, self)))?;
            if !found.is_empty() {
                return Ok(found);
            }
            self.moved.changed().await.map_err(|_| {
                client_error(
                    "CLOSING",
                    "the server is stopping",
                    "connect again, and go on after the last seq",
                )
            })?;
        }
    }
}

/// The `seq` of the last event of a business; 0 if there is none.
fn end_of(c: &rusqlite::Connection, business: &str) -> rusqlite::Result<i64> {
    let of = of_business::condition("seq", "");
    let sql = format!("SELECT coalesce(max(place) - {FIRST_PLACE}, 0) FROM events WHERE {of}");
    c.prepare_cached(&sql)?.query_row([IdArg::new(business)], |r| r.get(0))
}

fn page<N: Node>(
    c: &rusqlite::Connection,
    place: &SubscriptionCursor,
) -> rusqlite::Result<Vec<(i64, N)>> {
    let (table, key, seen) = (N::TABLE, N::KEY, place.sight.and::<N>());
    let by = of_business::order(key);
    let sql = format!(
        "SELECT {key}, {} FROM {table} WHERE {}{seen} ORDER BY {by} LIMIT {PAGE_MAX}",
        N::COLUMNS,
        of_business::range(key, Some("?".to_owned()), None)
    );
    let mut query = c.prepare_cached(&sql)?;
    let mut rows = query.query(params![IdArg::new(&place.business), place.after])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    // What is left of it is read when this was given.
    while bytes < READ_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        bytes += row_bytes(row)?;
        found.push((row.get(0)?, N::from_row(row, 1)?));
    }
    Ok(found)
}

/// Aggregates of a kind that changed, as they stand now, in the order of their last change.
fn changed<N: Node>(
    c: &rusqlite::Connection,
    kind: &str,
    place: &SubscriptionCursor,
) -> rusqlite::Result<Vec<(i64, N)>> {
    let (seen, of) = (place.sight.condition::<N>(), of_business::condition(N::KEY, ""));
    let seen = seen.map_or_else(String::new, |s| {
        format!(" AND id IN (SELECT id FROM {} WHERE {of} AND ({s}))", N::TABLE)
    });
    let sql = format!(
        "SELECT max(seq), id FROM (SELECT seq, id FROM events WHERE {} AND kind = ?{seen} ORDER BY \
         place LIMIT {PAGE_MAX})
         GROUP BY id ORDER BY 1",
        of_business::range("seq", Some("?".to_owned()), None)
    );
    let args = params![IdArg::new(&place.business), place.after, kind];
    let ids: Vec<(i64, uuid::Uuid)> = c
        .prepare_cached(&sql)?
        .query_map(args, |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let sql = format!("SELECT {} FROM {} WHERE {of} AND id = ?", N::COLUMNS, N::TABLE);
    let mut query = c.prepare_cached(&sql)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (seq, id) in ids {
        if bytes >= READ_BYTES_MAX {
            break;
        }
        let row = query.query_row(params![IdArg::new(&place.business), id], |r| {
            bytes += row_bytes(r)?;
            N::from_row(r, 0)
        })?;
        found.push((seq, row));
    }
    Ok(found)
}

type Follow<T> = (SubscriptionCursor, std::vec::IntoIter<(i64, T)>);

/// Yields one change after another, and moves the cursor to each.
fn follow<T: Send + 'static>(
    place: SubscriptionCursor,
    read: impl Fn(&rusqlite::Connection, &SubscriptionCursor) -> rusqlite::Result<Vec<(i64, T)>>
    + Clone
    + Send
    + Sync
    + 'static,
) -> impl Stream<Item = Result<(i64, T)>> {
    let begin: Option<Follow<T>> = Some((place, Vec::new().into_iter()));
    stream::unfold(begin, move |state| {
        let read = read.clone();
        async move {
            let (mut place, mut ready) = state?;
            loop {
                if let Some((seq, item)) = ready.next() {
                    place.after = seq;
                    return Some((Ok((seq, item)), Some((place, ready))));
                }
                match place.next(&read).await {
                    Ok(found) => ready = found.into_iter(),
                    Err(e) => return Some((Err(e), None)),
                }
            }
        }
    })
}

/// Changes of a business, as they happen.
#[derive(MergedSubscription, Default)]
pub struct Subscription(EventChanges, TaskChanges, ApprovalChanges, KpiChanges);

/// The part of the subscriptions that is about events.
#[derive(Default)]
pub(crate) struct EventChanges;

/// The part of the subscriptions that is about events.
#[Root]
impl EventChanges {
    /// Events of the business, after the `seq` in `after`; only new ones when left out.
    async fn events(
        &self,
        ctx: &Context<'_>,
        slug: Option<String>,
        id: Option<ID>,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Event>> + use<>> {
        let place = SubscriptionCursor::open(ctx, slug, id, after)?;
        Ok(futures_util::StreamExt::map(follow(place, page::<Event>), |r| {
            r.map(|(_, event)| event)
        }))
    }
}
