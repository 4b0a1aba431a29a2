//! The committed contracts: what the code says now, what was promised before, and that every field
//! says how secret it is and whom it is about.

use std::path::{Path, PathBuf};

use domain::Event;
use domain::personal::Generation;
use serde_json::{Value, json};
use server::contracts::{contracts, example_of, schema_of};
use tests::Said as _;
use tests::sdl::{Change, Schema, changes};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_committed_contracts_are_what_the_code_says() {
    // `make contracts` writes them with the build that the tests have anyway.
    let write = std::env::var_os("MINUTEBOOK_WRITE_CONTRACTS").is_some();
    no_client_of_graphql_is_broken(write);
    if write {
        assert!(server::contracts::run(&root(), true).unwrap(), "a promise must not change");
    }
    for contract in contracts(&root()) {
        let committed = std::fs::read_to_string(root().join(&contract.path)).unwrap_or_default();
        assert!(
            committed == contract.text,
            "{} differs: run `make contracts`; a promised version must not change",
            contract.path.display()
        );
    }
}

/// Says what changed in the schema of GraphQL; a change that breaks clients is refused, also when
/// the contracts are written. Whoever means it deletes the committed file first.
fn no_client_of_graphql_is_broken(write: bool) {
    let committed = root().join("read-api/schema.graphql");
    let Ok(committed) = std::fs::read_to_string(committed) else { return };
    let found = changes(&Schema::parse(&committed), &Schema::parse(&read_api::sdl()));
    let (breaking, safe): (Vec<_>, Vec<_>) = found.into_iter().partition(|c| c.is_breaking);
    let said = |changes: Vec<Change>| {
        changes.into_iter().map(|c| format!("  {}\n", c.what)).collect::<String>()
    };
    assert!(
        breaking.is_empty(),
        "these changes of read-api/schema.graphql break clients:\n{}docs/graphql.md says what to \
        do \
         instead; delete the file to break them on purpose",
        said(breaking)
    );
    assert!(
        write || safe.is_empty(),
        "these changes of read-api/schema.graphql break nobody; run `make contracts`:\n{}",
        said(safe)
    );
}

#[test]
fn every_committed_version_decodes_for_ever() {
    let mut old = 0;
    let contexts =
        std::fs::read_dir(root().join("event-schemas")).unwrap().map(|c| c.unwrap().path());
    for context in contexts.filter(|c| c.is_dir()) {
        for file in std::fs::read_dir(context).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".example.json") {
                continue;
            }
            let example: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let schema: Value = serde_json::from_slice(
                &std::fs::read(path.with_file_name(name.replace(".example", ""))).unwrap(),
            )
            .unwrap();
            jsonschema::validate(&schema, &example["data"])
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let (kind, version) = (
                example["type"].as_str().unwrap(),
                u16::try_from(example["schema"].as_u64().unwrap()).unwrap(),
            );
            let event = decode(kind, version, &example["data"]);
            assert_eq!(event.name(), kind);
            old += u32::from(event.event_type().schema > version);
        }
    }
    assert!(old >= 1, "at least one old version shows the way");
}

/// Decodes data whose sealed fields have ciphertexts that nobody will open.
fn decode(kind: &str, version: u16, data: &Value) -> Event {
    let field = domain::personal::SealedField {
        business: domain::BusinessId(uuid::Uuid::nil()),
        subject: domain::SubjectId(uuid::Uuid::nil()),
        generation: Generation(1),
        nonce: String::new(),
        ct: String::new(),
        commit: String::new(),
        aad: String::new(),
    };
    let fields = std::iter::repeat_n(std::sync::Arc::new(field), 20).collect();
    domain::personal::resolve(fields, || Event::decode(kind, version, &data.to_string()))
        .unwrap_or_else(|e| panic!("{kind} v{version}: {e}"))
}

#[test]
fn an_upcast_event_says_what_the_old_one_said() {
    let old: Value = serde_json::from_slice(
        &std::fs::read(root().join("event-schemas/agents/enrolled.v1.example.json")).unwrap(),
    )
    .unwrap();
    let Event::Agents(domain::agents::Event::Enrolled(event)) =
        decode("agents.enrolled", 1, &old["data"])
    else {
        panic!()
    };
    assert_eq!(event.runtime.model.as_str(), old["data"]["model"].as_str().unwrap());
    assert_eq!(event.runtime.prompt_version, None);
    assert!(
        Event::decode("agents.enrolled", 3, "{}").unwrap_err().said().contains("newer program")
    );
}

#[test]
fn an_example_decodes_and_comes_back_the_same() {
    for kind in Event::types() {
        let example = example_of(kind);
        let event = decode(kind.name, kind.schema, &example["data"]);
        // Sealed fields come back whole; everything else to the letter.
        let back = serde_json::to_value(event.data()).unwrap();
        assert_eq!(unsealed(back), unsealed(example["data"].clone()), "{}", kind.name);
    }
}

fn unsealed(value: Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$sealed") => json!("sealed"),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, unsealed(v))).collect(),
        Value::Array(list) => list.into_iter().map(unsealed).collect(),
        other => other,
    }
}

#[test]
fn every_field_says_how_secret_it_is_and_personal_ones_whom_they_are_about() {
    fn walk(schema: &Value, event: &Value, place: &str) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let class = property["x-class"].as_str().unwrap_or("none");
                assert!(
                    ["public", "internal", "confidential", "restricted"].contains(&class),
                    "{place}.{name}: class {class}"
                );
                if property.pointer("/properties/$sealed").is_some() {
                    let subject = property["x-subject"]
                        .as_str()
                        .unwrap_or_else(|| panic!("{place}.{name} names no subject"));
                    assert!(
                        event["properties"].get(subject).is_some(),
                        "{place}.{name}: there is no field {subject}"
                    );
                }
            }
        }
        match schema {
            Value::Object(map) => {
                map.iter().for_each(|(k, v)| walk(v, event, &format!("{place}/{k}")))
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, event, place)),
            _ => {}
        }
    }
    for kind in Event::types() {
        let schema = schema_of(kind);
        walk(&schema, &schema, kind.name);
    }
}

#[test]
fn the_limits_stand_in_one_place() {
    assert_eq!(proof::canonical::DEPTH_MAX, domain::limits::DEPTH_MAX);
    for (name, value, unit) in domain::limits::ALL {
        assert!(!name.is_empty() && *value > 0 && !unit.is_empty());
    }
}

/// A refusal, and what a command or an event is, can be read at once: a sentence of some words that
/// does not begin by asking back.
#[test]
fn what_a_caller_reads_is_a_sentence() {
    let refusals = commands::Refusal::samples().into_iter().map(|r| (r.name(), r.to_string()));
    let commands = commands::AnyCommand::types().map(|c| (c.name, c.sentence.to_owned()));
    let events = Event::types().map(|e| (e.name, e.sentence.to_owned()));
    for (name, sentence) in refusals.chain(commands).chain(events) {
        let words = sentence.split_whitespace().count();
        assert!(words >= 3, "{name}: `{sentence}` is too short to be read alone");
        assert!(!sentence.starts_with("What is"), "{name}: name the thing: {sentence}");
    }
}
