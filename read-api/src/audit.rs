//! The audit trail: events with their data, and attempts.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use domain::limits::PAGE_DEFAULT;
use domain::{BusinessId, Event as Recordable};
use event_log::{Recorded, Seq, Unsealed, unseal};
use futures_util::future::try_join_all;
use rusqlite::OptionalExtension as _;

use crate::allowance::read;
use crate::children::newest;
use crate::closed_sets::AggregateKind;
use crate::filter::{Filter, ListFilter, filter};
use crate::links::{aggregate, links};
use crate::memory::searchable;
use crate::node::{AnyNode, Node as _, node};
use crate::of_business::{self, FIRST_PLACE, IdArg};
use crate::page::{List, ListOrder, Page, client_error, list, words};
use crate::privacy::is_withheld;
use crate::scalars::{DateTime, JsonValue, Uuid};
use crate::search::{IN_SEARCH, may_search};
use crate::sight::Sight;
use crate::store::of_store;
use crate::{Sources, Viewer};

node! {
    /// A stored event of a business.
    Event in "events" by "seq", agents see Trail {
        /// Id of the event.
        id: ID = "event_id",
        /// Number of the event in the stream of the business: 1, 2, 3 …
        seq: i64,
        /// Type of the event, `context.past_tense`.
        #[graphql(name = "type")]
        event_type: String,
        /// Version of the event type's schema.
        schema: i64,
        /// Kind of the aggregate that the event changed.
        aggregate_kind: AggregateKind = "kind",
        /// Id of the aggregate that the event changed.
        aggregate_id: ID = "id",
        /// Version of the aggregate after the event.
        version: i64,
        /// When the event was recorded, by the server's clock.
        recorded_at: DateTime,
        /// When the event happened in the world; null = when it was recorded.
        occurred_at: Option<DateTime>,
        /// Id of the principal that sent the command.
        actor_id: ID = "actor",
        /// Id of the principal in whose name the command was sent; null = none.
        on_behalf_of_id: Option<ID> = "on_behalf_of",
        /// Idempotency key of the command, as the caller chose it.
        command_id: String,
        /// Id of the event that led to this one; null = none.
        causation_id: Option<ID> = "causation",
        /// Correlation id: the same for all events that belong together.
        correlation_id: Uuid = "correlation",
    } money {}
}

/// SQL condition: the event is of this business and has a text with all the searched words.
fn with_text() -> String {
    format!(
        "place IN (SELECT {FIRST_PLACE} + r.seq FROM search_text JOIN search_rows r ON r.n = \
         search_text.rowid WHERE search_text MATCH ? AND {IN_SEARCH})"
    )
}

/// Most events that `causes` follows back.
const CAUSES_MAX: usize = 50;

impl Event {
    async fn recorded(&self, ctx: &Context<'_>) -> Result<Arc<Recorded>> {
        let business: BusinessId = self
            .business
            .parse()
            .map_err(|_| client_error("NOT_FOUND", "no such business", "check the id"))?;
        crate::stored::recorded(ctx, business, Seq(u64::try_from(self.seq).unwrap_or(0))).await
    }

    async fn read_causes(&self, ctx: &Context<'_>) -> Result<Vec<Event>> {
        let (sources, business) = (ctx.data::<Sources>()?.clone(), self.business.clone());
        let seen = Sight::of(ctx, &business)?.and::<Self>();
        let mut next = self.causation_id.clone().map(|id| id.0);
        let allowance = sources.allowance.clone();
        read(&sources, move |c| {
            let sql = format!(
                "SELECT {} FROM events WHERE event_id = ? AND {}{seen}",
                Event::COLUMNS,
                of_business::condition(Event::KEY, "")
            );
            let mut query = c.prepare_cached(&sql)?;
            let mut chain: Vec<Event> = Vec::new();
            while let Some(id) = next.take().filter(|_| chain.len() < CAUSES_MAX) {
                let found = query
                    .query_row([IdArg::new(&id), IdArg::new(&business)], |r| {
                        allowance.spend_row(r)?;
                        Event::from_row(r, 0)
                    })
                    .optional()?;
                next = found.as_ref().and_then(|e| e.causation_id.clone()).map(|id| id.0);
                chain.extend(found);
            }
            Ok(chain)
        })
        .await
    }
}

links! { Event {
    one {}
    principals {
        /// The principal that sent the command.
        actor = actor_id;
        /// The principal in whose name the command was sent.
        on_behalf_of = on_behalf_of_id;
    }
    pages {
        /// The events that this one led to directly; they have `effects` of their own.
        effects: Event, where "causation" = id;
        /// All events with the same correlation id, this one included: of an approved command the
        /// request, the votes, the command and its outcome.
        correlated: Event, where "correlation" = correlation_id;
    }
    bounded {
        /// The chain of events that led to this one, nearest first; at most 50.
        causes: Event = read_causes;
    }
    fields {
        /// The event that led to this one.
        async fn causation(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
            match &self.causation_id {
                Some(id) => newest(ctx, &self.business, "event_id", id).await,
                None => Ok(None),
            }
        }

        /// What the event changed, as it stands now; null if it is shown as no object, or you do
        /// not see it.
        async fn aggregate(&self, ctx: &Context<'_>) -> Result<Option<AnyNode>> {
            aggregate(ctx, &self.business, self.aggregate_kind.0, &self.aggregate_id).await
        }

        /// The event's data as JSON. A personal field is opened, `forgotten`, `withheld` (recorded
        /// after its subject was forgotten) or, for readers without a role here, sealed.
        #[graphql(complexity = 5)]
        async fn data(&self, ctx: &Context<'_>) -> Result<JsonValue> {
            let recorded = self.recorded(ctx).await?;
            let stored = recorded.stored()?;
            ctx.data::<Sources>()?.allowance.spend(recorded.bytes.len())?;
            let data: serde_json::Value = serde_json::from_str(stored.data.get())?;
            let mut event = serde_json::json!({ "data": data });
            if ctx.data::<Viewer>()?.may_open(stored.business) {
                for (pointer, field) in stored.personal_fields() {
                    let opened = match of_store(unseal::<serde_json::Value>(
                        &*ctx.data::<Sources>()?.keyring,
                        &field,
                    ))
                    .await?
                    {
                        Unsealed::Value(value) => value,
                        Unsealed::Forgotten if is_withheld(ctx.data::<Sources>()?, &field)? => {
                            "withheld".into()
                        }
                        Unsealed::Forgotten => "forgotten".into(),
                    };
                    if let Some(slot) = event.pointer_mut(&pointer) {
                        *slot = opened;
                    }
                }
            }
            Ok(JsonValue(event.get_mut("data").map(serde_json::Value::take).unwrap_or_default()))
        }

        /// The exact bytes that were stored, and hashed into the Merkle tree of the business.
        #[graphql(complexity = 5)]
        async fn stored(&self, ctx: &Context<'_>) -> Result<String> {
            let recorded = self.recorded(ctx).await?;
            ctx.data::<Sources>()?.allowance.spend(recorded.bytes.len())?;
            Ok(std::str::from_utf8(&recorded.bytes)?.to_owned())
        }
    }
} }

/// The event of a business with this `seq`; `None` if the viewer does not see it.
pub(crate) async fn event_by_seq(
    ctx: &Context<'_>,
    business: &str,
    seq: i64,
) -> Result<Option<Event>> {
    newest(ctx, business, "seq", &seq.to_string()).await
}

/// The events of a business with these ids that the viewer sees, in the order of the ids; no more
/// than a page has when nothing is said.
pub(crate) async fn events_by_id(
    ctx: &Context<'_>,
    business: &str,
    ids: &[ID],
) -> Result<Vec<Event>> {
    let found = ids.iter().take(PAGE_DEFAULT).map(|id| newest(ctx, business, "event_id", id));
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
}

filter! {
    /// Which events are asked for.
    EventFilter {
        /// Events with one of these ids.
        id: ID, in "event_id";
        /// Events of one of these types, such as `tasks.planned`.
        r#type: String, in "event_type";
        /// Events of aggregates of one of these kinds.
        aggregate_kind: AggregateKind, in "kind";
        /// Events of one of these aggregates.
        aggregate_id: ID, in "id";
        /// Events of commands that one of these principals sent.
        actor_id: ID, in "actor";
        /// Events with one of these correlation ids.
        correlation_id: Uuid, in "correlation";
        /// Events that one of these events led to directly.
        causation_id: ID, in "causation";
        /// Events recorded at this time or later.
        recorded_from: DateTime, where "recorded_at >= ?";
        /// Events recorded before this time.
        recorded_before: DateTime, where "recorded_at < ?";
    }
}

/// Refuses types that no event has; the error lists those of the same context, or the contexts.
fn check_types(types: &[String]) -> Result<()> {
    let known = |name: &str| Recordable::types().any(|known| known.name == name);
    let Some(unknown) = types.iter().find(|name| !known(name)) else { return Ok(()) };
    let context = unknown.split_once('.').map_or(unknown.as_str(), |(context, _)| context);
    let of_context = |name: &str| name.split_once('.').is_some_and(|(c, _)| c == context);
    let all = || Recordable::types().map(|t| t.name);
    let mut known: Vec<&str> = all().filter(|name| of_context(name)).collect();
    let of = if known.is_empty() { String::new() } else { format!(" of {context}") };
    if known.is_empty() {
        known = all().collect();
    }
    let shown: String = unknown.chars().take(64).collect();
    Err(client_error(
        "UNKNOWN_VALUE",
        &format!("no event has the type `{shown}`; the types{of} are {}", known.join(", ")),
        "use one of the values that the error lists",
    ))
}

/// The audit trail of a business.
#[derive(Clone)]
pub(crate) struct EventsOfBusiness(pub(crate) String);

/// The audit trail of a business.
#[Object]
impl EventsOfBusiness {
    /// The audit trail of the business: every event.
    #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "The order of the rows; OLDEST_FIRST when left out.")] order_by: Option<
            ListOrder,
        >,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<EventFilter>,
        #[graphql(
            desc = "Words; all of them must occur in one text of the event. Needs a role in the \
                business."
        )]
        search: Option<String>,
    ) -> Result<List<Event>> {
        let wanted = filter.unwrap_or_default();
        check_types(wanted.r#type.as_deref().unwrap_or_default())?;
        let filter = wanted.add_to(Filter::of(&self.0))?;
        let filter = match search.as_deref().map(words).transpose()?.filter(|w| !w.is_empty()) {
            Some(words) => {
                may_search(ctx, self.0.parse()?)?;
                searchable(ctx.data::<Sources>()?).await?;
                filter.all(with_text(), vec![words])
            }
            None => filter,
        };
        list(
            ctx,
            filter,
            Page {
                first,
                after,
                last,
                before,
                order: order_by.unwrap_or_default(),
                ..Page::default()
            },
        )
        .await
    }
}
