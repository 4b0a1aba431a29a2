//! What stands before every command of a business: is it still taken, and does a rule ask for
//! approval? Told at the command bus, which asks before it decides.

mod requests;

use commands::{Actor, CommandError, Receipt};
use domain::BusinessId;
use domain::access::PrincipalKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus::Bus;

fn inputs(outcome: Result<Receipt, CommandError>) -> String {
    outcome.map_or_else(|e| e.name().to_owned(), |_| "taken".to_owned())
}

fn rule(name: &str, command: &str, change: &Value) -> Value {
    let mut rule = json!({"name": name, "when": {"command_types": [command]}, "quorum": 1,
        "roles": ["owner", "approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []});
    rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    rule
}

fn plan() -> Value {
    json!({"title": "t", "team": "sales"})
}

/// A business whose operator, its owner, is not the only human, with these rules.
async fn ruled(rules: &[Value]) -> (Bus, BusinessId, Actor) {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    bus.approved(business, "approvals.define_policy", business.0, json!({"rules": rules})).await;
    let owner = bus.operator_in(business).await;
    (bus, business, owner)
}

#[tokio::test]
async fn a_business_that_is_wound_up_takes_what_ends_something_and_nothing_else() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let budget = json!({"scope": {"business": {}}, "window": "lifetime", "limit": {"amount": "100",
        "currency": "EUR"}});
    let budget = bus.must(business, "budgets.set", None, budget).await.events[0].id;
    let reserved = bus
        .must(
            business,
            "budgets.reserve",
            None,
            json!({"amount": {"amount": "1", "currency": "EUR"}}),
        )
        .await;
    let owner = bus.operator_in(business).await;
    bus.approved(business, "businesses.advance", business.0, json!({"to": "wound_up"})).await;
    assert_eq!(inputs(bus.submit(&owner, business, "tasks.plan", None, plan()).await), "wound_up");
    let release = json!({"reservation": reserved.events[0].id});
    let released =
        inputs(bus.submit(&owner, business, "budgets.release", Some(budget), release).await);
    assert_ne!(released, "wound_up", "what is set aside is given back");
    let comment = bus
        .submit(
            &owner,
            business,
            "approvals.request",
            None,
            json!({"command": {"type": "tasks.plan", "id": Uuid::nil(), "data": plan()}}),
        )
        .await;
    assert_eq!(inputs(comment), "wound_up", "no approval is asked for what is not taken any more");
}

#[tokio::test]
async fn a_stream_that_no_business_opened_takes_nothing_but_a_registration() {
    let bus = Bus::new().await;
    let operator = bus.operator_in(domain::ids::INSTALLATION).await;
    let nowhere = BusinessId(Uuid::from_u128(77));
    let owner = Actor { roles: [domain::values::Role::Owner].into(), ..operator.clone() };
    assert_eq!(
        inputs(bus.submit(&owner, nowhere, "tasks.plan", None, plan()).await),
        "not_registered"
    );
    assert_eq!(
        inputs(
            bus.submit(
                &operator,
                nowhere,
                "businesses.register",
                None,
                json!({"slug": "seventy-seven"})
            )
            .await
        ),
        "taken"
    );
}

#[tokio::test]
async fn destroying_the_key_of_the_business_takes_a_second_human_whatever_the_policy_says() {
    let (bus, business, owner) = ruled(&[]).await;
    assert_eq!(
        inputs(bus.submit(&owner, business, "businesses.forget", None, json!({})).await),
        "approval_required"
    );
    let approval = bus.approval_of(business, "businesses.forget", business.0, &json!({})).await;
    let forget = bus
        .present(&owner, business, "businesses.forget", business.0, &json!({}), Some(approval))
        .await;
    assert_eq!(inputs(forget), "taken");
}

#[tokio::test]
async fn a_service_that_acts_on_an_agents_task_or_call_is_held_by_the_rules_for_agents() {
    let of_agents = |command: &str| {
        rule(
            command,
            command,
            &json!({"when": {"command_types": [command], "actor_kinds": ["agent"]}}),
        )
    };
    let (bus, business, owner) =
        ruled(&[of_agents("tasks.record_activity"), of_agents("integrations.fail_call")]).await;
    let service = bus.principal(business, PrincipalKind::Service, Some("service")).await;
    let principal = bus.principal(business, PrincipalKind::Agent, Some("agent")).await.principal;
    let enrol = json!({"name": "a", "team": "sales", "role": "producer", "runtime": {"model": "m"},
        "principal": principal, "concurrency": 1});
    let agent = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    let acts = async |actor: &Actor, task| {
        inputs(
            bus.submit(
                actor,
                business,
                "tasks.record_activity",
                Some(task),
                json!({"activity": "x"}),
            )
            .await,
        )
    };
    let planned = bus.must(business, "tasks.plan", None, plan()).await.events[0].id;
    bus.must(business, "tasks.offer", Some(planned), json!({})).await;
    assert_eq!(acts(&service, planned).await, "taken", "nobody holds it");
    bus.must(business, "tasks.lease", Some(planned), json!({"agent": agent})).await;
    assert_eq!(acts(&service, planned).await, "approval_required");
    assert_eq!(acts(&owner, planned).await, "taken", "a human speaks for itself");
    let call = |agent: Option<Uuid>| {
        json!({"connector": "crm", "operation": "search",
        "class": "read", "arguments": {}, "agent": agent})
    };
    let fails = async |actor: &Actor, call| {
        inputs(
            bus.submit(
                actor,
                business,
                "integrations.fail_call",
                Some(call),
                json!({"error": "timeout"}),
            )
            .await,
        )
    };
    let own = bus
        .submit(&service, business, "integrations.intend_call", None, call(None))
        .await
        .unwrap()
        .events[0]
        .id;
    assert_eq!(fails(&service, own).await, "taken");
    let permissions =
        json!({"tools": ["search"], "connectors": ["crm"], "data_classes": ["restricted"]});
    bus.must(business, "agents.change", Some(agent), json!({"permissions": permissions})).await;
    let agents = bus
        .submit(&service, business, "integrations.intend_call", None, call(Some(agent)))
        .await
        .unwrap()
        .events[0]
        .id;
    assert_eq!(fails(&service, agents).await, "approval_required");
}

#[tokio::test]
async fn no_rule_holds_up_who_records_the_past_or_puts_back_what_a_restored_log_lost() {
    let (bus, business, owner) = ruled(&[rule("all", "tasks.plan", &json!({}))]).await;
    assert_eq!(
        inputs(bus.submit(&owner, business, "tasks.plan", None, plan()).await),
        "approval_required"
    );
    let restores = Actor { restores: true, ..owner.clone() };
    assert_eq!(inputs(bus.submit(&restores, business, "tasks.plan", None, plan()).await), "taken");
    let importer = bus.principal(business, PrincipalKind::Service, Some("service")).await;
    let historic = Actor { historic: true, ..importer };
    assert_eq!(inputs(bus.submit(&historic, business, "tasks.plan", None, plan()).await), "taken");
}

#[tokio::test]
async fn a_policy_does_not_take_the_second_human_out_of_what_is_built_in() {
    let lax = rule("lax", "businesses.advance", &json!({"separation_of_duties": false}));
    let (bus, business, owner) = ruled(&[lax]).await;
    let request = json!({"command": {"type": "businesses.advance", "id": business,
        "data": {"to": "wound_up"}}});
    let approval = bus.must(business, "approvals.request", None, request).await.events[0].id;
    let own = bus
        .submit(&owner, business, "approvals.vote", Some(approval), json!({"choice": "approve"}))
        .await;
    assert_eq!(inputs(own), "own_request");
    let planning = json!({"command": {"type": "businesses.advance", "id": business,
        "data": {"to": "planning"}}});
    let approval = bus.must(business, "approvals.request", None, planning).await.events[0].id;
    let own = bus
        .submit(&owner, business, "approvals.vote", Some(approval), json!({"choice": "approve"}))
        .await;
    assert_eq!(inputs(own), "taken", "where nothing is built in, the policy's word counts");
}

#[tokio::test]
async fn a_policy_that_too_few_could_change_is_mended_by_an_operator_under_the_built_in_rule() {
    let mends = "approvals.define_policy";
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let first = bus.approver(business).await;
    let second = bus.principal(business, PrincipalKind::Human, Some("approver")).await;
    let strict =
        json!({"rules": [rule("two", mends, &json!({"quorum": 2, "roles": ["approver"]}))]});
    bus.approved(business, mends, business.0, strict).await;
    let none = json!({"rules": []});
    let ask = async || {
        bus.must(
            business,
            "approvals.request",
            None,
            json!({"command": {"type": mends, "id": business, "data": none}}),
        )
        .await
        .events[0]
            .id
    };
    let vote = async |actor: &Actor, id| {
        inputs(
            bus.submit(actor, business, "approvals.vote", Some(id), json!({"choice": "approve"}))
                .await,
        )
    };
    let owner = bus.operator_in(business).await;
    let present =
        async |id| inputs(bus.present(&owner, business, mends, business.0, &none, Some(id)).await);
    // Two are there: the policy's own rule counts, also for an operator.
    let asked = ask().await;
    assert_eq!(vote(&first, asked).await, "taken");
    assert_eq!(present(asked).await, "wrong_status", "one vote of two");
    // One of them is gone, a week ago: now one vote is enough.
    bus.must(
        domain::ids::INSTALLATION,
        "access.revoke_role",
        Some(second.principal.0),
        json!({"business": business, "role": "approver"}),
    )
    .await;
    bus.clock.advance_seconds(8 * 86_400);
    let asked = ask().await;
    assert_eq!(vote(&first, asked).await, "taken");
    assert_eq!(present(asked).await, "taken");
}

#[tokio::test]
async fn a_rule_on_amounts_reaches_every_command_about_a_budget() {
    let eur = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    let dear = |command: &str| {
        rule(
            command,
            command,
            &json!({"when": {"command_types": [command], "amount_at_least": eur("100")}}),
        )
    };
    let of_agents = rule(
        "agents",
        "budgets.reserve",
        &json!({"when": {"command_types": ["budgets.reserve"], "actor_kinds": ["agent"]}}),
    );
    let of_crm = rule(
        "crm",
        "budgets.reserve",
        &json!({"when": {"command_types": ["budgets.reserve"], "connectors": ["crm"]}}),
    );
    let (bus, business, owner) = ruled(&[
        dear("budgets.set"),
        dear("budgets.raise"),
        dear("budgets.settle"),
        of_agents,
        of_crm,
    ])
    .await;
    let set =
        |limit: &str| json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur(limit)});
    assert_eq!(
        inputs(bus.submit(&owner, business, "budgets.set", None, set("100")).await),
        "approval_required"
    );
    let budget = bus.must(business, "budgets.set", None, set("99")).await.events[0].id;
    let acts = async |command: &str, data: Value| {
        inputs(bus.submit(&owner, business, command, Some(budget), data).await)
    };
    assert_eq!(acts("budgets.raise", json!({"by": eur("100")})).await, "approval_required");
    assert_eq!(acts("budgets.raise", json!({"by": eur("99")})).await, "taken");
    let reserved = bus
        .must(
            business,
            "budgets.reserve",
            None,
            json!({"amount": eur("1"), "purpose": {"connector": "bank"}}),
        )
        .await
        .events[0]
        .id;
    assert_eq!(
        acts("budgets.settle", json!({"reservation": reserved, "amount": eur("100")})).await,
        "approval_required"
    );
    let service = bus.principal(business, PrincipalKind::Service, Some("service")).await;
    let reserve = async |purpose: Value| {
        inputs(
            bus.submit(
                &service,
                business,
                "budgets.reserve",
                None,
                json!({"amount": eur("1"), "purpose": purpose}),
            )
            .await,
        )
    };
    assert_eq!(reserve(json!({"connector": "bank"})).await, "taken");
    assert_eq!(reserve(json!({"connector": "crm"})).await, "approval_required");
    let principal = bus.principal(business, PrincipalKind::Agent, Some("agent")).await.principal;
    let enrol = json!({"name": "a", "team": "sales", "role": "producer", "runtime": {"model": "m"},
        "principal": principal, "concurrency": 1});
    let agent = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    assert_eq!(reserve(json!({"agent": agent, "connector": "bank"})).await, "approval_required");
    let task = bus.must(business, "tasks.plan", None, plan()).await.events[0].id;
    bus.must(business, "tasks.offer", Some(task), json!({})).await;
    assert_eq!(reserve(json!({"task": task, "connector": "bank"})).await, "taken");
    bus.must(business, "tasks.lease", Some(task), json!({"agent": agent})).await;
    assert_eq!(
        reserve(json!({"task": task, "connector": "bank"})).await,
        "approval_required",
        "the task is an agent's"
    );
}
