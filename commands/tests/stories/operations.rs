//! Exports that are put on record.

use serde_json::json;

use crate::story::{Story, id};

#[test]
fn an_export_is_on_record_once() {
    let data =
        json!({"format": "csv", "events": 3, "digest": "0".repeat(64), "root": "0".repeat(64)});
    let story = Story::new().given("operations.record_export", id(1), data.clone());
    assert_eq!(story.when("operations.record_export", id(1), data), Err("exists"));
}
