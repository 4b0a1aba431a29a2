//! The sender of a request: the Bearer key, its principal, and what the principal may see or do.

use super::State;
use super::problem::Problem;
use actix_web::HttpRequest;
use actix_web::error::QueryPayloadError;
use actix_web::http::header;
use commands::Actor;
use domain::{BusinessId, PrincipalId};
use read_api::Viewer;

/// The key in `Authorization`; the scheme's case does not matter (RFC 9110, section 11.1).
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    bearer_in(request.headers().get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The key in credentials of the scheme Bearer; `None` for another scheme or none.
pub(super) fn bearer_in(credentials: &str) -> Option<&str> {
    let (scheme, secret) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| secret.trim())
}

pub(super) fn unauthenticated() -> Problem {
    Problem::new(
        401,
        "unauthenticated",
        "send `Authorization: Bearer <key>` with a working API key",
    )
}

/// The principal whose key is in `Authorization: Bearer`.
pub(crate) async fn principal(
    request: &HttpRequest,
    state: &State,
) -> Result<PrincipalId, Problem> {
    let secret = bearer(request).ok_or_else(unauthenticated)?;
    let found = state
        .app
        .bus
        .directory()
        .principal_of(secret)
        .await
        .map_err(|e| Problem::unavailable(&e))?;
    found.ok_or_else(unauthenticated)
}

/// The principal as a reader of the views; while the store is silent, as it was known a moment ago.
pub(crate) async fn reader(request: &HttpRequest, state: &State) -> Result<Viewer, Problem> {
    let secret = bearer(request).ok_or_else(unauthenticated)?;
    let found =
        state.app.bus.directory().reader_of(secret).await.map_err(|e| Problem::unavailable(&e))?;
    found.map(|(principal, known)| Viewer { principal, known }).ok_or_else(unauthenticated)
}

/// The sender as an actor in a business.
pub(crate) async fn actor(
    request: &HttpRequest,
    state: &State,
    business: BusinessId,
) -> Result<Actor, Problem> {
    let principal = principal(request, state).await?;
    let found = state
        .app
        .bus
        .directory()
        .actor(principal, business)
        .await
        .map_err(|e| Problem::unavailable(&e))?;
    found.ok_or_else(|| Problem::new(401, "unauthenticated", "the principal of this key is gone"))
}

/// Parses the query string, once the sender is known.
pub(super) fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let read = actix_web::web::Query::<T>::from_query(request.query_string());
    read.map(actix_web::web::Query::into_inner).map_err(|e| {
        let why = match e {
            QueryPayloadError::Deserialize(e) => e.to_string(),
            other => other.to_string(),
        };
        Problem::new(400, "malformed", &format!("the address's query: {why}"))
    })
}

/// Parses an id in the path, once the sender is known.
pub(super) fn in_path<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| {
        Problem::new(400, "malformed", &format!("`{field}` in the address must be a UUID: {e}"))
    })
}
