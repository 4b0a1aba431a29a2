//! Follows the end of the log, whichever process appends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::limits::STORE_SILENT_MS_MAX;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;

use super::{ANSWER_MAX, count, read, within};
use event_log::{AppendError, LogError, Position, chain};

/// How often the end of the log is queried, in case a notification is lost.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How long the store counts as unavailable after a refused append if no other append follows: only
/// a further append shows whether there is room again.
const REFUSAL_COUNTS: Duration = Duration::from_secs(10);

/// What the database last answered.
#[derive(Clone)]
pub(super) struct Heard(Arc<Mutex<Last>>);

struct Last {
    /// When the database last answered.
    answer: Instant,
    /// When it refused to store an append, and why; `None` once it stored one.
    refusal: Option<(Instant, String)>,
}

impl Default for Heard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Last { answer: Instant::now(), refusal: None })))
    }
}

impl Heard {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        self.last().answer = Instant::now();
    }

    /// Records that the database stored an append, or refused to.
    pub(super) fn stored(&self, refusal: Option<&AppendError>) {
        self.last().refusal = refusal.map(|why| (Instant::now(), chain(why).to_string()));
    }

    /// Why the database can't be used at the moment; `None` if it can.
    pub(super) fn unavailable_reason(&self) -> Option<String> {
        let last = self.last();
        let silent = last.answer.elapsed();
        if silent > Duration::from_millis(STORE_SILENT_MS_MAX) {
            return Some(format!("PostgreSQL has not answered for {} ms", silent.as_millis()));
        }
        let refusal = last.refusal.as_ref().filter(|(at, _)| at.elapsed() < REFUSAL_COUNTS);
        refusal.map(|(_, why)| format!("PostgreSQL refused the last append: {why}"))
    }
}

pub(super) async fn last_position(pool: &PgPool) -> Result<Position, LogError> {
    let last: i64 = read(sqlx::query_scalar("SELECT position FROM log").fetch_one(pool)).await?;
    Ok(Position(count(last)))
}

/// Moves the position on when any process appends: after a notification, and by queries in case one
/// is lost.
pub(super) async fn follow(pool: PgPool, moved: watch::Sender<Position>, heard: Heard) {
    let mut listener: Option<PgListener> = None;
    while !moved.is_closed() {
        fail::fail_point!("log-follower");
        if listener.is_none()
            && let Ok(mut fresh) = PgListener::connect_with(&pool).await
            && within(ANSWER_MAX, fresh.listen("minutebook")).await.is_ok()
        {
            listener = Some(fresh);
        }
        let told = async {
            match &mut listener {
                Some(listener) => listener.try_recv().await,
                None => std::future::pending().await,
            }
        };
        let position = match tokio::time::timeout(POLL_EVERY, told).await {
            // Anybody may notify: it is a reason to ask, and nothing else is believed of it.
            Ok(Ok(Some(_))) => last_position(&pool).await.ok(),
            Ok(Ok(None) | Err(_)) => {
                listener = None;
                tokio::time::sleep(POLL_EVERY).await;
                None
            }
            Err(_) => last_position(&pool)
                .await
                .inspect_err(
                    |e| tracing::warn!(error = %chain(e), "the end of the log could not be asked for"),
                )
                .ok(),
        };
        if let Some(position) = position {
            heard.answered();
            advance(&moved, position);
        }
    }
}

/// Moves the position forward, never back.
pub(super) fn advance(moved: &watch::Sender<Position>, position: Position) {
    moved.send_if_modified(|known| {
        let further = position > *known;
        *known = position.max(*known);
        further
    });
}
