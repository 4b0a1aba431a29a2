//! `POST /v1/businesses/{business}/commands:batch`: up to 500 commands of one business at once.
//! Each
//! is a command of its own, with its key, its rights, its place in the rate limits and its answer.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use commands::{Actor, BatchItem, CommandError, Receipt, Submission};
use domain::BusinessId;
use domain::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, COMMAND_MS_MAX};
use event_log::Version;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::door::{Body, Entered, enter};
use super::{Problem, Shared};

/// The JSON body of a batch; other members are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    /// The commands, in the order in which they are decided.
    #[serde(borrow)]
    commands: Commands<'a>,
}

/// The commands of a batch, and how many there are: those beyond the limit are only counted.
#[derive(Default)]
struct Commands<'a> {
    kept: Vec<&'a RawValue>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Commands<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Count<'a> {
            type Value = Commands<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of commands")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                let mut commands = Commands::default();
                while commands.kept.len() < BATCH_COMMANDS_MAX
                    && let Some(command) = all.next_element()?
                {
                    commands.kept.push(command);
                }
                commands.count = commands.kept.len();
                while all.next_element::<IgnoredAny>()?.is_some() {
                    commands.count += 1;
                }
                Ok(commands)
            }
        }
        deserializer.deserialize_seq(Count(PhantomData))
    }
}

/// Makes the submission of a command of a batch.
fn submission(
    json: &RawValue,
    business: BusinessId,
    actor: Actor,
) -> Result<Submission, CommandError> {
    let mut body = Body::parse_in_batch(json.get().as_bytes())
        .map_err(|e| CommandError::Malformed(format!("no command: {e}")))?;
    let Some(key) = body.key.take() else {
        return Err(CommandError::Malformed(
            "`key` is missing: every command of a batch has its own idempotency key".to_owned(),
        ));
    };
    let if_match = body.if_match.map(Version);
    Ok(body.into_submission(business, actor, key, if_match))
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

fn parse(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let malformed = |why: &str| Problem::new(400, "malformed", &format!("no batch: {why}"));
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|e| malformed(&e.to_string()))?;
    match batch.commands.count {
        0 => Err(malformed("it has no commands")),
        n if n > BATCH_COMMANDS_MAX => Err(Problem::new(
            413,
            "too_large",
            &format!(
                "the batch has {n} commands, {BATCH_COMMANDS_MAX} are allowed; send less at once"
            ),
        )),
        _ => Ok(batch.commands.kept),
    }
}

pub(super) async fn batch(
    request: HttpRequest,
    state: Shared,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    // A batch is for a business that is there: none registers it.
    let Entered { business, actor, admitted, body } =
        enter(&request, &state, &path, body, BATCH_BYTES_MAX, |_| false).await?;
    for (name, of) in [("Idempotency-Key", "key"), (header::IF_MATCH.as_str(), "if_match")] {
        if request.headers().contains_key(name) {
            let why = format!("a batch has no {name} of its own; give each command its `{of}`");
            return Err(Problem::new(400, "malformed", &why));
        }
    }
    let (commands, began) = (parse(&body)?, Instant::now());
    let items = commands.into_iter().map(|json| {
        let actor = actor.clone();
        Box::new(move || {
            // Rights that were taken away meanwhile are not used for long.
            if began.elapsed() > Duration::from_millis(COMMAND_MS_MAX) {
                return Err(CommandError::Busy);
            }
            submission(json, business, actor)
        }) as BatchItem<'_>
    });
    let items = items.collect();
    let results = state.app.submit_batch(&actor, business, Some(admitted), items).await;
    let outcome = |result: Result<Receipt, CommandError>| match result {
        Ok(receipt) => Outcome::Receipt(Box::new(receipt)),
        Err(e) => Outcome::Problem(e.into()),
    };
    Ok(HttpResponse::Ok().json(Answer { results: results.into_iter().map(outcome).collect() }))
}
