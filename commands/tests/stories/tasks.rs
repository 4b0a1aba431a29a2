//! Tasks, row by row of their state table.

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
fn who_made_a_result_does_not_review_it() {
    let story = submitted();
    let mut own = review(&story, "passed", false);
    own["reviewer"] = json!(producer());
    assert_eq!(
        ask(&story, "tasks.review", own),
        Err("wrong_team"),
        "a producer is no reviewer at all"
    );
    let same_credentials = Story::new()
        .given("agents.enrol", producer(), enrol("producer", 50))
        .given("agents.enrol", qa(), enrol("qa", 50))
        .given("tasks.plan", task(), json!({"title": "t", "team": "sales"}))
        .given("tasks.offer", task(), json!({}))
        .given("tasks.lease", task(), json!({"agent": producer()}))
        .given("tasks.submit", task(), submit(1));
    assert_eq!(
        ask(&same_credentials, "tasks.review", review(&same_credentials, "passed", false)),
        Err("self_review")
    );
    let mut stale = review(&story, "passed", false);
    stale["artifact_digest"] = json!("00".repeat(32));
    assert_eq!(ask(&story, "tasks.review", stale), Err("stale_artifact"));
    let foreign = story.clone().by(actor(77, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(
        ask(&foreign, "tasks.review", review(&story, "passed", false)),
        Err("not_the_agent")
    );
}

#[test]
fn rework_is_bounded_then_a_human_decides() {
    let story = submitted();
    let changes = review(&story, "changes_requested", false);
    let by_human = ask(&story, "tasks.review", changes.clone());
    assert_eq!(
        by_human,
        Ok(vec!["tasks.reviewed", "tasks.human_intervened", "tasks.offered"]),
        "a human who asks for changes had a hand in it"
    );
    let story = story.by(actor(51, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(
        ask(&story, "tasks.review", changes.clone()),
        Ok(vec!["tasks.reviewed", "tasks.offered"])
    );
    let story = story.given("tasks.review", task(), changes).by(actor(
        50,
        PrincipalKind::Agent,
        &[Role::Agent],
    ));
    let story = story.given("tasks.lease", task(), json!({"agent": producer()})).given(
        "tasks.submit",
        task(),
        submit(2),
    );
    let Event::Tasks(Tasks::Submitted(e)) = story.last("tasks.submitted") else { panic!() };
    assert_eq!(e.revision, 2);
    let story = story.by(actor(51, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(
        ask(&story, "tasks.review", review(&story, "changes_requested", false)),
        Ok(vec!["tasks.reviewed", "tasks.escalated"])
    );
    assert_eq!(
        ask(&story, "tasks.review", review(&story, "changes_requested", true)),
        Ok(vec!["tasks.reviewed", "tasks.failed"])
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
fn a_human_resolves_what_was_escalated_or_quarantined() {
    let escalated = leased().given(
        "tasks.escalate",
        task(),
        json!({"fencing_token": 1, "result": "so far", "to_role": "member"}),
    );
    let resolve = |s: &Story, to: &str| ask(s, "tasks.resolve", json!({"resolution": to}));
    assert_eq!(ask(&escalated, "tasks.escalate", json!({})), Ok(vec![]));
    assert_eq!(
        resolve(&escalated, "submitted"),
        Ok(vec!["tasks.resolved"]),
        "the result at hand goes to review"
    );
    assert_eq!(resolve(&escalated, "offered"), Ok(vec!["tasks.resolved", "tasks.offered"]));
    assert_eq!(resolve(&escalated, "completed"), Ok(vec!["tasks.resolved", "tasks.completed"]));
    assert_eq!(resolve(&escalated, "failed"), Ok(vec!["tasks.resolved", "tasks.failed"]));
    assert_eq!(resolve(&escalated, "cancelled"), Ok(vec!["tasks.resolved", "tasks.cancelled"]));
    let agent = escalated.clone().by(actor(50, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(resolve(&agent, "completed"), Err("human_only"));
    let quarantined = leased().given(
        "tasks.quarantine",
        task(),
        json!({"fencing_token": 1, "reason": "no answer"}),
    );
    assert_eq!(resolve(&quarantined, "submitted"), Err("nothing_submitted"));
    assert_eq!(
        ask(&quarantined, "tasks.lease", json!({"agent": producer()})),
        Err("wrong_status"),
        "never blindly retried"
    );
    assert_eq!(resolve(&leased(), "completed"), Err("wrong_status"));
    let done = escalated.given("tasks.resolve", task(), json!({"resolution": "submitted"}));
    let Event::Tasks(Tasks::Escalated(e)) = done.last("tasks.escalated") else { panic!() };
    let passed = json!({"reviewer": qa(), "artifact_digest": e.artifact.unwrap().digest,
        "verdict": "passed"});
    let done = done.given("tasks.review", task(), passed);
    let Event::Tasks(Tasks::Completed(e)) = done.last("tasks.completed") else { panic!() };
    assert!(!e.without_human, "a human had a hand in it");
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
fn one_service_that_stands_for_both_agents_is_one_reviewer() {
    let service = actor(7, PrincipalKind::Service, &[Role::Service]);
    let story = leased().by(service.clone()).given("tasks.submit", task(), submit(1));
    assert_eq!(ask(&story, "tasks.review", review(&story, "passed", false)), Err("self_review"));
    let other = story.clone().by(actor(8, PrincipalKind::Service, &[Role::Service]));
    assert_eq!(
        ask(&other, "tasks.review", review(&story, "passed", false)),
        Ok(vec!["tasks.reviewed", "tasks.completed"])
    );
}

#[test]
fn who_took_a_task_for_its_producer_does_not_review_it() {
    let service = actor(7, PrincipalKind::Service, &[Role::Service]);
    let taken =
        offered().by(service.clone()).given("tasks.lease", task(), json!({"agent": producer()}));
    let story = taken
        .by(actor(50, PrincipalKind::Agent, &[Role::Agent]))
        .given("tasks.submit", task(), submit(1))
        .by(service);
    assert_eq!(ask(&story, "tasks.review", review(&story, "passed", false)), Err("self_review"));
}

#[test]
fn a_quarantined_task_is_an_owners_whatever_an_escalation_said_before() {
    let story = offered().given("tasks.escalate", task(), json!({"to_role": "member"})).given(
        "tasks.resolve",
        task(),
        json!({"resolution": "offered"}),
    );
    let story = story.given("tasks.lease", task(), json!({"agent": producer()})).given(
        "tasks.quarantine",
        task(),
        json!({"fencing_token": 1, "reason": "?"}),
    );
    let resolve = |role: Role| {
        ask(
            &story.clone().by(actor(9, PrincipalKind::Human, &[role])),
            "tasks.resolve",
            json!({"resolution": "failed"}),
        )
    };
    assert_eq!(resolve(Role::Member), Err("not_escalated_to_you"));
    assert!(resolve(Role::Owner).is_ok());
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

#[test]
fn an_escalation_waits_for_the_role_it_was_escalated_to() {
    let story = offered().given("tasks.escalate", task(), json!({"to_role": "approver"}));
    let resolve = |role: Role| {
        ask(
            &story.clone().by(actor(9, PrincipalKind::Human, &[role])),
            "tasks.resolve",
            json!({"resolution": "failed"}),
        )
    };
    assert_eq!(resolve(Role::Member), Err("not_escalated_to_you"));
    assert!(resolve(Role::Approver).is_ok() && resolve(Role::Owner).is_ok());
}

#[test]
fn a_vote_on_a_tasks_call_is_a_human_hand_in_it() {
    let call = json!({"connector": "crm", "operation": "search", "class": "spending",
        "agent": producer(), "task": task(), "arguments": {}});
    let request =
        json!({"command": {"type": "integrations.intend_call", "id": id(5), "data": call}});
    let story = leased().by(actor(50, PrincipalKind::Agent, &[Role::Agent])).given(
        "approvals.request",
        id(6),
        request,
    );
    let approver = story.by(actor(2, PrincipalKind::Human, &[Role::Approver]));
    assert_eq!(
        approver.when("approvals.vote", id(6), json!({"choice": "approve"})),
        Ok(vec!["approvals.voted", "approvals.granted", "tasks.human_intervened"])
    );
    let voted = approver.given("approvals.vote", id(6), json!({"choice": "approve"})).by(actor(
        50,
        PrincipalKind::Agent,
        &[Role::Agent],
    ));
    let done = voted.given("tasks.submit", task(), submit(1)).by(actor(
        51,
        PrincipalKind::Agent,
        &[Role::Agent],
    ));
    let done = done.clone().given("tasks.review", task(), review(&done, "passed", false));
    let Event::Tasks(Tasks::Completed(e)) = done.last("tasks.completed") else { panic!() };
    assert!(!e.without_human);
}
