//! A clock that can't be relied on: nothing is recorded before its cause, and what time alone
//! decides waits.

use commands::{ClockDoubt, ClockInDoubt};
use serde_json::json;

use crate::agents::enrol;
use crate::story::{BUSINESS, Story, agent_of, id};

fn in_doubt(mut story: Story) -> Story {
    story.clock = Some(ClockInDoubt { doubt: ClockDoubt::Jumped(3_600_000), newest: story.now });
    story
}

fn leased() -> Story {
    let story = Story::new().given("agents.enrol", agent_of(50), enrol("producer", 50)).given(
        "agents.enrol",
        agent_of(51),
        enrol("producer", 51),
    );
    let story = story.given("tasks.plan", id(1), json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        id(1),
        json!({}),
    );
    story.given("tasks.lease", id(1), json!({"agent": agent_of(50), "lease_seconds": 900}))
}

#[test]
fn what_time_alone_decides_waits_while_the_clock_is_in_doubt() {
    let wind_up = json!({"command": {"type": "businesses.advance", "id": BUSINESS.0,
        "data": {"to": "wound_up"}}});
    let asked = Story::new().given("approvals.request", id(1), wind_up);
    let cases = [
        (asked.clone().later(3_600), "approvals.vote", json!({"choice": "approve"})),
        (asked.later(90 * 86_400), "approvals.expire", json!({})),
        (leased().later(900), "tasks.expire", json!({})),
        (leased().later(900), "tasks.lease", json!({"agent": agent_of(51)})),
    ];
    for (story, command, data) in cases {
        assert!(story.when(command, id(1), data.clone()).is_ok(), "{command}: its time has come");
        assert_eq!(in_doubt(story).when(command, id(1), data), Err("clock_in_doubt"), "{command}");
    }
    let early = in_doubt(leased());
    assert_eq!(
        early.when("tasks.lease", id(1), json!({"agent": agent_of(51)})),
        Err("lease_held"),
        "what has not come needs no clock to say so"
    );
    assert!(
        early.when("tasks.plan", id(2), json!({"title": "t", "team": "sales"})).is_ok(),
        "work goes on"
    );
}
