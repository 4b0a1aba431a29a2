//! `/graphql` over WebSocket: the graphql-transport-ws protocol (enisdenjo/graphql-ws,
//! PROTOCOL.md).
//!
//! The key comes in `connection_init`: `{"authorization": "Bearer <key>"}`. Close codes are the
//! protocol's: 4400 no such message, 4401 subscribed before the acknowledgement, 4403 the key does
//! not work, 1009 a message is too long (4 KiB before `connection_init`), 4406 another subprotocol,
//! 4408 no `connection_init` in time, 4409 an id twice, 4429 a second `connection_init`. A client
//! that does not read is dropped with 1013 and told to go on after the last `seq` it has.

mod messages;

use event_log::chain;
use messages::{Close, Message, Operation, close, next};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::rt;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
use async_graphql::{Request, Response, ServerError, Variables};
use domain::limits::{
    BODY_BYTES_MAX, GRAPHQL_OPERATIONS_MAX, INIT_BYTES_MAX, SUBSCRIBERS_MAX,
    SUBSCRIBERS_PER_PRINCIPAL_MAX,
};
use futures_util::StreamExt as _;
use read_api::Viewer;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use super::frames::{Guarded, MessageLimit};
use super::questions::TooSlow;
use super::{Problem, Shared, bearer_in};
use crate::app::App;

const SUBPROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to send `connection_init`.
const INIT_WAIT: Duration = Duration::from_secs(5);
/// How long a client may take to receive a message.
const SEND_WAIT: Duration = Duration::from_secs(15);
/// How often the key and the roles are checked again.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a ping is sent on an idle connection.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Counts open connections.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    app: Arc<App>,
    session: Session,
    viewer: Option<Viewer>,
    /// The key that came with `connection_init`.
    secret: Zeroizing<String>,
    operations: HashMap<String, rt::task::JoinHandle<()>>,
    state: Shared,
    /// The size that a message may have: small until its sender is known.
    limit: MessageLimit,
    /// A slot among connections whose principal is not known yet.
    stranger: Option<OwnedSemaphorePermit>,
    /// A slot of the principal, once it is known.
    place: Option<OwnedSemaphorePermit>,
    /// Sent to by an operation whose client does not read.
    stuck: tokio::sync::mpsc::Sender<()>,
}

async fn in_time(sent: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), Close> {
    match tokio::time::timeout(SEND_WAIT, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(close(1000, "gone")),
        Err(_) => Err(close(1013, "too slow: connect again and go on after the last seq you have")),
    }
}

/// Sends one message; fails if the client is gone or does not read.
async fn send(session: &mut Session, message: &Value) -> Result<(), Close> {
    in_time(session.text(message.to_string())).await
}

/// Runs an operation and sends its responses until it ends.
async fn operate(
    state: Shared,
    viewer: Viewer,
    mut session: Session,
    id: String,
    mut request: Request,
    stuck: tokio::sync::mpsc::Sender<()>,
) {
    let api = &state.api;
    let mut answers = if api.is_subscription(&mut request).await == Some(true) {
        api.stream(request.data(viewer)).await
    } else {
        let answer = state.questions.ask(api, viewer, request).await;
        let answer = answer.unwrap_or_else(|TooSlow| {
            Response::from_errors(vec![ServerError::new(
                "the query took too long; ask for less at once",
                None,
            )])
        });
        futures_util::stream::iter([answer]).boxed()
    };
    while let Some(response) = answers.next().await {
        let failed = response.data == async_graphql::Value::Null && !response.errors.is_empty();
        let message = if failed {
            json!({"id": id, "type": "error", "payload": response.errors})
        } else {
            next(&id, &response)
        };
        match send(&mut session, &message).await {
            // An error ends the operation: nothing comes after it.
            Ok(()) if failed => return,
            Ok(()) => {}
            Err(Close(1013, _)) => {
                let _ = stuck.try_send(());
                return;
            }
            Err(Close(..)) => return,
        }
    }
    let _ = send(&mut session, &json!({"id": id, "type": "complete"})).await;
}

impl Connection {
    async fn init(&mut self, payload: Option<&Value>) -> Result<(), Close> {
        if self.viewer.is_some() {
            return Err(close(4429, "Too many initialisation requests"));
        }
        let text = ["authorization", "Authorization", "key"]
            .iter()
            .find_map(|k| payload?.get(*k)?.as_str())
            .unwrap_or_default();
        // The member `key` holds the key alone.
        let secret = bearer_in(text).unwrap_or(text.trim());
        self.secret = Zeroizing::new(secret.to_owned());
        let viewer = self.look().await?;
        let place = self.state.subscribers.take(viewer.principal);
        self.place = Some(place.ok_or_else(|| {
            close(
                1013,
                format!("more than {SUBSCRIBERS_PER_PRINCIPAL_MAX} connections of one principal"),
            )
        })?);
        self.viewer = Some(viewer);
        self.stranger = None;
        self.limit.set(BODY_BYTES_MAX);
        send(&mut self.session, &json!({"type": "connection_ack"})).await
    }

    /// Reads the key's principal and roles as they are now.
    async fn look(&self) -> Result<Viewer, Close> {
        let unavailable = |e: &(dyn std::error::Error + 'static)| {
            close(1011, chain(e).to_string().chars().take(100).collect::<String>())
        };
        let found =
            self.app.bus.directory().reader_of(&self.secret).await.map_err(|e| unavailable(&e))?;
        let Some((principal, known)) = found else {
            return Err(close(4403, "Forbidden: send {\"authorization\": \"Bearer <key>\"}"));
        };
        Ok(Viewer { principal, known })
    }

    /// Ends operations whose rights are gone, because the key or a role was revoked.
    async fn still_may(&mut self) -> Result<(), Close> {
        let Some(known) = &self.viewer else { return Ok(()) };
        let now = self.look().await?;
        if now.known.roles == known.known.roles && now.operator() == known.operator() {
            return Ok(());
        }
        Err(close(
            4403,
            "Forbidden: your roles changed; connect again and go on after the last seq you have",
        ))
    }

    async fn subscribe(&mut self, id: String, operation: Operation) -> Result<(), Close> {
        if self.viewer.is_none() {
            return Err(close(4401, "Unauthorized"));
        }
        self.still_may().await?;
        let Some(viewer) = self.viewer.clone() else { return Err(close(4401, "Unauthorized")) };
        self.operations.retain(|_, handle| !handle.is_finished());
        if self.operations.contains_key(&id) {
            return Err(close(
                4409,
                format!(
                    "Subscriber for {} already exists",
                    id.chars().take(40).collect::<String>()
                ),
            ));
        }
        if self.operations.len() >= GRAPHQL_OPERATIONS_MAX {
            return Err(close(
                1013,
                format!("more than {GRAPHQL_OPERATIONS_MAX} operations on one connection"),
            ));
        }
        if let Err(e) =
            self.app.bus.rates().admit_queries(viewer.principal, viewer.known.rate_profile(), 1)
        {
            let error = json!({"message": chain(&e).to_string(), "extensions": {"code": "RATE_LIMITED",
                "hint": "ask again in a moment"}});
            return send(
                &mut self.session,
                &json!({"type": "error", "id": id, "payload": [error]}),
            )
            .await;
        }
        let mut request = Request::new(operation.query);
        request.operation_name = operation.operation_name;
        if let Some(id) = operation.document_id {
            request.extensions.0.insert("documentId".to_owned(), id.into());
        }
        request.variables =
            Variables::from_json(Value::Object(operation.variables.unwrap_or_default()));
        let task = operate(
            self.state.clone(),
            viewer,
            self.session.clone(),
            id.clone(),
            request,
            self.stuck.clone(),
        );
        self.operations.insert(id, rt::spawn(task));
        Ok(())
    }

    async fn text(&mut self, text: &str) -> Result<(), Close> {
        let message: Message =
            serde_json::from_str(text).map_err(|_| close(4400, "Invalid message received"))?;
        match message {
            Message::ConnectionInit { payload } => self.init(payload.as_ref()).await,
            Message::Ping { payload } => {
                let pong = if let Some(payload) = payload {
                    json!({"type": "pong", "payload": payload})
                } else {
                    json!({"type": "pong"})
                };
                send(&mut self.session, &pong).await
            }
            Message::Pong {} => Ok(()),
            Message::Subscribe { id, .. } | Message::Complete { id } if id.is_empty() => {
                Err(close(4400, "Invalid message received: the id is empty"))
            }
            Message::Subscribe { id, payload } => self.subscribe(id, payload).await,
            Message::Complete { id } => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    async fn run(
        mut self,
        mut messages: actix_ws::AggregatedMessageStream,
        mut stuck: tokio::sync::mpsc::Receiver<()>,
    ) {
        let init_by = tokio::time::Instant::now() + INIT_WAIT;
        let (mut ping, mut look) =
            (tokio::time::interval(PING_EVERY), tokio::time::interval(LOOK_EVERY));
        let why = loop {
            let answered = tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(AggregatedMessage::Text(text))) => self.text(&text).await,
                    Some(Ok(AggregatedMessage::Ping(bytes))) =>
                        in_time(self.session.pong(&bytes)).await,
                    Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
                    Some(Err(_)) if self.limit.is_passed() => Err(close(1009, "Message too big; \
                        `minutebook limits` shows how many bytes one may have")),
                    Some(Ok(AggregatedMessage::Binary(_)) | Err(_)) =>
                        Err(close(4400, "Invalid message received")),
                    Some(Ok(AggregatedMessage::Close(_))) | None => Err(close(1000, "")),
                },
                Some(()) = stuck.recv() => Err(close(1013, "too slow: connect again and go on \
                    after the last seq you have")),
                () = tokio::time::sleep_until(init_by), if self.viewer.is_none() =>
                    Err(close(4408, "Connection initialisation timeout")),
                _ = ping.tick() => in_time(self.session.ping(b"")).await,
                _ = look.tick() => self.still_may().await,
            };
            if let Err(why) = answered {
                break why;
            }
        };
        self.operations.values().for_each(rt::task::JoinHandle::abort);
        let reason = CloseReason { code: CloseCode::from(why.0), description: Some(why.1) };
        // Who does not read does not take this either: the connection ends all the same.
        let _ = tokio::time::timeout(SEND_WAIT, self.session.close(Some(reason))).await;
    }
}

/// Takes a slot for a connection whose principal is not known yet, if its page may connect at all.
fn room(request: &HttpRequest, state: &Shared) -> Result<(OwnedSemaphorePermit, Open), Problem> {
    if !state.hosts.takes_origin(request) {
        return Err(Problem::new(
            403,
            "foreign_origin",
            "a web page from a host that this server does not know opened the connection; if the \
             page is yours, add its host to the setting `hosts`",
        ));
    }
    let full = |_| {
        Problem::new(
            503,
            "too_many_connections",
            "too many connections are open that have not said who they are; try again in a moment",
        )
    };
    let stranger = Arc::clone(&state.strangers).try_acquire_owned().map_err(full)?;
    let open = Open(Arc::clone(&state.connections));
    if open.0.fetch_add(1, Ordering::Relaxed) >= SUBSCRIBERS_MAX {
        return Err(Problem::new(
            503,
            "too_many_connections",
            &format!("{SUBSCRIBERS_MAX} connections are open; try again later"),
        ));
    }
    Ok((stranger, open))
}

fn offers_subprotocol(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all("Sec-WebSocket-Protocol")
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|p| p.trim() == SUBPROTOCOL)
}

/// GET of `/graphql` with an upgrade to a WebSocket.
pub(super) async fn websocket(
    request: HttpRequest,
    state: Shared,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (stranger, open) = room(&request, &state)?;
    let offered = offers_subprotocol(&request);
    let malformed = |e: actix_web::Error| Problem::new(400, "malformed", &e.to_string());
    let limit = MessageLimit::new(INIT_BYTES_MAX);
    let guarded: actix_web::dev::Payload =
        actix_web::dev::Payload::Stream { payload: Box::pin(Guarded::new(body, limit.clone())) };
    let body = web::Payload::from_request(&request, &mut { guarded }).await.map_err(malformed)?;
    let (mut response, session, messages) = actix_ws::handle(&request, body).map_err(malformed)?;
    if offered {
        let value = actix_web::http::header::HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(
            actix_web::http::header::HeaderName::from_static("sec-websocket-protocol"),
            value,
        );
    }
    let messages = messages
        .max_frame_size(BODY_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(BODY_BYTES_MAX);
    let (stuck, when_stuck) = tokio::sync::mpsc::channel(1);
    let connection = Connection {
        app: Arc::clone(&state.app),
        state,
        session: session.clone(),
        viewer: None,
        secret: Zeroizing::default(),
        operations: HashMap::new(),
        limit,
        stranger: Some(stranger),
        place: None,
        stuck,
    };
    rt::spawn(async move {
        let _open = open;
        if offered {
            connection.run(messages, when_stuck).await;
        } else {
            let reason = CloseReason {
                code: CloseCode::from(4406),
                description: Some(
                    "Subprotocol not acceptable: speak graphql-transport-ws".to_owned(),
                ),
            };
            let _ = session.close(Some(reason)).await;
        }
    });
    Ok(response)
}
