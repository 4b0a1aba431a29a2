//! An approval that is presented with a command: the command bus takes it once, and only where the
//! rule of now asks for no more than was given.

use domain::access::PrincipalKind;
use domain::personal::Generation;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus::Bus;

fn two_votes_policy() -> Value {
    json!({"rules": [{"name": "two", "when": {"command_types": ["businesses.advance"]},
        "quorum": 2, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": ["owner"]}]})
}

struct Launch {
    bus: Bus,
    business: domain::BusinessId,
    approval: Uuid,
}

/// A business that is ready to launch, and a granted approval to do so.
async fn granted() -> Launch {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    for phase in ["planning", "approved", "building"] {
        bus.must(business, "businesses.advance", None, json!({"to": phase})).await;
    }
    let command =
        json!({"type": "businesses.advance", "id": business, "data": {"to": "operating"}});
    let approval =
        bus.must(business, "approvals.request", None, json!({"command": command})).await.events[0]
            .id;
    let approver = bus.principal(business, PrincipalKind::Human, Some("approver")).await;
    bus.submit(&approver, business, "approvals.vote", Some(approval), json!({"choice": "approve"}))
        .await
        .unwrap();
    Launch { bus, business, approval }
}

impl Launch {
    async fn advance(
        &self,
        data: Value,
        approval: Option<Uuid>,
    ) -> Result<commands::Receipt, commands::CommandError> {
        let actor = self.bus.operator_in(self.business).await;
        self.bus
            .present(&actor, self.business, "businesses.advance", self.business.0, &data, approval)
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gated_command_consumes_its_approval_in_its_own_append_and_once() {
    let l = granted().await;
    let to = json!({"to": "operating"});
    assert_eq!(l.advance(to.clone(), None).await.unwrap_err().name(), "approval_required");
    let other = json!({"to": "operating", "note": "a word more than was approved"});
    assert_eq!(l.advance(other, Some(l.approval)).await.unwrap_err().name(), "approval_mismatch");
    let receipt = l.advance(to.clone(), Some(l.approval)).await.unwrap();
    let types: Vec<_> = receipt.events.iter().map(|e| e.r#type.as_str()).collect();
    assert_eq!(types, ["businesses.advanced", "approvals.consumed"]);
    assert_eq!(receipt.events[0].seq.next(), receipt.events[1].seq, "in one append");
    assert_eq!(
        l.advance(json!({"to": "wound_up"}), Some(l.approval)).await.unwrap_err().name(),
        "wrong_status",
        "used up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_a_forgotten_and_an_outdated_approval_open_nothing() {
    let l = granted().await;
    let to = json!({"to": "operating"});
    l.bus.approved(l.business, "approvals.define_policy", l.business.0, two_votes_policy()).await;
    assert_eq!(
        l.advance(to.clone(), Some(l.approval)).await.unwrap_err().name(),
        "approval_outdated"
    );
    l.bus.clock.advance_seconds(7 * 86_400);
    assert_eq!(
        l.advance(to.clone(), Some(l.approval)).await.unwrap_err().name(),
        "approval_expired"
    );
    let l = granted().await;
    assert_eq!(
        l.bus.keyring.destroy(l.business, l.business.as_subject(), Generation(1)).await.unwrap(),
        1
    );
    assert_eq!(l.advance(to, Some(l.approval)).await.unwrap_err().name(), "approval_forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_given_under_a_weaker_rule_opens_nothing_under_a_stronger_one() {
    let l = granted().await;
    // One vote was enough for a human who asked; a service that presents it needs two.
    let rule = |name: &str, kind: &str, quorum: u8| {
        json!({"name": name, "when": {"command_types": ["businesses.advance"],
            "actor_kinds": [kind]}, "quorum": quorum,
            "roles": ["approver", "owner"], "separation_of_duties": true,
            "expires_after_seconds": 3600, "escalate_to": []})
    };
    let rules = json!({"rules": [rule("machines", "service", 2), rule("people", "human", 1)]});
    l.bus.approved(l.business, "approvals.define_policy", l.business.0, rules).await;
    let command =
        json!({"type": "businesses.advance", "id": l.business, "data": {"to": "operating"}});
    let approval =
        l.bus.must(l.business, "approvals.request", None, json!({"command": command})).await.events
            [0]
        .id;
    let approver = l.bus.principal(l.business, PrincipalKind::Human, Some("approver")).await;
    l.bus
        .submit(
            &approver,
            l.business,
            "approvals.vote",
            Some(approval),
            json!({"choice": "approve"}),
        )
        .await
        .unwrap();
    let machine = l.bus.principal(l.business, PrincipalKind::Service, Some("owner")).await;
    let by_machine = l
        .bus
        .present(
            &machine,
            l.business,
            "businesses.advance",
            l.business.0,
            &json!({"to": "operating"}),
            Some(approval),
        )
        .await;
    assert_eq!(by_machine.unwrap_err().name(), "approval_outdated");
    l.advance(json!({"to": "operating"}), Some(approval)).await.unwrap();
}

/// A launch approved by one approver under one rule, presented under another.
async fn launched_under(before: Value, after: Value) -> String {
    let l = granted().await;
    let rule = |change: &Value| {
        let mut rule = json!({"name": "launch", "when": {"command_types": ["businesses.advance"],
            "phases": ["operating"]}, "quorum": 1,
            "roles": ["owner", "approver"], "separation_of_duties": true,
            "expires_after_seconds": 3600, "escalate_to": []});
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"rules": [rule]})
    };
    let define = async |change: &Value| {
        l.bus.approved(l.business, "approvals.define_policy", l.business.0, rule(change)).await
    };
    define(&before).await;
    let to = json!({"to": "operating"});
    let approval = l.bus.approval_of(l.business, "businesses.advance", l.business.0, &to).await;
    define(&after).await;
    l.advance(to, Some(approval)).await.map_or_else(|e| e.name().to_owned(), |_| "taken".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_worth_what_the_rule_of_now_would_have_asked_for() {
    assert_eq!(
        launched_under(json!({}), json!({"expires_after_seconds": 60})).await,
        "taken",
        "the rule asks for no more"
    );
    assert_eq!(
        launched_under(json!({}), json!({"roles": ["owner"]})).await,
        "approval_outdated",
        "approvers may not vote any more"
    );
    assert_eq!(
        launched_under(json!({"separation_of_duties": false}), json!({})).await,
        "approval_outdated",
        "who asked might have voted then"
    );
    assert_eq!(launched_under(json!({}), json!({"quorum": 2})).await, "approval_outdated");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_present_one_approval_use_it_once() {
    let l = granted().await;
    let all = futures_util::future::join_all(
        (0..20).map(|_| l.advance(json!({"to": "operating"}), Some(l.approval))),
    )
    .await;
    let written: usize = all.iter().filter_map(|r| r.as_ref().ok()).map(|r| r.events.len()).sum();
    assert_eq!(written, 2, "one advanced, one consumed: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_on_amounts_reaches_every_command_that_carries_a_cost() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let rule = json!({"name": "dear", "when": {"amount_at_least": {"amount": "100",
        "currency": "EUR"}}, "quorum": 1, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []});
    bus.approved(business, "approvals.define_policy", business.0, json!({"rules": [rule]})).await;
    let principal = bus.principal(business, PrincipalKind::Agent, Some("agent")).await.principal;
    let enrol = json!({"name": "a", "team": "sales", "role": "producer", "runtime": {"model": "m"},
        "principal": principal, "concurrency": 1});
    let agent = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    let task =
        bus.must(business, "tasks.plan", None, json!({"title": "t", "team": "sales"})).await.events
            [0]
        .id;
    bus.must(business, "tasks.offer", Some(task), json!({})).await;
    bus.must(business, "tasks.lease", Some(task), json!({"agent": agent})).await;
    let operator = bus.operator_in(business).await;
    let cost = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    for (command, target, mut data) in [
        ("tasks.record_activity", Some(task), json!({"activity": "x"})),
        ("decisions.record", None, json!({"choice": "x"})),
        ("tasks.submit", Some(task), json!({"agent": agent, "fencing_token": 1, "result": "r"})),
    ] {
        let unsaid =
            bus.submit(&operator, business, command, target, data.clone()).await.unwrap_err();
        assert_eq!(
            unsaid.name(),
            "approval_required",
            "{command}: what is not said counts as the highest"
        );
        data["cost"] = cost("100");
        let dear =
            bus.submit(&operator, business, command, target, data.clone()).await.unwrap_err();
        assert_eq!(dear.name(), "approval_required", "{command}");
        data["cost"] = cost("99");
        bus.must(business, command, target, data).await;
    }
}
