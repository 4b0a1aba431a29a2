//! Full-text search in the personal texts of a business.

use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use domain::BusinessId;

use crate::allowance::read;
use crate::audit::{Event, event_by_seq};
use crate::closed_sets::AggregateKind;
use crate::links::aggregate;
use crate::memory::searchable;
use crate::node::AnyNode;
use crate::of_business::{FIRST_PLACE, IdArg, id_text};
use crate::page::{client_error, words};
use crate::row::FromColumn as _;
use crate::sight::Sight;
use crate::{Sources, Viewer};

/// A text that matched a search.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct SearchHit {
    /// The `seq` of the event that has the text.
    seq: i64,
    /// JSON pointer to the text in the stored event.
    pointer: String,
    /// Kind of the event's aggregate.
    aggregate_kind: AggregateKind,
    /// Id of the event's aggregate.
    aggregate_id: ID,
    /// The text around the match, with the matched words in [brackets].
    snippet: String,
    #[graphql(skip)]
    business: String,
}

#[ComplexObject]
impl SearchHit {
    /// The event that has the text.
    async fn event(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
        event_by_seq(ctx, &self.business, self.seq).await
    }

    /// What the event changed, as it stands now; null if it is shown as no object, or you do not
    /// see it.
    async fn aggregate(&self, ctx: &Context<'_>) -> Result<Option<AnyNode>> {
        aggregate(ctx, &self.business, self.aggregate_kind.0, &self.aggregate_id).await
    }
}

/// SQL condition: the row `r` of the searchable text is of the business. The file of these texts
/// has numbers of its own.
pub(crate) const IN_SEARCH: &str = "r.place BETWEEN (SELECT first FROM search.business_places \
    WHERE id = :business) AND (SELECT last FROM search.business_places WHERE id = :business)";

/// Refuses a search by somebody without a role in the business.
pub(crate) fn may_search(ctx: &Context<'_>, business: BusinessId) -> Result<()> {
    if ctx.data::<Viewer>()?.may_open(business) {
        return Ok(());
    }
    Err(client_error(
        "FORBIDDEN",
        "only who has a role in the business may search its text",
        "ask its owner for a role",
    ))
}

/// The search in a business.
#[derive(Clone)]
pub(crate) struct SearchOfBusiness(pub(crate) String);

/// The search in a business.
#[Object]
impl SearchOfBusiness {
    /// Full-text search in the personal texts of the business, such as those of tasks, decisions,
    /// calls and memory; best match first, at most 50. Needs a role in the business,
    /// without which it is null, with an error.
    #[graphql(complexity = "crate::page::times(50, child_complexity)")]
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Words; all of them must occur.")] text: String,
    ) -> Result<Option<Vec<SearchHit>>> {
        may_search(ctx, self.0.parse()?)?;
        let words = words(&text)?;
        if words.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (sources, business) = (ctx.data::<Sources>()?.clone(), self.0.clone());
        let seen = Sight::of(ctx, &business)?.condition::<Event>();
        let seen = seen.map(|c| {
            format!(
                " AND EXISTS (SELECT 1 FROM (SELECT kind, id FROM events e WHERE e.place = \
                 {FIRST_PLACE} + r.seq) WHERE {c})"
            )
        });
        let sql = format!(
            "SELECT r.seq, r.pointer, r.kind, r.id, snippet(search_text, 0, '[', ']', '…', 12) \
             FROM search_text
             JOIN search_rows r ON r.n = search_text.rowid WHERE search_text MATCH ? AND \
             {IN_SEARCH}{} ORDER BY rank LIMIT 50",
            seen.unwrap_or_default()
        );
        searchable(&sources).await?;
        read(&sources, move |c| {
            let hit = |r: &rusqlite::Row<'_>| {
                Ok(SearchHit {
                    seq: r.get(0)?,
                    pointer: r.get(1)?,
                    aggregate_kind: AggregateKind::from_column(r, 2, &business)?,
                    aggregate_id: ID(id_text(r, 3)?),
                    snippet: r.get(4)?,
                    business: business.clone(),
                })
            };
            c.prepare_cached(&sql)?.query_map((&words, IdArg::new(&business)), hit)?.collect()
        })
        .await
        .map(Some)
    }
}
