//! Consumers of a log in PostgreSQL; the database's clock decides when a lease has ended.

use async_trait::async_trait;
use event_log::Position;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{ANSWER_MAX, PostgresLog, count, log_error, number, read, within};
use event_log::consumers::{Claim, Consumer, Consumers, LEASE};
use event_log::log::LogError;

/// The consumers of a log in PostgreSQL.
pub struct PostgresConsumers(PgPool);

impl PostgresConsumers {
    /// The consumers beside a log.
    #[must_use]
    pub fn of(log: &PostgresLog) -> Self {
        Self(log.pool().clone())
    }
}

fn lease() -> f64 {
    LEASE.as_secs_f64()
}

async fn changed(
    asked: impl Future<Output = Result<sqlx::postgres::PgQueryResult, sqlx::Error>>,
) -> Result<bool, LogError> {
    within(ANSWER_MAX, asked).await.map(|r| r.rows_affected() > 0).map_err(log_error)
}

#[async_trait]
impl Consumers for PostgresConsumers {
    async fn claim(&self, name: &str, owner: Uuid) -> Result<Option<Claim>, LogError> {
        let sql = "INSERT INTO consumers(name) VALUES ($1) ON CONFLICT DO NOTHING";
        read(sqlx::query(sql).bind(name).execute(&self.0)).await?;
        let sql = "UPDATE consumers SET epoch = epoch + 1, owner = $2, lease_until = \
            clock_timestamp() + make_interval(secs => $3)
                   WHERE name = $1 AND NOT paused AND (owner IS NULL OR owner = $2 OR lease_until \
                   < clock_timestamp()) RETURNING epoch, position";
        let claimed: Option<(i64, i64)> =
            read(sqlx::query_as(sql).bind(name).bind(owner).bind(lease()).fetch_optional(&self.0))
                .await?;
        Ok(claimed.map(|(epoch, position)| Claim {
            epoch: count(epoch),
            position: Position(count(position)),
        }))
    }

    async fn renew(&self, name: &str, epoch: u64) -> Result<bool, LogError> {
        let sql = "UPDATE consumers SET lease_until = clock_timestamp() + make_interval(secs => $3)
                   WHERE name = $1 AND epoch = $2 AND owner IS NOT NULL AND NOT paused";
        changed(sqlx::query(sql).bind(name).bind(number(epoch)).bind(lease()).execute(&self.0))
            .await
    }

    async fn advance(&self, name: &str, epoch: u64, position: Position) -> Result<bool, LogError> {
        let sql = "UPDATE consumers SET position = $4, lease_until = clock_timestamp() + \
            make_interval(secs => $3)
                   WHERE name = $1 AND epoch = $2 AND owner IS NOT NULL";
        changed(
            sqlx::query(sql)
                .bind(name)
                .bind(number(epoch))
                .bind(lease())
                .bind(number(position))
                .execute(&self.0),
        )
        .await
    }

    async fn release(&self, name: &str, epoch: u64) -> Result<(), LogError> {
        let sql = "UPDATE consumers SET owner = NULL WHERE name = $1 AND epoch = $2";
        changed(sqlx::query(sql).bind(name).bind(number(epoch)).execute(&self.0)).await.map(|_| ())
    }

    async fn rewind(&self, name: &str, position: Position) -> Result<bool, LogError> {
        let sql =
            "UPDATE consumers SET position = $2, epoch = epoch + 1, owner = NULL WHERE name = $1";
        changed(sqlx::query(sql).bind(name).bind(number(position)).execute(&self.0)).await
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, LogError> {
        changed(
            sqlx::query("UPDATE consumers SET paused = $2 WHERE name = $1")
                .bind(name)
                .bind(paused)
                .execute(&self.0),
        )
        .await
    }

    async fn list(&self) -> Result<Vec<Consumer>, LogError> {
        type Row = (String, i64, i64, Option<Uuid>, bool);
        let sql = "SELECT name, position, epoch, CASE WHEN lease_until >= clock_timestamp() THEN \
            owner END, paused FROM consumers ORDER BY name";
        let rows: Vec<Row> = read(sqlx::query_as(sql).fetch_all(&self.0)).await?;
        let consumer = |(name, position, epoch, owner, paused): Row| Consumer {
            name,
            position: Position(count(position)),
            epoch: count(epoch),
            owner,
            paused,
        };
        Ok(rows.into_iter().map(consumer).collect())
    }

    async fn put(&self, c: &Consumer) -> Result<(), LogError> {
        let sql =
            "INSERT INTO consumers(name, position, epoch, paused) VALUES ($1, $2, $3, $4) ON \
            CONFLICT (name)
                   DO UPDATE SET position = $2, epoch = greatest(consumers.epoch, $3) + 1, owner = \
                   NULL, paused = $4";
        changed(
            sqlx::query(sql)
                .bind(&c.name)
                .bind(number(c.position))
                .bind(number(c.epoch))
                .bind(c.paused)
                .execute(&self.0),
        )
        .await
        .map(|_| ())
    }
}
