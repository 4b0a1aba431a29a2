//! Attempts in the log's own database: every process sees those of all.

use std::collections::BTreeSet;

use domain::{BusinessId, Timestamp};
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{count, number, read};
use crate::attempts::Attempt;
use crate::log::LogError;

/// PostgreSQL's text has no NUL; whoever sends one must not make others' attempts be lost with his.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Keeps some, and forgets the oldest beyond what is kept.
///
/// # Errors
/// When they can't be written.
pub(crate) async fn keep(pool: &PgPool, group: &[Attempt]) -> Result<(), LogError> {
    // This commit, and no other, does not wait for the disk: appends would wait behind it.
    let sql = "WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
               INSERT INTO attempts(at, business, actor, command_type, target, key, outcome)
               SELECT x.* FROM relaxed, unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], \
               $5::uuid[], $6::text[], $7::text[]) x";
    let query = sqlx::query(sql)
        .bind(group.iter().map(|a| a.at.as_micros()).collect::<Vec<_>>())
        .bind(group.iter().map(|a| a.business.0).collect::<Vec<_>>())
        .bind(group.iter().map(|a| a.actor.0).collect::<Vec<_>>())
        .bind(group.iter().map(|a| storable(&a.command_type)).collect::<Vec<_>>())
        .bind(group.iter().map(|a| a.target).collect::<Vec<_>>())
        .bind(group.iter().map(|a| storable(&a.key)).collect::<Vec<_>>())
        .bind(group.iter().map(|a| a.outcome.as_str()).collect::<Vec<_>>());
    read(query.execute(pool)).await?;
    Ok(())
}

/// Forgets what is too old or too many; how much that is stands in the database.
///
/// # Errors
/// When they can't be written.
pub(crate) async fn prune(pool: &PgPool, touched: &BTreeSet<BusinessId>) -> Result<(), LogError> {
    for business in touched {
        read(sqlx::query("SELECT prune_attempts($1)").bind(business.0).execute(pool)).await?;
    }
    read(sqlx::query("SELECT prune_old_attempts()").execute(pool)).await?;
    Ok(())
}

/// All of them, oldest first, after so many.
///
/// # Errors
/// When they can't be read.
pub(crate) async fn oldest(
    pool: &PgPool,
    skip: u64,
    limit: usize,
) -> Result<Vec<Attempt>, LogError> {
    type Row = (Uuid, i64, Uuid, String, Option<Uuid>, String, String);
    let sql = "SELECT business, at, actor, command_type, target, key, outcome FROM attempts ORDER \
        BY n OFFSET $1 LIMIT $2";
    let rows: Vec<Row> =
        read(sqlx::query_as(sql).bind(number(skip)).bind(number(limit as u64)).fetch_all(pool))
            .await?;
    let attempt = |(business, at, actor, command_type, target, key, outcome): Row| Attempt {
        at: Timestamp::from_micros(at),
        business: BusinessId(business),
        actor: domain::PrincipalId(actor),
        command_type,
        target,
        key,
        outcome,
    };
    Ok(rows.into_iter().map(attempt).collect())
}

/// How many there are.
///
/// # Errors
/// When they can't be read.
pub(crate) async fn all(pool: &PgPool) -> Result<u64, LogError> {
    let n: i64 = read(sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(pool)).await?;
    Ok(count(n))
}

/// Those of a business, newest first.
///
/// # Errors
/// When they can't be read.
pub(crate) async fn list(
    pool: &PgPool,
    business: BusinessId,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
    type Row = (i64, i64, Uuid, String, Option<Uuid>, String, String);
    let sql = "SELECT n, at, actor, command_type, target, key, outcome FROM attempts WHERE \
        business = $1 AND n < $2 ORDER BY n DESC LIMIT $3";
    let rows = sqlx::query_as(sql)
        .bind(business.0)
        .bind(before.map_or(i64::MAX, number))
        .bind(number(limit as u64))
        .fetch_all(pool);
    let rows: Vec<Row> = read(rows).await?;
    let total: i64 = read(
        sqlx::query_scalar("SELECT count(*) FROM attempts WHERE business = $1")
            .bind(business.0)
            .fetch_one(pool),
    )
    .await?;
    let attempt = |(n, at, actor, command_type, target, key, outcome): Row| {
        (
            count(n),
            Attempt {
                at: Timestamp::from_micros(at),
                business,
                actor: domain::PrincipalId(actor),
                command_type,
                target,
                key,
                outcome,
            },
        )
    };
    Ok((rows.into_iter().map(attempt).collect(), count(total)))
}
