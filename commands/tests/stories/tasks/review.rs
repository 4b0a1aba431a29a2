//! Who reviews and who decides when a task comes to a human.

use super::{ask, leased, offered, producer, qa, review, submit, submitted, task};
use crate::agents::enrol;
use crate::story::{Story, actor, id};
use domain::Event;
use domain::access::PrincipalKind;
use domain::tasks::Event as Tasks;
use domain::values::Role;
use serde_json::json;

#[test]
pub(super) fn who_made_a_result_does_not_review_it() {
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
pub(super) fn rework_is_bounded_then_a_human_decides() {
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
pub(super) fn a_human_resolves_what_was_escalated_or_quarantined() {
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
pub(super) fn one_service_that_stands_for_both_agents_is_one_reviewer() {
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
pub(super) fn who_took_a_task_for_its_producer_does_not_review_it() {
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
pub(super) fn a_quarantined_task_is_an_owners_whatever_an_escalation_said_before() {
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
pub(super) fn an_escalation_waits_for_the_role_it_was_escalated_to() {
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
pub(super) fn a_vote_on_a_tasks_call_is_a_human_hand_in_it() {
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
