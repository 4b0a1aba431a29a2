//! Memory: what a business knows, knew, and where it knows it from.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{ComplexObject, Context, Result};

use crate::allowance::read;
use crate::children;
use crate::node::{JsonValue, Node as _, node};
use crate::page::{Filter, List, Page, Total, client_error, first_rows, list, time, words};
use crate::personal::PersonalText;
use crate::row::Row;
use crate::{Sources, Viewer};

/// Hits of one search that can be paged through.
const HITS_MAX: usize = 1_000;

node! {
    /// A fact as it was known from one event on, or a chunk of a document.
    Memory in "memory_items" by "place", agents see OfDataClass {
        /// Id of the fact or document.
        id: String,
        /// fact or document.
        item: String,
        /// business_context, domain_expertise, process_memory or integration_state.
        kind: String,
        /// Title of the document.
        title: Option<PersonalText>,
        /// What is known: the statement, or the chunk.
        text: PersonalText,
        /// The same as JSON, for programs.
        value: Option<PersonalText>,
        /// What it is about.
        topic: Option<String>,
        /// The agent that learned it; null when a human did.
        agent: Option<String>,
        /// Where the document comes from.
        source: Option<PersonalText>,
        /// Since when it holds in the world; null = always.
        valid_from: Option<String>,
        /// Until when; null = until further notice.
        valid_to: Option<String>,
        /// How sure, 0 to 1.
        confidence: Option<String>,
        /// Ids of the events it is known from.
        sources: JsonValue,
        /// Which revision of the fact this is.
        revision: i64,
        /// standing, revised, superseded or retracted.
        status: String,
        /// Since when it was known, by our clock.
        known_from: String,
        /// Until when; null while it is known.
        known_to: Option<String>,
        /// The event that says it.
        seq: i64,
        /// The text around what was searched for, in [brackets].
        snippet: Option<String>,
        /// How well it fits the search (BM25; higher is better).
        score: Option<f64>,
    } money {}
}

#[ComplexObject]
impl Memory {
    /// The id of the event that says it.
    async fn event_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        children::event_id(ctx, &self.business, self.seq).await
    }
}

/// Which memories.
pub(crate) struct MemoryFilter {
    /// Words; all of them must occur. Best match first.
    pub(crate) search: Option<String>,
    /// business_context, domain_expertise, process_memory or integration_state.
    pub(crate) kind: Option<String>,
    /// fact or document.
    pub(crate) item: Option<String>,
    /// What it is about.
    pub(crate) topic: Option<String>,
    /// Id of the fact or document.
    pub(crate) id: Option<String>,
    /// What was known at this time, by our clock; now when it is left out.
    pub(crate) as_of: Option<String>,
    /// What holds in the world at this time.
    pub(crate) valid_at: Option<String>,
    /// Also what is not known any more: every version there was.
    pub(crate) history: bool,
}

fn filter(business: &str, wanted: &MemoryFilter) -> Result<Filter> {
    let mut filter = Filter::of(business)
        .and("kind = ?", wanted.kind.clone())
        .and("item = ?", wanted.item.clone());
    filter = filter.and("topic = ?", wanted.topic.clone()).and("id = ?", wanted.id.clone());
    match (time(wanted.as_of.as_ref())?, wanted.history) {
        (Some(at), _) => {
            filter = filter.all(
                "known_from <= ? AND (known_to IS NULL OR known_to > ?)".to_owned(),
                vec![at.clone(), at],
            )
        }
        (None, false) => filter = filter.all("known_to IS NULL".to_owned(), Vec::new()),
        (None, true) => {}
    }
    if let Some(at) = time(wanted.valid_at.as_ref())? {
        let condition =
            "(valid_from IS NULL OR valid_from <= ?) AND (valid_to IS NULL OR valid_to > ?)";
        filter = filter.all(condition.to_owned(), vec![at.clone(), at]);
    }
    Ok(filter)
}

pub(crate) async fn memory(
    ctx: &Context<'_>,
    business: &str,
    wanted: MemoryFilter,
    page: Page,
) -> Result<List<Memory>> {
    let filter = filter(business, &wanted)?;
    match wanted.search.as_deref().map(words).transpose()?.filter(|w| !w.is_empty()) {
        None => list(ctx, filter, page).await,
        Some(words) => search(ctx, business, words, filter, page).await,
    }
}

/// Whether what is searchable is there, and may be shown.
pub(crate) fn searchable(views: &projections::Views) -> Result<()> {
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
    Ok(())
}

/// Best match first; a cursor is a place in this ranking, which new memories may move.
async fn search(
    ctx: &Context<'_>,
    business: &str,
    words: String,
    filter: Filter,
    page: Page,
) -> Result<List<Memory>> {
    let id: domain::BusinessId = business.parse()?;
    if !ctx.data::<Viewer>()?.may_open(id) {
        return Err(client_error(
            "FORBIDDEN",
            "only who has a role in the business may search its memory",
            "ask its owner for a role",
        ));
    }
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
    let (conditions, args) = filter.into_sql::<Memory>(ctx)?;
    let sources = ctx.data::<Sources>()?.clone();
    searchable(&sources.views)?;
    let business = business.to_owned();
    let allowance = sources.allowance.clone();
    let mut hits: Vec<(i64, Memory)> = read(&sources, move |c| {
        let sql = format!(
            "SELECT place, {} FROM (SELECT m.*, h.snippet, h.score FROM
               (SELECT r.seq, r.pointer, snippet(search_text, 0, '[', ']', '…', 16) AS snippet, \
               -bm25(search_text) AS score FROM search_text
                JOIN search_rows r ON r.n = search_text.rowid WHERE search_text MATCH ? AND \
                r.business = ?) h
               JOIN memory m ON m.business = ? AND m.seq = h.seq AND (m.pointer = h.pointer OR \
               (h.pointer = '/data/title' AND m.n = 0)))
             WHERE {conditions} ORDER BY score DESC, place LIMIT {HITS_MAX}",
            Memory::COLUMNS
        );
        let mut all: Vec<&dyn rusqlite::ToSql> = vec![&words, &business, &business];
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
        Edge::new(cursor, Row(node))
    }));
    Ok(connection)
}
