//! Consumers for operators: their checkpoints, rewinding and pausing.

use actix_web::{HttpRequest, HttpResponse, web};
use domain::limits::SMALL_BODY_BYTES_MAX;
use event_log::{LogError, Position};
use serde::Deserialize;
use serde_json::{Value, json};

use super::operations::operator;
use super::{Problem, Shared};
use crate::app::App;

/// The change that is asked for; without one, the request only lists all consumers.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerChange {
    name: Option<String>,
    rewind: Option<u64>,
    paused: Option<bool>,
}

/// Why a consumer was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The request makes no sense; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The store of the checkpoints failed.
    #[error(transparent)]
    Store(#[from] LogError),
}

pub(crate) async fn change_consumer(app: &App, change: ConsumerChange) -> Result<(), ChangeError> {
    let ConsumerChange { name, rewind, paused } = change;
    let Some(name) = name else {
        return if rewind.is_none() && paused.is_none() {
            Ok(())
        } else {
            Err(ChangeError::Refused("`name` is missing".to_owned()))
        };
    };
    let mut found = true;
    if let Some(position) = rewind.map(Position) {
        check_place(app, position).await?;
        found &= app.consumers.rewind(&name, position).await?;
    }
    if let Some(paused) = paused {
        found &= app.consumers.pause(&name, paused).await?;
    }
    if found {
        Ok(())
    } else {
        Err(ChangeError::Refused(format!(
            "there is no consumer `{name}`; `minutebook consumers status` lists them"
        )))
    }
}

/// Checks that a position is 0 or that of an event; one from before a copy to another store is not.
async fn check_place(app: &App, position: Position) -> Result<(), ChangeError> {
    if app.log.is_place(position).await? {
        return Ok(());
    }
    let end = app.log.end();
    Err(ChangeError::Refused(if position > end {
        format!("position {position} is beyond the end of the log, which is {end}")
    } else {
        format!(
            "no event has the position {position}, which may date from before the log was moved to \
             another store; look up in the feed the last event that the consumer shall not handle \
             again, and send its `mbposition`"
        )
    }))
}

pub(crate) async fn consumers_status(app: &App) -> Result<Value, LogError> {
    let mut all = Vec::new();
    for c in app.consumers.list().await? {
        let lag = app.log.lag(c.position).await?;
        all.push(json!({"name": c.name, "position": c.position, "lag": lag, "epoch": c.epoch,
            "owner": c.owner, "paused": c.paused}));
    }
    Ok(all.into())
}

pub(super) async fn consumers(
    request: HttpRequest,
    state: Shared,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let operator = operator(&request, &state).await?;
    let body = state.bodies.read(operator, &request, body, SMALL_BODY_BYTES_MAX).await?;
    let change: ConsumerChange =
        commands::from_json(&body).map_err(|e| Problem::new(400, "malformed", &e))?;
    change_consumer(&state.app, change).await.map_err(|e| match e {
        ChangeError::Refused(why) => Problem::new(422, "no_such_place", &why),
        ChangeError::Store(e) => Problem::unavailable(&e),
    })?;
    Ok(HttpResponse::Ok()
        .json(consumers_status(&state.app).await.map_err(|e| Problem::unavailable(&e))?))
}
