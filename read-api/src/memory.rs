//! The memory of a business: facts and documents, with what was known when and from where.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, ID, Object, Result};

use crate::Sources;
use crate::agents::Agent;
use crate::allowance::read;
use crate::audit::{Event, event_by_seq, events_by_id};
use crate::closed_sets::{MemoryItem, MemoryKind};
use crate::filter::{Filter, ListFilter as _, filter};
use crate::links::links;
use crate::node::{Node as _, node};
use crate::of_business::NUMBER;
use crate::page::{List, ListOrder, Page, Total, client_error, first_rows, list, words};
use crate::personal::PersonalText;
use crate::query::wait_for_text;
use crate::row::Row;
use crate::scalars::{DateTime, Decimal};
use crate::search::{IN_SEARCH, may_search};

/// Most hits of one search; pages go through no more.
const HITS_MAX: usize = 1_000;

node! {
    /// A revision of a fact, or a chunk of a document, with the time in which it was known.
    Memory in "memory_items" by "item_place", agents see OfDataClass {
        /// Id of the fact or document, which all its revisions and chunks share.
        item_id: ID = "id",
        /// Whether the item is a fact or a document.
        item: MemoryItem,
        /// Kind of the knowledge.
        kind: MemoryKind,
        /// Title of the document; null for a fact.
        title: Option<PersonalText>,
        /// The statement of the fact, or the text of the chunk.
        text: PersonalText,
        /// The same fact as JSON, for programs; null = none.
        value: Option<PersonalText>,
        /// Topic of the fact, such as a connector or a process; null = none.
        topic: Option<String>,
        /// Id of the agent that learned the fact; null when a human did.
        agent_id: Option<ID> = "agent",
        /// Where the document comes from, such as a file's name; null = not stated.
        source: Option<PersonalText>,
        /// When the fact begins to hold in the world; null = always.
        valid_from: Option<DateTime>,
        /// When the fact ceases to hold in the world; null = until further notice.
        valid_to: Option<DateTime>,
        /// How sure the fact is, from 0 to 1; null = not stated.
        confidence: Option<Decimal>,
        /// Ids of the events that the fact is known from.
        evidence_ids: Vec<ID> = "sources",
        /// Number of the revision; the fact as it was recorded is 1.
        revision: i64,
        /// Status of this revision: standing, revised, superseded or retracted.
        status: String,
        /// When this revision became known, by the server's clock.
        known_from: DateTime,
        /// When this revision ceased to be known, by the server's clock; null while it is known.
        known_to: Option<DateTime>,
        /// The `seq` of the event that recorded this revision.
        seq: i64,
        /// The text around the searched words, which are in [brackets]; null without a search.
        snippet: Option<String>,
        /// How well the text fits the search (BM25; higher is better); null without a search.
        score: Option<f64>,
    } money {}
}

impl Memory {
    async fn read_evidence(&self, ctx: &Context<'_>) -> Result<Vec<Event>> {
        events_by_id(ctx, &self.business, &self.evidence_ids).await
    }
}

links! { Memory {
    one {
        /// The agent that learned the fact.
        agent: Agent = agent_id;
    }
    principals {}
    pages {}
    bounded {
        /// The events that the fact is known from, as far as you see them; the first 50.
        evidence: Event = read_evidence;
    }
    fields {
        /// The event that recorded this revision.
        async fn event(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
            event_by_seq(ctx, &self.business, self.seq).await
        }
    }
} }

filter! {
    /// Which facts and documents are asked for.
    MemoryFilter {
        /// These facts and documents, by id.
        item_id: ID, in "id";
        /// Facts, or documents.
        item: MemoryItem, in "item";
        /// Knowledge of one of these kinds.
        kind: MemoryKind, in "kind";
        /// Facts on one of these topics.
        topic: String, in "topic";
        /// Facts that one of these agents learned.
        agent_id: ID, in "agent";
    }
}

/// The memory of a business.
#[derive(Clone)]
pub(crate) struct MemoryOfBusiness(pub(crate) String);

/// The memory of a business.
#[Object]
impl MemoryOfBusiness {
    /// The memory of the business: facts, and documents in chunks.
    #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn memory(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "The order of the rows; OLDEST_FIRST when left out. A search gives the best \
                match first."
        )]
        order_by: Option<ListOrder>,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<MemoryFilter>,
        #[graphql(
            desc = "Words; all of them must occur. Best match first; at most 1,000 are found."
        )]
        search: Option<String>,
        #[graphql(desc = "What was known at this time, by our clock; now when it is left out.")]
        as_of: Option<DateTime>,
        #[graphql(desc = "What holds in the world at this time.")] valid_at: Option<DateTime>,
        #[graphql(desc = "Also what is not known any more: every revision there was.")]
        history: Option<bool>,
    ) -> Result<List<Memory>> {
        let filter = filter.unwrap_or_default().add_to(Filter::of(&self.0))?;
        let filter = known(filter, as_of, history.unwrap_or(false));
        let filter = match valid_at {
            Some(at) => filter.all(
                "(valid_from IS NULL OR valid_from <= ?) AND (valid_to IS NULL OR valid_to > ?)",
                vec![at.clone(), at],
            ),
            None => filter,
        };
        let page = Page {
            first,
            after,
            last,
            before,
            order: order_by.unwrap_or_default(),
            ..Page::default()
        };
        match search.as_deref().map(words).transpose()?.filter(|w| !w.is_empty()) {
            None => list(ctx, filter, page).await,
            Some(words) => ranked(ctx, &self.0, words, filter, page).await,
        }
    }
}

/// Adds the condition that a revision is known now, was known at a time, or ever was.
fn known(filter: Filter, as_of: Option<DateTime>, history: bool) -> Filter {
    match (as_of, history) {
        (Some(at), _) => filter
            .all("known_from <= ? AND (known_to IS NULL OR known_to > ?)", vec![at.clone(), at]),
        (None, false) => filter.all("known_to IS NULL", Vec::<String>::new()),
        (None, true) => filter,
    }
}

/// Refuses a search while the searchable texts are not complete or may not be shown.
pub(crate) async fn searchable(sources: &Sources) -> Result<()> {
    let views = &sources.views;
    if views.health().search_pending {
        let how_far =
            views.building().map_or(String::new(), |b| format!(" (at {} of {})", b.position, b.of));
        return Err(client_error(
            "NOT_FILLED",
            &format!("this server is new: what is searchable is still being filled{how_far}"),
            "try again in a moment, or ask another server",
        ));
    }
    if !views.may_show_text() {
        return Err(client_error(
            "UNAVAILABLE",
            "the keyring can't be asked whether keys were destroyed elsewhere, so no text is shown",
            "try again in a moment",
        ));
    }
    wait_for_text(sources).await
}

/// Searches, best match first; a cursor is a position in this ranking, which new items may move.
async fn ranked(
    ctx: &Context<'_>,
    business: &str,
    words: String,
    filter: Filter,
    page: Page,
) -> Result<List<Memory>> {
    may_search(ctx, business.parse()?)?;
    if page.last.is_some() || page.before.is_some() {
        return Err(client_error("BAD_PAGE", "a ranking is paged forwards", "use first and after"));
    }
    let first = first_rows(page.first)?;
    let after = match &page.after {
        Some(cursor) => {
            usize::try_from(crate::page::decode("memory_ranking", cursor)?).unwrap_or(0)
        }
        None => 0,
    };
    let (conditions, args) = filter.into_sql::<Memory>(ctx)?.whole();
    let sources = ctx.data::<Sources>()?.clone();
    searchable(&sources).await?;
    let allowance = sources.allowance.clone();
    let mut hits: Vec<(i64, Memory)> = read(&sources, move |c| {
        let sql = format!(
            "SELECT item_place, {} FROM (SELECT m.*, h.snippet, h.score FROM
               (SELECT r.seq, r.pointer, snippet(search_text, 0, '[', ']', '…', 16) AS snippet, \
               -bm25(search_text) AS score FROM search_text
                JOIN search_rows r ON r.n = search_text.rowid WHERE search_text MATCH ? AND \
                {IN_SEARCH}) h
               JOIN memory m ON m.business = {NUMBER} AND m.seq = h.seq AND (m.pointer = h.pointer \
               OR (h.pointer = '/data/title' AND m.n = 0)))
             WHERE {conditions} ORDER BY score DESC, item_place LIMIT {HITS_MAX}",
            Memory::COLUMNS
        );
        let mut all: Vec<&dyn rusqlite::ToSql> = vec![&words];
        all.extend(args.iter().map(|a| &**a as &dyn rusqlite::ToSql));
        let row = |r: &rusqlite::Row<'_>| {
            allowance.spend_row(r)?;
            Ok((r.get(0)?, Memory::from_row(r, 1)?))
        };
        c.prepare_cached(&sql)?.query_map(&*all, row)?.collect()
    })
    .await?;
    let mut seen = std::collections::HashSet::new();
    hits.retain(|(place, _)| seen.insert(*place));
    let total = Total::Counted(i64::try_from(hits.len()).unwrap_or(i64::MAX));
    let more = hits.len() > after + first;
    let mut connection = Connection::with_additional_fields(after > 0, more, total);
    let page = hits.into_iter().enumerate().skip(after).take(first);
    connection.edges.extend(page.map(|(n, (_, node))| {
        let cursor =
            crate::page::encode("memory_ranking", i64::try_from(n + 1).unwrap_or(i64::MAX));
        Edge::new(cursor, Row::Whole(node))
    }));
    Ok(connection)
}
