//! The audit trail: events with their data, and attempts.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use domain::BusinessId;
use event_log::{Recorded, Unsealed, unseal};
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
    /// A stored event.
    Event in "events" by "seq", agents see Trail {
        /// Its id.
        event_id: String,
        /// Its place in the business: 1, 2, 3 …
        seq: i64,
        /// context.past_tense.
        #[graphql(name = "type")]
        event_type: String,
        /// Version of its schema.
        schema: i64,
        /// Kind of its aggregate.
        kind: String,
        /// Id of its aggregate.
        id: String,
        /// Version of its aggregate with it.
        version: i64,
        /// Our clock.
        recorded_at: String,
        /// The world's clock, where it differs.
        occurred_at: Option<String>,
        /// Who authenticated.
        actor: String,
        /// For whom.
        on_behalf_of: Option<String>,
        /// The caller's idempotency key.
        command_id: String,
        /// The event that led to it.
        causation: Option<String>,
        /// What else belongs to it.
        correlation: String,
    } money {}
}

/// Events with a text that has these words, of this business.
pub(crate) const WITH_TEXT: &str = "seq IN (SELECT r.seq FROM search_text JOIN search_rows r ON \
    r.n = search_text.rowid WHERE search_text MATCH ? AND r.business = ?)";

/// Steps up a chain of causes.
const CAUSES_MAX: usize = 100;

impl Event {
    async fn recorded(&self, ctx: &Context<'_>) -> Result<Arc<Recorded>> {
        let business: BusinessId = self
            .business
            .parse()
            .map_err(|_| client_error("NOT_FOUND", "no such business", "check the id"))?;
        let found = children::recorded(ctx, business, u64::try_from(self.seq).unwrap_or(0)).await?;
        found.ok_or_else(|| {
            client_error("NOT_FOUND", "the log does not have this event", "run `minutebook verify`")
        })
    }
}

#[ComplexObject]
impl Event {
    /// The chain of events that led to it, nearest first; at most 100.
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

    /// The events that it led to: ask them for theirs, and it is a tree.
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

    /// Everything that belongs together with it, itself too.
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

    /// What happened, as JSON; personal fields opened, `forgotten`, `withheld` (recorded after
    /// their subject was forgotten) or (without a role here) left sealed.
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

    /// The stored bytes, exactly: what was hashed into the business's Merkle tree.
    #[graphql(complexity = 5)]
    async fn stored(&self, ctx: &Context<'_>) -> Result<String> {
        let recorded = self.recorded(ctx).await?;
        ctx.data::<Sources>()?.allowance.spend(recorded.bytes.len())?;
        Ok(std::str::from_utf8(&recorded.bytes)?.to_owned())
    }
}

/// An authenticated command, whatever came of it.
#[derive(SimpleObject)]
pub(crate) struct AttemptNode {
    /// Its number; smaller is older.
    n: u64,
    /// When.
    at: String,
    /// Who.
    actor: String,
    /// What.
    command_type: String,
    /// On which aggregate, where one was named.
    target: Option<String>,
    /// HMAC of the idempotency key: the same key gives the same.
    key: String,
    /// accepted, repeated, unchanged, or the name of the refusal.
    outcome: String,
}

/// Attempts, newest first.
#[derive(SimpleObject)]
pub(crate) struct AttemptPage {
    /// How many are kept in all.
    total_count: u64,
    /// This page.
    nodes: Vec<AttemptNode>,
    /// Give this as `before` for the next page; null at the end.
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
