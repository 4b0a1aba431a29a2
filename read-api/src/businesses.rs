//! A business with all its lists.

mod search;

use async_graphql::{ComplexObject, Context, Result};
use domain::BusinessId;
use search::{SearchHit, StreamHead, may_not_search};

use crate::access::{Member, members};
use crate::agents::Agent;
use crate::allowance::read;
use crate::approvals::{Approval, ApprovalPolicy, approval_policy};
use crate::audit::{AttemptPage, Event, attempts};
use crate::budgets::Budget;
use crate::decisions::Decision;
use crate::integrations::Call;
use crate::memory::{Memory, MemoryFilter, memory};
use crate::metrics::{Kpi, KpiFilter, kpis};
use crate::node::node;
use crate::operations::{
    Export, InclusionProof, SignedCheckpoint, inclusion_proof, signed_checkpoint,
};
use crate::page::{Filter, List, Page, client_error, cost, first_rows, list, time, words};
use crate::personal::BusinessText;
use crate::privacy::{DataSubject, data_subjects};
use crate::sight::Sight;
use crate::store::of_store;
use crate::tasks::Task;
use crate::{Sources, Viewer};

node! {
    /// A business, with everything in its stream.
    Business in "businesses" by "business", agents see Always {
        /// Name of the business in addresses.
        slug: String,
        /// Name of the business for people.
        name: String,
        /// The idea of the business, in words; null = none was given.
        idea: Option<BusinessText>,
        /// Region where the data of the business is at home, such as `local`.
        home_region: String,
        /// Currency that the business reckons in (ISO 4217).
        currency: String,
        /// The human who is accountable for the business, by principal id.
        owner: String,
        /// Phase of the business: idea, planning, approved, building, operating or wound_up.
        phase: String,
        /// When the business was registered.
        registered_at: String,
    } money {}
}

impl Business {
    fn id(&self) -> Result<BusinessId> {
        self.business.parse().map_err(|_| {
            client_error(
                "VIEWS_FAILED",
                "a business has a broken id",
                "run `minutebook projections rebuild`",
            )
        })
    }
    fn filter(&self, id: Option<String>) -> Filter {
        Filter::of(&self.business).and("id = ?", id)
    }
}

#[ComplexObject]
#[allow(clippy::too_many_arguments, reason = "the arguments of a GraphQL field are its filters")]
impl Business {
    /// Id of the business.
    #[graphql(name = "id")]
    async fn graphql_id(&self) -> &str {
        &self.business
    }

    /// The end of the business's stream; null when the log has no such stream.
    async fn head(&self, ctx: &Context<'_>) -> Result<Option<StreamHead>> {
        let head = of_store(ctx.data::<Sources>()?.log.head(self.id()?)).await?;
        Ok(head
            .map(|h| StreamHead { seq: h.seq.0, root: domain::values::Digest(h.root).to_string() }))
    }

    /// The principals with a role in the business. Not for agents and services.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn members(&self, ctx: &Context<'_>) -> Result<Vec<Member>> {
        if !ctx.data::<Viewer>()?.reads_members(self.id()?) {
            return Err(client_error(
                "FORBIDDEN",
                "agents and services do not see who works here",
                "ask with a human's key",
            ));
        }
        members(ctx, &self.business).await
    }

    /// The approval policy in force, with the faults of its rules. Not for agents.
    async fn approval_policy(&self, ctx: &Context<'_>) -> Result<ApprovalPolicy> {
        if !ctx.data::<Viewer>()?.reads_all(self.id()?) {
            return Err(client_error(
                "FORBIDDEN",
                "agents do not see the approval policy; a refusal names the rule",
                "ask with a human's key",
            ));
        }
        approval_policy(ctx, &self.business)
    }

    /// The agents of the business.
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
        let filter =
            self.filter(id).and("team = ?", team).and("role = ?", role).and("status = ?", status);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// The tasks of the business.
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
        let filter = self
            .filter(id)
            .and("status = ?", status)
            .and("team = ?", team)
            .and("escalated = ?", escalated)
            .and("next_actor = ?", next_actor);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// The decisions of the business.
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
        let filter = self
            .filter(id)
            .and("task = ?", task)
            .and("agent = ?", agent)
            .and("risk = ?", risk)
            .and("status = ?", status);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// The requests for approval in the business.
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
        let filter = self
            .filter(id)
            .and("status = ?", status)
            .and("command_type = ?", command_type)
            .and("requested_by = ?", requested_by);
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// The calls of the business to outside services.
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
        let filter = self
            .filter(id)
            .and("status = ?", status)
            .and("connector = ?", connector)
            .and("operation = ?", operation);
        list(
            ctx,
            filter.and("task = ?", task).and("agent = ?", agent),
            Page { first, after, last, before },
        )
        .await
    }

    /// The budgets of the business.
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

    /// The audit trail of the business: every event, oldest first.
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
        #[graphql(
            desc = "Words; all of them must occur in one text of the event. Needs a role in the \
                business."
        )]
        search: Option<String>,
    ) -> Result<List<Event>> {
        let filter = self
            .filter(id)
            .and("event_id = ?", event_id)
            .and("kind = ?", kind)
            .and("event_type = ?", r#type)
            .and("actor = ?", actor);
        let filter = filter.and("correlation = ?", correlation).and("causation = ?", causation);
        let filter = filter
            .and("recorded_at >= ?", time(recorded_from.as_ref())?)
            .and("recorded_at < ?", time(recorded_before.as_ref())?);
        let filter = match search.as_deref().map(words).transpose()?.filter(|w| !w.is_empty()) {
            Some(_) if !ctx.data::<Viewer>()?.may_open(self.id()?) => return Err(may_not_search()),
            Some(words) => {
                crate::memory::searchable(ctx.data::<Sources>()?).await?;
                filter.all(crate::audit::WITH_TEXT.to_owned(), vec![words, self.business.clone()])
            }
            None => filter,
        };
        list(ctx, filter, Page { first, after, last, before }).await
    }

    /// The memory of the business: facts, and documents in chunks.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn memory(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(
            desc = "Words; all of them must occur. Best match first; at most 1,000 are found."
        )]
        search: Option<String>,
        #[graphql(
            desc = "business_context, domain_expertise, process_memory or integration_state."
        )]
        kind: Option<String>,
        #[graphql(desc = "What was known at this time, by our clock; now when it is left out.")]
        as_of: Option<String>,
        #[graphql(desc = "What holds in the world at this time.")] valid_at: Option<String>,
        #[graphql(desc = "fact or document.")] item: Option<String>,
        topic: Option<String>,
        #[graphql(desc = "Id of a fact or document.")] id: Option<String>,
        #[graphql(desc = "Also what is not known any more: every version there was.")]
        history: Option<bool>,
    ) -> Result<List<Memory>> {
        let filter = MemoryFilter {
            search,
            kind,
            item,
            topic,
            id,
            as_of,
            valid_at,
            history: history.unwrap_or(false),
        };
        memory(ctx, &self.business, filter, Page { first, after, last, before }).await
    }

    /// The KPIs of the business.
    #[graphql(complexity = "1 + 21 * child_complexity")]
    async fn kpis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Names of KPIs; all when left out.")] ids: Option<Vec<String>>,
        #[graphql(desc = "Which figures.")] filter: Option<KpiFilter>,
    ) -> Result<Vec<Kpi>> {
        let scope =
            filter.unwrap_or_default().scope(vec![self.business.clone()], self.currency.clone())?;
        kpis(ctx, scope, ids).await
    }

    /// The data subjects that the business names, by id, and which of them are forgotten. For
    /// owners, auditors and operators.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn data_subjects(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<DataSubject>> {
        data_subjects(ctx, self.id()?, Page { first, after, last, before }).await
    }

    /// The exports of the business: copies of its stream that somebody took away.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn exports(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Export>> {
        list(ctx, Filter::of(&self.business), Page { first, after, last, before }).await
    }

    /// A signed checkpoint of the stream: its number of events and the root of its Merkle tree;
    /// null when the log has no such stream.
    #[graphql(complexity = 5)]
    async fn signed_checkpoint(&self, ctx: &Context<'_>) -> Result<Option<SignedCheckpoint>> {
        signed_checkpoint(ctx, self.id()?).await
    }

    /// The proof that an event is in the stream; null if there is none that you may see. Reads the
    /// whole stream.
    #[graphql(complexity = 1000)]
    async fn inclusion_proof(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the event.")] event: String,
    ) -> Result<Option<InclusionProof>> {
        inclusion_proof(ctx, self.id()?, &event).await
    }

    /// Authenticated commands to the business, refused ones too, newest first. For owners, auditors
    /// and operators.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn attempts(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        before: Option<u64>,
    ) -> Result<AttemptPage> {
        attempts(ctx, self.id()?, first_rows(first)?, before).await
    }

    /// Full-text search in the personal texts of the business, such as those of tasks, decisions,
    /// calls and memory; best match first, at most 50. Needs a role in the business.
    #[graphql(complexity = "1 + 50 * child_complexity")]
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Words; all of them must occur.")] text: String,
    ) -> Result<Vec<SearchHit>> {
        if !ctx.data::<Viewer>()?.may_open(self.id()?) {
            return Err(may_not_search());
        }
        let words = words(&text)?;
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (sources, business) = (ctx.data::<Sources>()?.clone(), self.business.clone());
        let seen = Sight::of(ctx, &business)?.condition::<Event>();
        let seen = seen.map(|c| {
            format!(
                " AND EXISTS (SELECT 1 FROM (SELECT kind, id FROM events e WHERE \
                e.business = r.business AND e.seq = r.seq) WHERE {c})"
            )
        });
        let sql = format!(
            "SELECT r.seq, r.pointer, r.kind, r.id, snippet(search_text, 0, '[', ']', '…', 12) \
             FROM search_text
             JOIN search_rows r ON r.n = search_text.rowid WHERE search_text MATCH ? AND \
             r.business = ?{} ORDER BY rank LIMIT 50",
            seen.unwrap_or_default()
        );
        crate::memory::searchable(&sources).await?;
        read(&sources, move |c| {
            let hit = |r: &rusqlite::Row<'_>| {
                Ok(SearchHit {
                    seq: r.get(0)?,
                    pointer: r.get(1)?,
                    kind: r.get(2)?,
                    id: r.get(3)?,
                    snippet: r.get(4)?,
                })
            };
            c.prepare_cached(&sql)?.query_map([words, business], hit)?.collect()
        })
        .await
    }
}
