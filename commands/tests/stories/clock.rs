//! A clock that can't be relied on: nothing is recorded before its cause, and what time alone
//! decides waits.

use commands::{ClockDoubt, ClockInDoubt};
use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::json;

use crate::agents::enrol;
use crate::story::{BUSINESS, Story, actor, agent_of, id};

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

/// The clock was put back by that many seconds.
fn put_back(mut story: Story, seconds: i64) -> Story {
    let doubt = ClockDoubt::Jumped(-seconds * 1_000);
    story.clock = Some(ClockInDoubt { doubt, newest: story.now });
    story
}

#[test]
fn a_clock_that_was_put_back_brings_no_right_back_to_life() {
    let wind_up = json!({"command": {"type": "businesses.advance", "id": BUSINESS.0,
        "data": {"to": "wound_up"}}});
    let approver = actor(2, PrincipalKind::Human, &[Role::Owner]);
    let asked = Story::new().given("approvals.request", id(1), wind_up).by(approver);
    let day = 86_400;
    let vote = ("approvals.vote", json!({"choice": "approve"}));
    let heartbeat = ("tasks.heartbeat", json!({"fencing_token": 1}));
    for (story, (command, data), back) in
        [(asked, vote, 90 * day), (leased().later(700), heartbeat, 300)]
    {
        assert!(story.when(command, id(1), data.clone()).is_ok(), "{command}: it has not ended");
        let a_little = put_back(story.clone(), 10);
        assert!(
            a_little.when(command, id(1), data.clone()).is_ok(),
            "{command}: nor could it have"
        );
        assert_eq!(
            put_back(story, back).when(command, id(1), data),
            Err("clock_in_doubt"),
            "{command}: by the real time it may have ended"
        );
    }
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
