//! Decisions: recorded, superseded, reversed, observed.

use serde_json::json;

use crate::story::{Story, id};

#[test]
fn a_decision_is_recorded_once() {
    let record = json!({"choice": "take the offer", "confidence": "0.8", "risk": "high",
        "options": ["wait"]});
    let story = Story::new();
    assert_eq!(
        story.when("decisions.record", id(1), record.clone()),
        Ok(vec!["decisions.recorded"])
    );
    assert_eq!(
        story.given("decisions.record", id(1), record.clone()).when(
            "decisions.record",
            id(1),
            record
        ),
        Err("exists")
    );
}

#[test]
fn what_a_decision_rests_on_must_exist() {
    assert_eq!(
        Story::new().when("decisions.record", id(1), json!({"choice": "x", "task": id(2)})),
        Err("unknown")
    );
    assert_eq!(
        Story::new().when("decisions.record", id(1), json!({"choice": "x", "agent": id(2)})),
        Err("unknown")
    );
    let negative = json!({"choice": "x", "cost": {"amount": "-1", "currency": "EUR"}});
    assert_eq!(Story::new().when("decisions.record", id(1), negative), Err("out_of_range"));
}

#[test]
fn a_decision_is_superseded_by_one_that_exists_and_only_while_it_stands() {
    let story = Story::new().given("decisions.record", id(1), json!({"choice": "a"})).given(
        "decisions.record",
        id(2),
        json!({"choice": "b"}),
    );
    assert_eq!(story.when("decisions.supersede", id(1), json!({"by": id(3)})), Err("unknown"));
    assert_eq!(story.when("decisions.supersede", id(1), json!({"by": id(1)})), Err("unknown"));
    let story = story.given("decisions.supersede", id(1), json!({"by": id(2)}));
    assert_eq!(story.when("decisions.supersede", id(1), json!({"by": id(2)})), Ok(vec![]));
    assert_eq!(story.when("decisions.reverse", id(1), json!({"reason": "x"})), Err("wrong_status"));
    let story = story.given("decisions.reverse", id(2), json!({"reason": "x"}));
    assert_eq!(story.when("decisions.reverse", id(2), json!({"reason": "y"})), Ok(vec![]));
    assert_eq!(
        story.when(
            "decisions.observe_outcome",
            id(1),
            json!({"outcome": "sold", "as_wanted": true})
        ),
        Ok(vec!["decisions.outcome_observed"])
    );
}

#[test]
fn an_owners_decision_is_no_agents_to_supersede_though_it_names_an_agent_of_its_team() {
    use crate::agents::enrol;
    use crate::story::{actor, agent_of};
    use domain::access::PrincipalKind;
    use domain::values::Role;
    let agent = |n| actor(n, PrincipalKind::Agent, &[Role::Agent]);
    let story = [50, 51].into_iter().fold(Story::new(), |story, n| {
        story.given("agents.enrol", agent_of(n), enrol("producer", n))
    });
    let story = story.given(
        "decisions.record",
        id(1),
        json!({"choice": "the owner's", "agent": agent_of(50)}),
    );
    let story = story.by(agent(50)).given(
        "decisions.record",
        id(2),
        json!({"choice": "a colleague's", "agent": agent_of(50)}),
    );
    let story = story.by(agent(51)).given(
        "decisions.record",
        id(3),
        json!({"choice": "its own", "agent": agent_of(51)}),
    );
    assert_eq!(story.when("decisions.supersede", id(1), json!({"by": id(3)})), Err("not_yours"));
    assert_eq!(
        story.when("decisions.supersede", id(2), json!({"by": id(3)})),
        Ok(vec!["decisions.superseded"])
    );
}
