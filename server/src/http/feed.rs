//! The feed: events in their public form, as NDJSON or as server-sent events, as they come. It
//! begins after the position that the reader gives, and every event says its own.
//!
//! Nothing is kept for a reader that does not read in time: it is dropped, and continues after the
//! position of the last event that it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::limits::FEEDS_PER_PRINCIPAL_MAX;
use domain::{BusinessId, PrincipalId};
use event_log::{Cause, Position, Recorded, Seq, chain};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Problem, Shared, State, bearer, principal, query};
use crate::app::App;

/// How many events are read at once.
const PAGE: usize = 100;
/// Most bytes of a chunk, unless a single event has more.
const CHUNK_BYTES: usize = 256 << 10;
/// Most chunks that wait for one reader.
const CHUNKS_MAX: usize = 2;
/// How often an idle feed sends a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// Begin after this: a `seq` in the feed of a business; a position or `<business id>:<seq>` in
    /// that of all.
    after: Option<String>,
    /// `true`, the default, waits for new events; `false` ends at the newest one.
    follow: Option<Follow>,
}

/// A bool whose error names its field, because parsers of a query string do not.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(try_from = "String")]
struct Follow(bool);

impl TryFrom<String> for Follow {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "`follow` is true or false".to_owned())
    }
}

/// The feed of one business, named by its slug or id.
pub(super) async fn business(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (caller, key) = (principal(&request, &state).await?, key(&request));
    let ask: Ask = query(&request)?;
    let found = state.app.business(&path).await.map_err(|e| Problem::unavailable(&e))?;
    let hidden = || {
        Problem::new(
            404,
            "not_found",
            "no business has this slug or id, or your roles do not let you follow its stream; \
             check the name, or ask an operator for a role",
        )
    };
    let business = found.ok_or_else(hidden)?;
    if !may_see(&state.app, caller, business).await? {
        return Err(hidden());
    }
    let after = place(&request, &ask).await?;
    let after = match after {
        FeedCursor::Number(seq) => seq,
        FeedCursor::InBusiness(b, seq) if b == business => seq,
        FeedCursor::InBusiness(..) => return Err(bad_place("that place is of another business")),
    };
    respond(
        &request,
        &state,
        &ask,
        Feed { app: Arc::clone(&state.app), caller, key, business: Some(business), after },
    )
}

/// The feed of every business that the caller may see.
pub(super) async fn all(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    let (caller, key) = (principal(&request, &state).await?, key(&request));
    let ask: Ask = query(&request)?;
    // Who sees no business whole learns not even which positions there are.
    if !state.app.viewer(caller).await.map_err(|e| Problem::unavailable(&e))?.reads_any() {
        return Err(Problem::new(
            403,
            "forbidden",
            "your roles do not let you follow the stream of any business; an agent follows its \
             work with GraphQL subscriptions instead",
        ));
    }
    let after = match place(&request, &ask).await? {
        FeedCursor::Number(position)
            if state
                .app
                .log
                .is_place(Position(position))
                .await
                .map_err(|e| Problem::unavailable(&e))? =>
        {
            position
        }
        FeedCursor::Number(position) => {
            return Err(bad_place(&format!(
                "no event of this log has the position {position}; if the log was moved to another \
                 store since you read that position, name the last event by its business instead: \
                 `after=<business id>:<seq>`"
            )));
        }
        FeedCursor::InBusiness(_, 0) => 0,
        FeedCursor::InBusiness(business, seq) => {
            let found = state
                .app
                .log
                .read_business(business, Seq(seq).previous(), 1)
                .await
                .map_err(|e| Problem::unavailable(&e))?;
            let found = found.first().filter(|_| seq > 0).map(|r| r.position.0);
            let visible = may_see(&state.app, caller, business).await?;
            found.filter(|_| visible).ok_or_else(|| {
                bad_place(
                    "no event has this business and `seq`, or you may not see \
                    it",
                )
            })?
        }
    };
    respond(
        &request,
        &state,
        &ask,
        Feed { app: Arc::clone(&state.app), caller, key, business: None, after },
    )
}

/// The API key with which a request was admitted.
fn key(request: &HttpRequest) -> String {
    bearer(request).unwrap_or_default().to_owned()
}

enum FeedCursor {
    Number(u64),
    InBusiness(BusinessId, u64),
}

fn bad_place(why: &str) -> Problem {
    Problem::new(
        400,
        "bad_place",
        &format!(
            "{why}; set `after` to the place of the last event that you received (its position, \
             its `seq` in the feed of one business, or `<business id>:<seq>`), or leave `after` \
             out to start at the first event"
        ),
    )
}

/// Where the feed begins; a reader that reconnects says so in `Last-Event-ID`.
async fn place(request: &HttpRequest, ask: &Ask) -> Result<FeedCursor, Problem> {
    let again = request
        .headers()
        .get("Last-Event-ID")
        .map(|v| v.to_str().map(str::to_owned).unwrap_or_default())
        .filter(|v| !v.is_empty());
    let Some(text) = again.or_else(|| ask.after.clone()) else { return Ok(FeedCursor::Number(0)) };
    let malformed =
        || bad_place(&format!("`{}` is no place", text.chars().take(60).collect::<String>()));
    match text.split_once(':') {
        Some((business, seq)) => Ok(FeedCursor::InBusiness(
            business.parse().map_err(|_| malformed())?,
            seq.parse().map_err(|_| malformed())?,
        )),
        None => Ok(FeedCursor::Number(
            text.parse().ok().filter(|n| i64::try_from(*n).is_ok()).ok_or_else(malformed)?,
        )),
    }
}

async fn may_see(app: &App, caller: PrincipalId, business: BusinessId) -> Result<bool, Problem> {
    Ok(app.viewer(caller).await.map_err(|e| Problem::unavailable(&e))?.reads_all(business))
}

fn respond(
    request: &HttpRequest,
    state: &State,
    ask: &Ask,
    feed: Feed,
) -> Result<HttpResponse, Problem> {
    let accepts =
        request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let events = accepts.contains("text/event-stream");
    let full = |_| {
        Problem::new(
            503,
            "too_many_feeds",
            "too many feeds are open at this server; come back in a moment, or follow another",
        )
    };
    let too_many = || {
        Problem::new(
            429,
            "too_many_feeds",
            &format!("{FEEDS_PER_PRINCIPAL_MAX} feeds of this principal are open; close one"),
        )
    };
    let own = state.feeds.take(feed.caller).ok_or_else(too_many)?;
    let place = Arc::clone(&feed.app.feeds).try_acquire_owned().map_err(full)?;
    let (chunks, body) = mpsc::channel(CHUNKS_MAX);
    let follow = ask.follow.is_none_or(|follow| follow.0);
    let whole = Arc::new(AtomicBool::new(false));
    actix_web::rt::spawn({
        let whole = Arc::clone(&whole);
        async move {
            // The channel closes only afterwards.
            let sent = feed.run(&chunks, events, follow).await;
            whole.store(sent, Ordering::Relaxed);
            drop((chunks, place, own));
        }
    });
    let kind = if events { "text/event-stream" } else { "application/x-ndjson" };
    let body = futures_util::stream::unfold(Some(body), move |body| {
        let whole = Arc::clone(&whole);
        async move {
            let mut body = body?;
            match body.recv().await {
                Some(chunk) => Some((Ok(chunk), Some(body))),
                // Who is cut off must be able to tell it from an end.
                None if !whole.load(Ordering::Relaxed) => Some((
                    Err(actix_web::error::ErrorServiceUnavailable("the feed was cut off")),
                    None,
                )),
                None => None,
            }
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(body))
}

/// A feed and how far its reader is.
struct Feed {
    app: Arc<App>,
    caller: PrincipalId,
    /// The reader's API key, checked again while the feed runs: it may be revoked.
    key: String,
    /// The business of the feed; `None` = all that the caller may see.
    business: Option<BusinessId>,
    /// The last `seq` in that business, or the last position in the feed of all.
    after: u64,
}

impl Feed {
    /// Sends events until the reader is gone or must go; returns true if everything asked for was
    /// sent.
    async fn run(mut self, chunks: &mpsc::Sender<web::Bytes>, events: bool, follow: bool) -> bool {
        let mut moved = self.app.log.position();
        let mut stopping = self.app.stopping.subscribe();
        let mut silent_until = tokio::time::Instant::now() + HEARTBEAT;
        loop {
            moved.mark_unchanged();
            if *stopping.borrow() {
                return false;
            }
            let ready = match self.next(events).await {
                Ok(Some(ready)) if !ready.is_empty() => ready,
                Ok(None) if !follow => return true,
                // Nothing yet, or nothing of it for this reader; a sign of life is due all the
                // same.
                Ok(_) if tokio::time::Instant::now() >= silent_until => {
                    vec![web::Bytes::from_static(if events { b": still here\n\n" } else { b"\n" })]
                }
                Ok(Some(_)) => continue,
                Ok(None) => {
                    tokio::select! {
                        changed = moved.changed() => if changed.is_err() { return false },
                        () = tokio::time::sleep_until(silent_until) => {}
                        () = chunks.closed() => return false,
                        _ = stopping.wait_for(|stop| *stop) => return false,
                    }
                    continue;
                }
                Err(e) => {
                    tracing::warn!(error = %chain(&e), feed.after = self.after, "a feed ended");
                    return false;
                }
            };
            silent_until = tokio::time::Instant::now() + HEARTBEAT;
            for chunk in ready {
                match tokio::time::timeout(self.app.slow_reader_timeout, chunks.send(chunk)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return false,
                    Err(_) => {
                        self.app.feeds_dropped.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(feed.after = self.after,
                            principal.id = %self.caller, "a feed's reader was too slow and is \
                                dropped");
                        return false;
                    }
                }
            }
        }
    }

    /// The next chunks; `None` if there are no new events, empty if none of them is for this
    /// reader.
    async fn next(&mut self, events: bool) -> Result<Option<Vec<web::Bytes>>, Cause> {
        let known = self.app.bus.directory().principal_of(&self.key).await.map_err(Cause::of)?;
        if known != Some(self.caller) {
            return Err(Cause::of("the reader's key was revoked"));
        }
        let log = &self.app.log;
        let page = match self.business {
            Some(business) => log.read_business(business, Seq(self.after), PAGE).await,
            None => log.read_all(Position(self.after), PAGE).await,
        };
        let page = page.map_err(Cause::of)?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = if self.business.is_some() { last.seq.0 } else { last.position.0 };
        // Roles may be taken away while somebody reads.
        let viewer = self.app.viewer(self.caller).await.map_err(Cause::of)?;
        let (mut ready, mut text) = (Vec::new(), String::new());
        for recorded in page.iter().filter(|r| viewer.reads_all(r.business)) {
            if let Some(event) = hub::public::cloud_event(recorded).map_err(Cause::of)? {
                self.write(&mut text, recorded, &event, events);
            }
            if text.len() >= CHUNK_BYTES {
                ready.push(std::mem::take(&mut text).into());
            }
        }
        if self.business.is_some_and(|b| !viewer.reads_all(b)) {
            return Err(Cause::of("the reader's roles changed"));
        }
        if !text.is_empty() {
            ready.push(text.into());
        }
        Ok(Some(ready))
    }

    fn write(
        &self,
        text: &mut String,
        recorded: &Recorded,
        event: &serde_json::Value,
        events: bool,
    ) {
        use std::fmt::Write as _;
        let place = if self.business.is_some() { recorded.seq.0 } else { recorded.position.0 };
        let _ = if events {
            write!(
                text,
                "id: {place}\nevent: {}\ndata: {event}\n\n",
                event.get("type").and_then(serde_json::Value::as_str).unwrap_or_default()
            )
        } else {
            writeln!(text, "{event}")
        };
    }
}
