//! Those who act on events: how far they are, rewinding and pausing; for operators.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::operations::operator;
use super::{Problem, Shared};
use crate::app::App;

/// What should become of a consumer; with nothing said, it is only asked how all are.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    name: Option<String>,
    rewind: Option<u64>,
    paused: Option<bool>,
}

pub(crate) async fn change_consumer(app: &App, change: Change) -> Result<(), String> {
    let Change { name, rewind, paused } = change;
    let Some(name) = name else {
        return if rewind.is_none() && paused.is_none() { Ok(()) } else { Err("`name` is missing".to_owned()) };
    };
    let end = *app.log.position().borrow();
    let mut found = true;
    if let Some(position) = rewind {
        if position > end {
            return Err(format!("position {position} is beyond the end of the log, which is {end}"));
        }
        found &= app.consumers.rewind(&name, position).await.map_err(|e| e.to_string())?;
    }
    if let Some(paused) = paused {
        found &= app.consumers.pause(&name, paused).await.map_err(|e| e.to_string())?;
    }
    if found { Ok(()) } else { Err(format!("there is no consumer `{name}`; `minutebook consumers status` lists them")) }
}

pub(crate) async fn consumers_status(app: &App) -> Result<Value, event_log::LogError> {
    let mut all = Vec::new();
    for c in app.consumers.list().await? {
        let lag = app.log.lag(c.position).await?;
        all.push(json!({"name": c.name, "position": c.position, "lag": lag, "epoch": c.epoch, "owner": c.owner, "paused": c.paused}));
    }
    Ok(all.into())
}

pub(super) async fn consumers(request: HttpRequest, state: Shared, body: web::Bytes) -> Result<HttpResponse, Problem> {
    operator(&request, &state).await?;
    let change: Change = serde_json::from_slice(&body).map_err(|e| Problem::new(400, "malformed", &e.to_string()))?;
    change_consumer(&state.app, change).await.map_err(|why| Problem::new(422, "no_such_place", &why))?;
    Ok(HttpResponse::Ok().json(consumers_status(&state.app).await.map_err(|e| Problem::unavailable(&e))?))
}
