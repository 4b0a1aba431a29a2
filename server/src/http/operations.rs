//! Operations besides commands, for operators and owners: import, verify, rebuild, forget.

use actix_web::{HttpRequest, HttpResponse, web};
use commands::{CommandError, Refusal};
use domain::limits::{BODY_BYTES_MAX, IMPORT_RECORD_BYTES_MAX, PROOFS_MAX, SMALL_BODY_BYTES_MAX};
use domain::values::Role;
use domain::{PrincipalId, SubjectId};
use event_log::chain;
use importers::{Import, Settings};
use projections::ViewsError;
use serde::Deserialize;
use serde_json::json;

use super::{Problem, Shared, State, actor, in_path, principal};

pub(super) async fn operator(request: &HttpRequest, state: &State) -> Result<PrincipalId, Problem> {
    let actor = actor(request, state, domain::ids::INSTALLATION).await?;
    if actor.operator { Ok(actor.principal) } else { Err(only_operators()) }
}

pub(super) fn only_operators() -> Problem {
    Problem::new(403, "forbidden", "only operators may do that; use an operator's key")
}

fn room_to_verify(state: &State) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
    let full = |_| {
        Problem::new(
            503,
            "busy",
            &format!(
                "{PROOFS_MAX} streams are being verified or proved at once already; try again in a \
                 moment"
            ),
        )
    };
    state.app.proofs.try_acquire().map_err(full)
}

pub(super) async fn verify(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    operator(&request, &state).await?;
    let _permit = room_to_verify(&state)?;
    let report =
        crate::verify::verify_open(&state.app.log).await.map_err(|e| Problem::unavailable(&e))?;
    Ok(HttpResponse::Ok().json(report))
}

/// Verifies one business's stream, for its owners and auditors and for operators.
pub(super) async fn verify_business(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let caller = principal(&request, &state).await?;
    let hidden = || {
        Problem::new(
            404,
            "not_found",
            "no business has this slug or id, or you have no role in \
            it; check the name, or ask an operator for a role",
        )
    };
    let business = state
        .app
        .business(&path)
        .await
        .map_err(|e| Problem::unavailable(&e))?
        .ok_or_else(hidden)?;
    let viewer = state.app.viewer(caller).await.map_err(|e| Problem::unavailable(&e))?;
    if !viewer.may_see(business) {
        return Err(hidden());
    }
    if !viewer.reads_attempts(business) {
        return Err(Problem::new(
            403,
            "forbidden",
            "only owners, auditors and operators may verify a business; ask the owner for the role \
             auditor",
        ));
    }
    let _permit = room_to_verify(&state)?;
    let report = crate::verify::verify_business(&state.app.log, business)
        .await
        .map_err(|e| Problem::unavailable(&e))?;
    Ok(HttpResponse::Ok().json(report))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebuild {
    name: Option<String>,
}

pub(super) async fn rebuild(
    request: HttpRequest,
    state: Shared,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let operator = operator(&request, &state).await?;
    let body = state.bodies.read(operator, &request, body, SMALL_BODY_BYTES_MAX).await?;
    let Rebuild { name } =
        commands::from_json(&body).map_err(|e| Problem::new(400, "malformed", &e))?;
    state.app.views.rebuild(name).await.map_err(|e| of_views(&e))?;
    Ok(HttpResponse::Accepted().json(json!({"begun": "rebuild"})))
}

pub(super) async fn rollback(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    operator(&request, &state).await?;
    state.app.views.rollback().await.map_err(|e| of_views(&e))?;
    Ok(HttpResponse::Accepted().json(json!({"begun": "rollback"})))
}

pub(super) async fn audit(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    operator(&request, &state).await?;
    state.app.views.audit().await.map_err(|e| of_views(&e))?;
    Ok(HttpResponse::Accepted().json(json!({"begun": "audit"})))
}

fn of_views(e: &ViewsError) -> Problem {
    match e {
        ViewsError::Unknown(_) => Problem::new(404, "not_found", &e.to_string()),
        ViewsError::Busy(_) | ViewsError::NoRollback(_) => {
            Problem::new(409, "conflict", &e.to_string())
        }
        ViewsError::Storage(_)
        | ViewsError::Source(_)
        | ViewsError::Behind { .. }
        | ViewsError::Stopped => Problem::unavailable(e),
    }
}

pub(super) async fn retry(request: HttpRequest, state: Shared) -> Result<HttpResponse, Problem> {
    operator(&request, &state).await?;
    state.app.views.retry().await.map_err(|e| Problem::unavailable(&e))?;
    Ok(HttpResponse::Ok().json(json!({"retried": true})))
}

/// Forgets a data subject, like the command `privacy.forget_subject`.
pub(super) async fn forget(
    request: HttpRequest,
    state: Shared,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    principal(&request, &state).await?;
    let (name, subject) = path.into_inner();
    let subject: SubjectId = in_path("subject", &subject)?;
    let hidden = || Problem::from(CommandError::NotFound(domain::ids::INSTALLATION));
    let business = state
        .app
        .business(&name)
        .await
        .map_err(|e| Problem::unavailable(&e))?
        .ok_or_else(hidden)?;
    let actor = actor(&request, &state, business).await?;
    let key =
        request.headers().get("Idempotency-Key").and_then(|k| k.to_str().ok()).map(str::to_owned);
    let forgot = state.app.forget_subject(business, actor, subject, key).await.map_err(|e| {
        let unknown = matches!(e, CommandError::Refused(Refusal::NothingToForget { .. }));
        if unknown { Problem::new(404, e.name(), &e.to_string()) } else { e.into() }
    })?;
    Ok(HttpResponse::Ok().json(forgot))
}

/// The ids of a principal's working keys, oldest first: for operators, and for the principal
/// itself.
pub(super) async fn keys(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let caller = principal(&request, &state).await?;
    let whose: PrincipalId = in_path("principal", &path)?;
    if caller != whose {
        operator(&request, &state).await?;
    }
    let known =
        state.app.bus.directory().principal(whose).await.map_err(|e| Problem::unavailable(&e))?;
    let known =
        known.ok_or_else(|| Problem::new(404, "not_found", "there is no principal of that id"))?;
    Ok(HttpResponse::Ok()
        .json(json!({"keys": known.keys.iter().map(|(key, _)| *key).collect::<Vec<_>>()})))
}

fn not_an_importer() -> Problem {
    Problem::new(
        403,
        "forbidden",
        "only an operator may import, or an owner into a business that \
        exists already; ask one of them to run the import",
    )
}

/// A record of an import, with the settings of the whole import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportRecord {
    settings: Settings,
    /// The record exactly as the file has it.
    record: String,
}

pub(super) async fn import(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let caller = principal(&request, &state).await?;
    let Some(format) = importers::format_named(&path) else {
        let names: Vec<&str> = importers::FORMATS.iter().map(|format| format.name()).collect();
        return Err(Problem::new(
            404,
            "not_found",
            &format!("there is no import `{path}`; there are {}", names.join(", ")),
        ));
    };
    // Who may import nothing at all sends nothing.
    let viewer = state.app.viewer(caller).await.map_err(|e| Problem::unavailable(&e))?;
    if !viewer.operator() && !viewer.owns_any() {
        return Err(not_an_importer());
    }
    let _own = state.importers.wait(caller, 1).await;
    let _all = state.imports.acquire().await;
    let body =
        state.bodies.read(caller, &request, body, IMPORT_RECORD_BYTES_MAX + BODY_BYTES_MAX).await?;
    let ImportRecord { settings, record } =
        commands::from_json(&body).map_err(|e| Problem::new(400, "malformed", &e))?;
    let existing = state
        .app
        .bus
        .directory()
        .slug(&settings.business)
        .await
        .map_err(|e| Problem::unavailable(&e))?;
    let actor = actor(&request, &state, existing.unwrap_or(domain::ids::INSTALLATION)).await?;
    let owns = existing.is_some() && actor.roles.contains(&Role::Owner);
    if !actor.operator && !owns {
        return Err(not_an_importer());
    }
    if existing.is_none() {
        Import::check(format, record.as_bytes())
            .map_err(|e| Problem::new(422, "broken_record", &e))?;
    }
    let host = state.app.import_host().await.map_err(|e| Problem::unavailable(&e))?;
    let importer = Import::begin(&host, format, &settings, caller)
        .await
        .map_err(|e| Problem::new(422, "import_failed", &chain(&e).to_string()))?;
    let counts = importer
        .record(record.as_bytes())
        .await
        .map_err(|e| Problem::new(422, "broken_record", &e))?;
    Ok(HttpResponse::Ok().json(counts))
}
