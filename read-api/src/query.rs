//! The root of all GraphQL queries.

use std::time::Duration;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use domain::limits::{MIN_POSITION_WAIT_MS_MAX, PAGE_MAX};
use event_log::Position;
use rusqlite::OptionalExtension as _;

use crate::allowance::{read, read_here};
use crate::businesses::Business;
use crate::limits::{self, Limit, RateLimits};
use crate::metrics::Portfolio;
use crate::node::{AnyNode, Node as _, NodeId};
use crate::page::{business_by, client_error};
use crate::sight::Sight;
use crate::{Sources, Viewer};

/// How far a projection has followed the log.
#[derive(SimpleObject)]
struct ProjectionStatus {
    /// Name of the projection.
    name: String,
    /// Version of the projection.
    version: u32,
    /// The last position that the projection has applied.
    position: u64,
    /// How many positions the projection is behind the log.
    lag: u64,
    /// Businesses in which the projection stopped at an event that it can't apply.
    failures: Vec<ProjectionFailure>,
}

/// A business in which a projection stopped at an event that it can't apply.
#[derive(SimpleObject)]
struct ProjectionFailure {
    /// Id of the business.
    business: String,
    /// The `seq` of the event at which the projection stopped.
    seq: u64,
    /// Why the projection can't apply the event.
    error: String,
}

/// A shadow build: views that are built beside the ones that queries read.
#[derive(SimpleObject)]
struct ViewsBuilding {
    /// Purpose of the build: filling, rebuild, rollback or audit.
    purpose: &'static str,
    /// The last position that the build has applied.
    position: u64,
    /// The last position that the current views have applied.
    of: u64,
}

/// How the last shadow build ended.
#[derive(SimpleObject)]
struct ViewsOutcome {
    /// Purpose of the build: rebuild, rollback or audit.
    purpose: &'static str,
    /// The position at which the build was compared with the current views.
    position: u64,
    /// Names of the projections whose rows differed at that position.
    differed: Vec<String>,
    /// Why the build was given up; null if it was not.
    failed: Option<String>,
}

/// The state of the views as a whole.
#[derive(SimpleObject)]
struct ViewsStatus {
    /// Up to this position an audit found the rows equal to those that the log gives; null before
    /// the first audit.
    verified_position: Option<u64>,
    /// The shadow build in progress; null if there is none.
    building: Option<ViewsBuilding>,
    /// How the last shadow build ended; null before the first.
    last: Option<ViewsOutcome>,
    /// True if the views from before the last rebuild are kept, for `minutebook projections
    /// rollback`.
    previous_kept: bool,
}

fn only_operators(ctx: &Context<'_>) -> Result<()> {
    if ctx.data::<Viewer>()?.operator() {
        return Ok(());
    }
    Err(client_error(
        "FORBIDDEN",
        "only operators may see the projections",
        "ask with an operator's key",
    ))
}

async fn wait_for(ctx: &Context<'_>, position: Option<u64>) -> Result<()> {
    let Some(position) = position.map(Position) else { return Ok(()) };
    let sources = ctx.data::<Sources>()?;
    sources.views.wait_for(position, MIN_POSITION_WAIT).await.map_err(|e| behind(&e))?;
    // The searchable text is waited for where it is asked.
    sources.allowance.waited_for(position);
    Ok(())
}

/// Waits until the searchable text is at the position that the request waits for.
pub(crate) async fn wait_for_text(sources: &Sources) -> Result<()> {
    let position = sources.allowance.min_position();
    sources.views.wait_for_text(position, MIN_POSITION_WAIT).await.map_err(|e| behind(&e))
}

const MIN_POSITION_WAIT: Duration = Duration::from_millis(MIN_POSITION_WAIT_MS_MAX);

fn behind(e: &projections::ViewsError) -> async_graphql::Error {
    client_error(
        "BEHIND",
        &e.to_string(),
        "the views catch up in the background; ask again in a second",
    )
}

/// Queries over everything that you may see.
pub struct Query;

/// Queries over everything that you may see.
#[Object]
impl Query {
    /// Every business that you may see, ordered by slug; at most 200.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn businesses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Vec<Business>> {
        wait_for(ctx, min_position).await?;
        let viewer = ctx.data::<Viewer>()?.clone();
        let sources = ctx.data::<Sources>()?.clone();
        read(&sources, move |c| {
            let sql = format!("SELECT {} FROM businesses ORDER BY slug", Business::COLUMNS);
            let mut query = c.prepare_cached(&sql)?;
            let rows = query.query_map([], |r| Business::from_row(r, 0))?;
            let visible = |b: &rusqlite::Result<Business>| {
                b.as_ref().map_or(true, |b| b.business.parse().is_ok_and(|id| viewer.may_see(id)))
            };
            rows.filter(visible).take(PAGE_MAX).collect()
        })
        .await
    }

    /// One business, by slug or id; null if there is none that you may see.
    async fn business(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name in addresses.")] slug: Option<String>,
        #[graphql(desc = "Its id.")] id: Option<String>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Option<Business>> {
        wait_for(ctx, min_position).await?;
        let (column, value) = business_by(slug, id)?;
        let sources = ctx.data::<Sources>()?.clone();
        let found: Option<Business> = read_here(|| {
            sources.views.read(|c| {
                let sql =
                    format!("SELECT {} FROM businesses WHERE {column} = ?", Business::COLUMNS);
                c.prepare_cached(&sql)?.query_row([value], |r| Business::from_row(r, 0)).optional()
            })
        })?;
        let viewer = ctx.data::<Viewer>()?;
        Ok(found.filter(|b| b.business.parse().is_ok_and(|id| viewer.may_see(id))))
    }

    /// The object with this `nodeId`; null if there is none that you may see.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A `nodeId`.")] id: ID,
    ) -> Result<Option<AnyNode>> {
        let parts = NodeId::decode(&id).ok_or_else(|| {
            client_error(
                "BAD_ARGUMENT",
                "that is no nodeId",
                "take it from the field `nodeId` of any object",
            )
        })?;
        let (ty, business, key) = parts;
        if !ctx.data::<Viewer>()?.may_see(business) {
            return Ok(None);
        }
        let sources = ctx.data::<Sources>()?;
        let sight = Sight::of(ctx, &business.to_string())?;
        read_here(|| sources.views.read(|c| crate::node::read(c, &sight, &ty, business, key)))
    }

    /// Every named limit of this installation.
    async fn limits(&self) -> Vec<Limit> {
        limits::all()
    }

    /// Your rate limits: how many commands and queries you may send.
    async fn rate_limits(&self, ctx: &Context<'_>) -> Result<RateLimits> {
        Ok(limits::of(ctx.data::<Viewer>()?))
    }

    /// All businesses that you may see, taken together; at most 200.
    async fn portfolio(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Portfolio> {
        wait_for(ctx, min_position).await?;
        let (viewer, sources) = (ctx.data::<Viewer>()?.clone(), ctx.data::<Sources>()?.clone());
        let businesses = read(&sources, move |c| {
            let mut query = c.prepare_cached("SELECT business FROM businesses ORDER BY slug")?;
            let all =
                query.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            Ok(all
                .into_iter()
                .filter(|b| b.parse().is_ok_and(|id| viewer.may_see(id)))
                .take(PAGE_MAX)
                .collect())
        })
        .await?;
        Ok(Portfolio { businesses })
    }

    /// How far each projection has followed the log; for operators.
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<ProjectionStatus>> {
        only_operators(ctx)?;
        let sources = ctx.data::<Sources>()?.clone();
        let log = std::sync::Arc::clone(&sources.log);
        let failure = |f: projections::Failure| ProjectionFailure {
            business: f.business,
            seq: f.seq.0,
            error: f.error,
        };
        let mut all = Vec::new();
        for s in tokio::task::spawn_blocking(move || sources.views.status()).await?? {
            let (lag, failures) =
                (log.lag(s.position).await?, s.failures.into_iter().map(failure).collect());
            all.push(ProjectionStatus {
                name: s.name,
                version: s.version,
                position: s.position.0,
                lag,
                failures,
            });
        }
        Ok(all)
    }

    /// The state of the views as a whole: the last audit, and shadow builds; for operators.
    async fn views(&self, ctx: &Context<'_>) -> Result<ViewsStatus> {
        only_operators(ctx)?;
        let views = &ctx.data::<Sources>()?.views;
        let health = views.health();
        let outcome = |l: projections::Outcome| ViewsOutcome {
            purpose: l.purpose.word(),
            position: l.position.0,
            differed: l.differed,
            failed: l.failed,
        };
        Ok(ViewsStatus {
            verified_position: health.verified.map(u64::from),
            building: views.building().map(|b| ViewsBuilding {
                purpose: b.purpose.word(),
                position: b.position.0,
                of: b.of.0,
            }),
            last: health.last.map(outcome),
            previous_kept: health.previous,
        })
    }
}
