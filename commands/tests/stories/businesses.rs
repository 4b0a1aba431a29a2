//! Businesses: registered once, advanced phase by phase.

use serde_json::json;

use crate::story::{BUSINESS, Story};

#[test]
fn a_business_is_registered_once() {
    let register = json!({"slug": "acme"});
    assert_eq!(
        Story::empty().when("businesses.register", BUSINESS.0, register.clone()),
        Ok(vec!["businesses.registered"])
    );
    assert_eq!(Story::new().when("businesses.register", BUSINESS.0, register), Err("exists"));
}

#[test]
fn phases_follow_one_another_and_none_is_left_out() {
    let story = Story::new();
    let advance = |s: &Story, to: &str| s.when("businesses.advance", BUSINESS.0, json!({"to": to}));
    assert_eq!(advance(&story, "approved"), Err("phase_order"));
    assert_eq!(advance(&story, "idea"), Ok(vec![]), "being there already is no news");
    let story = story.given("businesses.advance", BUSINESS.0, json!({"to": "planning"}));
    assert_eq!(advance(&story, "idea"), Err("phase_order"));
    assert_eq!(advance(&story, "approved"), Ok(vec!["businesses.advanced"]));
    assert_eq!(
        advance(&story, "wound_up"),
        Ok(vec!["businesses.advanced"]),
        "it can be wound up from anywhere"
    );
    assert_eq!(advance(&Story::empty(), "planning"), Err("unknown"));
}
