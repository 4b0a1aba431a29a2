//! Upcasters: how data of an older schema version becomes data of today's.
//!
//! A committed `.v1.json` never changes. A changed field is a new version with a step here, and
//! v1's golden example decodes for ever (`tests/it/contracts.rs`).

use serde_json::{Map, Value};

use crate::Event;

/// The result of upcasting stored data.
pub enum Upcast {
    /// The data is of today's version already.
    Current,
    /// The data was older; this is its form in today's version.
    Upcast(Result<String, serde_json::Error>),
    /// The program knows no such type or version.
    Unknown,
}

type Upcaster = fn(&mut Map<String, Value>);

/// The upcaster of each type and version to the next version.
const STEPS: &[(&str, u16, Upcaster)] = &[
    ("agents.enrolled", 1, agents_enrolled_v1),
    ("approvals.granted", 1, only_more),
    ("approvals.policy_defined", 1, only_more),
    ("approvals.requested", 1, only_more),
    ("budgets.reserved", 1, only_more),
    ("decisions.recorded", 1, only_more),
    ("integrations.call_failed", 1, only_more),
    ("integrations.call_intended", 1, only_more),
    ("integrations.call_succeeded", 1, only_more),
    ("memory.document_added", 1, source_in_the_clear),
    ("tasks.activity_recorded", 1, only_more),
    ("tasks.history_closed", 1, only_more),
    ("tasks.submitted", 1, only_more),
];

/// The next version only adds fields that may be absent: the data stays as it is.
fn only_more(_: &mut Map<String, Value>) {}

/// v1 had `source` in the clear; v2 has it as a personal field, and reads the clear one as it
/// stands.
fn source_in_the_clear(_: &mut Map<String, Value>) {}

/// v1 had the bare `model`; v2 says with which prompt version it runs: `runtime {model,
/// prompt_version?}`.
fn agents_enrolled_v1(data: &mut Map<String, Value>) {
    if let Some(model) = data.remove("model") {
        data.insert(
            "runtime".to_owned(),
            Value::Object(Map::from_iter([("model".to_owned(), model)])),
        );
    }
}

/// Turns stored data of any known version into data of today's version.
#[must_use]
pub fn to_current(name: &str, schema: u16, json: &str) -> Upcast {
    let Some(current) = Event::types().find(|t| t.name == name) else { return Upcast::Unknown };
    if schema == current.schema {
        return Upcast::Current;
    }
    if schema == 0 || schema > current.schema {
        return Upcast::Unknown;
    }
    Upcast::Upcast(run(name, schema, current.schema, json))
}

fn run(name: &str, from: u16, to: u16, json: &str) -> Result<String, serde_json::Error> {
    let mut data: Map<String, Value> = serde_json::from_str(json)?;
    for version in from..to {
        if let Some((_, _, step)) = STEPS.iter().find(|(n, v, _)| *n == name && *v == version) {
            step(&mut data);
        }
    }
    serde_json::to_string(&data)
}
