//! Attempts in the log's own database, which all processes share.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::limits::QUEUE_MAX;
use domain::{BusinessId, Timestamp};
use sqlx::postgres::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{PostgresLog, count, number, read};
use event_log::attempts::{
    Attempt, AttemptStore, AttemptWork, Attempts, Caps, GROUP_COMMIT_LINGER,
};
use event_log::chain;
use event_log::log::LogError;

/// How often storing a group of attempts is tried while PostgreSQL is away, once a second. If an
/// answer is lost an attempt may be stored twice, which is better than not at all.
const KEEP_TRIES_MAX: u32 = 60;

/// The attempts of a log in PostgreSQL, in its own database.
#[must_use]
pub fn attempts(log: &PostgresLog) -> Attempts {
    attempts_with(log, Caps::default())
}

/// The attempts of a log in PostgreSQL with another `prune_every`, for tests. The other caps are
/// ignored: the database holds them (`attempt_caps`), where this program can't change them.
#[must_use]
pub fn attempts_with(log: &PostgresLog, caps: Caps) -> Attempts {
    let (queue, work) = mpsc::channel(QUEUE_MAX);
    let pool = log.pool().clone();
    let writer = event_log::vital::task("attempts", write(pool.clone(), work, caps));
    Attempts::kept_in(queue, Box::new(DatabaseStore { pool, writer: Mutex::new(Some(writer)) }))
}

struct DatabaseStore {
    pool: PgPool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[async_trait]
impl AttemptStore for DatabaseStore {
    async fn oldest(&self, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError> {
        oldest(&self.pool, skip, limit).await
    }

    async fn count(&self) -> Result<u64, LogError> {
        all(&self.pool).await
    }

    async fn list(
        &self,
        business: BusinessId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<(u64, Attempt)>, u64), LogError> {
        list(&self.pool, business, before, limit).await
    }

    async fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

async fn write(pool: PgPool, mut jobs: mpsc::Receiver<AttemptWork>, caps: Caps) {
    let (mut since_prune, mut touched) = (0, BTreeSet::new());
    while let Some(first) = jobs.recv().await {
        fail::fail_point!("attempts");
        if matches!(first, AttemptWork::Keep(_)) && !jobs.is_closed() {
            tokio::time::sleep(GROUP_COMMIT_LINGER).await;
        }
        let (mut group, mut flushes, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some(job) = next.take() {
            match job {
                AttemptWork::Keep(attempt) => group.push(attempt),
                AttemptWork::Flush(done) => flushes.push(done),
            }
            if group.len() < 1_000 {
                next = jobs.try_recv().ok();
            }
        }
        since_prune += group.len() as u64;
        touched.extend(group.iter().map(|a| a.business));
        let mut written = keep(&pool, &group).await;
        for _ in 0..KEEP_TRIES_MAX {
            let Err(e) = &written else { break };
            if jobs.is_closed() {
                break;
            }
            tracing::warn!(error = %chain(e), "attempts are kept again in a second");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            written = keep(&pool, &group).await;
        }
        if written.is_ok() && since_prune >= caps.prune_every {
            since_prune = 0;
            written = prune(&pool, &touched).await;
            touched.clear();
        }
        if let Err(e) = written {
            tracing::error!(error = %chain(&e), "attempts were not kept");
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}

/// A text without NUL, which PostgreSQL does not store: one such text would lose the whole group.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Stores a group of attempts in one statement, which does not wait for the disk.
async fn keep(pool: &PgPool, group: &[Attempt]) -> Result<(), LogError> {
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

/// Deletes attempts that are too old or too many; the database holds the caps.
async fn prune(pool: &PgPool, touched: &BTreeSet<BusinessId>) -> Result<(), LogError> {
    for business in touched {
        read(sqlx::query("SELECT prune_attempts($1)").bind(business.0).execute(pool)).await?;
    }
    read(sqlx::query("SELECT prune_old_attempts()").execute(pool)).await?;
    Ok(())
}

/// Attempts, oldest first, after the first `skip`.
async fn oldest(pool: &PgPool, skip: u64, limit: usize) -> Result<Vec<Attempt>, LogError> {
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

/// Number of all attempts.
async fn all(pool: &PgPool) -> Result<u64, LogError> {
    let n: i64 = read(sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(pool)).await?;
    Ok(count(n))
}

/// Attempts of a business, newest first.
async fn list(
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
