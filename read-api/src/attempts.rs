//! Attempts: authenticated commands with their outcomes, whether they were accepted or refused.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use event_log::attempts::Attempt as Kept;

use crate::page::{Total, client_error, decode, encode, first_rows};
use crate::principals::{Principal, principal};
use crate::scalars::DateTime;
use crate::store::of_store;
use crate::{Sources, Viewer};

/// An authenticated command and its outcome, whether it was accepted or refused.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Attempt {
    /// Number of the attempt; newer attempts have larger numbers.
    n: u64,
    /// When the command reached the server, by its clock.
    at: DateTime,
    /// Id of the principal that sent the command.
    actor_id: ID,
    /// Type of the command, or `(unknown)` if no command has that name.
    command_type: String,
    /// Id of the aggregate that the command named; null = none.
    target_id: Option<ID>,
    /// HMAC of the idempotency key: equal keys have equal HMACs.
    key: String,
    /// Outcome of the command: accepted, repeated, unchanged, or the name of the refusal.
    outcome: String,
    #[graphql(skip)]
    business: String,
}

#[ComplexObject]
impl Attempt {
    /// The principal that sent the command.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<Principal>> {
        principal(ctx, &self.business, &self.actor_id).await
    }
}

impl Attempt {
    fn of(business: &str, (n, kept): (u64, Kept)) -> Self {
        Self {
            n,
            at: DateTime(kept.at.to_string()),
            actor_id: ID(kept.actor.to_string()),
            command_type: kept.command_type,
            target_id: kept.target.map(|t| ID(t.to_string())),
            key: kept.key,
            outcome: kept.outcome,
            business: business.to_owned(),
        }
    }
}

/// The attempts of a business.
#[derive(Clone)]
pub(crate) struct AttemptsOfBusiness(pub(crate) String);

/// The attempts of a business.
#[Object]
impl AttemptsOfBusiness {
    /// Authenticated commands to the business, refused ones too, newest first. For owners, auditors
    /// and operators; null, with an error, for others.
    #[graphql(complexity = "crate::page::cost(first, None, child_complexity)")]
    async fn attempts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
    ) -> Result<Option<Connection<String, Attempt, Total>>> {
        let business = self.0.parse()?;
        if !ctx.data::<Viewer>()?.reads_attempts(business) {
            return Err(client_error(
                "FORBIDDEN",
                "only owners, auditors and operators may see who tried what",
                "ask the owner",
            ));
        }
        let first = first_rows(first)?;
        let after = after.map(|cursor| decode("attempts", &cursor)).transpose()?;
        let before = after.map(|n| u64::try_from(n).unwrap_or(0));
        let attempts = Arc::clone(&ctx.data::<Sources>()?.attempts);
        let listed = async {
            attempts.flush().await;
            attempts.list(business, before, first + 1).await
        };
        let (mut rows, total) = of_store(listed).await?;
        let more = rows.len() > first;
        rows.truncate(first);
        let total = Total::Counted(i64::try_from(total).unwrap_or(i64::MAX));
        let mut page = Connection::with_additional_fields(after.is_some(), more, total);
        page.edges.extend(rows.into_iter().map(|row| {
            let cursor = encode("attempts", i64::try_from(row.0).unwrap_or(i64::MAX));
            Edge::new(cursor, Attempt::of(&self.0, row))
        }));
        Ok(Some(page))
    }
}
