//! Approvals: rules by story, consumption through the desk.

use commands::Submission;
use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::{Value, json};
use tests::installation::Installation;
use uuid::Uuid;

use crate::story::{BUSINESS, Story, actor, id};

fn launch() -> Value {
    json!({"type": "businesses.advance", "id": BUSINESS.0, "data": {"to": "operating"}})
}
/// A business that could be launched.
fn built() -> Story {
    ["planning", "approved", "building"].into_iter().fold(Story::new(), |s, to| s.given("businesses.advance", BUSINESS.0, json!({"to": to})))
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
    json!({"rules": [{"name": "two", "when": {"command_types": ["businesses.advance"]}, "quorum": 2, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": ["owner"]}]})
}

#[test]
fn approval_is_asked_for_what_a_rule_wants_and_for_nothing_else() {
    assert_eq!(built().when("approvals.request", id(1), json!({"command": launch()})), Ok(vec!["approvals.requested"]));
    assert_eq!(Story::new().when("approvals.request", id(1), json!({"command": launch()})), Err("phase_order"), "what would be refused needs no approval");
    let harmless = json!({"type": "tasks.plan", "id": id(5), "data": {"title": "x", "team": "hr"}});
    assert_eq!(Story::new().when("approvals.request", id(1), json!({"command": harmless})), Err("no_approval_needed"));
    let forbid = json!({"rules": [{"name": "never", "when": {"command_types": ["businesses.advance"]}, "quorum": 0, "roles": [],
        "separation_of_duties": false, "expires_after_seconds": 60, "escalate_to": []}]});
    let story = built().given("approvals.define_policy", BUSINESS.0, forbid);
    assert_eq!(story.when("approvals.request", id(1), json!({"command": launch()})), Err("forbidden_by_approval_policy"));
}

#[test]
fn who_asked_does_not_vote_and_only_approvers_do() {
    let story = requested();
    assert_eq!(story.when("approvals.vote", id(1), json!({"choice": "approve"})), Err("own_request"));
    assert_eq!(vote(&story, 2, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
    assert_eq!(vote(&story, 2, "reject"), Ok(vec!["approvals.voted", "approvals.rejected"]));
    let member = story.clone().by(actor(3, PrincipalKind::Human, &[Role::Member]));
    assert_eq!(member.when("approvals.vote", id(1), json!({"choice": "approve"})), Err("not_an_approver"));
    let machine = story.by(actor(4, PrincipalKind::Service, &[Role::Approver]));
    assert_eq!(machine.when("approvals.vote", id(1), json!({"choice": "approve"})), Err("human_only"));
}

#[test]
fn a_granted_approval_cannot_be_denied() {
    let granted = requested().by(approver(2)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(vote(&granted, 3, "reject"), Err("wrong_status"));
    assert_eq!(vote(&granted, 2, "approve"), Ok(vec![]), "the same vote again is no news");
}

#[test]
fn a_quorum_counts_persons_and_a_vote_cannot_be_changed() {
    let story = built().given("approvals.define_policy", BUSINESS.0, two_votes_policy()).given("approvals.request", id(1), json!({"command": launch()}));
    let one = story.by(approver(2)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(vote(&one, 2, "reject"), Err("voted_already"));
    assert_eq!(vote(&one, 3, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
}

#[test]
fn a_right_to_vote_is_delegated_for_a_time_and_taken_back() {
    let mut story = requested().by(approver(2));
    story.know(&actor(3, PrincipalKind::Human, &[Role::Member]));
    let until = json!({"to": id(3), "until": "2026-11-22T13:00:00Z"});
    assert_eq!(story.when("approvals.delegate", id(1), json!({"to": id(3), "until": "2026-11-22T11:00:00Z"})), Err("out_of_range"));
    let delegated = story.given("approvals.delegate", id(1), until);
    let by_delegate = |s: &Story| {
        s.clone().by(actor(3, PrincipalKind::Human, &[Role::Member])).when("approvals.vote", id(1), json!({"choice": "approve", "delegated_by": id(2)}))
    };
    assert_eq!(by_delegate(&delegated), Ok(vec!["approvals.voted", "approvals.granted"]));
    assert_eq!(by_delegate(&delegated.clone().later(3_600)), Err("not_an_approver"));
    let revoked = delegated.given("approvals.revoke_delegation", id(1), json!({"to": id(3)}));
    assert_eq!(by_delegate(&revoked), Err("not_an_approver"));
    assert_eq!(revoked.when("approvals.revoke_delegation", id(1), json!({"to": id(3)})), Ok(vec![]));
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
    let story = built().given("approvals.define_policy", BUSINESS.0, two_votes_policy()).given("approvals.request", id(1), json!({"command": launch()}));
    let owner = |s: &Story| s.clone().by(actor(9, PrincipalKind::Human, &[Role::Owner])).when("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(owner(&story), Err("not_an_approver"));
    let escalated = story.given("approvals.escalate", id(1), json!({}));
    assert_eq!(owner(&escalated), Ok(vec!["approvals.voted"]));
    assert_eq!(escalated.when("approvals.escalate", id(1), json!({})), Ok(vec![]));
    assert_eq!(escalated.clone().by(approver(2)).when("approvals.withdraw", id(1), json!({})), Err("not_the_requester"));
    let withdrawn = escalated.given("approvals.withdraw", id(1), json!({}));
    assert_eq!(withdrawn.when("approvals.withdraw", id(1), json!({})), Ok(vec![]));
    assert_eq!(vote(&withdrawn, 2, "approve"), Err("wrong_status"));
    assert_eq!(withdrawn.when("approvals.comment", id(1), json!({"comment": "pity"})), Ok(vec!["approvals.commented"]));
}

#[test]
fn an_approval_policy_is_sound_or_refused() {
    let mut unsound = two_votes_policy();
    unsound["rules"][0]["roles"] = json!([]);
    assert_eq!(Story::new().when("approvals.define_policy", BUSINESS.0, unsound), Err("rule_faulty"));
    let story = Story::new().given("approvals.define_policy", BUSINESS.0, two_votes_policy());
    assert_eq!(story.when("approvals.define_policy", BUSINESS.0, two_votes_policy()), Ok(vec![]));
}

struct Launch {
    installation: Installation,
    business: domain::BusinessId,
    approval: Uuid,
}

/// A business that is ready to launch, and a granted approval to do so.
async fn granted() -> Launch {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for phase in ["planning", "approved", "building"] {
        installation.must(business, "businesses.advance", None, json!({"to": phase})).await;
    }
    let command = json!({"type": "businesses.advance", "id": business, "data": {"to": "operating"}});
    let approval = installation.must(business, "approvals.request", None, json!({"command": command})).await.events[0].id;
    let approver = installation.principal(business, PrincipalKind::Human, Some("approver")).await;
    installation.submit(&approver, business, "approvals.vote", Some(approval), json!({"choice": "approve"})).await.unwrap();
    Launch { installation, business, approval }
}

impl Launch {
    async fn advance(&self, data: Value, approval: Option<Uuid>) -> Result<commands::Receipt, commands::CommandError> {
        let actor = self.installation.app.operator_in(self.business).await.unwrap();
        let mut submission = Submission::new(self.business, actor, self.installation.key(), "businesses.advance", Some(self.business.0), &data);
        submission.approval_id = approval.map(domain::ids::ApprovalId);
        self.installation.app.desk.submit(submission).await
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
    assert_eq!(receipt.events[0].seq + 1, receipt.events[1].seq, "in one append");
    assert_eq!(l.advance(json!({"to": "wound_up"}), Some(l.approval)).await.unwrap_err().name(), "wrong_status", "used up");
    let view = l.installation.query("{ business(slug: \"acme\") { phase approvals { nodes { status votes { choice yes } rule } } } }").await;
    assert_eq!(view["business"]["phase"], "operating");
    assert_eq!(view["business"]["approvals"]["nodes"][0], json!({"status": "consumed", "rule": "launch", "votes": [{"choice": "approve", "yes": true}]}));
    l.installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_a_forgotten_and_an_outdated_approval_open_nothing() {
    let l = granted().await;
    let to = json!({"to": "operating"});
    l.installation.approved(l.business, "approvals.define_policy", l.business.0, two_votes_policy()).await;
    assert_eq!(l.advance(to.clone(), Some(l.approval)).await.unwrap_err().name(), "approval_outdated");
    l.installation.clock.advance_seconds(7 * 86_400);
    assert_eq!(l.advance(to.clone(), Some(l.approval)).await.unwrap_err().name(), "approval_expired");
    let l = granted().await;
    l.installation.forgets(l.business, l.business.0).await;
    assert_eq!(l.advance(to, Some(l.approval)).await.unwrap_err().name(), "approval_forgotten");
    l.installation.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_given_under_a_weaker_rule_opens_nothing_under_a_stronger_one() {
    let l = granted().await;
    // One vote was enough for a human who asked; a service that presents it needs two.
    let rule = |name: &str, kind: &str, quorum: u8| {
        json!({"name": name, "when": {"command_types": ["businesses.advance"], "actor_kinds": [kind]}, "quorum": quorum,
            "roles": ["approver", "owner"], "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []})
    };
    let rules = json!({"rules": [rule("machines", "service", 2), rule("people", "human", 1)]});
    l.installation.approved(l.business, "approvals.define_policy", l.business.0, rules).await;
    let command = json!({"type": "businesses.advance", "id": l.business, "data": {"to": "operating"}});
    let approval = l.installation.must(l.business, "approvals.request", None, json!({"command": command})).await.events[0].id;
    let approver = l.installation.principal(l.business, PrincipalKind::Human, Some("approver")).await;
    l.installation.submit(&approver, l.business, "approvals.vote", Some(approval), json!({"choice": "approve"})).await.unwrap();
    let machine = l.installation.principal(l.business, PrincipalKind::Service, Some("owner")).await;
    let mut submission = Submission::new(l.business, machine, "k", "businesses.advance", Some(l.business.0), &json!({"to": "operating"}));
    submission.approval_id = Some(domain::ids::ApprovalId(approval));
    assert_eq!(l.installation.app.desk.submit(submission).await.unwrap_err().name(), "approval_outdated");
    l.advance(json!({"to": "operating"}), Some(approval)).await.unwrap();
}

/// A launch approved by one approver under one rule, presented under another.
async fn launched_under(before: Value, after: Value) -> String {
    let l = granted().await;
    let rule = |change: &Value| {
        let mut rule = json!({"name": "launch", "when": {"command_types": ["businesses.advance"], "phases": ["operating"]}, "quorum": 1,
            "roles": ["owner", "approver"], "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []});
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"rules": [rule]})
    };
    let define = async |change: &Value| l.installation.approved(l.business, "approvals.define_policy", l.business.0, rule(change)).await;
    define(&before).await;
    let to = json!({"to": "operating"});
    let approval = l.installation.approval_of(l.business, "businesses.advance", l.business.0, &to).await;
    define(&after).await;
    l.advance(to, Some(approval)).await.map_or_else(|e| e.name().to_owned(), |_| "taken".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_worth_what_the_rule_of_now_would_have_asked_for() {
    assert_eq!(launched_under(json!({}), json!({"expires_after_seconds": 60})).await, "taken", "the rule asks for no more");
    assert_eq!(launched_under(json!({}), json!({"roles": ["owner"]})).await, "approval_outdated", "approvers may not vote any more");
    assert_eq!(launched_under(json!({"separation_of_duties": false}), json!({})).await, "approval_outdated", "who asked might have voted then");
    assert_eq!(launched_under(json!({}), json!({"quorum": 2})).await, "approval_outdated");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_present_one_approval_use_it_once() {
    let l = granted().await;
    let all = futures_util::future::join_all((0..20).map(|_| l.advance(json!({"to": "operating"}), Some(l.approval)))).await;
    let written: usize = all.iter().filter_map(|r| r.as_ref().ok()).map(|r| r.events.len()).sum();
    assert_eq!(written, 2, "one advanced, one consumed: {all:?}");
}

#[test]
fn nobody_counts_twice_whatever_rights_they_were_given() {
    let three = json!({"rules": [{"name": "three", "when": {"command_types": ["businesses.advance"]}, "quorum": 3, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []}]});
    let story = built().given("approvals.define_policy", BUSINESS.0, three).given("approvals.request", id(1), json!({"command": launch()}));
    let until = |to: u128| json!({"to": id(to), "until": "2026-11-22T12:30:00Z"});
    // 2 and 3 each let the other vote, and 4 lets 2.
    let mut story = story.by(approver(4)).by(approver(3)).by(approver(2));
    story = story.given("approvals.delegate", id(1), until(3)).by(approver(3)).given("approvals.delegate", id(1), until(2));
    story = story.by(approver(4)).given("approvals.delegate", id(1), until(2)).by(approver(2)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    let by = |s: &Story, n: u128, right: Option<u128>| {
        s.clone().by(approver(n)).when("approvals.vote", id(1), json!({"choice": "approve", "delegated_by": right.map(id)}))
    };
    assert_eq!(by(&story, 2, Some(4)), Err("voted_already"), "2 voted, and fills no second place with the right of 4");
    assert_eq!(by(&story, 3, Some(2)), Err("voted_already"), "the right of 2 is used");
    let story = story.by(approver(3)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(by(&story, 4, None), Ok(vec!["approvals.voted", "approvals.granted"]), "the third person");
}

#[test]
fn a_delegation_dies_with_the_right_that_was_delegated() {
    let mut story = requested().by(approver(2));
    story.know(&actor(3, PrincipalKind::Human, &[Role::Member]));
    let story = story.given("approvals.delegate", id(1), json!({"to": id(3), "until": "2026-11-22T13:00:00Z"}));
    let vote = |s: &Story| {
        s.clone().by(actor(3, PrincipalKind::Human, &[Role::Member])).when("approvals.vote", id(1), json!({"choice": "approve", "delegated_by": id(2)}))
    };
    assert!(vote(&story).is_ok());
    assert_eq!(vote(&story.without(2, Role::Approver)), Err("not_an_approver"));
}

#[test]
fn what_could_be_said_and_is_not_counts_as_the_highest_and_what_is_never_carried_matches_nothing() {
    use domain::approvals::{ApprovalInputs, Carries, Matcher, Said};
    let million = serde_json::from_value(json!({"amount": "1000000", "currency": "EUR"})).unwrap();
    let large = Matcher { amount_at_least: Some(million), ..Matcher::default() };
    let risky = Matcher { risk_at_least: Some(domain::values::RiskTier::Critical), ..Matcher::default() };
    let inputs = |carries: &'static [Carries], said: Said| ApprovalInputs { command_type: "x.y", carries, actor_kind: PrincipalKind::Human, said };
    assert!(large.matches(&inputs(&[Carries::Amount], Said::default())));
    assert!(risky.matches(&inputs(&[Carries::Risk], Said::default())));
    assert!(!large.matches(&inputs(&[Carries::Risk], Said::default())));
    assert!(!risky.matches(&inputs(&[Carries::Amount], Said::default())));
    let agents = Matcher { command_types: vec!["x.y".parse().unwrap()], actor_kinds: vec![PrincipalKind::Agent], ..Matcher::default() };
    let said = Said { in_the_name_of_an_agent: true, ..Said::default() };
    let service = |said| ApprovalInputs { actor_kind: PrincipalKind::Service, ..inputs(&[], said) };
    assert!(agents.matches(&service(said)), "a service that stands for an agent is no way around a rule for agents");
    assert!(!agents.matches(&service(Said::default())));
}

#[test]
fn an_approval_is_not_asked_for_what_would_be_refused_anyway() {
    use crate::story::agent_of;
    let eur = |n: &str| json!({"amount": n, "currency": "EUR"});
    let budget = domain::ids::BudgetId::of(BUSINESS, &domain::budgets::Scope::Business {}, domain::budgets::Window::Lifetime).0;
    let limit = json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur("500")});
    let story = Story::new().given("budgets.set", budget, limit).given("agents.enrol", agent_of(50), crate::agents::enrol("producer", 50));
    let pay = |amount: &str, connector: &str| {
        json!({"command": {"type": "integrations.intend_call", "id": id(5), "data": {"connector": connector, "operation": "search", "class": "spending",
            "agent": agent_of(50), "arguments": {}, "cost_max": eur(amount)}}})
    };
    assert_eq!(story.when("approvals.request", id(1), pay("10000", "crm")), Err("budget_exceeded"));
    assert_eq!(story.when("approvals.request", id(1), pay("10", "bank")), Err("connector_not_allowed"));
    let asked = story.given("approvals.request", id(1), pay("10", "crm"));
    let domain::Event::Approvals(domain::approvals::Event::Requested(e)) = asked.last("approvals.requested") else { panic!() };
    assert_eq!(e.effects.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["integrations.call_intended", "budgets.reserved"]);
    assert_eq!(e.amount.unwrap().amount.to_string(), "10");
    let raise = json!({"command": {"type": "budgets.raise", "id": budget, "data": {"by": eur("5")}}});
    let agent = asked.by(actor(50, PrincipalKind::Agent, &[Role::Agent]));
    assert_eq!(agent.when("approvals.request", id(2), raise), Err("requester_may_not"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_shows_request_votes_command_and_outcome() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let pay = json!({"connector": "bank", "operation": "pay", "class": "read", "arguments": {}});
    let call = Uuid::now_v7();
    let refused = installation.submit(&operator, business, "integrations.intend_call", Some(call), pay.clone()).await.unwrap_err();
    assert!(refused.to_string().contains(&call.to_string()), "the refusal names the id to send: {refused}");
    installation.approved(business, "integrations.intend_call", call, pay).await;
    installation.must(business, "integrations.succeed_call", Some(call), json!({})).await;
    let query = "{ business(slug: \"acme\") { events(type: \"approvals.requested\", first: 1) { nodes { correlated(first: 20) { nodes { eventId type causation } } } } } }";
    let thread = installation.query(query).await["business"]["events"]["nodes"][0]["correlated"]["nodes"].clone();
    let types: Vec<_> = thread.as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["approvals.requested", "approvals.voted", "approvals.granted", "integrations.call_intended", "approvals.consumed", "integrations.call_succeeded"]
    );
    assert_eq!(thread[3]["causation"], thread[2]["eventId"], "the grant is the cause of the command");
    let stored = installation.query("{ business(slug: \"acme\") { calls { nodes { class dataClass } } } }").await;
    assert_eq!(stored["business"]["calls"]["nodes"][0], json!({"class": "spending", "dataClass": "restricted"}), "what the caller called reading");
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_the_business_itself_takes_a_second_human() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let alone = installation.app.forget_subject(business, operator.clone(), business.as_subject(), None).await.unwrap_err();
    assert!(alone.to_string().contains("businesses.forget"), "{alone}");
    let refused = installation.submit(&operator, business, "businesses.forget", None, json!({})).await.unwrap_err();
    assert_eq!(refused.name(), "approval_required");
    let idea = "{ business(slug: \"acme\") { idea { text } } }";
    assert_eq!(installation.query(idea).await["business"]["idea"]["text"], "canary-idea");
    let approval = installation.approval_of(business, "businesses.forget", business.0, &json!({})).await;
    let mut forget = Submission::new(business, operator, installation.key(), "businesses.forget", Some(business.0), &json!({}));
    forget.approval_id = Some(domain::ids::ApprovalId(approval));
    // What the sender says it belongs to does not tear it from its request.
    (forget.correlation, forget.causation) = (Some(Uuid::now_v7()), Some(domain::ids::EventId(Uuid::now_v7())));
    let receipt = installation.app.submit(forget.clone()).await.unwrap();
    assert_eq!(receipt.events.iter().map(|e| e.r#type.as_str()).collect::<Vec<_>>(), ["privacy.subject_forgotten", "approvals.consumed"]);
    let log = installation.app.log.read_business(business, 0, 100).await.unwrap();
    let stored = |name: &str| log.iter().map(|r| r.stored().unwrap()).find(|s| s.r#type == name).unwrap();
    let (requested, granted, consumed) = (stored("approvals.requested"), stored("approvals.granted"), stored("approvals.consumed"));
    assert_eq!((consumed.correlation, consumed.causation), (requested.correlation, Some(granted.event_id)));
    assert_eq!(installation.query(idea).await["business"]["idea"]["text"], "forgotten");
    assert!(installation.app.submit(forget).await.unwrap().repeated);
    installation.must(business, "tasks.plan", None, json!({"title": "work goes on", "team": "hr"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_before_these_checks_still_counts_and_is_shown_with_its_faults() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.must(business, "approvals.define_policy", None, json!({"rules": domain::approvals::shipped_rules()})).await;
    // The next one as an older program stored it: a rule for a command that does not exist, in a v1 event.
    let id = domain::AggregateRef::new(domain::Kind::ApprovalPolicy, business.0);
    let first = installation.app.log.read_aggregate(business, id, 0, 1).await.unwrap().remove(0);
    let mut event: Value = serde_json::from_slice(&first.bytes).unwrap();
    let event_id = Uuid::now_v7();
    (event["version"], event["event_id"], event["schema"]) = (json!(2), json!(event_id), json!(1));
    event.as_object_mut().unwrap().remove("request");
    event.as_object_mut().unwrap().remove("sealed");
    let rule = json!({"name": "typo", "when": {"command_types": ["budgets.rise"]}, "quorum": 1, "roles": ["member"], "separation_of_duties": true,
        "expires_after_seconds": 60, "escalate_to": []});
    event["data"] = json!({"approval_policy_version": 2, "rules": [rule]});
    let bytes = proof::canonical::to_bytes(&event).unwrap();
    let new = event_log::NewEvent { aggregate: id, version: 2, event_id: domain::ids::EventId(event_id), bytes };
    let append = event_log::Append { business, reads: Vec::new(), events: vec![new], chain: None, keys: None };
    installation.app.log.append(append).await.unwrap();
    let query = "{ business(slug: \"acme\") { approvalPolicy { version faults { rule fault } } } }";
    let policy = installation.query(query).await["business"]["approvalPolicy"].clone();
    assert_eq!((policy["version"].as_i64(), policy["faults"].as_array().unwrap().len()), (Some(2), 2), "{policy}");
    assert!(policy["faults"][0]["fault"].as_str().unwrap().contains("did you mean `budgets.raise`"), "{policy}");
}
