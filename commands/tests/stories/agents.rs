//! Agents: enrolled, changed, suspended, retired.

use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::json;
use uuid::Uuid;

use crate::story::{Story, actor, agent_of, id};

pub(crate) fn enrol(role: &str, principal: u128) -> serde_json::Value {
    json!({
        "name": role, "team": "sales", "role": role, "runtime": {"model": "m"},
        "principal": id(principal),
        "permissions": {"tools": ["search"], "connectors": ["crm"], "data_classes": ["restricted"]},
    })
}

fn agent() -> Uuid {
    agent_of(50)
}

#[test]
fn an_agent_is_enrolled_once_and_says_what_it_runs_on() {
    let story = Story::new();
    assert_eq!(
        story.when("agents.enrol", agent(), enrol("producer", 50)),
        Ok(vec!["agents.enrolled"])
    );
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
    assert_eq!(
        story.when("agents.change", agent(), json!({"concurrency": 2})),
        Ok(vec!["agents.changed"])
    );
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

#[test]
fn who_is_enrolled_has_credentials_of_an_agent_of_this_business_and_an_owner_who_is_there() {
    let enrolled = |principal: u128, owner: u128| {
        let mut data = enrol("producer", principal);
        data["owner"] = json!(id(owner));
        Story::new().when("agents.enrol", agent_of(principal), data)
    };
    assert_eq!(enrolled(50, 1), Ok(vec!["agents.enrolled"]));
    assert_eq!(enrolled(99, 1), Err("principal_no_agent"), "nobody of that id was added");
    assert_eq!(enrolled(1, 1), Err("principal_no_agent"), "a human's credentials are no agent's");
    assert_eq!(enrolled(50, 77), Err("owner_unknown"), "who answers for it must be there");
}

#[test]
fn a_suspended_agent_ends_its_work_and_begins_none_and_a_retired_one_reports_what_is_open() {
    use serde_json::Value;
    let own = |s: &Story| s.clone().by(actor(50, PrincipalKind::Agent, &[Role::Agent]));
    let plan = json!({"title": "t", "team": "sales"});
    let call = json!({"connector": "crm", "operation": "search", "class": "read", "agent": agent(),
        "arguments": {}});
    let (task, other, open_call) = (id(1), id(2), id(3));
    let story = [task, other]
        .into_iter()
        .fold(Story::new().given("agents.enrol", agent(), enrol("producer", 50)), |s, t| {
            s.given("tasks.plan", t, plan.clone()).given("tasks.offer", t, json!({}))
        });
    let mut wider = enrol("producer", 50)["permissions"].clone();
    wider["tools"] = json!(["search", "report:revenue"]);
    let story = story
        .given("agents.change", agent(), json!({"permissions": wider, "concurrency": 5}))
        .given("tasks.lease", task, json!({"agent": agent()}));
    let story = own(&story).given("integrations.intend_call", open_call, call.clone()).by(actor(
        1,
        PrincipalKind::Human,
        &[Role::Owner],
    ));
    let suspended = own(&story.clone().given("agents.suspend", agent(), json!({})));
    let retired = own(&story.given("agents.retire", agent(), json!({})));
    let token = |more: Value| {
        let mut data = json!({"fencing_token": 1});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    for (command, target, data, when_suspended, when_retired) in [
        ("tasks.release", task, token(json!({})), true, true),
        ("tasks.fail", task, token(json!({"retryable": true})), true, false),
        ("tasks.submit", task, token(json!({"agent": agent(), "result": "r"})), true, false),
        ("integrations.succeed_call", open_call, json!({}), true, true),
        ("integrations.fail_call", open_call, json!({"error": "x"}), true, true),
        ("tasks.heartbeat", task, token(json!({})), false, false),
        ("tasks.lease", other, json!({"agent": agent()}), false, false),
        ("tasks.plan", id(9), plan.clone(), false, false),
        ("decisions.record", id(9), json!({"agent": agent(), "choice": "x"}), false, false),
        (
            "metrics.report",
            id(9),
            json!({"measure": "revenue", "value": "1", "unit": "EUR"}),
            false,
            false,
        ),
        ("integrations.intend_call", id(9), call, false, false),
    ] {
        for (story, allowed, state) in
            [(&suspended, when_suspended, "suspended"), (&retired, when_retired, "retired")]
        {
            let outcome = story.when(command, target, data.clone());
            assert_eq!(
                outcome.clone().err() != Some("agent_inactive"),
                allowed,
                "{command} while {state}: {outcome:?}"
            );
            assert!(!allowed || outcome.is_ok(), "{command} while {state}: {outcome:?}");
        }
    }
}

#[test]
fn an_agent_holds_no_more_tasks_than_it_was_enrolled_for() {
    let mut data = enrol("producer", 50);
    data["concurrency"] = json!(2);
    let story = (1..=4).fold(Story::new().given("agents.enrol", agent(), data), |s, n| {
        s.given("tasks.plan", id(n), json!({"title": "t", "team": "sales"})).given(
            "tasks.offer",
            id(n),
            json!({}),
        )
    });
    let lease = |s: &Story, n| {
        s.when("tasks.lease", id(n), json!({"agent": agent(), "lease_seconds": 120}))
    };
    let story = [1, 2].into_iter().fold(story, |s, n| {
        s.given("tasks.lease", id(n), json!({"agent": agent(), "lease_seconds": 120}))
    });
    assert_eq!(lease(&story, 3), Err("too_many_leases"));
    let released = story.clone().given("tasks.release", id(1), json!({"fencing_token": 1}));
    assert_eq!(lease(&released, 3), Ok(vec!["tasks.leased"]));
    assert_eq!(
        lease(&story.later(121), 3),
        Ok(vec!["tasks.leased"]),
        "what has expired is not held"
    );
}

#[test]
fn an_agent_reports_the_figures_it_may_and_only_of_now() {
    let story = Story::new().given("agents.enrol", agent(), enrol("producer", 50)).by(actor(
        50,
        PrincipalKind::Agent,
        &[Role::Agent],
    ));
    let revenue = json!({"measure": "revenue", "value": "1000000", "unit": "EUR"});
    assert_eq!(story.when("metrics.report", id(1), revenue), Err("measure_not_allowed"));
}
