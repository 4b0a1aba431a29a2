//! Errors of the HTTP listener: RFC 9457 problem details.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use commands::CommandError;
use event_log::chain;
use serde::Serialize;

/// A problem as the response body has it.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// `urn:minutebook:problem:<name>`.
    pub r#type: String,
    /// Name of the problem, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// Seconds after which a retry makes sense, sent as the header `Retry-After`; `None` = not
    /// stated.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// Makes a problem from its status, name and detail.
    #[must_use]
    pub fn new(status: u16, name: &str, detail: &str) -> Self {
        Self {
            r#type: format!("urn:minutebook:problem:{name}"),
            title: name.replace('_', " "),
            status,
            detail: detail.to_owned(),
            retry_after: (status == 503).then_some(1),
        }
    }

    pub(crate) fn unavailable(e: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(503, "unavailable", &chain(e).to_string())
    }

    pub(crate) fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    fn error_response(&self) -> HttpResponse {
        self.respond()
    }
}

/// Longest delay of a 429 response, in milliseconds. It costs nothing here, and a client that
/// retries at once does so less often.
const TOLD_LATE_MS_MAX: u64 = 200;

/// Returns what was admitted; a refusal for too many requests is delayed.
pub(super) async fn let_in<T>(admitted: Result<T, CommandError>) -> Result<T, Problem> {
    if let Err(CommandError::RateLimited { retry_after_ms, .. }) = &admitted {
        tokio::time::sleep(Duration::from_millis(TOLD_LATE_MS_MAX.min(*retry_after_ms))).await;
    }
    Ok(admitted?)
}

impl From<CommandError> for Problem {
    fn from(e: CommandError) -> Self {
        let status = match &e {
            CommandError::Malformed(_) => 400,
            CommandError::NotFound(_) => 404,
            CommandError::Forbidden { .. } => 403,
            CommandError::Refused(_) | CommandError::KeyReused(_) => 422,
            CommandError::PreconditionFailed { .. } => 412,
            CommandError::Conflict { .. } => 409,
            CommandError::TooLarge(_) => 413,
            CommandError::RateLimited { .. } => 429,
            CommandError::Busy
            | CommandError::ClockInDoubt(_)
            | CommandError::OutcomeUnknown
            | CommandError::Unavailable(_) => 503,
        };
        let problem = Self::new(status, e.name(), &chain(&e).to_string());
        let CommandError::RateLimited { retry_after_ms, .. } = e else { return problem };
        Self { retry_after: Some(retry_after_ms.div_ceil(1_000)), ..problem }
    }
}
