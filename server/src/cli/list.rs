//! The commands that may be sent: `minutebook do --list`.

use commands::{AnyCommand, CommandType, Sender, Stream, Verb};
use domain::ids::INSTALLATION;
use serde_json::{Map, Value, json};

use crate::app::AppError;
use crate::output;

/// Prints every command with its sentence, or a single one with all that its sender needs.
///
/// # Errors
/// If there is no such command; the sentence names the nearest one.
pub(super) fn list(name: Option<&str>) -> Result<(), AppError> {
    let Some(name) = name else {
        let width = AnyCommand::types().map(|c| c.name.len()).max().unwrap_or(0);
        for command in AnyCommand::types().filter(|c| !c.from.is_empty()) {
            output::line(format!("{:width$}  {}", command.name, command.sentence.trim()));
        }
        output::note(
            "`minutebook do --list TYPE` shows one of them: who may send it, its fields, and an \
             example",
        );
        return Ok(());
    };
    let command = AnyCommand::known(name).map_err(AppError::other)?;
    output::line(serde_json::to_string_pretty(&shown(command)).map_err(AppError::other)?);
    Ok(())
}

/// A command as its sender sees it: its sentence, who may send it and where to, the JSON Schema of
/// its `data` as it is sent (texts are strings), and an example that can be sent once ids of one's
/// own are put in.
#[must_use]
pub fn shown(command: &CommandType) -> Value {
    let schema = domain::personal::as_sent(|| (command.json_schema)()).to_value();
    let senders: Vec<&str> = command.from.iter().map(|sender| sender_name(*sender)).collect();
    let door = match command.stream {
        Stream::Installation => "POST /v1/commands",
        Stream::Business => "POST /v1/businesses/{business}/commands",
    };
    let data = sample(&schema, &schema);
    let needs_id = command.verb == Verb::acts && !has_one_target(command, &data);
    let mut example = Map::new();
    example.insert("type".to_owned(), command.name.into());
    example.extend(needs_id.then(|| ("id".to_owned(), SOME_ID.into())));
    example.insert("data".to_owned(), data);
    json!({
        "type": command.name,
        "sentence": command.sentence.trim(),
        "sent_by": senders,
        "sent_to": door,
        "aggregate": {"kind": command.kind, "must": must(command.verb, needs_id)},
        "data": schema,
        "example": example,
    })
}

fn sender_name(sender: Sender) -> &'static str {
    match sender {
        Sender::Owner => "owner",
        Sender::Member => "member",
        Sender::Approver => "approver",
        Sender::Auditor => "auditor",
        Sender::Agent => "agent",
        Sender::Service => "service",
        Sender::Operator => "operator",
        Sender::AnyHuman => "any human",
    }
}

/// True if the command's target follows from the business or from its data, so that the sender need
/// not give an `id`.
fn has_one_target(command: &CommandType, data: &Value) -> bool {
    let parsed = serde_json::value::to_raw_value(data)
        .ok()
        .and_then(|data| AnyCommand::parse(command.name, &data).ok());
    parsed.is_some_and(|parsed| parsed.derived_target(INSTALLATION).is_some())
}

fn must(verb: Verb, needs_id: bool) -> &'static str {
    match verb {
        Verb::opens => "not be there",
        Verb::acts if needs_id => "be there: send its `id`",
        Verb::acts => "be there: its `id` follows, and may be left out",
        Verb::sets => "be there or not",
    }
}

/// Placeholder in examples for an id that the reader must fill in.
const SOME_ID: &str = "00000000-0000-7000-8000-000000000001";

/// Makes a value that a schema allows: of an object, only its required members.
fn sample(schema: &Value, root: &Value) -> Value {
    if let Some(at) = schema.get("$ref").and_then(Value::as_str) {
        let found = at.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |found| sample(found, root));
    }
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|all| all.first());
    if let Some(value) = schema.get("const").or_else(|| first("enum")).or_else(|| first("examples"))
    {
        return value.clone();
    }
    if let Some(one) = first("oneOf").or_else(|| first("anyOf")).or_else(|| first("allOf")) {
        return sample(one, root);
    }
    let kind = schema.get("type");
    let kind = kind.and_then(Value::as_str).or_else(|| {
        kind?.as_array()?.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))
    });
    match kind {
        Some("object") => {
            let names = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            names
                .map(|name| {
                    (
                        name.to_owned(),
                        schema
                            .pointer(&format!("/properties/{name}"))
                            .map_or(Value::Null, |s| sample(s, root)),
                    )
                })
                .collect()
        }
        Some("array") => match schema.get("minItems").and_then(Value::as_u64) {
            None | Some(0) => json!([]),
            Some(_) => {
                json!([schema.get("items").map_or(Value::Null, |items| sample(items, root))])
            }
        },
        Some("string") => text(schema).into(),
        Some("integer" | "number") => schema
            .get("minimum")
            .filter(|least| least.as_f64() > Some(1.0))
            .cloned()
            .unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => json!({}),
    }
}

/// A text in the form that a schema names.
fn text(schema: &Value) -> &'static str {
    let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
    match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => SOME_ID,
        Some("date-time") => "2026-11-22T20:00:00.000000Z",
        Some("date") => "2026-11-22",
        _ if pattern.contains("[0-9a-f]{64}") => {
            "0000000000000000000000000000000000000000000000000000000000000000"
        }
        _ if pattern.contains("[A-Z]{3}") => "EUR",
        _ if pattern.contains("[0-9]") && !pattern.contains("a-z") => "12.50",
        _ => "some-text",
    }
}
