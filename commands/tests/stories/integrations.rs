//! Calls: intended and paid for before they are made, reported once.

use domain::budgets::{Scope, Window};
use domain::ids::BudgetId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::enrol;
use crate::story::{BUSINESS, Story, agent_of, id};

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}
fn whole() -> Uuid {
    BudgetId::of(BUSINESS, &Scope::Business {}, Window::Lifetime).0
}
fn call() -> Uuid {
    id(1)
}
fn story() -> Story {
    let limit = json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur("10")});
    unpaid().given("budgets.set", whole(), limit)
}
/// A business without a budget, with an agent that may search the CRM.
fn unpaid() -> Story {
    Story::new().given("agents.enrol", agent_of(50), enrol("producer", 50))
}
fn intend(cost: Option<&str>) -> Value {
    let mut data = json!({"connector": "crm", "operation": "search", "class": "read",
        "agent": agent_of(50), "arguments": {"q": "Ada"}});
    if let Some(cost) = cost {
        data["cost_max"] = eur(cost);
    }
    data
}

#[test]
fn a_call_is_paid_for_in_the_append_that_intends_it() {
    assert_eq!(
        unpaid().when("integrations.intend_call", call(), intend(None)),
        Ok(vec!["integrations.call_intended"])
    );
    assert_eq!(
        story().when("integrations.intend_call", call(), intend(None)),
        Err("cost_max_missing"),
        "a budget counts it"
    );
    assert_eq!(
        story().when("integrations.intend_call", call(), intend(Some("10"))),
        Ok(vec!["integrations.call_intended", "budgets.reserved"])
    );
    assert_eq!(
        story().when("integrations.intend_call", call(), intend(Some("11"))),
        Err("budget_exceeded")
    );
    let twice = unpaid().given("integrations.intend_call", call(), intend(None));
    assert_eq!(twice.when("integrations.intend_call", call(), intend(None)), Err("exists"));
}

#[test]
fn an_agent_calls_only_what_it_may() {
    let mut other = intend(None);
    other["connector"] = json!("bank");
    assert_eq!(
        unpaid().when("integrations.intend_call", call(), other),
        Err("connector_not_allowed")
    );
    let mut other = intend(None);
    other["operation"] = json!("delete_everything");
    assert_eq!(
        unpaid().when("integrations.intend_call", call(), other),
        Err("operation_not_allowed")
    );
    let public = json!({"permissions": {"tools": ["search"], "connectors": ["crm"],
        "data_classes": ["public"]}});
    let narrowed = unpaid().given("agents.change", agent_of(50), public);
    assert_eq!(
        narrowed.when("integrations.intend_call", call(), intend(None)),
        Err("data_class_not_allowed"),
        "what nobody classified is restricted"
    );
}

#[test]
fn a_service_on_an_agents_task_is_held_to_that_agents_permissions() {
    let service = crate::story::actor(
        7,
        domain::access::PrincipalKind::Service,
        &[domain::values::Role::Service],
    );
    let task = id(5);
    let planned = unpaid().given("tasks.plan", task, json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        task,
        json!({}),
    );
    let leased = planned.given("tasks.lease", task, json!({"agent": agent_of(50)})).by(service);
    let call_of = |connector: &str| {
        json!({"connector": connector, "operation": "search",
        "class": "read", "task": task, "arguments": {}})
    };
    assert_eq!(
        leased.when("integrations.intend_call", call(), call_of("bank")),
        Err("connector_not_allowed"),
        "naming no agent gets round nothing"
    );
    assert_eq!(
        leased.when("integrations.intend_call", call(), call_of("crm")),
        Ok(vec!["integrations.call_intended"])
    );
}

#[test]
fn an_agent_says_which_it_is_and_reports_its_own_calls_only() {
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let mut unnamed = intend(None);
    unnamed.as_object_mut().unwrap().remove("agent");
    let agent = |n| crate::story::actor(n, PrincipalKind::Agent, &[Role::Agent]);
    assert_eq!(
        story().by(agent(50)).when("integrations.intend_call", call(), unnamed),
        Err("agent_unnamed")
    );
    assert_eq!(
        story().by(agent(50)).when("decisions.record", id(1), json!({"choice": "x"})),
        Err("agent_unnamed")
    );
    let intended = unpaid().given("agents.enrol", agent_of(51), enrol("producer", 51)).given(
        "integrations.intend_call",
        call(),
        intend(None),
    );
    assert_eq!(
        intended.clone().by(agent(51)).when("integrations.succeed_call", call(), json!({})),
        Err("not_yours")
    );
    assert_eq!(
        intended.by(agent(50)).when("integrations.succeed_call", call(), json!({})),
        Ok(vec!["integrations.call_succeeded"])
    );
}

#[test]
fn what_is_set_aside_for_a_call_is_freed_by_its_outcome_only() {
    let paid = story().given("integrations.intend_call", call(), intend(Some("10")));
    assert_eq!(
        paid.when("budgets.release", whole(), json!({"reservation": call()})),
        Err("reservation_of_call")
    );
    assert_eq!(
        paid.when("budgets.settle", whole(), json!({"reservation": call(), "amount": eur("0")})),
        Err("reservation_of_call")
    );
    assert_eq!(
        paid.when("integrations.succeed_call", call(), json!({"cost": eur("-1")})),
        Err("out_of_range")
    );
}

#[test]
fn the_outcome_settles_what_was_set_aside() {
    let paid = story().given("integrations.intend_call", call(), intend(Some("10")));
    assert_eq!(
        paid.when("integrations.succeed_call", call(), json!({"cost": eur("4")})),
        Ok(vec!["integrations.call_succeeded", "budgets.settled"])
    );
    assert_eq!(
        paid.when("integrations.fail_call", call(), json!({"error": "no"})),
        Ok(vec!["integrations.call_failed", "budgets.released"])
    );
    assert_eq!(
        paid.when("integrations.succeed_call", call(), json!({"cost": eur("11"), "result": "x"})),
        Ok(vec![
            "integrations.call_succeeded",
            "budgets.settled",
            "budgets.overrun",
            "approvals.requested"
        ])
    );
    let silent = paid.clone().given("integrations.succeed_call", call(), json!({}));
    assert_eq!(
        silent.when("budgets.reserve", id(2), json!({"amount": eur("0.01")})),
        Err("budget_exceeded"),
        "an unknown cost counts in full"
    );
    let failed = paid.given("integrations.fail_call", call(), json!({"error": "no"}));
    assert_eq!(
        failed.when("budgets.reserve", id(2), json!({"amount": eur("10")})),
        Ok(vec!["budgets.reserved"])
    );
}

#[test]
fn an_ambiguous_call_keeps_its_money_until_somebody_knows() {
    let paid = story().given("integrations.intend_call", call(), intend(Some("10"))).given(
        "integrations.mark_call_ambiguous",
        call(),
        json!({"reason": "timeout"}),
    );
    assert_eq!(
        paid.when("integrations.mark_call_ambiguous", call(), json!({"reason": "timeout"})),
        Ok(vec![])
    );
    assert_eq!(
        paid.when("budgets.reserve", id(2), json!({"amount": eur("1")})),
        Err("budget_exceeded")
    );
    let known = paid.given("integrations.fail_call", call(), json!({"error": "it never arrived"}));
    assert_eq!(
        known.when("integrations.succeed_call", call(), json!({})),
        Err("wrong_status"),
        "reported once"
    );
    assert_eq!(Story::new().when("integrations.succeed_call", call(), json!({})), Err("unknown"));
}
