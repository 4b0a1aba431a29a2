//! What we measure ourselves against: the same rows, the same schema, nothing else.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use commands::Actor;
use domain::BusinessId;
use event_log::{EventLog, Position, RawRow};
use futures_util::future::join_all;
use projections::Views;
use rusqlite::{Connection, params};
use server::app::App;
use tokio::sync::{mpsc, oneshot};

/// The rows that `make` writes.
pub(crate) async fn rows<F: Future<Output = ()>>(
    log: &dyn EventLog,
    _: &[(BusinessId, Actor)],
    make: impl FnOnce() -> F,
) -> Arc<Vec<RawRow>> {
    let before = *log.position().borrow();
    make().await;
    Arc::new(log.raw_rows(before, 2_000).await.unwrap())
}

/// Every row of a log.
pub(crate) async fn all_rows(log: &dyn EventLog) -> Arc<Vec<RawRow>> {
    let mut all: Vec<RawRow> = Vec::new();
    loop {
        let page =
            log.raw_rows(all.last().map_or(Position::START, |r| r.position), 5_000).await.unwrap();
        if page.is_empty() {
            return Arc::new(all);
        }
        all.extend(page);
    }
}

/// Inserts rows like those from so many callers, each waiting for its own, with group commit on one
/// thread, into a file that has `before` rows of them already; rows per second.
pub(crate) async fn group_commit(
    folder: &Path,
    rows: &Arc<Vec<RawRow>>,
    callers: usize,
    before: usize,
    n: usize,
) -> f64 {
    let connection = Connection::open(folder.join("raw.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    // As our own writer has it.
    connection.pragma_update(None, "wal_autocheckpoint", 16_000).unwrap();
    connection.pragma_update(None, "cache_size", -32_768).unwrap();
    connection.execute_batch(include_str!("../../event-log/src/sqlite/schema.sql")).unwrap();
    let (queue, jobs) = mpsc::channel::<(usize, oneshot::Sender<()>)>(10_000);
    let data = Arc::clone(rows);
    let writer = std::thread::spawn(move || write(&connection, &data, jobs));
    let began = Instant::now();
    let work = (0..callers).map(|caller| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for i in (before + caller..before + n).step_by(callers) {
                let (done, wait) = oneshot::channel();
                queue.send((i, done)).await.unwrap();
                wait.await.unwrap();
            }
        })
    });
    for caller in join_all(work).await {
        caller.unwrap();
    }
    let rate = n as f64 / began.elapsed().as_secs_f64();
    drop(queue);
    writer.join().unwrap();
    rate
}

fn write(
    connection: &Connection,
    rows: &[RawRow],
    mut jobs: mpsc::Receiver<(usize, oneshot::Sender<()>)>,
) {
    while let Some(first) = jobs.blocking_recv() {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (mut next, mut done) = (Some(first), Vec::new());
        while let Some((i, answer)) = next.take() {
            let row = &rows[i % rows.len()];
            // The same row again and again, under a place and an id of its own.
            let turn = u64::try_from(i / rows.len()).unwrap();
            let id = uuid::Uuid::new_v5(&row.event_id, &turn.to_be_bytes());
            let aggregate = uuid::Uuid::new_v5(&row.id, &turn.to_be_bytes());
            let seq = row.seq.plus(turn * 1_000_000);
            connection
                .prepare_cached("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)")
                .unwrap()
                .execute(params![
                    row.business,
                    seq,
                    row.kind,
                    aggregate,
                    row.version,
                    id,
                    row.leaf,
                    row.bytes
                ])
                .unwrap();
            connection
                .prepare_cached(
                    "INSERT INTO heads VALUES (?1, ?2, ?3) ON CONFLICT(business) DO \
                    UPDATE SET seq = ?2, frontier = ?3",
                )
                .unwrap()
                .execute(params![row.business, seq, row.leaf])
                .unwrap();
            done.push(answer);
            next = jobs.try_recv().ok();
        }
        connection.execute_batch("COMMIT").unwrap();
        for answer in done {
            let _ = answer.send(());
        }
    }
}

/// The rows of the GraphQL list by hand: the same credentials, the business by its slug, the same
/// columns.
pub(crate) async fn plain_handler(
    request: HttpRequest,
    app: web::Data<Arc<App>>,
    _: web::Bytes,
) -> HttpResponse {
    let bearer = request.headers().get("authorization").unwrap().to_str().unwrap();
    let principal = app
        .bus
        .directory()
        .principal_of(bearer.trim_start_matches("Bearer "))
        .await
        .unwrap()
        .unwrap();
    let viewer = app.viewer(principal).await.unwrap();
    let business = app.business("b1").await.unwrap().filter(|b| viewer.may_see(*b)).unwrap();
    HttpResponse::Ok().json(plain_list(&app.views, business))
}

fn plain_list(views: &Views, business: domain::BusinessId) -> Vec<serde_json::Value> {
    views
        .read(|c| {
            c.prepare_cached(
                "SELECT id, team, status, next_actor, priority, revision, planned_at FROM tasks \
                 WHERE place BETWEEN (SELECT first FROM business_places WHERE id = ?1) AND (SELECT \
                 last FROM business_places WHERE id = ?1) ORDER BY place LIMIT 10",
            )?
            .query_map([business.0], |r| {
                Ok(serde_json::json!({
                    "id": r.get::<_, uuid::Uuid>(0)?.to_string(), "team": r.get::<_,
                    String>(1)?, "status": r.get::<_, String>(2)?,
                    "nextActor": r.get::<_, Option<String>>(3)?, "priority": r.get::<_,
                    i64>(4)?, "revision": r.get::<_, i64>(5)?,
                    "plannedAt": domain::Timestamp::from_micros(r.get(6)?).to_string(),
                }))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })
        .unwrap()
}
