//! Questions and single commands: `query`, `do`, `replay`, `verify`, `projections`.

use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use domain::ids::INSTALLATION;
use event_log::{Seq, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use super::target::{Target, blocking, by};
use crate::app::{App, AppError};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum Projections {
    /// Show how far each projection has followed the log, and where it stopped.
    Status,
    /// Rebuild one projection, or all, from the log beside the current views, then switch queries
    /// to the rebuilt views.
    Rebuild {
        /// Name of the projection; all when left out.
        name: Option<String>,
    },
    /// Switch queries back to the views from before the last rebuild.
    Rollback,
    /// Rebuild all projections from the log, compare them with the current views, then discard the
    /// rebuilt ones.
    Audit,
    /// Retry every business in which a projection stopped.
    Retry,
    /// Make a projection skip the event at which it stopped in one business; the log records who
    /// skipped it and why.
    Skip {
        /// Name of the projection.
        name: String,
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// Reason for skipping the event; the log keeps it.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn query(
    target: Target,
    graphql: &str,
    variables: Option<&str>,
) -> Result<ExitCode, AppError> {
    let variables = variables
        .map(serde_json::from_str)
        .transpose()
        .map_err(|e| AppError::caused("--variables", e))?
        .unwrap_or(json!({}));
    let answer = target.query(graphql, variables).await;
    target.close().await;
    let answer = answer?;
    output::json(&answer);
    Ok(ExitCode::from(u8::from(answer.get("errors").is_some())))
}

pub(crate) async fn submit(
    target: Target,
    command: &str,
    business: Option<&str>,
    key: Option<String>,
    if_match: Option<u64>,
) -> Result<(), AppError> {
    let receipt = send(
        &target,
        command,
        business,
        key.unwrap_or_else(|| Uuid::now_v7().to_string()),
        if_match,
    )
    .await;
    target.close().await;
    output::json(&receipt?);
    Ok(())
}

/// Sends a command and returns its receipt.
pub(super) async fn send(
    target: &Target,
    command: &str,
    business: Option<&str>,
    key: String,
    if_match: Option<u64>,
) -> Result<Value, AppError> {
    match target {
        Target::Remote(remote) => {
            let path = business.map_or_else(
                || "/v1/commands".to_owned(),
                |b| format!("/v1/businesses/{b}/commands"),
            );
            let body: Box<serde_json::value::RawValue> = serde_json::from_str(command)
                .map_err(|e| AppError::caused("the command is no JSON", e))?;
            let (remote, version) = (remote.clone(), if_match.map(|v| format!("\"{v}\"")));
            blocking(move || {
                let mut headers = vec![("Idempotency-Key", key.as_str())];
                headers.extend(version.as_deref().map(|v| ("If-Match", v)));
                remote.post(&path, &body, &headers)
            })
            .await
        }
        Target::Local(app) => {
            let business = match business {
                Some(name) => app.business(name).await?.ok_or_else(|| {
                    AppError::other(format!(
                        "there is no business `{name}`; \
                        `minutebook query '{{ businesses {{ nodes {{ slug }} }} }}'` lists them"
                    ))
                }),
                None => Ok(INSTALLATION),
            };
            match business {
                Err(e) => Err(e),
                Ok(business) => {
                    let body = crate::http::CommandBody::parse(command.as_bytes())
                        .map_err(|e| AppError::caused("no command", e))?;
                    let actor = app.operator_in(business).await?;
                    let receipt = app
                        .submit(body.into_submission(business, actor, key, if_match.map(Version)))
                        .await;
                    receipt
                        .map_err(|e| AppError::caused(e.name(), e))
                        .and_then(|r| serde_json::to_value(r).map_err(AppError::other))
                }
            }
        }
    }
}

pub(crate) async fn replay(target: Target, business: &str, from: u64) -> Result<(), AppError> {
    let result = match &target {
        Target::Local(app) => replay_local(app, business, from).await,
        Target::Remote(_) => replay_remote(&target, business, from).await,
    };
    target.close().await;
    result
}

fn print_event(seq: &Value, stored: &str) -> Result<(), AppError> {
    let stored: Value = serde_json::from_str(stored).map_err(AppError::other)?;
    output::line(json!({"seq": seq, "event": stored}));
    Ok(())
}

async fn replay_local(app: &crate::app::App, business: &str, from: u64) -> Result<(), AppError> {
    let id = app
        .business(business)
        .await?
        .ok_or_else(|| AppError::other(format!("there is no business `{business}`")))?;
    let mut after = Seq(from).previous();
    loop {
        let events = app.log.read_business(id, after, 500).await?;
        for recorded in &events {
            print_event(
                &recorded.seq.0.into(),
                std::str::from_utf8(&recorded.bytes).map_err(AppError::other)?,
            )?;
            after = recorded.seq;
        }
        if events.is_empty() {
            return Ok(());
        }
    }
}

async fn replay_remote(target: &Target, business: &str, from: u64) -> Result<(), AppError> {
    let (by, ty) = by(business);
    let query = format!(
        "query($b: {ty}, $after: String) {{ business({by}: $b) {{ events(first: 200, after: \
         $after) {{ pageInfo {{ hasNextPage endCursor }} nodes {{ seq stored }} }} }} }}"
    );
    let mut after =
        Value::String(URL_SAFE_NO_PAD.encode(format!("events:{}", from.saturating_sub(1))));
    loop {
        let answer = target.query(&query, json!({"b": business, "after": after})).await?;
        let events = answer.pointer("/data/business/events").ok_or_else(|| {
            AppError::other(format!(
                "no business has the slug or id `{business}`, or you have no role in it"
            ))
        })?;
        for node in events.pointer("/nodes").and_then(Value::as_array).into_iter().flatten() {
            let (seq, stored) = (
                node.get("seq").cloned().unwrap_or_default(),
                node.get("stored").and_then(Value::as_str).unwrap_or_default(),
            );
            print_event(&seq, stored)?;
        }
        if events.pointer("/pageInfo/hasNextPage") != Some(&Value::Bool(true)) {
            return Ok(());
        }
        after = events.pointer("/pageInfo/endCursor").cloned().unwrap_or_default();
    }
}

async fn verified_here(app: &App, business: Option<&str>) -> Result<Value, AppError> {
    let report = match business {
        Some(name) => {
            let business = app
                .business(name)
                .await?
                .ok_or_else(|| AppError::other(format!("there is no business `{name}`")))?;
            crate::verify::verify_business(&app.log, business).await?
        }
        None => crate::verify::verify_open(&app.log).await?,
    };
    serde_json::to_value(report).map_err(AppError::other)
}

pub(crate) async fn verify(
    target: Target,
    business: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, AppError> {
    let report = match &target {
        Target::Local(app) => verified_here(app, business).await,
        Target::Remote(remote) => {
            let path = business.map_or_else(
                || "/v1/verification".to_owned(),
                |b| format!("/v1/businesses/{b}/verification"),
            );
            let remote = remote.clone();
            blocking(move || remote.post(&path, &json!({}), &[])).await
        }
    };
    target.close().await;
    let report = report?;
    if as_json {
        output::json(&report);
    } else {
        for business in report.get("businesses").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| {
                business
                    .get(name)
                    .map(|v| v.to_string().trim_matches('"').to_owned())
                    .unwrap_or_default()
            };
            output::line(format!(
                "business {}  {:>8} events  root {}",
                text("business"),
                text("events"),
                text("root")
            ));
        }
    }
    match report.get("fault").filter(|f| !f.is_null()) {
        None => {
            output::note(format!(
                "verified: {} events, every tree and version chain is whole",
                report.get("events").cloned().unwrap_or_default()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Some(fault) => {
            let text = |name: &str| {
                fault
                    .get(name)
                    .map(|v| v.to_string().trim_matches('"').to_owned())
                    .unwrap_or_default()
            };
            let place = format!(
                "business {} seq {} event {} position {}",
                text("business"),
                text("seq"),
                text("event_id"),
                text("position")
            );
            output::note(format!("FAULT at {place}: {}", text("why")));
            Ok(ExitCode::from(3))
        }
    }
}

pub(crate) async fn projections(target: Target, verb: Projections) -> Result<(), AppError> {
    let result = match verb {
        Projections::Status => status(&target).await,
        Projections::Rebuild { name } => beside(&target, "rebuild", name).await,
        Projections::Rollback => beside(&target, "rollback", None).await,
        Projections::Audit => beside(&target, "audit", None).await,
        Projections::Retry => retry(&target).await,
        Projections::Skip { name, business, reason } => {
            skip(&target, &name, &business, &reason).await
        }
    };
    target.close().await;
    result
}

async fn status(target: &Target) -> Result<(), AppError> {
    let answer = target
        .query(
            "{ projections { name version position lag failures { businessId seq error } } }",
            json!({}),
        )
        .await?;
    output::json(answer.pointer("/data/projections").unwrap_or(&answer));
    Ok(())
}

async fn retry(target: &Target) -> Result<(), AppError> {
    match target {
        Target::Local(app) => app.views.retry().await?,
        Target::Remote(remote) => {
            let remote = remote.clone();
            blocking(move || remote.post("/v1/projections/retry", &json!({}), &[])).await?;
        }
    }
    status(target).await
}

async fn skip(target: &Target, name: &str, business: &str, reason: &str) -> Result<(), AppError> {
    let (by, ty) = by(business);
    let query = format!(
        "query($b: {ty}) {{ business({by}: $b) {{ id }} projections {{ name failures {{ \
         businessId seq }} }} }}"
    );
    let answer = target.query(&query, json!({"b": business})).await?;
    let id = answer
        .pointer("/data/business/id")
        .cloned()
        .ok_or_else(|| AppError::other(format!("there is no business `{business}`")))?;
    let all =
        answer.pointer("/data/projections").and_then(Value::as_array).cloned().unwrap_or_default();
    let failures = all
        .iter()
        .filter(|p| p.get("name").and_then(Value::as_str) == Some(name))
        .filter_map(|p| p.get("failures")?.as_array())
        .flatten();
    let seq =
        failures.filter(|f| f.get("businessId") == Some(&id)).find_map(|f| f.get("seq")?.as_u64());
    let seq = seq.ok_or_else(|| {
        AppError::other(format!(
            "the projection `{name}` did not stop at that \
            business; `minutebook projections status` shows where it did"
        ))
    })?;
    let command = json!({"type": "operations.skip_event", "data": {"projection": name,
        "business": id, "seq": seq, "reason": reason}});
    let receipt =
        send(target, &command.to_string(), None, format!("skip:{name}:{id}:{seq}"), None).await?;
    output::json(&receipt);
    Ok(())
}

/// Begins a shadow build, and prints its progress until it ends.
async fn beside(target: &Target, what: &'static str, name: Option<String>) -> Result<(), AppError> {
    match target {
        Target::Local(app) => match what {
            "rebuild" => app.views.rebuild(name).await?,
            "rollback" => app.views.rollback().await?,
            _ => app.views.audit().await?,
        },
        Target::Remote(remote) => {
            let (remote, body) =
                (remote.clone(), if what == "rebuild" { json!({"name": name}) } else { json!({}) });
            blocking(move || remote.post(&format!("/v1/projections/{what}"), &body, &[])).await?;
        }
    }
    let query = "{ views { verifiedPosition previousKept building { position of } last { purpose \
        position differed failed } } }";
    let views = loop {
        let answer = target.query(query, json!({})).await?;
        let views = answer
            .pointer("/data/views")
            .cloned()
            .ok_or_else(|| AppError::other(format!("the views can't be asked: {answer}")))?;
        let Some(building) = views.get("building").filter(|b| b.is_object()) else { break views };
        let number = |name: &str| building.get(name).cloned().unwrap_or_default();
        output::progress(format!("{} of {}", number("position"), number("of")));
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    output::progress_end();
    if let Some(why) = views.pointer("/last/failed").and_then(Value::as_str) {
        return Err(AppError::other(format!("the {what} was given up: {why}")));
    }
    output::json(&views);
    Ok(())
}
