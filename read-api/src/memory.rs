//! The memory of a business: facts and documents, with what was known when and from where.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{ComplexObject, Context, Result};

use crate::allowance::read;
use crate::children;
use crate::node::{JsonValue, Node as _, node};
use crate::page::{Filter, List, Page, Total, client_error, first_rows, list, time, words};
use crate::personal::PersonalText;
use crate::query::wait_for_text;
use crate::row::Row;
use crate::{Sources, Viewer};

/// Most hits of one search; pages go through no more.
const HITS_MAX: usize = 1_000;

node! {
    /// A revision of a fact, or a chunk of a document, with the time in which it was known.
    Memory in "memory_items" by "place", agents see OfDataClass {
        /// Id of the fact or document.
        id: String,
        /// Sort of the item: fact or document.
        item: String,
        /// Kind of the knowledge: business_context, domain_expertise, process_memory or
        /// integration_state.
        kind: String,
        /// Title of the document; null for a fact.
        title: Option<PersonalText>,
        /// The statement of the fact, or the text of the chunk.
        text: PersonalText,
        /// The same fact as JSON, for programs; null = none.
        value: Option<PersonalText>,
        /// Topic of the fact, such as a connector or a process; null = none.
        topic: Option<String>,
        /// Id of the agent that learned the fact; null when a human did.
        agent: Option<String>,
        /// Where the document comes from, such as a file's name; null = not stated.
        source: Option<PersonalText>,
        /// When the fact begins to hold in the world; null = always.
        valid_from: Option<String>,
        /// When the fact ceases to hold in the world; null = until further notice.
        valid_to: Option<String>,
        /// How sure the fact is, a decimal from 0 to 1; null = not stated.
        confidence: Option<String>,
        /// Ids of the events that the fact is known from, a JSON array.
        sources: JsonValue,
        /// Number of the revision; the fact as it was recorded is 1.
        revision: i64,
        /// Status of this revision: standing, revised, superseded or retracted.
        status: String,
        /// When this revision became known, by the server's clock.
        known_from: String,
        /// When this revision ceased to be known, by the server's clock; null while it is known.
        known_to: Option<String>,
        /// The `seq` of the event that recorded this revision.
        seq: i64,
        /// The text around the searched words, which are in [brackets]; null without a search.
        snippet: Option<String>,
        /// How well the text fits the search (BM25; higher is better); null without a search.
        score: Option<f64>,
    } money {}
}

#[ComplexObject]
impl Memory {
    /// Id of the event that recorded this revision.
    async fn event_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        children::event_id(ctx, &self.business, self.seq).await
    }
}

/// Which facts and documents are asked for.
pub(crate) struct MemoryFilter {
    /// Words; all of them must occur. Best match first.
    pub(crate) search: Option<String>,
    /// business_context, domain_expertise, process_memory or integration_state.
    pub(crate) kind: Option<String>,
    /// fact or document.
    pub(crate) item: Option<String>,
    /// Topic of the fact.
    pub(crate) topic: Option<String>,
    /// Id of the fact or document.
    pub(crate) id: Option<String>,
    /// Finds what was known at this time, by the server's clock; what is known now when left out.
    pub(crate) as_of: Option<String>,
    /// Finds what holds in the world at this time.
    pub(crate) valid_at: Option<String>,
    /// If true, also finds what is not known any more: every revision there was.
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
    searchable(&sources).await?;
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
