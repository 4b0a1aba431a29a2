//! `POST /v1/businesses/{business}/commands` for commands declared `of Business`, `POST
//! /v1/commands` for those `of Installation`; `commands::authorize` refuses one that was sent to
//! the other door.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use commands::{Actor, Admitted, Submission};
use domain::ids::{ApprovalId, EventId, INSTALLATION};
use domain::limits::BODY_BYTES_MAX;
use domain::{BusinessId, PrincipalId, Timestamp};
use event_log::Version;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::problem::let_in;
use super::{Problem, Shared, State, actor, body, principal};

/// The command that may be sent to a business that is not there yet.
const REGISTER: &str = "businesses.register";

/// The JSON body of a command; other members are refused. `key` and `if_match` are members only in
/// a batch: a single command has headers for them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) r#type: String,
    pub(crate) id: Option<Uuid>,
    pub(crate) data: Box<RawValue>,
    pub(crate) approval_id: Option<ApprovalId>,
    pub(crate) on_behalf_of: Option<PrincipalId>,
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) causation: Option<EventId>,
    pub(crate) correlation: Option<Uuid>,
    pub(crate) key: Option<String>,
    pub(crate) if_match: Option<u64>,
}

impl Body {
    /// Parses the body of a single command: checks that it is I-JSON, then reads its members.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let body = Self::parse_in_batch(json)?;
        match (&body.key, body.if_match) {
            (None, None) => Ok(body),
            (Some(_), _) => Err("`key` is the header Idempotency-Key here".to_owned()),
            (None, Some(_)) => Err("`if_match` is the header If-Match here".to_owned()),
        }
    }

    /// The same for a command of a batch.
    pub(crate) fn parse_in_batch(json: &[u8]) -> Result<Self, String> {
        proof::canonical::gate(json).map_err(|e| e.to_string())?;
        commands::from_json(json)
    }

    pub(crate) fn into_submission(
        self,
        business: BusinessId,
        actor: commands::Actor,
        key: String,
        if_match: Option<Version>,
    ) -> Submission {
        let Self {
            r#type,
            id,
            data,
            approval_id,
            on_behalf_of,
            occurred_at,
            causation,
            correlation,
            key: _,
            if_match: _,
        } = self;
        Submission {
            business,
            actor,
            key,
            r#type,
            id,
            data,
            approval_id,
            on_behalf_of,
            occurred_at,
            causation,
            correlation,
            if_match,
        }
    }
}

fn if_match(request: &HttpRequest) -> Result<Option<Version>, Problem> {
    let Some(value) = request.headers().get(header::IF_MATCH) else { return Ok(None) };
    let version =
        value.to_str().ok().and_then(|v| v.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.map(|version| Some(Version(version))).ok_or_else(|| {
        Problem::new(
            400,
            "malformed",
            "If-Match must be the aggregate's version in quotes, such as \"3\"",
        )
    })
}

async fn admit(
    state: &State,
    actor: &Actor,
    business: BusinessId,
    body: &mut web::Payload,
) -> Result<Admitted, Problem> {
    let admitted = let_in(state.app.bus.rates().admit(actor, business)).await;
    if admitted.is_err() {
        body::drain(body).await;
    }
    admitted
}

/// The sender once more, when the body is read: a slow body keeps no revoked key and no role that
/// was taken away alive.
async fn after_body(
    request: &HttpRequest,
    state: &State,
    business: BusinessId,
) -> Result<Actor, Problem> {
    actor(request, state, business).await
}

/// A request to a business, from a sender who may send one.
pub(super) struct Entered {
    pub(super) business: BusinessId,
    pub(super) actor: Actor,
    pub(super) admitted: Admitted,
    pub(super) body: web::Bytes,
}

/// Reads a request to a business: says who sends it, and whether the business is there for them.
/// `registers` says whether a body registers the business.
pub(super) async fn enter(
    request: &HttpRequest,
    state: &State,
    path: &str,
    mut body: web::Payload,
    bytes_max: usize,
    registers: fn(&[u8]) -> bool,
) -> Result<Entered, Problem> {
    // Without a working API key the answer is 401 before the slug is looked up. Without a role a
    // business that exists is answered, to the byte, as one that does not: rate limits and the
    // body's limit come first for both.
    principal(request, state).await?;
    let hidden = || Problem::from(commands::CommandError::NotFound(INSTALLATION));
    let found = state.app.business(path).await.map_err(|e| Problem::unavailable(&e))?;
    let found = found.filter(|b| *b != INSTALLATION);
    let business = found.unwrap_or(INSTALLATION);
    let actor = actor(request, state, business).await?;
    let admitted = admit(state, &actor, business, &mut body).await?;
    let body = state.bodies.read(actor.principal, request, body, bytes_max).await?;
    let actor = after_body(request, state, business).await?;
    // Whoever opens a business has no role in it yet, and names it by the id that it shall have.
    let by_id = path.parse::<BusinessId>().is_ok();
    let may_send = actor.may_see() || (by_id && registers(&body));
    if found.is_none() || !may_send {
        return Err(hidden());
    }
    Ok(Entered { business, actor, admitted, body })
}

pub(super) async fn business(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let registers = |body: &[u8]| Body::parse(body).is_ok_and(|b| b.r#type == REGISTER);
    let Entered { business, actor, admitted, body } =
        enter(&request, &state, &path, body, BODY_BYTES_MAX, registers).await?;
    submit(&request, &state, business, actor, admitted, &body).await
}

pub(super) async fn installation(
    request: HttpRequest,
    state: Shared,
    mut body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let actor = actor(&request, &state, INSTALLATION).await?;
    let admitted = admit(&state, &actor, INSTALLATION, &mut body).await?;
    let body = state.bodies.read(actor.principal, &request, body, BODY_BYTES_MAX).await?;
    let actor = after_body(&request, &state, INSTALLATION).await?;
    submit(&request, &state, INSTALLATION, actor, admitted, &body).await
}

async fn submit(
    request: &HttpRequest,
    state: &State,
    business: BusinessId,
    actor: Actor,
    admitted: Admitted,
    body: &[u8],
) -> Result<HttpResponse, Problem> {
    let key =
        request.headers().get("Idempotency-Key").and_then(|k| k.to_str().ok()).map(str::to_owned);
    let key = key.ok_or_else(|| {
        Problem::new(
            428,
            "idempotency_key_required",
            "every command needs the header Idempotency-Key; choose a new key for each new \
             command, and repeat a command under its first key to get the same receipt",
        )
    })?;
    fail::fail_point!("door");
    let if_match = if_match(request)?;
    let body = Body::parse(body)
        .map_err(|e| Problem::new(400, "malformed", &format!("no command: {e}")))?;
    let receipt = state
        .app
        .submit_admitted(admitted, body.into_submission(business, actor, key, if_match))
        .await?;
    Ok(HttpResponse::Ok().json(receipt))
}
