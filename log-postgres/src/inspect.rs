//! Reads the log as a whole, and states what this store can do.

use async_trait::async_trait;
use domain::Timestamp;
use event_log::envelope::Recorded;
use event_log::{Capabilities, Head, Inspect, LogError, Position, RawRow, Seq, Version};
use sqlx::Executor as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::{PostgresLog, count, head, log_error, number, page, read, recorded};

#[async_trait]
impl Inspect for PostgresLog {
    async fn read_erasures(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        // The kind stands in the text, as the partial index has it.
        let sql = page!(
            "position, business, seq, bytes",
            "kind = 'erasure' AND position > $1",
            "position",
            "$2"
        );
        let rows = read(
            sqlx::query(sql)
                .bind(number(after))
                .bind(number(limit as u64))
                .fetch_all(&self.readers),
        )
        .await;
        rows?.iter().map(recorded).collect()
    }

    async fn heads(&self) -> Result<Vec<Head>, LogError> {
        let rows = read(
            sqlx::query_as("SELECT business, seq, frontier FROM heads ORDER BY business")
                .fetch_all(&self.readers),
        )
        .await;
        rows?.into_iter().map(head).collect()
    }

    async fn raw_rows(&self, after: Position, limit: usize) -> Result<Vec<RawRow>, LogError> {
        let sql = page!(
            "position, business, seq, kind, id, version, event_id, leaf, bytes",
            "position > $1",
            "position",
            "$2"
        );
        let rows = read(
            sqlx::query(sql)
                .bind(number(after))
                .bind(number(limit as u64))
                .fetch_all(&self.readers),
        )
        .await?;
        let raw = |r: &PgRow| -> Result<RawRow, sqlx::Error> {
            Ok(RawRow {
                position: Position(count(r.try_get(0)?)),
                business: r.try_get(1)?,
                seq: Seq(count(r.try_get(2)?)),
                kind: r.try_get(3)?,
                id: r.try_get(4)?,
                version: Version(count(r.try_get(5)?)),
                event_id: r.try_get(6)?,
                leaf: r.try_get(7)?,
                bytes: r.try_get(8)?,
            })
        };
        rows.iter().map(|r| raw(r).map_err(log_error)).collect()
    }

    async fn consistent_heads(&self) -> Result<(Vec<Head>, Position, u64), LogError> {
        let asked = async {
            let mut tx = self.readers.begin().await?;
            tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let heads =
                sqlx::query_as("SELECT business, seq, frontier FROM heads ORDER BY business")
                    .fetch_all(&mut *tx)
                    .await?;
            let ends = "SELECT (SELECT max(position) FROM events WHERE position > 0), (SELECT \
                count(*) FROM events WHERE position < 1)";
            Ok((heads, sqlx::query_as(ends).fetch_one(&mut *tx).await?))
        };
        let (heads, ends): (Vec<_>, (Option<i64>, i64)) = read(asked).await?;
        Ok((
            heads.into_iter().map(head).collect::<Result<_, _>>()?,
            Position(count(ends.0.unwrap_or(0))),
            count(ends.1),
        ))
    }
}

#[async_trait]
impl Capabilities for PostgresLog {
    fn shared(&self) -> bool {
        true
    }

    fn unavailable_reason(&self) -> Option<String> {
        self.heard.unavailable_reason()
    }

    async fn store_time(&self) -> Result<Option<Timestamp>, LogError> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let micros: i64 = read(sqlx::query_scalar(sql).fetch_one(&self.readers)).await?;
        Ok(Some(Timestamp::from_micros(micros)))
    }
}
