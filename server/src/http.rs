//! The HTTP listener: commands in, GraphQL out; only health and the GraphiQL page need no key.

mod batch;
mod body;
mod consumers;
mod door;
mod feed;
mod frames;
mod graphiql;
mod graphql;
mod host;
mod metrics;
mod operations;
mod peers;
mod problem;
mod questions;
mod slots;
mod tls;
mod websocket;
mod who;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{Service as _, ServiceResponse};
use actix_web::http::{ConnectionType, header};
use actix_web::{App as Actix, HttpRequest, HttpResponse, HttpServer, guard, web};
use domain::PrincipalId;
use domain::limits::{
    FEEDS_PER_PRINCIPAL_MAX, HANDSHAKE_MS_MAX, HEAD_MS_MAX, IMPORTS_MAX, IMPORTS_PER_PRINCIPAL_MAX,
    STRANGERS_MAX, SUBSCRIBERS_PER_PRINCIPAL_MAX,
};
use futures_util::FutureExt as _;

use crate::app::{App, AppError};
use body::Bodies;
pub(crate) use consumers::{change_consumer, consumers_status};
pub(crate) use door::Body as CommandBody;
use host::Hosts;
use metrics::Metrics;
use peers::Peers;
pub use peers::{Forwarders, is_loopback};
pub use problem::Problem;
use questions::Questions;
use read_api::{Api, TrustedDocuments};
use slots::Slots;
pub use tls::Tls;
use tokio::sync::Semaphore;

pub(crate) use who::{actor, bearer, principal, reader};
use who::{bearer_in, in_path, query};

/// Most events that the views may be behind while the process still reports itself ready.
pub const READY_LAG_MAX: u64 = 10_000;

pub(crate) struct State {
    pub(crate) app: Arc<App>,
    /// GraphQL, with what this listener allows.
    api: Api,
    pub(crate) metrics: Metrics,
    /// Number of open WebSockets.
    pub(crate) connections: Arc<std::sync::atomic::AtomicUsize>,
    /// Bounds the WebSockets of each principal.
    subscribers: Slots<PrincipalId>,
    /// Bounds the WebSockets whose principal is not known yet.
    strangers: Arc<Semaphore>,
    /// Bounds the feeds of each principal.
    feeds: Slots<PrincipalId>,
    questions: Questions,
    bodies: Bodies,
    /// Bounds the import records of each principal that are in progress; they are large.
    importers: Slots<PrincipalId>,
    /// Bounds the import records of all principals that are in progress.
    imports: Semaphore,
    hosts: Hosts,
    peers: Arc<Peers>,
}

type Shared = web::Data<State>;

/// A running HTTP listener and its address.
pub struct Listening {
    /// The server; it runs until it is stopped.
    pub server: actix_web::dev::Server,
    /// The address it listens on, with the port that was chosen if 0 was asked for.
    pub address: std::net::SocketAddr,
}

/// Stops an HTTP listener.
pub struct Stop(actix_web::dev::ServerHandle);

impl Stop {
    /// Stops the listener without waiting for open connections.
    pub fn now(&self) {
        drop(self.0.stop(false));
    }
}

impl Listening {
    /// The handle that stops this listener.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(self.server.handle())
    }
}

/// Options of the HTTP listener.
#[derive(Debug, Clone, Default)]
pub struct Entrance {
    /// Address to listen on.
    pub address: String,
    /// Host names besides `localhost` that the listener answers to, separated by commas.
    pub hosts: String,
    /// Worker threads; 0 = one per core.
    pub workers: usize,
    /// Certificate and key for TLS; `None` = no TLS.
    pub tls: Option<Tls>,
    /// Proxies that may forward requests of others.
    pub forwarders: Forwarders,
    /// The only GraphQL documents that the listener answers; `None` = all.
    pub trusted: Option<Arc<TrustedDocuments>>,
    /// True if each GraphQL query is logged.
    pub query_log: bool,
}

/// Binds the HTTP listener.
///
/// # Errors
/// If the address can't be bound, or the certificate can't be read.
pub fn listen(app: Arc<App>, entrance: Entrance) -> Result<Listening, AppError> {
    let Entrance { address, hosts, workers, tls, forwarders, trusted, query_log } = entrance;
    let peers = Peers::new(forwarders, tls.is_none());
    let state = web::Data::new(State {
        hosts: Hosts::new(&hosts),
        peers: Arc::clone(&peers),
        api: app.api.at_a_door(trusted, query_log),
        app,
        metrics: Metrics::default(),
        connections: Arc::default(),
        subscribers: Slots::new(SUBSCRIBERS_PER_PRINCIPAL_MAX),
        strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
        feeds: Slots::new(FEEDS_PER_PRINCIPAL_MAX),
        questions: Questions::default(),
        bodies: Bodies::default(),
        importers: Slots::new(IMPORTS_PER_PRINCIPAL_MAX),
        imports: Semaphore::new(IMPORTS_MAX),
    });
    let mut server = HttpServer::new(move || {
        Actix::new()
            .app_data(state.clone())
            .wrap_fn({
                let state = state.clone();
                move |request, service| {
                    let (state, began) = (state.clone(), Instant::now());
                    let route = request.match_pattern().unwrap_or_else(|| "other".to_owned());
                    let large_body = body::is_large(request.request());
                    let for_us =
                        state.hosts.takes(request.request()) || HEALTH.contains(&request.path());
                    let response = if for_us {
                        Ok(service.call(request))
                    } else {
                        Err(request.into_response(misdirected()))
                    };
                    async move {
                        let response = match response {
                            Ok(response) => AssertUnwindSafe(response)
                                .catch_unwind()
                                .await
                                .unwrap_or_else(|_| Err(panicked()))?,
                            Err(refused) => refused,
                        };
                        Ok(finished(response, &state, &route, began, large_body))
                    }
                }
            })
            .configure(routes)
    })
    .client_request_timeout(Duration::from_millis(HEAD_MS_MAX))
    // No lingering: actix-http reads on, without a pause, as long as somebody goes on sending what
    // was refused.
    .client_disconnect_timeout(Duration::ZERO)
    .tls_handshake_timeout(Duration::from_millis(HANDSHAKE_MS_MAX))
    .on_connect(move |connection, data| peers.connected(connection, data))
    .disable_signals()
    .shutdown_timeout(10);
    if workers > 0 {
        server = server.workers(workers);
    }
    let bound = match tls {
        None => server.bind(&address),
        Some(tls) => server.bind_rustls_0_23(&address, tls::config(tls)?),
    };
    let server = bound.map_err(|e| {
        AppError::caused(format!("can't listen on {address}; choose another with --listen"), e)
    })?;
    let address = server.addrs().first().copied();
    let address = address.ok_or_else(|| AppError::other("no address to listen on"))?;
    Ok(Listening { server: server.run(), address })
}

/// Paths that any host name reaches: machines ask them by address, and they reveal nothing.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Headers of every response that does not set them: no type sniffing, no frames, no caching.
const SAFE_HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
];

/// Adds the safe headers to a response, counts it, and logs refused callers.
fn finished<B>(
    mut response: ServiceResponse<B>,
    state: &State,
    route: &str,
    began: Instant,
    large_body: bool,
) -> ServiceResponse<B> {
    add_safe_headers(response.headers_mut());
    let status = response.status().as_u16();
    if large_body && status >= 400 {
        // The rest of the body is not read; whoever goes on sending it is cut off.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    state.metrics.answered(route, status, began.elapsed());
    // Who was not let in is in nobody's list of attempts: it is counted, and said here.
    if matches!(status, 401 | 403 | 404) {
        tracing::info!(http.route = %route, http.status = status, "a caller was not let in");
    }
    response
}

fn add_safe_headers(headers: &mut header::HeaderMap) {
    for (name, value) in SAFE_HEADERS {
        let name = header::HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
    }
}

/// The response to a request whose handler panicked; it is counted like any other.
fn panicked() -> actix_web::Error {
    Problem::new(
        500,
        "panicked",
        "this server panicked over the request; if it was a command, \
        send it again under the same key",
    )
    .into()
}

fn misdirected() -> HttpResponse {
    Problem::new(
        421,
        "misdirected",
        "this server does not answer to that host name; add it to the \
        setting `hosts` if it is its own",
    )
    .respond()
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(page))
        .route("/graphiql", web::get().to(graphiql::page))
        .route("/graphiql/{file}", web::get().to(graphiql::file))
        .route("/healthz", web::get().to(health))
        .route("/readyz", web::get().to(ready))
        .route("/metrics", web::get().to(show_metrics))
        .route(
            "/graphql",
            web::get().guard(guard::Header("upgrade", "websocket")).to(websocket::websocket),
        )
        .route("/graphql", web::get().to(graphql::graphql))
        .route("/graphql", web::post().to(graphql::graphql))
        .route("/v1/events", web::get().to(feed::all))
        .route("/v1/businesses/{business}/events", web::get().to(feed::business))
        .route("/v1/commands", web::post().to(door::installation))
        .route("/v1/businesses/{business}/commands", web::post().to(door::business))
        .route("/v1/businesses/{business}/commands:batch", web::post().to(batch::batch))
        .route(
            "/v1/businesses/{business}/subjects/{subject}/key",
            web::delete().to(operations::forget),
        )
        .route("/v1/principals/{principal}/keys", web::get().to(operations::keys))
        .route("/v1/imports/{format}", web::post().to(operations::import))
        .route("/v1/consumers", web::post().to(consumers::consumers))
        .route(
            "/v1/businesses/{business}/verification",
            web::post().to(operations::verify_business),
        )
        .route("/v1/verification", web::post().to(operations::verify))
        .route("/v1/projections/retry", web::post().to(operations::retry))
        .route("/v1/projections/rebuild", web::post().to(operations::rebuild))
        .route("/v1/projections/rollback", web::post().to(operations::rollback))
        .route("/v1/projections/audit", web::post().to(operations::audit))
        .default_service(web::to(|| async {
            Problem::new(
                404,
                "not_found",
                "there is nothing at this address; see README.md for the doors",
            )
            .respond()
        }));
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; script-src \
             'unsafe-inline'; connect-src 'self'",
        ))
        .body(include_str!("http/page.html"))
}

/// Why the process is about to end; `None` if it is not.
fn dying() -> Option<String> {
    event_log::vital::dead()
        .map(|thread| format!("its thread `{thread}` died; the process ends, to be started again"))
}

async fn health() -> HttpResponse {
    match dying() {
        None => HttpResponse::Ok().body("ok\n"),
        Some(why) => HttpResponse::ServiceUnavailable().body(format!("{why}\n")),
    }
}

async fn ready(state: Shared) -> HttpResponse {
    if let Some(why) = dying() {
        return HttpResponse::ServiceUnavailable()
            .json(serde_json::json!({"ready": false, "why": why}));
    }
    let Ok(lag) = state.app.log.lag(state.app.views.position()).await else {
        return HttpResponse::ServiceUnavailable().json(serde_json::json!({"ready": false}));
    };
    if let Some(why) =
        state.app.health.unavailable_reason().or_else(|| state.app.views.unavailable_reason())
    {
        return HttpResponse::ServiceUnavailable()
            .json(serde_json::json!({"ready": false, "why": why}));
    }
    if lag <= READY_LAG_MAX {
        HttpResponse::Ok().json(serde_json::json!({"ready": true}))
    } else {
        HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "1")).json(
            serde_json::json!({"ready": false, "why": "the views are catching up with the log"}),
        )
    }
}

async fn show_metrics(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    if !reader(&request, &state).await?.operator() {
        return Err(operations::only_operators());
    }
    let lag = state
        .app
        .log
        .lag(state.app.views.position())
        .await
        .map_err(|e| Problem::unavailable(&e))?;
    let dropped = state.app.feeds_dropped.load(std::sync::atomic::Ordering::Relaxed);
    let pending = u8::from(state.app.forgetting_is_pending());
    let text = format!(
        "# TYPE minutebook_feeds_dropped_total counter\nminutebook_feeds_dropped_total {dropped}\n"
    ) + &format!(
        "# TYPE minutebook_log_lines_dropped_total counter\nminutebook_log_lines_dropped_total \
         {}\n",
        crate::logging::dropped()
    ) + &format!(
        "# TYPE minutebook_connections_refused_total counter\nminutebook_connections_refused_total \
         {}\n",
        state.peers.refused()
    ) + &format!(
        "# TYPE minutebook_rate_limited_total counter\nminutebook_rate_limited_total {}\n",
        state.app.bus.rates().refused()
    ) + "# HELP minutebook_forgetting_pending 1 while a key that is forgotten on record is not yet \
        destroyed.\n"
        + &format!(
            "# TYPE minutebook_forgetting_pending gauge\nminutebook_forgetting_pending {pending}\n"
        )
        + &metrics::places_taken(&state)
        + &state.metrics.text(state.app.log.end(), lag, &state.app.views);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
        .body(text))
}
