//! Facts: recorded, revised, retracted, superseded.

use serde_json::{Value, json};

use crate::story::{Story, id};

fn ships(day: &str) -> Value {
    json!({"fact_kind": "process_memory", "statement": format!("the shop ships on \
        {day}"), "topic": "shipping"})
}

#[test]
fn a_fact_is_recorded_revised_and_retracted() {
    let story = Story::new().given("memory.record_fact", id(1), ships("Monday"));
    assert_eq!(story.when("memory.record_fact", id(1), ships("Monday")), Err("exists"));
    assert_eq!(story.when("memory.revise_fact", id(2), json!({"statement": "x"})), Err("unknown"));
    let story =
        story.given("memory.revise_fact", id(1), json!({"statement": "the shop ships on Tuesday"}));
    let story = story.given("memory.retract_fact", id(1), json!({}));
    assert_eq!(story.when("memory.retract_fact", id(1), json!({})), Ok(vec![]));
    assert_eq!(
        story.when("memory.revise_fact", id(1), json!({"statement": "x"})),
        Err("wrong_status")
    );
}

#[test]
fn a_fact_that_ends_before_it_begins_is_refused() {
    let data = json!({"fact_kind": "process_memory", "statement": "x",
        "valid_from": "2026-02-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"});
    assert_eq!(Story::new().when("memory.record_fact", id(1), data), Err("out_of_range"));
}

#[test]
fn a_fact_is_superseded_by_one_that_exists() {
    let story = Story::new().given("memory.record_fact", id(1), ships("Monday"));
    assert_eq!(story.when("memory.supersede_fact", id(1), json!({"by": id(2)})), Err("unknown"));
    let story = story.given("memory.record_fact", id(2), ships("Friday")).given(
        "memory.supersede_fact",
        id(1),
        json!({"by": id(2)}),
    );
    assert_eq!(story.when("memory.supersede_fact", id(1), json!({"by": id(2)})), Ok(vec![]));
}
