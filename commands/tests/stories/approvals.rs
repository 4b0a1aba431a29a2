//! Approvals: who asks, who votes, and what time does to a request.

mod voters;

use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::{Value, json};

use crate::story::{BUSINESS, Story, actor, id};

fn launch() -> Value {
    json!({"type": "businesses.advance", "id": BUSINESS.0, "data": {"to": "operating"}})
}

/// A business that could be launched.
fn built() -> Story {
    ["planning", "approved", "building"]
        .into_iter()
        .fold(Story::new(), |s, to| s.given("businesses.advance", BUSINESS.0, json!({"to": to})))
}

fn requested() -> Story {
    built().given("approvals.request", id(1), json!({"command": launch()}))
}

fn approver(n: u128) -> commands::Actor {
    actor(n, PrincipalKind::Human, &[Role::Approver])
}

fn vote(story: &Story, n: u128, choice: &str) -> crate::story::Outcome {
    story.clone().by(approver(n)).when("approvals.vote", id(1), json!({"choice": choice}))
}

fn two_votes_policy() -> Value {
    json!({"rules": [{"name": "two", "when": {"command_types": ["businesses.advance"]},
        "quorum": 2, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": ["owner"]}]})
}

#[test]
fn approval_is_asked_for_what_a_rule_wants_and_for_nothing_else() {
    assert_eq!(
        built().when("approvals.request", id(1), json!({"command": launch()})),
        Ok(vec!["approvals.requested"])
    );
    assert_eq!(
        Story::new().when("approvals.request", id(1), json!({"command": launch()})),
        Err("phase_order"),
        "what would be refused needs no approval"
    );
    let harmless = json!({"type": "tasks.plan", "id": id(5), "data": {"title": "x", "team": "hr"}});
    assert_eq!(
        Story::new().when("approvals.request", id(1), json!({"command": harmless})),
        Err("no_approval_needed")
    );
    let forbid = json!({"rules": [{"name": "never",
        "when": {"command_types": ["businesses.advance"]}, "quorum": 0, "roles": [],
        "separation_of_duties": false, "expires_after_seconds": 60, "escalate_to": []}]});
    let story = built().given("approvals.define_policy", BUSINESS.0, forbid);
    assert_eq!(
        story.when("approvals.request", id(1), json!({"command": launch()})),
        Err("forbidden_by_approval_policy")
    );
}

#[test]
fn who_asked_does_not_vote_and_only_approvers_do() {
    let story = requested();
    assert_eq!(
        story.when("approvals.vote", id(1), json!({"choice": "approve"})),
        Err("own_request")
    );
    assert_eq!(vote(&story, 2, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
    assert_eq!(vote(&story, 2, "reject"), Ok(vec!["approvals.voted", "approvals.rejected"]));
    let member = story.clone().by(actor(3, PrincipalKind::Human, &[Role::Member]));
    assert_eq!(
        member.when("approvals.vote", id(1), json!({"choice": "approve"})),
        Err("not_an_approver")
    );
    let machine = story.by(actor(4, PrincipalKind::Service, &[Role::Approver]));
    assert_eq!(
        machine.when("approvals.vote", id(1), json!({"choice": "approve"})),
        Err("human_only")
    );
}

#[test]
fn a_granted_approval_cannot_be_denied() {
    let granted =
        requested().by(approver(2)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(vote(&granted, 3, "reject"), Err("wrong_status"));
    assert_eq!(vote(&granted, 2, "approve"), Ok(vec![]), "the same vote again is no news");
    let with_a_word = json!({"choice": "approve", "comment": "and one thing more"});
    assert_eq!(
        granted.by(approver(2)).when("approvals.vote", id(1), with_a_word),
        Err("voted_already"),
        "a comment that can't be recorded is not lost in silence"
    );
}

#[test]
fn a_quorum_counts_persons_and_a_vote_cannot_be_changed() {
    let story = built().given("approvals.define_policy", BUSINESS.0, two_votes_policy()).given(
        "approvals.request",
        id(1),
        json!({"command": launch()}),
    );
    let one = story.by(approver(2)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(vote(&one, 2, "reject"), Err("voted_already"));
    assert_eq!(vote(&one, 3, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
}

#[test]
fn time_never_approves() {
    let story = requested();
    assert_eq!(story.when("approvals.expire", id(1), json!({})), Err("not_yet_expired"));
    let late = story.later(7 * 86_400);
    assert_eq!(vote(&late, 2, "approve"), Err("approval_expired"));
    assert_eq!(late.when("approvals.expire", id(1), json!({})), Ok(vec!["approvals.expired"]));
}

#[test]
fn escalation_lets_others_vote_and_only_the_requester_withdraws() {
    let story = built().given("approvals.define_policy", BUSINESS.0, two_votes_policy()).given(
        "approvals.request",
        id(1),
        json!({"command": launch()}),
    );
    let owner = |s: &Story| {
        s.clone().by(actor(9, PrincipalKind::Human, &[Role::Owner])).when(
            "approvals.vote",
            id(1),
            json!({"choice": "approve"}),
        )
    };
    assert_eq!(owner(&story), Err("not_an_approver"));
    let escalated = story.given("approvals.escalate", id(1), json!({}));
    assert_eq!(owner(&escalated), Ok(vec!["approvals.voted"]));
    assert_eq!(escalated.when("approvals.escalate", id(1), json!({})), Ok(vec![]));
    assert_eq!(
        escalated.clone().by(approver(2)).when("approvals.withdraw", id(1), json!({})),
        Err("not_the_requester")
    );
    let withdrawn = escalated.given("approvals.withdraw", id(1), json!({}));
    assert_eq!(withdrawn.when("approvals.withdraw", id(1), json!({})), Ok(vec![]));
    assert_eq!(vote(&withdrawn, 2, "approve"), Err("wrong_status"));
    assert_eq!(
        withdrawn.when("approvals.comment", id(1), json!({"comment": "pity"})),
        Ok(vec!["approvals.commented"])
    );
}

#[test]
fn an_approval_policy_is_sound_or_refused() {
    let mut unsound = two_votes_policy();
    unsound["rules"][0]["roles"] = json!([]);
    assert_eq!(
        Story::new().when("approvals.define_policy", BUSINESS.0, unsound),
        Err("rule_faulty")
    );
    let story = Story::new().given("approvals.define_policy", BUSINESS.0, two_votes_policy());
    assert_eq!(story.when("approvals.define_policy", BUSINESS.0, two_votes_policy()), Ok(vec![]));
}

#[test]
fn what_could_be_said_and_is_not_counts_as_the_highest_and_what_is_never_carried_matches_nothing() {
    use domain::approvals::{ApprovalInputs, CarriedInputs, Carries, Matcher};
    let million = serde_json::from_value(json!({"amount": "1000000", "currency": "EUR"})).unwrap();
    let large = Matcher { amount_at_least: Some(million), ..Matcher::default() };
    let risky =
        Matcher { risk_at_least: Some(domain::values::RiskTier::Critical), ..Matcher::default() };
    let inputs = |carries: &'static [Carries], carried: CarriedInputs| ApprovalInputs {
        command_type: "x.y",
        carries,
        actor_kind: PrincipalKind::Human,
        carried,
    };
    assert!(large.matches(&inputs(&[Carries::Amount], CarriedInputs::default())));
    assert!(risky.matches(&inputs(&[Carries::Risk], CarriedInputs::default())));
    assert!(!large.matches(&inputs(&[Carries::Risk], CarriedInputs::default())));
    assert!(!risky.matches(&inputs(&[Carries::Amount], CarriedInputs::default())));
    let agents = Matcher {
        command_types: vec!["x.y".parse().unwrap()],
        actor_kinds: vec![PrincipalKind::Agent],
        ..Matcher::default()
    };
    let stated = CarriedInputs { in_the_name_of_an_agent: true, ..CarriedInputs::default() };
    let service =
        |carried| ApprovalInputs { actor_kind: PrincipalKind::Service, ..inputs(&[], carried) };
    assert!(
        agents.matches(&service(stated)),
        "a service that stands for an agent is no way around a rule for agents"
    );
    assert!(!agents.matches(&service(CarriedInputs::default())));
}

#[test]
fn an_approval_is_not_asked_for_what_would_be_refused_anyway() {
    use crate::story::agent_of;
    let eur = |n: &str| json!({"amount": n, "currency": "EUR"});
    let budget = domain::ids::BudgetId::of(
        BUSINESS,
        &domain::budgets::Scope::Business {},
        domain::budgets::Window::Lifetime,
    )
    .0;
    let limit = json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur("500")});
    let story = Story::new().given("budgets.set", budget, limit).given(
        "agents.enrol",
        agent_of(50),
        crate::agents::enrol("producer", 50),
    );
    let pay = |amount: &str, connector: &str| {
        json!({"command": {"type": "integrations.intend_call", "id": id(5),
            "data": {"connector": connector, "operation": "search", "class": "spending",
            "agent": agent_of(50), "arguments": {}, "cost_max": eur(amount)}}})
    };
    assert_eq!(story.when("approvals.request", id(1), pay("10000", "crm")), Err("budget_exceeded"));
    assert_eq!(
        story.when("approvals.request", id(1), pay("10", "bank")),
        Err("connector_not_allowed")
    );
    let asked = story.given("approvals.request", id(1), pay("10", "crm"));
    let domain::Event::Approvals(domain::approvals::Event::Requested(e)) =
        asked.last("approvals.requested")
    else {
        panic!()
    };
    assert_eq!(
        e.effects.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
        ["integrations.call_intended", "budgets.reserved"]
    );
    assert_eq!(e.amount.unwrap().amount.to_string(), "10");
    let raise =
        json!({"command": {"type": "budgets.raise", "id": budget, "data": {"by": eur("5")}}});
    let agent = asked.by(actor(50, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(agent.when("approvals.request", id(2), raise), Err("requester_may_not"));
}

#[test]
fn rules_that_never_apply_are_refused_and_no_built_in_step_is_one() {
    let names = |command: &str| {
        json!({"rules": [{"name": "r", "when": {"command_types": [command]}, "quorum": 1,
            "roles": ["approver"], "separation_of_duties": true,
            "expires_after_seconds": 60, "escalate_to": []}]})
    };
    for command in [
        "access.grant_role",
        "businesses.register",
        "businesses.claim_slug",
        "approvals.vote",
        "approvals.request",
    ] {
        assert_eq!(
            Story::new().when("approvals.define_policy", BUSINESS.0, names(command)),
            Err("rule_faulty"),
            "{command}"
        );
    }
    let other = Story::new().by(approver(2)).by(actor(1, PrincipalKind::Human, &[Role::Owner]));
    assert_eq!(
        other.when("approvals.define_policy", BUSINESS.0, names("approvals.define_policy")),
        Ok(vec!["approvals.policy_defined"])
    );
}

#[test]
fn a_first_policy_is_put_on_record_even_when_it_asks_for_nothing() {
    assert_eq!(
        Story::new().when("approvals.define_policy", BUSINESS.0, json!({"rules": []})),
        Ok(vec!["approvals.policy_defined"])
    );
}

#[test]
fn a_rule_has_a_quorum_within_bounds_and_a_minute_to_vote() {
    let rule = |quorum: u8, seconds: u32| {
        json!({"rules": [{"name": "r", "when": {"command_types": ["tasks.plan"]}, "quorum": quorum,
            "roles": ["approver"], "separation_of_duties": true,
            "expires_after_seconds": seconds, "escalate_to": []}]})
    };
    let defines = |policy| Story::new().when("approvals.define_policy", BUSINESS.0, policy);
    assert!(defines(rule(20, 60)).is_ok());
    assert_eq!(defines(rule(21, 60)), Err("rule_faulty"));
    assert_eq!(defines(rule(20, 59)), Err("rule_faulty"));
}

#[test]
fn a_request_is_about_whom_its_command_is_about_and_keeps_its_evidence() {
    let person = domain::SubjectId(id(5));
    let rule = |command: &str| {
        json!({"name": command, "when": {"command_types": [command]}, "quorum": 1,
            "roles": ["approver"], "separation_of_duties": true,
            "expires_after_seconds": 60, "escalate_to": []})
    };
    let story = Story::new().given(
        "tasks.plan",
        id(2),
        json!({"title": "t", "team": "sales", "serves": person}),
    );
    let story = story.given("tasks.plan", id(3), json!({"title": "t", "team": "sales"}));
    let story = story.given(
        "approvals.define_policy",
        BUSINESS.0,
        json!({"rules": [rule("tasks.record_activity"), rule("tasks.offer")]}),
    );
    let requested = |command: &str, task: u128, data: Value, more: Value| {
        let mut request = json!({"command": {"type": command, "id": id(task), "data": data}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let story = story.clone().given("approvals.request", id(9), request);
        let domain::Event::Approvals(domain::approvals::Event::Requested(requested)) =
            story.last("approvals.requested")
        else {
            panic!()
        };
        requested
    };
    let note = json!({"activity": "x", "note": "said something"});
    assert_eq!(
        requested("tasks.record_activity", 2, note.clone(), json!({})).subject,
        person,
        "what it would write is about them"
    );
    assert_eq!(requested("tasks.offer", 2, json!({}), json!({})).subject, person, "so is the task");
    assert_eq!(requested("tasks.offer", 3, json!({}), json!({})).subject, BUSINESS.as_subject());
    assert_eq!(
        requested("tasks.offer", 3, json!({}), json!({"serves": person})).subject,
        person,
        "as the caller says, where nothing else does"
    );
    let evidence = [domain::ids::EventId(id(77))];
    let kept = requested("tasks.record_activity", 3, note, json!({"evidence": evidence}));
    assert_eq!(
        (kept.evidence.as_slice(), kept.task),
        (&evidence[..], Some(domain::ids::TaskId(id(3))))
    );
}
