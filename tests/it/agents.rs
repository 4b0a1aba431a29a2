//! Agents.

use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::json;
use uuid::Uuid;

use crate::story::{Story, actor, agent_of, id};

pub(crate) fn enrol(role: &str, principal: u128) -> serde_json::Value {
    json!({
        "name": role, "team": "sales", "role": role, "runtime": {"model": "m"}, "principal": id(principal),
        "permissions": {"tools": ["search"], "connectors": ["crm"], "data_classes": ["restricted"]},
    })
}

fn agent() -> Uuid {
    agent_of(50)
}

#[test]
fn an_agent_is_enrolled_once_and_says_what_it_runs_on() {
    let story = Story::new();
    assert_eq!(story.when("agents.enrol", agent(), enrol("producer", 50)), Ok(vec!["agents.enrolled"]));
    let story = story.given("agents.enrol", agent(), enrol("producer", 50));
    assert_eq!(story.when("agents.enrol", agent(), enrol("producer", 50)), Err("exists"));
    let mut wrong = enrol("producer", 50);
    wrong["concurrency"] = json!(0);
    assert_eq!(Story::new().when("agents.enrol", agent(), wrong), Err("out_of_range"));
}

#[test]
fn suspending_twice_is_no_news_and_a_retired_agent_never_comes_back() {
    let story = Story::new().given("agents.enrol", agent(), enrol("producer", 50));
    assert_eq!(story.when("agents.resume", agent(), json!({})), Ok(vec![]));
    let story = story.given("agents.suspend", agent(), json!({"reason": "odd answers"}));
    assert_eq!(story.when("agents.suspend", agent(), json!({})), Ok(vec![]));
    assert_eq!(story.when("agents.resume", agent(), json!({})), Ok(vec!["agents.resumed"]));
    let story = story.given("agents.retire", agent(), json!({}));
    assert_eq!(story.when("agents.resume", agent(), json!({})), Err("wrong_status"));
    assert_eq!(story.when("agents.retire", agent(), json!({})), Ok(vec![]));
    assert_eq!(story.when("agents.suspend", id(999), json!({})), Err("unknown"));
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    let story = Story::new().given("agents.enrol", agent(), enrol("producer", 50));
    assert_eq!(story.when("agents.change", agent(), json!({"concurrency": 1})), Ok(vec![]));
    assert_eq!(story.when("agents.change", agent(), json!({"concurrency": 2})), Ok(vec!["agents.changed"]));
}

#[test]
fn an_agent_acts_with_its_own_credentials_only() {
    let story = Story::new().given("agents.enrol", agent(), enrol("producer", 50));
    let record = json!({"agent": agent(), "choice": "x"});
    let own = story.clone().by(actor(50, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(own.when("decisions.record", id(1), record.clone()), Ok(vec!["decisions.recorded"]));
    let foreign = story.clone().by(actor(51, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(foreign.when("decisions.record", id(1), record.clone()), Err("not_the_agent"));
    let suspended = story.given("agents.suspend", agent(), json!({}));
    assert_eq!(suspended.when("decisions.record", id(1), record), Err("agent_inactive"));
}
