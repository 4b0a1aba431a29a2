//! The log in PostgreSQL 15 or later, for several server processes at once.
//!
//! One task a process appends: what has queued up goes as one call of a function that takes the
//! lock, checks, numbers and inserts (`migrations/3_move.sql`), so that a process that is stopped
//! in the middle holds no lock. What the process believes of versions and ends of streams it sends
//! along. Where a version is not so the function stores nothing and says how it is, and the batch
//! is planned anew without what is refused; where a stream has only moved on, the events move
//! along. Positions are given under the lock and held to the commit: no reader can see one before a
//! smaller one (law 2).

mod aggregates;
mod appender;
mod attempts;
mod connect;
mod consumers;
mod follower;
mod inspect;
mod keyring;
mod plan;
mod schema;

use connect::options;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::EventId;
use domain::limits::{PAGE_BYTES_MAX, QUEUE_MAX};
use domain::{AggregateRef, BusinessId};
use proof::tree::Frontier;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use attempts::{attempts, attempts_with};
pub use consumers::PostgresConsumers;
use event_log::batch::{AppenderWork, QueuedWork};
use event_log::envelope::Recorded;
use event_log::{
    Append, AppendError, Cause, Committed, Head, Loaded, Log, LogError, Pending, Position, Seq,
    Version,
};
use follower::Heard;
pub use keyring::{PostgresKeyring, chest, put_chest};
pub use schema::{migrate, print};

/// Most connections that read at once.
const READERS_MAX: u32 = 8;
/// Longest wait for an answer of the database, except that to an append.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Longest wait for a connection's ping before it is returned to the pool.
const PING_MAX: Duration = Duration::from_secs(3);
/// How long a transaction may wait for its client; a client that takes longer is gone.
const IDLE_IN_TRANSACTION_MAX: &str = "10s";
/// Longest time of a statement, and of a wait for the lock, on the server.
const STATEMENT_TIMEOUT: &str = "30s";
const LOCK_TIMEOUT: &str = "10s";

/// Makes the statement that reads a page of events, which ends when they have too many bytes.
macro_rules! page {
    ($columns:literal, $of:literal, $order:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT p.*, coalesce(sum(octet_length(bytes)) OVER (ORDER BY position ROWS \
             BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM (SELECT ",
            $columns,
            " FROM events WHERE ",
            $of,
            " ORDER BY ",
            $order,
            " LIMIT ",
            $limit,
            ") p) q WHERE before < 16777216 ORDER BY position"
        )
    };
}
use page;

pub(crate) use connect::pool_of;
pub use connect::role_name;
const _: () = assert!(PAGE_BYTES_MAX == 16_777_216, "the number in the statement is the limit");

/// An append that waits for the appender.
struct QueuedAppend {
    append: Append,
    answer: oneshot::Sender<Result<Committed, AppendError>>,
}

impl QueuedWork for QueuedAppend {
    fn append(&self) -> &Append {
        &self.append
    }
}

/// The log in PostgreSQL.
pub struct PostgresLog {
    queue: mpsc::Sender<AppenderWork<QueuedAppend>>,
    readers: PgPool,
    position: watch::Receiver<Position>,
    /// What the database last answered, and whether it refused an append.
    heard: Heard,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

fn number(value: impl Into<u64>) -> i64 {
    i64::try_from(value.into()).unwrap_or(i64::MAX)
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The cause of a database's refusal, with what to do.
pub(crate) fn cause(e: sqlx::Error) -> Cause {
    let code = e.as_database_error().and_then(|d| d.code().map(std::borrow::Cow::into_owned));
    let meaning = match code.as_deref() {
        _ if matches!(e, sqlx::Error::PoolTimedOut) => {
            "all connections to PostgreSQL are busy, or it can't be reached; try again"
        }
        Some("28P01" | "28000") => {
            "PostgreSQL does not let us in; check user and password of --log"
        }
        Some("3D000") => {
            "there is no such database; create the database, then run `minutebook migrate --log …`"
        }
        Some("42501" | "42704" | "22023") => {
            "PostgreSQL does not allow it; run `minutebook migrate --log …` as the owner of the \
             database, and connect as a member of its roles minutebook_app_<database> and \
             minutebook_keys_<database>"
        }
        Some("42883") => {
            "the schema was migrated under this program; start the program that migrated it"
        }
        Some("3F000" | "42P01") => {
            "the schema is not there; run `minutebook migrate --log …` first"
        }
        Some(_) | None => "PostgreSQL",
    };
    Cause::new(meaning, e)
}

pub(crate) fn log_error(e: sqlx::Error) -> LogError {
    LogError::Storage(cause(e))
}

/// Awaits an answer for a limited time: a connection whose other end is gone never answers.
pub(crate) async fn within<T>(
    at_most: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| {
        sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "PostgreSQL did not answer in time",
        ))
    };
    tokio::time::timeout(at_most, asked).await.map_err(late)?
}

/// Awaits the answer to a query that only reads.
async fn read<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LogError> {
    within(ANSWER_MAX, asked).await.map_err(log_error)
}

impl PostgresLog {
    /// Opens the log of a database whose schema was made by [`migrate`].
    ///
    /// # Errors
    /// If the database can't be reached or is no log of ours; the sentence says what to do.
    pub async fn open(url: &str) -> Result<Self, LogError> {
        schema::check(url).await?;
        let options = options(url, Some("app"))?;
        let readers =
            pool_of(READERS_MAX).connect_with(options.clone()).await.map_err(log_error)?;
        let (moved, position) = watch::channel(follower::last_position(&readers).await?);
        let heard = Heard::default();
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let appender = event_log::vital::task(
            "log-appender",
            appender::run(options, jobs, moved.clone(), heard.clone()),
        );
        let follower = event_log::vital::task(
            "log-follower",
            follower::follow(readers.clone(), moved, heard.clone()),
        );
        Ok(Self { queue, readers, position, heard, tasks: Mutex::new(vec![appender, follower]) })
    }

    /// The pool of connections that read.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.readers
    }

    async fn list(
        &self,
        sql: &'static str,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let rows = read(
            sqlx::query(sql)
                .bind(business.0)
                .bind(number(after))
                .bind(number(limit as u64))
                .fetch_all(&self.readers),
        )
        .await;
        rows?.iter().map(recorded).collect()
    }
}

fn recorded(row: &PgRow) -> Result<Recorded, LogError> {
    let read = || -> Result<Recorded, sqlx::Error> {
        Ok(Recorded {
            position: Position(count(row.try_get(0)?)),
            business: BusinessId(row.try_get(1)?),
            seq: Seq(count(row.try_get(2)?)),
            bytes: row.try_get(3)?,
        })
    };
    read().map_err(log_error)
}

fn head((business, seq, frontier): (Uuid, i64, Vec<u8>)) -> Result<Head, LogError> {
    let frontier = Frontier::from_bytes(count(seq), &frontier)
        .map_err(|e| LogError::Corrupt(Cause::new(format!("head of {business}"), e)))?;
    Ok(Head { business: BusinessId(business), seq: Seq(count(seq)), root: frontier.root() })
}

#[async_trait]
impl Log for PostgresLog {
    async fn enqueue(&self, append: Append) -> Result<Pending, AppendError> {
        append.check_caps()?;
        let (answer, pending) = oneshot::channel();
        let closed = |_| AppendError::Closed("the store is shutting down".to_owned());
        self.queue
            .send(AppenderWork::Append(QueuedAppend { append, answer }))
            .await
            .map_err(closed)?;
        Ok(Pending::new(pending))
    }

    async fn find(&self, business: BusinessId, id: EventId) -> Result<Option<Recorded>, LogError> {
        let sql = "SELECT position, business, seq, bytes FROM events WHERE event_id = $1 AND \
            business = $2";
        let row = read(sqlx::query(sql).bind(id.0).bind(business.0).fetch_optional(&self.readers))
            .await?;
        row.as_ref().map(recorded).transpose()
    }

    async fn read_aggregate(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let sql = page!(
            "position, business, seq, bytes",
            "business = $1 AND id = $2 AND kind = $3 AND version > $4",
            "version",
            "$5"
        );
        let query = sqlx::query(sql)
            .bind(business.0)
            .bind(aggregate.id)
            .bind(aggregate.kind.as_str())
            .bind(number(after))
            .bind(number(limit as u64));
        read(query.fetch_all(&self.readers)).await?.iter().map(recorded).collect()
    }

    async fn load(
        &self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Result<Loaded, LogError> {
        aggregates::load(&self.readers, business, aggregate).await
    }

    async fn read_business(
        &self,
        business: BusinessId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        self.list(
            page!("position, business, seq, bytes", "business = $1 AND seq > $2", "seq", "$3"),
            business,
            after,
            limit,
        )
        .await
    }

    async fn read_events(
        &self,
        business: BusinessId,
        seqs: &[Seq],
    ) -> Result<Vec<Recorded>, LogError> {
        let wanted: Vec<i64> = seqs.iter().map(|seq| number(*seq)).collect();
        let sql =
            page!("position, business, seq, bytes", "business = $1 AND seq = ANY($2)", "seq", "$3");
        let query = sqlx::query(sql).bind(business.0).bind(wanted).bind(number(seqs.len() as u64));
        read(query.fetch_all(&self.readers)).await?.iter().map(recorded).collect()
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let sql = page!("position, business, seq, bytes", "position > $1", "position", "$2");
        let rows = read(
            sqlx::query(sql)
                .bind(number(after))
                .bind(number(limit as u64))
                .fetch_all(&self.readers),
        )
        .await;
        rows?.iter().map(recorded).collect()
    }

    async fn head(&self, business: BusinessId) -> Result<Option<Head>, LogError> {
        let row = read(
            sqlx::query_as("SELECT business, seq, frontier FROM heads WHERE business = $1")
                .bind(business.0)
                .fetch_optional(&self.readers),
        )
        .await?;
        row.map(head).transpose()
    }

    async fn versions(
        &self,
        business: BusinessId,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<Version>, LogError> {
        let (kinds, ids): (Vec<&str>, Vec<Uuid>) =
            aggregates.iter().map(|a| (a.kind.as_str(), a.id)).unzip();
        let sql = "SELECT coalesce((SELECT e.version FROM events e WHERE e.business = $1 AND e.id \
            = x.id AND e.kind = x.kind
                                     ORDER BY e.business DESC, e.id DESC, e.kind DESC, e.version \
                                     DESC LIMIT 1), 0)
                   FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY x(kind, id, i) ORDER BY x.i";
        let found: Vec<i64> = read(
            sqlx::query_scalar(sql).bind(business.0).bind(kinds).bind(ids).fetch_all(&self.readers),
        )
        .await?;
        Ok(found.into_iter().map(|version| Version(count(version))).collect())
    }

    fn position(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    async fn close(&self) {
        let _ = self.queue.send(AppenderWork::Stop).await;
        let tasks = self.tasks.lock().map(|mut t| std::mem::take(&mut *t)).unwrap_or_default();
        let mut tasks = tasks.into_iter();
        if let Some(appender) = tasks.next() {
            let _ = appender.await;
        }
        tasks.for_each(|follower| follower.abort());
        self.readers.close().await;
    }
}
