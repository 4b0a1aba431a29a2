//! The audit trail: events with their data, and attempts.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use domain::BusinessId;
use event_log::{Recorded, Seq, Unsealed, unseal};
use rusqlite::OptionalExtension as _;

use crate::allowance::read;
use crate::children;
use crate::node::{JsonValue, Node as _, node};
use crate::page::{List, Page, client_error, cost};
use crate::privacy::is_withheld;
use crate::sight::Sight;
use crate::store::of_store;
use crate::{Sources, Viewer};

node! {
    /// A stored event of a business.
    Event in "events" by "seq", agents see Trail {
        /// Id of the event.
        event_id: String,
        /// Number of the event in the stream of the business: 1, 2, 3 …
        seq: i64,
        /// Type of the event, `context.past_tense`.
        #[graphql(name = "type")]
        event_type: String,
        /// Version of the event type's schema.
        schema: i64,
        /// Kind of the aggregate that the event changed.
        kind: String,
        /// Id of the aggregate that the event changed.
        id: String,
        /// Version of the aggregate after the event.
        version: i64,
        /// When the event was recorded, by the server's clock.
        recorded_at: String,
        /// When the event happened in the world; null = when it was recorded.
        occurred_at: Option<String>,
        /// The principal that sent the command.
        actor: String,
        /// The principal in whose name the command was sent; null = none.
        on_behalf_of: Option<String>,
        /// Idempotency key of the command, as the caller chose it.
        command_id: String,
        /// Id of the event that led to this one; null = none.
        causation: Option<String>,
        /// Correlation id: the same for all events that belong together.
        correlation: String,
    } money {}
}

/// SQL condition: the event is of this business and has a text with all the searched words.
pub(crate) const WITH_TEXT: &str = "seq IN (SELECT r.seq FROM search_text JOIN search_rows r ON \
    r.n = search_text.rowid WHERE search_text MATCH ? AND r.business = ?)";

/// Most events that `causes` follows back.
const CAUSES_MAX: usize = 100;

impl Event {
    async fn recorded(&self, ctx: &Context<'_>) -> Result<Arc<Recorded>> {
        let business: BusinessId = self
            .business
            .parse()
            .map_err(|_| client_error("NOT_FOUND", "no such business", "check the id"))?;
        crate::stored::recorded(ctx, business, Seq(u64::try_from(self.seq).unwrap_or(0))).await
    }
}

#[ComplexObject]
impl Event {
    /// The chain of events that led to this one, nearest first; at most 100.
    #[graphql(complexity = "5 + 5 * child_complexity")]
    async fn causes(&self, ctx: &Context<'_>) -> Result<Vec<Event>> {
        let (sources, business) = (ctx.data::<Sources>()?.clone(), self.business.clone());
        let seen = Sight::of(ctx, &business)?.and::<Self>();
        let mut next = self.causation.clone();
        read(&sources, move |c| {
            let sql = format!(
                "SELECT {} FROM events WHERE event_id = ? AND business = ?{seen}",
                Event::COLUMNS
            );
            let mut query = c.prepare_cached(&sql)?;
            let mut chain: Vec<Event> = Vec::new();
            while let Some(id) = next.take().filter(|_| chain.len() < CAUSES_MAX) {
                let found =
                    query.query_row([&id, &business], |r| Event::from_row(r, 0)).optional()?;
                next = found.as_ref().and_then(|e| e.causation.clone());
                chain.extend(found);
            }
            Ok(chain)
        })
        .await
    }

    /// The events that this one led to directly; they have `effects` of their own.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn effects(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Event>> {
        children::list(
            ctx,
            &self.business,
            "causation",
            &self.event_id,
            Page { first, after, last, before },
        )
        .await
    }

    /// All events with the same correlation id, this one included.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn correlated(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Event>> {
        children::list(
            ctx,
            &self.business,
            "correlation",
            &self.correlation,
            Page { first, after, last, before },
        )
        .await
    }

    /// The event's data as JSON. A personal field is opened, `forgotten`, `withheld` (recorded
    /// after its subject was forgotten) or, for readers without a role here, sealed.
    #[graphql(complexity = 5)]
    async fn data(&self, ctx: &Context<'_>) -> Result<JsonValue> {
        let recorded = self.recorded(ctx).await?;
        let stored = recorded.stored()?;
        ctx.data::<Sources>()?.allowance.spend(recorded.bytes.len())?;
        let mut event = serde_json::json!({"data": serde_json::from_str::<serde_json::Value>(stored.data.get())?});
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

/// An authenticated command and its outcome, whether it was accepted or refused.
#[derive(SimpleObject)]
pub(crate) struct AttemptNode {
    /// Number of the attempt; newer attempts have larger numbers.
    n: u64,
    /// When the command reached the server, by its clock.
    at: String,
    /// The principal that sent the command.
    actor: String,
    /// Type of the command, or `(unknown)` if no command has that name.
    command_type: String,
    /// Id of the aggregate that the command named; null = none.
    target: Option<String>,
    /// HMAC of the idempotency key: equal keys have equal HMACs.
    key: String,
    /// Outcome of the command: accepted, repeated, unchanged, or the name of the refusal.
    outcome: String,
}

/// A page of attempts, newest first.
#[derive(SimpleObject)]
pub(crate) struct AttemptPage {
    /// How many attempts of the business are kept in all.
    total_count: u64,
    /// The attempts of this page.
    nodes: Vec<AttemptNode>,
    /// Value of `before` for the next page; null at the end.
    next_before: Option<u64>,
}

pub(crate) async fn attempts(
    ctx: &Context<'_>,
    business: BusinessId,
    first: usize,
    before: Option<u64>,
) -> Result<AttemptPage> {
    if !ctx.data::<Viewer>()?.reads_attempts(business) {
        return Err(client_error(
            "FORBIDDEN",
            "only owners, auditors and operators may see who tried what",
            "ask the owner",
        ));
    }
    let attempts = Arc::clone(&ctx.data::<Sources>()?.attempts);
    let listed = async {
        attempts.flush().await;
        attempts.list(business, before, first).await
    };
    let (rows, total_count) = of_store(listed).await?;
    let next_before = if rows.len() == first { rows.last().map(|(n, _)| *n) } else { None };
    let node = |(n, a): (u64, event_log::attempts::Attempt)| AttemptNode {
        n,
        at: a.at.to_string(),
        actor: a.actor.to_string(),
        command_type: a.command_type,
        target: a.target.map(|t| t.to_string()),
        key: a.key,
        outcome: a.outcome,
    };
    Ok(AttemptPage { total_count, nodes: rows.into_iter().map(node).collect(), next_before })
}
