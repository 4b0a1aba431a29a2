//! The root of all GraphQL queries: each context adds its own part to it.

use std::time::Duration;

use async_graphql::{Context, ID, MergedObject, Object, Result};
use domain::limits::MIN_POSITION_WAIT_MS_MAX;
use event_log::Position;
use rusqlite::OptionalExtension as _;

use crate::allowance::read_here;
use crate::businesses::{Business, BusinessFilter, Businesses, businesses};
use crate::limits::LimitsQuery;
use crate::metrics::PortfolioQuery;
use crate::node::{AnyNode, Node as _, NodeId};
use crate::page::{Page, business_by, client_error};
use crate::sight::Sight;
use crate::views::ViewsQuery;
use crate::waiting::WaitingQuery;
use crate::{Sources, Viewer};

/// Queries over everything that you may see.
#[derive(MergedObject, Default)]
pub struct Query(BusinessesQuery, WaitingQuery, PortfolioQuery, LimitsQuery, ViewsQuery);

/// Waits until the views are at a position.
pub(crate) async fn wait_for(ctx: &Context<'_>, position: Option<u64>) -> Result<()> {
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

/// The part of the queries that finds businesses and their objects.
#[derive(Default)]
pub(crate) struct BusinessesQuery;

/// The part of the queries that finds businesses and their objects.
#[Object]
impl BusinessesQuery {
    /// The businesses that you may see, by slug.
    #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn businesses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<BusinessFilter>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Businesses> {
        wait_for(ctx, min_position).await?;
        let page = Page { first, after, last, before, ..Page::default() };
        businesses(ctx, filter, page).await
    }

    /// One business, by slug or id; null if there is none that you may see.
    async fn business(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name in addresses.")] slug: Option<String>,
        #[graphql(desc = "Its id.")] id: Option<ID>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Option<Business>> {
        wait_for(ctx, min_position).await?;
        let (column, value) = business_by(slug, id)?;
        let sources = ctx.data::<Sources>()?.clone();
        let found: Option<Business> = read_here(|| {
            sources.views.read(|c| {
                let sql =
                    format!("SELECT {} FROM businesses WHERE {column} = ?", Business::COLUMNS);
                c.prepare_cached(&sql)?
                    .query_row([&*value], |r| Business::from_row(r, 0))
                    .optional()
            })
        })?;
        let viewer = ctx.data::<Viewer>()?;
        Ok(found.filter(|b| b.business().parse().is_ok_and(|id| viewer.may_see(id))))
    }

    /// The object with this `nodeId`; null if there is none that you may see.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A `nodeId`.")] id: ID,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Option<AnyNode>> {
        wait_for(ctx, min_position).await?;
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
}
