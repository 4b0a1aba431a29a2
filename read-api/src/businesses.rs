//! Where every question begins: businesses, and one business with all its lists.

use std::time::Duration;

use async_graphql::{ComplexObject, Context, Object, Result, SimpleObject};
use domain::BusinessId;
use domain::limits::{MIN_POSITION_WAIT_MS_MAX, PAGE_DEFAULT, PAGE_MAX};
use rusqlite::OptionalExtension as _;

use crate::access::{Member, members};
use crate::agents::Agent;
use crate::approvals::Approval;
use crate::audit::{AttemptPage, Event, attempts};
use crate::budgets::Budget;
use crate::decisions::Decision;
use crate::integrations::Call;
use crate::node::{Node, node};
use crate::page::{Filter, List, Page, bad, blocking, cost, here, list};
use crate::personal::PersonalText;
use crate::tasks::Task;
use crate::{Sources, Viewer};

node! {
    /// A business: one stream, and everything in it.
    Business in "businesses" by "business" {
        /// Its name in addresses.
        slug: String,
        /// Its name for people.
        name: String,
        /// What it is meant to be.
        idea: Option<PersonalText>,
        /// Where its data is at home.
        home_region: String,
        /// The currency it reckons in.
        currency: String,
        /// Its accountable human.
        owner: String,
        /// idea, planning, approved, building, operating or wound_up.
        phase: String,
        /// When it was registered.
        registered_at: String,
    } money {}
}

/// The end of a business's stream.
#[derive(SimpleObject)]
struct StreamHead {
    /// Number of events.
    seq: u64,
    /// Root of its RFC 6962 Merkle tree, hexadecimal.
    root: String,
}

/// How far a projection is.
#[derive(SimpleObject)]
struct ProjectionStatus {
    /// Its name.
    name: String,
    /// Its version.
    version: u32,
    /// The last position it has applied.
    position: u64,
    /// Positions it is behind the log.
    lag: u64,
    /// Businesses it stopped at, with the reason.
    failures: Vec<ProjectionFailure>,
}

/// A business that a projection stopped at.
#[derive(SimpleObject)]
struct ProjectionFailure {
    /// Which business.
    business: String,
    /// At which of its events.
    seq: u64,
    /// Why.
    error: String,
}

/// A place in a text that was found.
#[derive(SimpleObject)]
struct SearchHit {
    /// The event it stands in.
    seq: i64,
    /// The field, as a JSON pointer into the stored event.
    pointer: String,
    /// Kind of the aggregate.
    kind: String,
    /// Id of the aggregate.
    id: String,
    /// The text around it, what was found in [brackets].
    snippet: String,
}

async fn wait_for(ctx: &Context<'_>, position: Option<u64>) -> Result<()> {
    let Some(position) = position else { return Ok(()) };
    let waited = ctx.data::<Sources>()?.views.wait_for(position, Duration::from_millis(MIN_POSITION_WAIT_MS_MAX)).await;
    waited.map_err(|e| bad("BEHIND", &e.to_string(), "the views catch up in the background; ask again in a second"))
}

/// Questions about everything the asker may see.
pub struct Query;

/// Questions about everything the asker may see.
#[Object]
impl Query {
    /// Every business you may see, by slug; at most 200.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn businesses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Vec<Business>> {
        wait_for(ctx, min_position).await?;
        let viewer = ctx.data::<Viewer>()?.clone();
        let sources = ctx.data::<Sources>()?.clone();
        blocking(move || {
            sources.views.read(|c| {
                let sql = format!("SELECT {} FROM businesses ORDER BY slug", Business::COLUMNS);
                let mut query = c.prepare_cached(&sql)?;
                let rows = query.query_map([], |r| Business::from_row(r, 0))?;
                let visible = |b: &rusqlite::Result<Business>| b.as_ref().map_or(true, |b| b.business.parse().is_ok_and(|id| viewer.may_see(id)));
                rows.filter(visible).take(PAGE_MAX).collect()
            })
        })
        .await
    }

    /// One business, by slug or id; null when there is none that you may see.
    async fn business(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name in addresses.")] slug: Option<String>,
        #[graphql(desc = "Its id.")] id: Option<String>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Option<Business>> {
        wait_for(ctx, min_position).await?;
        let (column, value) = match (slug, id) {
            (Some(slug), None) => ("slug", slug),
            (None, Some(id)) => ("business", id),
            (Some(_), Some(_)) | (None, None) => return Err(bad("BAD_ARGUMENT", "give either slug or id", "business(slug: \"acme\")")),
        };
        let sources = ctx.data::<Sources>()?.clone();
        let found: Option<Business> = here(|| {
            sources.views.read(|c| {
                let sql = format!("SELECT {} FROM businesses WHERE {column} = ?", Business::COLUMNS);
                c.prepare_cached(&sql)?.query_row([value], |r| Business::from_row(r, 0)).optional()
            })
        })?;
        let viewer = ctx.data::<Viewer>()?;
        Ok(found.filter(|b| b.business.parse().is_ok_and(|id| viewer.may_see(id))))
    }

    /// How far the projections are; for operators.
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<ProjectionStatus>> {
        if !ctx.data::<Viewer>()?.operator() {
            return Err(bad("FORBIDDEN", "only operators may see the projections", "ask with an operator's key"));
        }
        let sources = ctx.data::<Sources>()?.clone();
        let end = *sources.log.position().borrow();
        let statuses = tokio::task::spawn_blocking(move || sources.views.status(end)).await??;
        let failure = |f: projections::Failure| ProjectionFailure { business: f.business, seq: f.seq, error: f.error };
        let status = |s: projections::Status| ProjectionStatus {
            name: s.name,
            version: s.version,
            position: s.position,
            lag: s.lag,
            failures: s.failures.into_iter().map(failure).collect(),
        };
        Ok(statuses.into_iter().map(status).collect())
    }
}

impl Business {
    fn id(&self) -> Result<BusinessId> {
        self.business.parse().map_err(|_| bad("VIEWS_FAILED", "a business has a broken id", "run `minutebook projections rebuild`"))
    }
    fn filter(&self, id: Option<String>) -> Filter {
        Filter::of(&self.business).and("id = ?", id)
    }
}

#[ComplexObject]
#[allow(clippy::too_many_arguments, reason = "the arguments of a GraphQL field are its filters")]
impl Business {
    /// Its id.
    #[graphql(name = "id")]
    async fn graphql_id(&self) -> &str {
        &self.business
    }

    /// The end of its stream; null when the log has none.
    async fn head(&self, ctx: &Context<'_>) -> Result<Option<StreamHead>> {
        let head = ctx.data::<Sources>()?.log.head(self.id()?).await?;
        Ok(head.map(|h| StreamHead { seq: h.seq, root: domain::values::Digest(h.root).to_string() }))
    }

    /// Who has a role in it.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn members(&self, ctx: &Context<'_>) -> Result<Vec<Member>> {
        members(ctx, &self.business).await
    }

    /// Its agents.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn agents(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        team: Option<String>,
        role: Option<String>,
        status: Option<String>,
    ) -> Result<List<Agent>> {
        let filter = self.filter(id).and("team = ?", team).and("role = ?", role).and("status = ?", status);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Its tasks.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        status: Option<String>,
        team: Option<String>,
        escalated: Option<bool>,
        next_actor: Option<String>,
    ) -> Result<List<Task>> {
        let filter = self.filter(id).and("status = ?", status).and("team = ?", team).and("escalated = ?", escalated).and("next_actor = ?", next_actor);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Its decisions.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn decisions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        task: Option<String>,
        agent: Option<String>,
        risk: Option<String>,
        status: Option<String>,
    ) -> Result<List<Decision>> {
        let filter = self.filter(id).and("task = ?", task).and("agent = ?", agent).and("risk = ?", risk).and("status = ?", status);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Its requests for approval.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn approvals(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        status: Option<String>,
        command_type: Option<String>,
        requested_by: Option<String>,
    ) -> Result<List<Approval>> {
        let filter = self.filter(id).and("status = ?", status).and("command_type = ?", command_type).and("requested_by = ?", requested_by);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Its calls to outside services.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn calls(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        status: Option<String>,
        connector: Option<String>,
        operation: Option<String>,
        task: Option<String>,
        agent: Option<String>,
    ) -> Result<List<Call>> {
        let filter = self.filter(id).and("status = ?", status).and("connector = ?", connector).and("operation = ?", operation);
        list(ctx, filter.and("task = ?", task).and("agent = ?", agent), Page { first, after, last, before }).await
    }

    /// Its budgets.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn budgets(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        id: Option<String>,
        scope: Option<String>,
        window: Option<String>,
    ) -> Result<List<Budget>> {
        let filter = self.filter(id).and("scope = ?", scope).and("window = ?", window);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Its audit trail: every event, oldest first.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(desc = "Id of an aggregate.")] id: Option<String>,
        event_id: Option<String>,
        kind: Option<String>,
        r#type: Option<String>,
        actor: Option<String>,
        correlation: Option<String>,
        causation: Option<String>,
        #[graphql(desc = "Recorded at this RFC 3339 time or later.")] recorded_from: Option<String>,
        #[graphql(desc = "Recorded before this RFC 3339 time.")] recorded_before: Option<String>,
    ) -> Result<List<Event>> {
        let time = |text: Option<String>| -> Result<Option<String>> {
            let parsed = text.map(|t| t.parse::<domain::Timestamp>()).transpose();
            Ok(parsed.map_err(|e| bad("BAD_TIME", &e.to_string(), "write it as 2026-11-22T20:00:00Z"))?.map(|t| t.to_string()))
        };
        let filter = self.filter(id).and("event_id = ?", event_id).and("kind = ?", kind).and("event_type = ?", r#type).and("actor = ?", actor);
        let filter = filter.and("correlation = ?", correlation).and("causation = ?", causation);
        let filter = filter.and("recorded_at >= ?", time(recorded_from)?).and("recorded_at < ?", time(recorded_before)?);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// Who tried what, newest first: refused commands too.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn attempts(&self, ctx: &Context<'_>, first: Option<i32>, before: Option<u64>) -> Result<AttemptPage> {
        let first = first.map_or(Ok(PAGE_DEFAULT), usize::try_from).unwrap_or(0);
        if !(1..=PAGE_MAX).contains(&first) {
            return Err(bad("BAD_PAGE", "a page has 1 to 200 rows", "ask for first between 1 and 200"));
        }
        attempts(ctx, self.id()?, first, before).await
    }

    /// Full text of tasks and decisions, best match first; at most 50. Needs a role in the business.
    #[graphql(complexity = "1 + 50 * child_complexity")]
    async fn search(&self, ctx: &Context<'_>, #[graphql(desc = "Words; all of them must occur.")] text: String) -> Result<Vec<SearchHit>> {
        if !ctx.data::<Viewer>()?.may_open(self.id()?) {
            return Err(bad("FORBIDDEN", "only who has a role in the business may search its text", "ask its owner for a role"));
        }
        // Every word quoted: what was typed is searched for, never run as a query language.
        let words: Vec<String> = text.split_whitespace().map(|w| format!("\"{}\"", w.replace('"', "\"\""))).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (sources, business) = (ctx.data::<Sources>()?.clone(), self.business.clone());
        blocking(move || {
            sources.views.read(|c| {
                c.prepare_cached(
                    "SELECT r.seq, r.pointer, r.kind, r.id, snippet(search_text, 0, '[', ']', '…', 12) FROM search_text
                     JOIN search_rows r ON r.n = search_text.rowid WHERE search_text MATCH ? AND r.business = ? ORDER BY rank LIMIT 50",
                )?
                .query_map([words.join(" "), business], |r| {
                    Ok(SearchHit { seq: r.get(0)?, pointer: r.get(1)?, kind: r.get(2)?, id: r.get(3)?, snippet: r.get(4)? })
                })?
                .collect()
            })
        })
        .await
    }
}
