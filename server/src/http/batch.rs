//! `POST /v1/businesses/{business}/commands:batch`: up to 500 commands of one business at once. Each
//! is a command of its own, with its key, its rights, its place in the rate limits and its answer.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use commands::{CommandError, Receipt};
use domain::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use event_log::Version;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::door::{Body, Entered, REGISTER, enter};
use super::{Problem, Shared};

/// The JSON body of a batch; other members are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    /// The commands, in the order in which they are decided.
    #[serde(borrow)]
    commands: Vec<&'a RawValue>,
}

/// What a command of a batch has beside the body of a single one, where both are headers.
struct Item {
    key: String,
    if_match: Option<Version>,
    body: Body,
}

impl Item {
    /// Parses a command of a batch: `key` and `if_match`, and the members of [`Body`].
    fn parse(json: &RawValue) -> Result<Self, CommandError> {
        let malformed = |why: String| CommandError::Malformed(why);
        let not_a_command = |e: &dyn std::fmt::Display| malformed(format!("no command: {e}"));
        let json = json.get();
        proof::canonical::gate(json.as_bytes()).map_err(|e| not_a_command(&e))?;
        let mut members: serde_json::Map<String, serde_json::Value> =
            commands::from_json(json.as_bytes()).map_err(|e| not_a_command(&e))?;
        let key = match members.remove("key") {
            Some(serde_json::Value::String(key)) => key,
            Some(_) | None => {
                return Err(malformed(
                    "`key` is missing: every command of a batch has its own idempotency key, a text"
                        .to_owned(),
                ));
            }
        };
        let if_match = members.remove("if_match").filter(|v| !v.is_null());
        let if_match = if_match.map(|v| {
            v.as_u64().map(Version).ok_or_else(|| {
                malformed("`if_match` must be the aggregate's version, a number".to_owned())
            })
        });
        let if_match = if_match.transpose()?;
        let rest = serde_json::to_vec(&members).map_err(|e| malformed(e.to_string()))?;
        let body = commands::from_json(&rest).map_err(|e| not_a_command(&e))?;
        Ok(Self { key, if_match, body })
    }
}

/// The answer to one command of a batch.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The command was accepted, or had been accepted before.
    Receipt(Box<Receipt>),
    /// The command was refused.
    Problem(Problem),
}

#[derive(Serialize)]
struct Answer {
    /// The answers, in the order of the commands.
    results: Vec<Outcome>,
}

fn parse(body: &[u8]) -> Result<Batch<'_>, Problem> {
    let malformed = |why: &str| Problem::new(400, "malformed", &format!("no batch: {why}"));
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|e| malformed(&e.to_string()))?;
    match batch.commands.len() {
        0 => Err(malformed("it has no commands")),
        n if n > BATCH_COMMANDS_MAX => Err(Problem::new(
            413,
            "too_large",
            &format!(
                "the batch has {n} commands, {BATCH_COMMANDS_MAX} are allowed; send less at once"
            ),
        )),
        _ => Ok(batch),
    }
}

/// True if the first command of a batch registers the business.
fn registers(body: &[u8]) -> bool {
    let batch = parse(body).ok();
    let first = batch.and_then(|b| Item::parse(b.commands.first()?).ok());
    first.is_some_and(|item| item.body.r#type == REGISTER)
}

pub(super) async fn batch(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    for (name, of) in [("Idempotency-Key", "key"), (header::IF_MATCH.as_str(), "if_match")] {
        if request.headers().contains_key(name) {
            let why = format!("a batch has no {name} of its own; give each command its `{of}`");
            return Err(Problem::new(400, "malformed", &why));
        }
    }
    let Entered { business, actor, admitted, body } =
        enter(&request, &state, &path, body, BATCH_BYTES_MAX, registers).await?;
    let batch = parse(&body)?;
    // The token that let the request in is that of its first command.
    let mut admitted = Some(admitted);
    let items = batch.commands.into_iter().map(|json| {
        let token = admitted.take();
        let Item { key, if_match, body } = Item::parse(json)?;
        Ok((token, body.into_submission(business, actor.clone(), key, if_match)))
    });
    let results = state.app.submit_batch(items.collect()).await;
    let outcome = |result: Result<Receipt, CommandError>| match result {
        Ok(receipt) => Outcome::Receipt(Box::new(receipt)),
        Err(e) => Outcome::Problem(e.into()),
    };
    Ok(HttpResponse::Ok().json(Answer { results: results.into_iter().map(outcome).collect() }))
}
