//! What takes a second human, whatever the approval policy says: with one, two and three of them,
//! and with one whose role was just taken away.

use commands::Submission;
use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::{Value, json};

use crate::story::{BUSINESS, Outcome, Story, actor, id};

const HOUR: u64 = 3_600;

const WEEK: u64 = 7 * 86_400;

fn policy() -> Value {
    json!({"rules": []})
}

fn wind_up() -> Value {
    json!({"type": "businesses.advance", "id": BUSINESS.0, "data": {"to": "wound_up"}})
}

/// The owner, number 1, asked to wind the business up.
fn asked(story: Story) -> Story {
    story.given("approvals.request", id(1), json!({"command": wind_up()}))
}

fn vote(story: &Story) -> Outcome {
    story.when("approvals.vote", id(1), json!({"choice": "approve"}))
}

fn human(n: u128, roles: &[Role]) -> commands::Actor {
    actor(n, PrincipalKind::Human, roles)
}

fn operator(n: u128) -> commands::Actor {
    commands::Actor { operator: true, ..human(n, &[]) }
}

fn with(mut story: Story, others: &[commands::Actor]) -> Story {
    others.iter().for_each(|other| story.know(other));
    story
}

#[test]
fn the_only_human_may_alone_after_an_hour_and_the_event_says_so() {
    let story = asked(Story::new());
    assert_eq!(vote(&story), Err("too_early"));
    let later = story.later(HOUR);
    assert_eq!(vote(&later), Ok(vec!["approvals.voted", "approvals.granted"]));
    let granted = later.given("approvals.vote", id(1), json!({"choice": "approve"}));
    let domain::Event::Approvals(domain::approvals::Event::Granted(granted)) =
        granted.last("approvals.granted")
    else {
        panic!()
    };
    assert!(granted.alone);
}

#[test]
fn with_two_humans_the_other_one_votes_and_nobody_is_alone() {
    for second in [human(2, &[Role::Approver]), human(2, &[Role::Owner]), operator(2)] {
        let story = asked(with(Story::new(), std::slice::from_ref(&second))).later(HOUR);
        assert_eq!(vote(&story), Err("own_request"), "there is a second one: {second:?}");
        let voted = story.by(second);
        assert_eq!(vote(&voted), Ok(vec!["approvals.voted", "approvals.granted"]));
        let granted = voted.given("approvals.vote", id(1), json!({"choice": "approve"}));
        let domain::Event::Approvals(domain::approvals::Event::Granted(granted)) =
            granted.last("approvals.granted")
        else {
            panic!()
        };
        assert!(!granted.alone);
    }
}

#[test]
fn with_three_humans_any_of_the_others_will_do() {
    let story = asked(with(Story::new(), &[human(2, &[Role::Approver]), operator(3)])).later(HOUR);
    assert_eq!(vote(&story), Err("own_request"));
    assert!(vote(&story.clone().by(human(2, &[Role::Approver]))).is_ok());
    assert!(vote(&story.by(operator(3))).is_ok());
}

#[test]
fn taking_the_second_ones_role_away_makes_nobody_the_only_one_for_a_week() {
    let story =
        asked(with(Story::new(), &[human(2, &[Role::Approver])]).without(2, Role::Approver))
            .later(HOUR);
    assert_eq!(vote(&story), Err("own_request"), "who lost the role still counts as there");
    assert_eq!(
        vote(&story.clone().by(human(2, &[]))),
        Err("not_an_approver"),
        "but can't vote any more"
    );
    assert!(vote(&story.clone().by(operator(3))).is_ok(), "then the operator is the second one");
    // A request of a week later is not held up by who left before.
    let story =
        with(Story::new(), &[human(2, &[Role::Approver])]).without(2, Role::Approver).later(WEEK);
    assert!(vote(&asked(story).later(HOUR)).is_ok());
}

#[test]
fn an_operator_has_no_vote_in_what_a_policy_asks_for() {
    let story = ["planning", "approved", "building"]
        .into_iter()
        .fold(Story::new(), |s, to| s.given("businesses.advance", BUSINESS.0, json!({"to": to})));
    let launch =
        json!({"type": "businesses.advance", "id": BUSINESS.0, "data": {"to": "operating"}});
    let story = story.given("approvals.request", id(1), json!({"command": launch})).by(operator(3));
    assert_eq!(vote(&story), Err("not_an_approver"));
}

#[test]
fn a_machine_or_a_delegate_of_who_asked_is_no_second_human() {
    let story =
        asked(with(Story::new(), &[human(2, &[Role::Approver]), human(3, &[Role::Member])]));
    assert_eq!(
        vote(&story.clone().by(actor(4, PrincipalKind::Service, &[Role::Owner]))),
        Err("human_only")
    );
    let delegated = story.given(
        "approvals.delegate",
        id(1),
        json!({"to": id(3), "until": "2026-11-29T12:00:00Z"}),
    );
    let by_delegate = delegated.by(human(3, &[Role::Member])).when(
        "approvals.vote",
        id(1),
        json!({"choice": "approve", "delegated_by": id(1)}),
    );
    assert_eq!(by_delegate, Err("own_request"));
}

#[test]
fn who_was_made_an_approver_by_whoever_asks_is_no_second_human() {
    let made = with(Story::new(), &[human(2, &[])]).granted(2, Role::Approver, 1);
    let votes = |story: &Story| {
        let mut story = story.clone();
        story.actor = human(2, &[Role::Approver]);
        vote(&story)
    };
    let story = asked(made);
    assert_eq!(votes(&story), Err("own_request"), "a sock puppet of the owner");
    assert_eq!(vote(&story), Err("too_early"), "so the owner is the only human");
    assert!(vote(&story.later(HOUR)).is_ok());
    let other = asked(with(Story::new(), &[human(2, &[])]).granted(2, Role::Approver, 3));
    assert!(votes(&other).is_ok(), "somebody else made this one an approver");
    let again = with(Story::new(), &[human(2, &[])])
        .granted(2, Role::Approver, 3)
        .without(2, Role::Approver)
        .granted(2, Role::Approver, 1);
    assert!(votes(&asked(again)).is_ok(), "who grants a role again did not make the approver");
}

#[test]
fn a_right_of_one_whom_the_requester_made_counts_for_nobody_else_either() {
    let story = asked(with(Story::new(), &[human(2, &[]), human(3, &[Role::Member])]).granted(
        2,
        Role::Approver,
        1,
    ));
    let mut delegates = story.clone();
    delegates.actor = human(2, &[Role::Approver]);
    let delegated = delegates.given(
        "approvals.delegate",
        id(1),
        json!({"to": id(3), "until": "2026-11-29T12:00:00Z"}),
    );
    let by_delegate = delegated.by(human(3, &[Role::Member])).when(
        "approvals.vote",
        id(1),
        json!({"choice": "approve", "delegated_by": id(2)}),
    );
    assert_eq!(
        by_delegate,
        Err("own_request"),
        "the delegate is somebody else, the right is a sock puppet's"
    );
}

#[test]
fn a_right_is_delegated_to_who_can_send_a_vote() {
    let story = asked(with(
        Story::new(),
        &[human(2, &[Role::Approver]), human(3, &[Role::Auditor]), human(4, &[Role::Member])],
    ));
    let delegate = |to: u128| {
        story.clone().by(human(2, &[Role::Approver])).when(
            "approvals.delegate",
            id(1),
            json!({"to": id(to), "until": "2026-11-29T12:00:00Z"}),
        )
    };
    assert_eq!(delegate(3), Err("out_of_range"), "an auditor");
    assert_eq!(delegate(4), Ok(vec!["approvals.delegated"]));
}

#[test]
fn a_first_policy_that_is_no_laxer_than_the_shipped_one_needs_nobody() {
    let request = |rules: Value| {
        Story::new().when(
            "approvals.request",
            id(1),
            json!({"command": {"type": "approvals.define_policy", "id": BUSINESS.0,
                "data": rules}}),
        )
    };
    let shipped = json!(domain::approvals::shipped_rules());
    assert_eq!(request(json!({"rules": shipped})), Err("no_approval_needed"));
    let mut stricter = shipped.clone();
    stricter[0]["quorum"] = json!(2);
    stricter[1]["quorum"] = json!(0);
    assert_eq!(request(json!({"rules": stricter})), Err("no_approval_needed"));
    let mut laxer = shipped.clone();
    laxer[0]["separation_of_duties"] = json!(false);
    let mut without = shipped.as_array().unwrap().clone();
    without.pop();
    let mut before =
        vec![json!({"name": "first", "when": {"command_types": ["budgets.raise"]}, "quorum": 1,
            "roles": ["owner"],
        "separation_of_duties": false, "expires_after_seconds": 60, "escalate_to": []})];
    before.extend(shipped.as_array().unwrap().clone());
    for rules in [policy()["rules"].clone(), laxer, json!(without), json!(before)] {
        assert_eq!(request(json!({"rules": rules})), Ok(vec!["approvals.requested"]), "{rules}");
    }
    let classes = json!([{"connector": "bank", "operation": "pay", "class": "read"}]);
    assert_eq!(
        request(json!({"rules": shipped, "operation_classes": classes})),
        Ok(vec!["approvals.requested"]),
        "calling spending reading is laxer"
    );
}

#[test]
fn rules_that_block_their_own_repair_or_never_apply_are_refused() {
    let rule = |when: Value, quorum: u8, roles: Value| {
        json!({"rules": [{"name": "r", "when": when,
        "quorum": quorum, "roles": roles, "separation_of_duties": true,
        "expires_after_seconds": 3600, "escalate_to": []}]})
    };
    let define =
        |story: &Story, rules: Value| story.when("approvals.define_policy", BUSINESS.0, rules);
    let both = json!(["owner", "approver"]);
    for (why, when, quorum, roles) in [
        ("gates everything", json!({}), 1, both.clone()),
        ("gates every agent", json!({"actor_kinds": ["agent"]}), 1, both.clone()),
        ("misspelt", json!({"command_types": ["budgets.rise"]}), 1, both.clone()),
        (
            "never carries a risk",
            json!({"command_types": ["budgets.raise"], "risk_at_least": "high"}),
            1,
            both.clone(),
        ),
        (
            "no command carries both",
            json!({"phases": ["operating"], "risk_at_least": "high"}),
            1,
            both.clone(),
        ),
        ("members can't vote", json!({"command_types": ["budgets.raise"]}), 1, json!(["member"])),
        (
            "approvals are never gated",
            json!({"command_types": ["approvals.vote"]}),
            1,
            both.clone(),
        ),
        (
            "forbids its own repair",
            json!({"command_types": ["approvals.define_policy"]}),
            0,
            json!([]),
        ),
        (
            "more votes than there are humans",
            json!({"command_types": ["approvals.define_policy"]}),
            1,
            both.clone(),
        ),
        (
            "no agent cancels",
            json!({"command_types": ["tasks.cancel"], "actor_kinds": ["agent"]}),
            1,
            both.clone(),
        ),
        (
            "every amount",
            json!({"amount_at_least": {"amount": "-1", "currency": "EUR"}}),
            1,
            both.clone(),
        ),
        (
            "no such class of data",
            json!({"command_types": ["integrations.intend_call"], "data_classes": ["secret"]}),
            1,
            both.clone(),
        ),
    ] {
        assert_eq!(define(&Story::new(), rule(when, quorum, roles)), Err("rule_faulty"), "{why}");
    }
    let two = with(Story::new(), &[human(2, &[Role::Approver])]);
    assert!(
        define(&two, rule(json!({"command_types": ["approvals.define_policy"]}), 1, both.clone()))
            .is_ok(),
        "there is somebody to vote"
    );
    assert!(
        define(&two, rule(json!({"data_classes": ["restricted"]}), 1, both)).is_ok(),
        "calls carry classes of data"
    );
}

#[tokio::test]
async fn whom_the_one_that_is_asked_for_made_an_approver_is_no_second_human() {
    let bus = crate::bus::Bus::new().await;
    let business = bus.business("acme").await;
    let owner = bus.operator_in(business).await;
    let puppet = bus.principal(business, PrincipalKind::Human, Some("approver")).await;
    let id = uuid::Uuid::now_v7();
    let add = json!({"kind": "human", "display_name": "o", "operator": true});
    let owns = json!({"business": business, "role": "owner"});
    bus.must(domain::ids::INSTALLATION, "access.add_principal", Some(id), add).await;
    bus.must(domain::ids::INSTALLATION, "access.grant_role", Some(id), owns).await;
    let directory = bus.bus().directory();
    let second = directory.actor(domain::PrincipalId(id), business).await.unwrap().unwrap();
    let wind_up = json!({"command": {"type": "businesses.advance", "id": business,
        "data": {"to": "wound_up"}}});
    let mut request =
        Submission::new(business, second, bus.key(), "approvals.request", None, &wind_up);
    request.on_behalf_of = Some(owner.principal);
    let asked = bus.bus().submit(request).await.unwrap().events[0].id;
    let vote = json!({"choice": "approve"});
    let refused = bus.submit(&puppet, business, "approvals.vote", Some(asked), vote.clone()).await;
    assert_eq!(refused.unwrap_err().name(), "own_request");
    let alone = bus.submit(&owner, business, "approvals.vote", Some(asked), vote).await;
    assert_eq!(alone.unwrap_err().name(), "too_early", "who asked is no other human either");
}

#[tokio::test]
async fn a_rule_of_the_policy_makes_no_built_in_rule_laxer() {
    let bus = crate::bus::Bus::new().await;
    let business = bus.business("acme").await;
    let owner = bus.operator_in(business).await;
    let mut rules = json!(domain::approvals::shipped_rules());
    rules.as_array_mut().unwrap().push(json!({"name": "advance", "quorum": 1,
        "when": {"command_types": ["businesses.advance"]}, "roles": ["owner", "approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []}));
    bus.must(business, "approvals.define_policy", None, json!({"rules": rules})).await;
    // The owner makes a second human, who votes for whatever the owner asks.
    let puppet = bus.principal(business, PrincipalKind::Human, Some("approver")).await;
    let approved = async |to: &str| {
        let command = json!({"type": "businesses.advance", "id": business, "data": {"to": to}});
        let asked = json!({"command": command});
        let asked = bus.must(business, "approvals.request", None, asked).await.events[0].id;
        let vote = json!({"choice": "approve"});
        bus.submit(&puppet, business, "approvals.vote", Some(asked), vote).await.unwrap();
        let (id, data) = (business.0, json!({"to": to}));
        bus.present(&owner, business, "businesses.advance", id, &data, Some(asked)).await
    };
    assert!(approved("planning").await.is_ok(), "the policy alone asks: its own terms count");
    assert_eq!(
        approved("wound_up").await.unwrap_err().name(),
        "own_request",
        "what can't be undone wants a second human, whatever the policy asks as well"
    );
}
