#![allow(clippy::unwrap_used, reason = "tests may")]

use super::*;
use crate::wire::streams::read_req::options::filter_options::Expression;

fn wants(regex: &str, name: &str) -> Result<bool, Refusal> {
    let wire = FilterOptions {
        filter: Some(Wire::EventType(Expression { regex: regex.to_owned(), prefix: Vec::new() })),
        window: None,
        checkpoint_interval_multiplier: 1,
    };
    let event = Event {
        id: uuid::Uuid::nil(),
        stream: "s".into(),
        revision: 0,
        position: 0,
        created: 0,
        event_type: name.into(),
        content_type: "".into(),
        metadata: Default::default(),
        data: Default::default(),
    };
    Filter::new(wire)?.wants(&event)
}

#[test]
fn what_needs_no_engine_says_what_the_engine_says() {
    let shapes = [
        r"^[^\$].*",
        r"^(?!\$).*",
        r"^(?!(\$.+$|PersistentConfig\d+$))",
        r"^(?!(OrderCreated$|OrderDeleted$))",
        r"^(?!tasks|Order).*$",
        ".*",
        "^tasks|planned$",
        r"^(?!a)(?=t)",
    ];
    for shape in shapes {
        let engine = fancy_regex::Regex::new(shape).unwrap();
        for name in [
            "$metadata",
            "$>",
            "OrderCreated",
            "OrderCreatedTwice",
            "PersistentConfig12",
            "a$b",
            "tasks.planned",
            "planned",
        ] {
            assert_eq!(
                wants(shape, name).unwrap(),
                engine.is_match(name).unwrap(),
                "{shape} on {name}"
            );
        }
    }
}

#[test]
fn a_hostile_expression_is_stopped() {
    let name = "a".repeat(5_000);
    let lots = r"(?=\pL)".repeat(2_000);
    for evil in [
        "^(?=(a+)+$)(a|aa)+b",
        "((?=)){1000000000000000000}",
        "(?=a){9,}",
        "(?=(a*)*b)",
        "(",
        "(?=(",
        &lots,
        &"a".repeat(EXPRESSION_BYTES_MAX + 1),
    ] {
        assert!(
            matches!(wants(evil, &name), Err(Refusal::BadRequest(_)) | Ok(false)),
            "{}",
            &evil[..evil.len().min(60)]
        );
    }
    let many = Expression { regex: String::new(), prefix: vec![String::new(); PREFIXES_MAX + 1] };
    assert!(matches!(test(many), Err(Refusal::BadRequest(_))));
}
