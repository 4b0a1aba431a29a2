//! The HTTP client with which a command line uses a running server.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::app::AppError;
use crate::secret::Secret;

/// A server, and the API key to use with it.
#[derive(Clone)]
pub(crate) struct Remote {
    agent: ureq::Agent,
    url: String,
    key: Secret,
}

impl Remote {
    pub(crate) fn new(url: &str, key: Secret) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(600)))
            .build();
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), key }
    }

    /// Posts JSON; any status but 2xx becomes an error with the server's own sentence.
    pub(crate) fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        headers: &[(&str, &str)],
    ) -> Result<Value, AppError> {
        let body = serde_json::to_string(body).map_err(AppError::other)?;
        let mut request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.key.reveal()));
        request = request.header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.send(body))
    }

    /// The API key that requests carry.
    pub(crate) fn key(&self) -> &Secret {
        &self.key
    }

    /// The same server with another API key.
    pub(crate) fn with(&self, key: Secret) -> Self {
        Self { key, ..self.clone() }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, AppError> {
        let request = self
            .agent
            .get(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.key.reveal()));
        self.answer(request.call())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, AppError> {
        let request = self
            .agent
            .delete(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.key.reveal()));
        self.answer(request.call())
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, AppError> {
        let mut response = answer.map_err(|e| {
            AppError::caused(
                format!("{} does not answer; is `minutebook serve` running there?", self.url),
                e,
            )
        })?;
        let text = response
            .body_mut()
            .with_config()
            .limit(256 << 20)
            .read_to_string()
            .map_err(AppError::other)?;
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if response.status().is_success() {
            return Ok(value);
        }
        let detail = value
            .get("detail")
            .and_then(Value::as_str)
            .map_or_else(|| value.to_string(), str::to_owned);
        let name = value
            .get("type")
            .and_then(Value::as_str)
            .and_then(|t| t.rsplit(':').next())
            .unwrap_or("error");
        Err(AppError::Refused { status: response.status().as_u16(), name: name.to_owned(), detail })
    }
}
