//! The committed contracts, made from the code: a JSON Schema and a golden example per event
//! version, what of each event is public, and the GraphQL SDL. `make contracts` writes them, a test
//! compares.
//!
//! Examples are made from the schemas, so that adding an event needs no file by hand. A version
//! that is committed never changes: writing refuses to touch one that says something else.

use std::path::{Path, PathBuf};

use domain::{Event, EventType};
use serde_json::{Map, Value, json};

use crate::app::AppError;
use crate::output;

/// Data class of a field that declares none: read inside the company, and by nobody else.
const DEFAULT_CLASS: &str = "internal";

/// A contract: a committed file and the text that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Path of the file below the root of the source.
    pub path: PathBuf,
    /// The text that the file must have.
    pub text: String,
    /// How the file may change.
    pub may: May,
}

/// How a contract may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// The file may not change: the example of an event's version.
    Stay,
    /// Only descriptions may change: the schema of an event's version.
    Reword,
    /// Lines may be added but not removed: the list of public fields.
    Grow,
    /// The file may change; a reviewer judges the difference: the SDL.
    Change,
}

const PROMISED: &str =
    "is promised and must not change: give the event a new version and an upcaster";

/// The schema in a text without its descriptions; `None` if the text is no JSON.
fn reworded(text: &str) -> Option<Value> {
    let mut schema = serde_json::from_str(text).ok()?;
    without_descriptions(&mut schema);
    Some(schema)
}

/// Removes the descriptions from a schema, which may change when nothing else may.
fn without_descriptions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property may be called so; the description of a schema is a string.
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.values_mut().for_each(without_descriptions);
        }
        Value::Array(list) => list.iter_mut().for_each(without_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl May {
    /// Why one text may not replace another; `None` if it may.
    fn forbids(self, committed: &str, now: &str) -> Option<&'static str> {
        match self {
            Self::Stay => Some(PROMISED),
            Self::Reword if reworded(committed) != reworded(now) => Some(PROMISED),
            Self::Grow if committed.lines().any(|line| !now.lines().any(|l| l == line)) => Some(
                "is promised and must not lose a line: a changed event is a new version; a field \
                 that leaves no more raises `hub::public::FORM`",
            ),
            Self::Reword | Self::Grow | Self::Change => None,
        }
    }
}

fn classify(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                for property in properties.values_mut() {
                    if let Value::Object(property) = property {
                        property.entry("x-class").or_insert_with(|| DEFAULT_CLASS.into());
                    }
                }
            }
            map.values_mut().for_each(classify);
        }
        Value::Array(list) => list.iter_mut().for_each(classify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The JSON Schema of an event's data, every field with its class.
#[must_use]
pub fn schema_of(event: &EventType) -> Value {
    let mut schema = (event.json_schema)().to_value();
    classify(&mut schema);
    if let Some(map) = schema.as_object_mut() {
        map.insert(
            "$id".to_owned(),
            format!("urn:minutebook:event:{}.v{}", event.name, event.schema).into(),
        );
    }
    schema
}

/// Makes a value that fits a schema.
struct Examples<'a> {
    root: &'a Value,
    sealed: usize,
    /// References that are being followed; a list of a type inside itself is left empty.
    open: Vec<String>,
}

impl Examples<'_> {
    fn make(&mut self, schema: &Value) -> Value {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let found =
                self.root.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default();
            self.open.push(reference.to_owned());
            let made = self.make(&found);
            self.open.pop();
            return made;
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let choice = schema
                .get(key)
                .and_then(Value::as_array)
                .and_then(|list| list.iter().find(|s| s.get("type") != Some(&json!("null"))));
            if let Some(choice) = choice.cloned() {
                return self.make(&choice);
            }
        }
        if let Some(value) =
            schema.get("const").or_else(|| schema.get("enum").and_then(|e| e.get(0)))
        {
            return value.clone();
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
            Some(kind) => kind.as_str().unwrap_or_default(),
            None => "object",
        };
        match kind {
            "string" => text(schema).into(),
            "integer" => schema.get("minimum").and_then(Value::as_i64).unwrap_or(0).max(1).into(),
            "boolean" => true.into(),
            "array" => schema
                .get("items")
                .cloned()
                .map_or_else(|| json!([]), |items| json!([self.make(&items)])),
            _ => self.object(schema),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return json!({});
        };
        if properties.contains_key("$sealed") {
            self.sealed += 1;
            return json!({"$sealed": self.sealed - 1});
        }
        let mut names: Vec<_> = properties.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        names.retain(|(_, property)| {
            !self
                .open
                .iter()
                .any(|r| property.pointer("/items/$ref").and_then(Value::as_str) == Some(r))
        });
        Value::Object(
            names
                .into_iter()
                .map(|(name, property)| (name.clone(), self.make(property)))
                .collect::<Map<_, _>>(),
        )
    }
}

fn text(schema: &Value) -> &'static str {
    let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
    match (schema.get("format").and_then(Value::as_str), pattern) {
        (Some("uuid"), _) => "0191d9a0-0000-7000-8000-000000000001",
        (Some("date-time"), _) => "2026-11-22T20:00:00.000000Z",
        (_, "^[A-Z]{3}$") => "EUR",
        (_, "^[0-9a-f]{64}$") => "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        (_, "^[01](\\.[0-9]{1,9})?$") => "0.75",
        (_, p) if p.starts_with("^-?[0-9]") => "12.50",
        (_, p) if p.starts_with("^[a-z0-9]+") => "acme-books",
        _ => "example",
    }
}

/// The golden example of an event: its type, schema version and data.
#[must_use]
pub fn example_of(event: &EventType) -> Value {
    let schema = schema_of(event);
    let data = Examples { root: &schema, sealed: 0, open: Vec::new() }.make(&schema);
    json!({"type": event.name, "schema": event.schema, "data": data})
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Every contract as the code has it now; `root` is the folder with the committed ones.
#[must_use]
pub fn contracts(root: &Path) -> Vec<Contract> {
    let mut all: Vec<Contract> = Event::types()
        .flat_map(|event| {
            let (context, name) = event.name.split_once('.').unwrap_or((event.name, ""));
            let folder = Path::new("event-schemas").join(context);
            let file = |suffix: &str| folder.join(format!("{name}.v{}.{suffix}", event.schema));
            [
                Contract { path: file("json"), text: pretty(&schema_of(event)), may: May::Reword },
                Contract {
                    path: file("example.json"),
                    text: pretty(&example_of(event)),
                    may: May::Stay,
                },
            ]
        })
        .collect();
    all.push(Contract {
        path: PathBuf::from("read-api/schema.graphql"),
        text: read_api::sdl(),
        may: May::Change,
    });
    all.push(Contract {
        path: format!("hub/public-form-{}.txt", hub::public::FORM).into(),
        text: public_form(root),
        may: May::Grow,
    });
    all.push(Contract {
        path: PathBuf::from("docs/permissions.md"),
        text: crate::documents::permissions(),
        may: May::Change,
    });
    all.push(Contract {
        path: PathBuf::from("docs/refusals.md"),
        text: crate::documents::refusals(),
        may: May::Change,
    });
    all.push(Contract {
        path: PathBuf::from("docs/public-events.md"),
        text: crate::documents::public_events(root),
        may: May::Change,
    });
    all.push(Contract {
        path: PathBuf::from("event-schemas/LOCK"),
        text: lock(root),
        may: May::Grow,
    });
    all
}

/// Golden examples of versions that are no longer written; logs keep events of them for ever.
fn old_examples(root: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for event in Event::types() {
        let (context, name) = event.name.split_once('.').unwrap_or((event.name, ""));
        for version in 1..event.schema {
            let path = root
                .join("event-schemas")
                .join(context)
                .join(format!("{name}.v{version}.example.json"));
            let example = std::fs::read(path)
                .ok()
                .and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            found.extend(example);
        }
    }
    found
}

/// Every public field, a line each: the event with its version, and the path in its data.
fn public_form(root: &Path) -> String {
    let mut lines = Vec::new();
    for mut example in old_examples(root).into_iter().chain(Event::types().map(example_of)) {
        let (name, schema) =
            (example["type"].as_str().unwrap_or_default().to_owned(), example["schema"].clone());
        if !hub::public::is_public(&name) {
            continue;
        }
        let mut data = example["data"].take();
        hub::public::keep_public(&mut data);
        let name = format!("{name}.v{schema}");
        lines.push(format!("{name}\n"));
        leaves(&data, "", &mut |pointer| lines.push(format!("{name} {pointer}\n")));
    }
    lines.sort_unstable();
    lines.concat()
}

/// Digests of every committed version: of its schema without descriptions, and its example.
/// Descriptions may change; fields, their classes and subjects, and which are required may not.
fn lock(root: &Path) -> String {
    let digest = |value: &Value| {
        let bytes = proof::canonical::to_bytes(value).unwrap_or_default();
        domain::values::Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
    };
    let line = |name: &str, schema: &Value, example: &Value| {
        let mut schema = schema.clone();
        without_descriptions(&mut schema);
        format!("{name} {} {}\n", digest(&schema), digest(example))
    };
    let mut lines: Vec<String> = Event::types()
        .map(|e| line(&format!("{}.v{}", e.name, e.schema), &schema_of(e), &example_of(e)))
        .collect();
    for example in old_examples(root) {
        let name =
            format!("{}.v{}", example["type"].as_str().unwrap_or_default(), example["schema"]);
        let (context, file) = name.split_once('.').unwrap_or((&name, ""));
        let path = root.join("event-schemas").join(context).join(format!("{file}.json"));
        let schema = std::fs::read(path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        lines.push(line(&name, &schema, &example));
    }
    lines.sort_unstable();
    lines.concat()
}

fn leaves(value: &Value, pointer: &str, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| leaves(member, &format!("{pointer}/{name}"), found)),
        Value::Array(items) => {
            items.iter().for_each(|item| leaves(item, &format!("{pointer}/*"), found))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found(pointer),
    }
}

/// Compares the committed contracts with the code, and writes what is missing; true when all agree
/// in the end.
///
/// # Errors
/// When a file can't be written.
pub fn run(root: &Path, write: bool) -> Result<bool, AppError> {
    let mut same = true;
    for contract in contracts(root) {
        let path = root.join(&contract.path);
        let committed = std::fs::read_to_string(&path).ok();
        if committed.as_deref() == Some(&contract.text) {
            continue;
        }
        let forbidden =
            committed.and_then(|committed| contract.may.forbids(&committed, &contract.text));
        if forbidden.is_some() || !write {
            same = false;
            let why = forbidden.unwrap_or(
                "is not what the code says: run `make contracts` and look at the difference",
            );
            output::note(format!("{} {why}", contract.path.display()));
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(AppError::other)?;
        }
        std::fs::write(&path, &contract.text).map_err(AppError::other)?;
        output::line(format!("wrote {}", contract.path.display()));
    }
    Ok(same)
}
