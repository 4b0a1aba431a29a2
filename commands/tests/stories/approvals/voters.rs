//! Who may vote, how often, and by whose right.

use super::{approver, built, launch, requested, two_votes_policy, vote};
use crate::story::{BUSINESS, Story, actor, id};
use domain::access::PrincipalKind;
use domain::values::Role;
use serde_json::json;

#[test]
pub(super) fn a_right_to_vote_is_delegated_for_a_time_and_taken_back() {
    let mut story = requested().by(approver(2));
    story.know(&actor(3, PrincipalKind::Human, &[Role::Member]));
    let until = json!({"to": id(3), "until": "2026-11-22T13:00:00Z"});
    assert_eq!(
        story.when(
            "approvals.delegate",
            id(1),
            json!({"to": id(3), "until": "2026-11-22T11:00:00Z"})
        ),
        Err("out_of_range")
    );
    let delegated = story.given("approvals.delegate", id(1), until);
    let by_delegate = |s: &Story| {
        s.clone().by(actor(3, PrincipalKind::Human, &[Role::Member])).when(
            "approvals.vote",
            id(1),
            json!({"choice": "approve", "delegated_by": id(2)}),
        )
    };
    assert_eq!(by_delegate(&delegated), Ok(vec!["approvals.voted", "approvals.granted"]));
    assert_eq!(by_delegate(&delegated.clone().later(3_600)), Err("not_an_approver"));
    let revoked = delegated.given("approvals.revoke_delegation", id(1), json!({"to": id(3)}));
    assert_eq!(by_delegate(&revoked), Err("not_an_approver"));
    assert_eq!(
        revoked.when("approvals.revoke_delegation", id(1), json!({"to": id(3)})),
        Ok(vec![])
    );
}

#[test]
pub(super) fn nobody_counts_twice_whatever_rights_they_were_given() {
    let three = json!({"rules": [{"name": "three",
        "when": {"command_types": ["businesses.advance"]}, "quorum": 3, "roles": ["approver"],
        "separation_of_duties": true, "expires_after_seconds": 3600, "escalate_to": []}]});
    let story = built().given("approvals.define_policy", BUSINESS.0, three).given(
        "approvals.request",
        id(1),
        json!({"command": launch()}),
    );
    let until = |to: u128| json!({"to": id(to), "until": "2026-11-22T12:30:00Z"});
    // 2 and 3 each let the other vote, and 4 lets 2.
    let mut story = story.by(approver(4)).by(approver(3)).by(approver(2));
    story = story.given("approvals.delegate", id(1), until(3)).by(approver(3)).given(
        "approvals.delegate",
        id(1),
        until(2),
    );
    story = story
        .by(approver(4))
        .given("approvals.delegate", id(1), until(2))
        .by(approver(2))
        .given("approvals.vote", id(1), json!({"choice": "approve"}));
    let by = |s: &Story, n: u128, right: Option<u128>| {
        s.clone().by(approver(n)).when(
            "approvals.vote",
            id(1),
            json!({"choice": "approve", "delegated_by": right.map(id)}),
        )
    };
    assert_eq!(
        by(&story, 2, Some(4)),
        Err("voted_already"),
        "2 voted, and fills no second place with the right of 4"
    );
    assert_eq!(by(&story, 3, Some(2)), Err("voted_already"), "the right of 2 is used");
    let story = story.by(approver(3)).given("approvals.vote", id(1), json!({"choice": "approve"}));
    assert_eq!(
        by(&story, 4, None),
        Ok(vec!["approvals.voted", "approvals.granted"]),
        "the third person"
    );
}

#[test]
pub(super) fn a_delegation_dies_with_the_right_that_was_delegated() {
    let mut story = requested().by(approver(2));
    story.know(&actor(3, PrincipalKind::Human, &[Role::Member]));
    let story = story.given(
        "approvals.delegate",
        id(1),
        json!({"to": id(3), "until": "2026-11-22T13:00:00Z"}),
    );
    let vote = |s: &Story| {
        s.clone().by(actor(3, PrincipalKind::Human, &[Role::Member])).when(
            "approvals.vote",
            id(1),
            json!({"choice": "approve", "delegated_by": id(2)}),
        )
    };
    assert!(vote(&story).is_ok());
    assert_eq!(vote(&story.without(2, Role::Approver)), Err("not_an_approver"));
}

#[test]
pub(super) fn a_refused_voter_is_told_whose_vote_counts() {
    let member = requested().by(actor(3, PrincipalKind::Human, &[Role::Member]));
    let refusal = member
        .events("approvals.vote", id(1), json!({"choice": "approve"}))
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("owner, approver"), "{refusal}");
}

#[test]
pub(super) fn a_member_widens_the_circle_when_half_of_the_time_has_gone_and_a_voter_at_once() {
    let story = built().given("approvals.define_policy", BUSINESS.0, two_votes_policy()).given(
        "approvals.request",
        id(1),
        json!({"command": launch()}),
    );
    let escalates = |story: &Story, n, role| {
        story.clone().by(actor(n, PrincipalKind::Human, &[role])).when(
            "approvals.escalate",
            id(1),
            json!({}),
        )
    };
    let half = story.clone().later(1_800);
    assert_eq!(escalates(&story, 2, Role::Approver), Ok(vec!["approvals.escalated"]));
    assert_eq!(escalates(&story, 9, Role::Owner), Ok(vec!["approvals.escalated"]));
    assert_eq!(escalates(&story.later(1_799), 3, Role::Member), Err("too_early"));
    assert_eq!(escalates(&half, 3, Role::Member), Ok(vec!["approvals.escalated"]));
}

#[test]
pub(super) fn a_vote_on_the_work_of_a_task_is_a_humans_part_in_it_once_and_while_it_is_open() {
    let rule = json!({"name": "r", "when": {"command_types": ["tasks.record_activity"]},
        "quorum": 1, "roles": ["approver"], "separation_of_duties": true,
        "expires_after_seconds": 3600, "escalate_to": []});
    let story = Story::new().given("tasks.plan", id(2), json!({"title": "t", "team": "sales"}));
    let story = story.given("approvals.define_policy", BUSINESS.0, json!({"rules": [rule]}));
    let request = json!({"command": {"type": "tasks.record_activity", "id": id(2),
        "data": {"activity": "x"}}});
    let asked = story.given("approvals.request", id(1), request.clone()).given(
        "approvals.request",
        id(3),
        request,
    );
    assert_eq!(
        vote(&asked, 2, "approve"),
        Ok(vec!["approvals.voted", "approvals.granted", "tasks.human_intervened"])
    );
    let closed = asked.clone().given("tasks.cancel", id(2), json!({"reason": "no longer wanted"}));
    assert_eq!(vote(&closed, 2, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
    let once = asked.by(approver(2)).given("approvals.vote", id(3), json!({"choice": "approve"}));
    assert_eq!(vote(&once, 2, "approve"), Ok(vec!["approvals.voted", "approvals.granted"]));
}
