//! Tasks, row by row of their state table.

mod review;

use domain::Event;
use domain::access::PrincipalKind;
use domain::tasks::Event as Tasks;
use domain::values::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::enrol;
use crate::story::{Outcome, Story, actor, agent_of, id};

fn task() -> Uuid {
    id(1)
}
fn producer() -> Uuid {
    agent_of(50)
}
fn qa() -> Uuid {
    agent_of(51)
}

fn planned() -> Story {
    Story::new()
        .given("agents.enrol", producer(), enrol("producer", 50))
        .given("agents.enrol", qa(), enrol("qa", 51))
        .given(
            "tasks.plan",
            task(),
            json!({"title": "t", "team": "sales", "rework_rounds_max": 1, "attempts_max": 2}),
        )
}
fn offered() -> Story {
    planned().given("tasks.offer", task(), json!({}))
}
fn leased() -> Story {
    offered().given("tasks.lease", task(), json!({"agent": producer(), "lease_seconds": 900}))
}
fn submitted() -> Story {
    leased()
        .by(actor(50, PrincipalKind::Agent, &[Role::Agent]))
        .given("tasks.submit", task(), submit(1))
        .by(actor(1, PrincipalKind::Human, &[Role::Owner]))
}
fn submit(token: u32) -> Value {
    json!({"agent": producer(), "fencing_token": token, "result": "done"})
}
fn digest(story: &Story) -> Value {
    let Event::Tasks(Tasks::Submitted(e)) = story.last("tasks.submitted") else { panic!() };
    json!(e.artifact.digest)
}
fn review(story: &Story, verdict: &str, last: bool) -> Value {
    json!({"reviewer": qa(), "artifact_digest": digest(story), "verdict": verdict, "final": last})
}
fn ask(story: &Story, command: &str, data: Value) -> Outcome {
    story.when(command, task(), data)
}

#[test]
fn a_task_goes_from_plan_to_completed() {
    let story = submitted();
    let passed = review(&story, "passed", false);
    assert_eq!(
        ask(&story, "tasks.review", passed.clone()),
        Ok(vec!["tasks.reviewed", "tasks.completed"])
    );
    let by_human = story.clone().given("tasks.review", task(), passed.clone());
    let Event::Tasks(Tasks::Completed(e)) = by_human.last("tasks.completed") else { panic!() };
    assert!(!e.without_human, "a human reviewed in the agent's name");
    let story = story.by(actor(51, PrincipalKind::Agent, &[Role::Agent])).given(
        "tasks.review",
        task(),
        passed,
    );
    let Event::Tasks(Tasks::Completed(e)) = story.last("tasks.completed") else { panic!() };
    assert!(e.without_human);
    let owner = story.by(actor(1, PrincipalKind::Human, &[Role::Owner]));
    assert_eq!(ask(&owner, "tasks.cancel", json!({})), Err("wrong_status"));
}

#[test]
fn a_task_waits_for_what_it_depends_on() {
    let (first, second) = (id(1), id(2));
    let story = Story::new().given("tasks.plan", first, json!({"title": "a", "team": "sales"}));
    assert_eq!(
        story.when(
            "tasks.plan",
            second,
            json!({"title": "b", "team": "sales", "depends_on": [id(9)]})
        ),
        Err("unknown")
    );
    let story = story.given(
        "tasks.plan",
        second,
        json!({"title": "b", "team": "sales", "depends_on": [first]}),
    );
    assert_eq!(story.when("tasks.offer", second, json!({})), Err("waiting"));
}

#[test]
fn a_lease_is_one_agents_of_the_team_and_in_range() {
    let story = offered();
    assert_eq!(
        ask(&story, "tasks.lease", json!({"agent": producer(), "lease_seconds": 119})),
        Err("out_of_range")
    );
    assert_eq!(
        ask(&story, "tasks.lease", json!({"agent": producer(), "lease_seconds": 86_401})),
        Err("out_of_range")
    );
    assert_eq!(ask(&story, "tasks.lease", json!({"agent": qa()})), Err("wrong_team"));
    assert_eq!(ask(&story, "tasks.lease", json!({"agent": id(999)})), Err("unknown"));
    assert_eq!(ask(&leased(), "tasks.lease", json!({"agent": producer()})), Err("lease_held"));
    assert_eq!(ask(&planned(), "tasks.lease", json!({"agent": producer()})), Err("wrong_status"));
}

#[test]
fn a_heartbeat_is_recorded_when_less_than_a_third_remains() {
    let beat = json!({"fencing_token": 1});
    assert_eq!(ask(&leased().later(599), "tasks.heartbeat", beat.clone()), Ok(vec![]));
    assert_eq!(
        ask(&leased().later(601), "tasks.heartbeat", beat.clone()),
        Ok(vec!["tasks.lease_extended"])
    );
    let mut hour = leased();
    let mut recorded = 0;
    for _ in 0..60 {
        hour = hour.later(60);
        recorded += ask(&hour, "tasks.heartbeat", beat.clone()).unwrap().len();
        hour = hour.given("tasks.heartbeat", task(), beat.clone());
    }
    assert!((5..=7).contains(&recorded), "an hour's task writes about six, not {recorded}");
}

#[test]
fn a_lease_expires_when_its_time_is_over_and_not_before() {
    assert_eq!(ask(&leased().later(899), "tasks.expire", json!({})), Err("lease_held"));
    let over = leased().later(900);
    assert_eq!(ask(&over, "tasks.expire", json!({})), Ok(vec!["tasks.lease_expired"]));
    assert_eq!(
        ask(&over, "tasks.lease", json!({"agent": producer()})),
        Ok(vec!["tasks.lease_expired", "tasks.leased"])
    );
    assert_eq!(
        ask(&over, "tasks.submit", submit(1)),
        Ok(vec!["tasks.submitted"]),
        "nobody else took it"
    );
}

#[test]
fn a_lease_that_is_over_is_not_brought_back_by_a_heartbeat() {
    assert_eq!(
        ask(&leased().later(899), "tasks.heartbeat", json!({"fencing_token": 1})),
        Ok(vec!["tasks.lease_extended"])
    );
    assert_eq!(
        ask(&leased().later(900), "tasks.heartbeat", json!({"fencing_token": 1})),
        Err("lease_lost")
    );
}

#[test]
fn with_an_old_token_all_but_submit_are_refused() {
    let story = leased().given("tasks.release", task(), json!({"fencing_token": 1})).given(
        "tasks.lease",
        task(),
        json!({"agent": producer()}),
    );
    for (command, data) in [
        ("tasks.heartbeat", json!({"fencing_token": 1})),
        ("tasks.release", json!({"fencing_token": 1})),
        ("tasks.fail", json!({"fencing_token": 1, "retryable": true})),
        ("tasks.quarantine", json!({"fencing_token": 1, "reason": "?"})),
        ("tasks.escalate", json!({"fencing_token": 1})),
        ("tasks.escalate", json!({})),
    ] {
        assert_eq!(ask(&story, command, data), Err("lease_lost"), "{command}");
    }
    assert_eq!(ask(&story, "tasks.submit", submit(1)), Ok(vec!["tasks.late_result_recorded"]));
    assert_eq!(
        ask(&story, "tasks.submit", submit(3)),
        Err("lease_lost"),
        "a token that was never given"
    );
    let after = story.clone().given("tasks.submit", task(), submit(1));
    assert_eq!(
        ask(&after, "tasks.submit", submit(2)),
        Ok(vec!["tasks.submitted"]),
        "the late result changed nothing"
    );
}

#[test]
fn knowing_the_token_is_not_holding_the_lease() {
    let other = leased().by(actor(77, PrincipalKind::Agent, &[Role::Agent]));
    for (command, data) in [
        ("tasks.heartbeat", json!({"fencing_token": 1})),
        ("tasks.release", json!({"fencing_token": 1})),
        ("tasks.fail", json!({"fencing_token": 1, "retryable": false})),
        ("tasks.quarantine", json!({"fencing_token": 1, "reason": "?"})),
        ("tasks.escalate", json!({"fencing_token": 1, "result": "forged"})),
    ] {
        assert_eq!(ask(&other, command, data), Err("not_the_agent"), "{command}");
    }
}

#[test]
fn a_new_revision_begins_with_nothing_at_hand() {
    let story = submitted();
    let again = story
        .clone()
        .given("tasks.review", task(), review(&story, "changes_requested", false))
        .given("tasks.escalate", task(), json!({}));
    assert_eq!(
        ask(&again, "tasks.resolve", json!({"resolution": "submitted"})),
        Err("nothing_submitted")
    );
}

#[test]
fn attempts_are_bounded() {
    let fail = |token: u32, retryable: bool| {
        json!({"fencing_token": token, "retryable": retryable,
        "error": "x"})
    };
    assert_eq!(
        ask(&leased(), "tasks.fail", fail(1, false)),
        Ok(vec!["tasks.attempt_failed", "tasks.failed"])
    );
    assert_eq!(ask(&leased(), "tasks.fail", fail(1, true)), Ok(vec!["tasks.attempt_failed"]));
    let again = leased().given("tasks.fail", task(), fail(1, true)).given(
        "tasks.lease",
        task(),
        json!({"agent": producer()}),
    );
    assert_eq!(
        ask(&again, "tasks.fail", fail(2, true)),
        Ok(vec!["tasks.attempt_failed", "tasks.failed"])
    );
}

#[test]
fn every_open_task_can_be_cancelled() {
    for story in [planned(), offered(), leased(), submitted()] {
        assert_eq!(
            ask(&story, "tasks.cancel", json!({"reason": "x"})),
            Ok(vec!["tasks.cancelled"])
        );
    }
    let cancelled = planned().given("tasks.cancel", task(), json!({}));
    assert_eq!(ask(&cancelled, "tasks.cancel", json!({})), Ok(vec![]));
}

#[test]
fn history_is_recorded_and_closed() {
    assert_eq!(
        ask(&planned(), "tasks.close_history", json!({"completed": true})),
        Err("wrong_status")
    );
    let cost = json!({"activity": "call", "customer_cost": {"source_text": "0.0020675000000000003",
        "currency": "USD"}});
    let story = planned().given("tasks.record_activity", task(), cost);
    let Event::Tasks(Tasks::ActivityRecorded(e)) = story.last("tasks.activity_recorded") else {
        panic!()
    };
    let cost = e.customer_cost.unwrap();
    assert_eq!(
        (cost.amount.to_string(), cost.source_text.as_str()),
        ("0.0020675".to_owned(), "0.0020675000000000003")
    );
    assert_eq!(
        ask(&story, "tasks.close_history", json!({"completed": true})),
        Ok(vec!["tasks.history_closed"])
    );
    let bad =
        json!({"activity": "call", "customer_cost": {"source_text": "1e", "currency": "USD"}});
    assert_eq!(ask(&planned(), "tasks.record_activity", bad), Err("out_of_range"));
}

#[test]
fn who_never_held_a_task_hands_in_no_result_of_it() {
    let story = leased().given("agents.enrol", agent_of(52), enrol("producer", 52));
    let forged = json!({"agent": agent_of(52), "fencing_token": 1, "result": "forged"});
    assert_eq!(
        ask(&story.by(actor(52, PrincipalKind::Agent, &[Role::Agent])), "tasks.submit", forged),
        Err("never_held")
    );
}
