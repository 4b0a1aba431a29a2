//! Whose reservation it is, who settles it, and what an agent says was spent.

use super::{budget, eur, set, whole, with_hundred};
use crate::story::{Story, id};
use domain::budgets::{Scope, Window};
use serde_json::json;

#[test]
pub(super) fn a_reservation_is_its_holders_until_it_expires() {
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let member = |n| crate::story::actor(n, PrincipalKind::Human, &[Role::Member]);
    let reserve = json!({"amount": eur("100"), "expires_after_seconds": 3600});
    let held = with_hundred().by(member(2)).given("budgets.reserve", id(1), reserve);
    let release = json!({"reservation": id(1)});
    let settle = json!({"reservation": id(1), "amount": eur("1")});
    assert_eq!(
        held.clone().by(member(3)).when("budgets.release", whole(), release.clone()),
        Err("not_yours")
    );
    assert_eq!(
        held.clone().by(member(3)).when("budgets.settle", whole(), settle.clone()),
        Err("not_yours")
    );
    assert_eq!(held.when("budgets.settle", whole(), settle.clone()), Ok(vec!["budgets.settled"]));
    let owner = held.clone().by(crate::story::actor(1, PrincipalKind::Human, &[Role::Owner]));
    assert_eq!(
        owner.when("budgets.release", whole(), release.clone()),
        Ok(vec!["budgets.released"])
    );
    let late = held.later(3_600);
    assert_eq!(
        late.clone().by(member(3)).when("budgets.settle", whole(), settle.clone()),
        Err("not_yours"),
        "who may free it may not say it was spent"
    );
    assert_eq!(
        late.clone().by(member(3)).when("budgets.release", whole(), release),
        Ok(vec!["budgets.released"])
    );
    assert_eq!(
        late.by(member(3)).when("budgets.reserve", id(2), json!({"amount": eur("100")})),
        Ok(vec!["budgets.released", "budgets.reserved"]),
        "what expired is in nobody's way"
    );
}

#[test]
pub(super) fn an_agents_team_follows_from_its_credentials_and_not_from_what_it_says() {
    use crate::agents::enrol;
    use crate::story::agent_of;
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let team = budget(&Scope::Team(domain::values::Team::Sales), Window::Lifetime);
    let story = Story::new()
        .given("budgets.set", team, set(json!({"team": "sales"}), "lifetime", "10"))
        .given("agents.enrol", agent_of(50), enrol("producer", 50));
    let agent = story.by(crate::story::actor(50, PrincipalKind::Agent, &[Role::Agent]));
    let elsewhere = json!({"amount": eur("11"), "purpose": {"team": "hr"}});
    assert_eq!(
        agent.when("budgets.reserve", id(1), elsewhere),
        Err("not_yours"),
        "an agent sets nothing aside for another team"
    );
    let own = json!({"amount": eur("11")});
    assert_eq!(
        agent.when("budgets.reserve", id(1), own),
        Err("budget_exceeded"),
        "its own team's budget is asked, though it names none"
    );
}

#[test]
pub(super) fn what_an_agent_says_was_spent_is_its_own_spending_whoever_holds_the_task() {
    use crate::agents::enrol;
    use crate::story::{actor, agent_of};
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let of = |n| budget(&Scope::Agent(domain::ids::AgentId(agent_of(n))), Window::Lifetime);
    let task = id(3);
    let story = [50, 51].into_iter().fold(Story::new(), |story, n| {
        story.given("agents.enrol", agent_of(n), enrol("producer", n)).given(
            "budgets.set",
            of(n),
            set(json!({"agent": agent_of(n)}), "lifetime", "50"),
        )
    });
    let story = story.given("tasks.plan", task, json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        task,
        json!({}),
    );
    let held = story.given("tasks.lease", task, json!({"agent": agent_of(51)}));
    let activity = json!({"activity": "x", "cost": eur("45")});
    let charged = |by: commands::Actor| {
        let after = held.clone().by(by).given("tasks.record_activity", task, activity.clone());
        [50, 51].map(|n| {
            after
                .events(
                    "budgets.reserve",
                    id(4),
                    json!({"amount": eur("10"), "purpose": {"agent": agent_of(n)}}),
                )
                .is_err()
        })
    };
    let owner = actor(1, PrincipalKind::Human, &[Role::Owner]);
    let asks_50 = held
        .clone()
        .by(actor(50, PrincipalKind::Agent, &[Role::Agent]))
        .given("tasks.record_activity", task, activity.clone())
        .by(owner.clone());
    let reserve = |story: &Story, n| {
        story.when(
            "budgets.reserve",
            id(4),
            json!({"amount": eur("10"), "purpose": {"agent": agent_of(n)}}),
        )
    };
    assert_eq!(reserve(&asks_50, 50), Err("budget_exceeded"), "agent 50 said that it spent");
    assert!(reserve(&asks_50, 51).is_ok(), "agent 51 only holds the task");
    assert_eq!(charged(owner), [false, true], "of nobody's own spending it is the holder's");
    let for_50 = json!({"amount": eur("60"), "purpose": {"agent": agent_of(50), "task": task}});
    let raised = held
        .given("budgets.set", of(50), set(json!({"agent": agent_of(50)}), "lifetime", "50"))
        .given("budgets.raise", of(50), json!({"by": eur("50")}));
    assert_eq!(
        raised.when("budgets.reserve", id(5), for_50),
        Err("budget_exceeded"),
        "naming another agent spares the holder's budget nothing"
    );
}

#[test]
pub(super) fn a_lapsed_reservation_holds_no_work_up() {
    use crate::agents::enrol;
    use crate::story::agent_of;
    let task = id(3);
    let story = with_hundred().given("agents.enrol", agent_of(50), enrol("producer", 50)).given(
        "tasks.plan",
        task,
        json!({"title": "t", "team": "sales"}),
    );
    let story = story.given("tasks.offer", task, json!({})).given(
        "budgets.reserve",
        id(1),
        json!({"amount": eur("100"), "expires_after_seconds": 60}),
    );
    let lease = json!({"agent": agent_of(50)});
    assert_eq!(story.when("tasks.lease", task, lease.clone()), Err("budget_exceeded"));
    assert_eq!(story.later(60).when("tasks.lease", task, lease), Ok(vec!["tasks.leased"]));
}

#[test]
pub(super) fn who_causes_an_overrun_does_not_withdraw_what_is_asked_for_it() {
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let member = crate::story::actor(2, PrincipalKind::Human, &[Role::Member]);
    let over = with_hundred()
        .by(member)
        .given("budgets.reserve", id(1), json!({"amount": eur("10")}))
        .given("budgets.settle", whole(), json!({"reservation": id(1), "amount": eur("200")}));
    let domain::Event::Budgets(domain::budgets::Event::Overrun(overrun)) =
        over.last("budgets.overrun")
    else {
        panic!()
    };
    assert_eq!(
        over.when("approvals.withdraw", overrun.approval.unwrap().0, json!({})),
        Err("not_the_requester")
    );
}

#[test]
pub(super) fn a_reservation_says_nothing_of_its_end_and_stands_for_a_week() {
    let member = |n| {
        crate::story::actor(
            n,
            domain::access::PrincipalKind::Human,
            &[domain::values::Role::Member],
        )
    };
    let held =
        with_hundred().by(member(2)).given("budgets.reserve", id(1), json!({"amount": eur("100")}));
    let frees = |story: Story| {
        story.by(member(3)).when("budgets.release", whole(), json!({"reservation": id(1)}))
    };
    assert_eq!(frees(held.clone().later(7 * 86_400 - 1)), Err("not_yours"));
    assert_eq!(frees(held.later(7 * 86_400)), Ok(vec!["budgets.released"]));
}

#[test]
pub(super) fn the_owner_of_an_agent_closes_what_was_set_aside_for_it_and_no_other_member() {
    use crate::agents::enrol;
    use crate::story::{actor, agent_of};
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let mut agent = enrol("producer", 50);
    agent["owner"] = json!(id(2));
    let member = |n| actor(n, PrincipalKind::Human, &[Role::Member]);
    let story = with_hundred()
        .by(member(2))
        .by(actor(1, PrincipalKind::Human, &[Role::Owner]))
        .given("agents.enrol", agent_of(50), agent);
    let held = story.given(
        "budgets.reserve",
        id(1),
        json!({"amount": eur("10"), "purpose": {"agent": agent_of(50)}}),
    );
    let release = json!({"reservation": id(1)});
    assert_eq!(
        held.clone().by(member(3)).when("budgets.release", whole(), release.clone()),
        Err("not_yours")
    );
    assert_eq!(
        held.by(member(2)).when("budgets.release", whole(), release),
        Ok(vec!["budgets.released"])
    );
}

#[test]
pub(super) fn what_an_agent_sets_aside_is_asked_of_its_own_budget_and_not_of_the_holders() {
    use crate::agents::enrol;
    use crate::story::{actor, agent_of};
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let of = |n| budget(&Scope::Agent(domain::ids::AgentId(agent_of(n))), Window::Lifetime);
    let task = id(3);
    let story = [50, 51].into_iter().fold(Story::new(), |story, n| {
        story.given("agents.enrol", agent_of(n), enrol("producer", n))
    });
    let story = [50, 51].into_iter().fold(story, |story, n| {
        story.given("budgets.set", of(n), set(json!({"agent": agent_of(n)}), "lifetime", "20"))
    });
    let story = story.given("tasks.plan", task, json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        task,
        json!({}),
    );
    let held = story.given("tasks.lease", task, json!({"agent": agent_of(51)}));
    let held = held.given(
        "budgets.reserve",
        id(7),
        json!({"amount": eur("15"), "purpose": {"agent": agent_of(51)}}),
    );
    let reserve = json!({"amount": eur("10"), "purpose": {"task": task}});
    assert_eq!(
        held.when("budgets.reserve", id(4), reserve.clone()),
        Err("budget_exceeded"),
        "an owner's word for the task is the holder's spending"
    );
    let own = json!({"amount": eur("10"), "purpose": {"agent": agent_of(50), "task": task}});
    let by_agent = held.by(actor(50, PrincipalKind::Agent, &[Role::Agent])).when(
        "budgets.reserve",
        id(4),
        own,
    );
    assert_eq!(by_agent, Ok(vec!["budgets.reserved"]));
}
