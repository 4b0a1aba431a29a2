//! Budgets: what is reserved, settled, raised and overrun.

mod holders;

use domain::budgets::{Scope, Window};
use domain::ids::BudgetId;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::story::{BUSINESS, Story, id};

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn budget(scope: &Scope, window: Window) -> Uuid {
    BudgetId::of(BUSINESS, scope, window).0
}

fn set(scope: Value, window: &str, limit: &str) -> Value {
    json!({"scope": scope, "window": window, "limit": eur(limit)})
}

fn whole() -> Uuid {
    budget(&Scope::Business {}, Window::Lifetime)
}

fn with_hundred() -> Story {
    Story::new().given("budgets.set", whole(), set(json!({"business": {}}), "lifetime", "100"))
}

#[test]
fn a_scope_and_window_have_one_budget_and_raising_it_is_another_command() {
    let story = with_hundred();
    assert_eq!(
        story.when("budgets.set", whole(), set(json!({"business": {}}), "lifetime", "100.00")),
        Ok(vec![])
    );
    assert_eq!(
        story.when("budgets.set", whole(), set(json!({"business": {}}), "lifetime", "101")),
        Err("raise_instead")
    );
    assert_eq!(
        story.when("budgets.set", whole(), set(json!({"business": {}}), "lifetime", "50")),
        Ok(vec!["budgets.limit_set"])
    );
    assert_eq!(
        story.when("budgets.raise", whole(), json!({"by": eur("5")})),
        Ok(vec!["budgets.raised"])
    );
    assert_eq!(story.when("budgets.raise", whole(), json!({"by": eur("0")})), Err("out_of_range"));
    assert_eq!(
        story.when("budgets.raise", whole(), json!({"by": {"amount": "1", "currency": "USD"}})),
        Err("wrong_currency")
    );
}

#[test]
fn a_reservation_must_fit_every_budget_that_matches() {
    let team = budget(&Scope::Team(domain::values::Team::Sales), Window::Day);
    let story =
        with_hundred().given("budgets.set", team, set(json!({"team": "sales"}), "day", "10"));
    let reserve = |s: &Story, amount: &str| {
        s.when(
            "budgets.reserve",
            id(1),
            json!({"amount": eur(amount), "purpose": {"team": "sales"}}),
        )
    };
    assert_eq!(reserve(&story, "10"), Ok(vec!["budgets.reserved", "budgets.reserved"]));
    assert_eq!(reserve(&story, "10.01"), Err("budget_exceeded"));
    assert_eq!(
        story.when("budgets.reserve", id(1), json!({"amount": eur("50")})),
        Ok(vec!["budgets.reserved"]),
        "the team's budget is not asked"
    );
    let tomorrow = story.clone().given(
        "budgets.reserve",
        id(1),
        json!({"amount": eur("10"), "purpose": {"team": "sales"}}),
    );
    assert_eq!(
        tomorrow.when(
            "budgets.reserve",
            id(2),
            json!({"amount": eur("1"), "purpose": {"team": "sales"}})
        ),
        Err("budget_exceeded")
    );
    let tomorrow = tomorrow.later(86_400);
    assert_eq!(
        tomorrow.when(
            "budgets.reserve",
            id(2),
            json!({"amount": eur("1"), "purpose": {"team": "sales"}})
        ),
        Ok(vec!["budgets.reserved", "budgets.reserved"])
    );
    assert_eq!(
        Story::new().when("budgets.reserve", id(1), json!({"amount": eur("1")})),
        Err("no_budget")
    );
    assert_eq!(
        story.when("budgets.reserve", id(1), json!({"amount": {"amount": "1", "currency": "USD"}})),
        Err("wrong_currency")
    );
}

#[test]
fn what_is_settled_is_spent_what_is_released_is_free_again() {
    let reserved = with_hundred().given("budgets.reserve", id(1), json!({"amount": eur("100")}));
    assert_eq!(
        reserved.when("budgets.reserve", id(2), json!({"amount": eur("1")})),
        Err("budget_exceeded")
    );
    let settled = reserved.clone().given(
        "budgets.settle",
        whole(),
        json!({"reservation": id(1), "amount": eur("40")}),
    );
    assert_eq!(
        settled.when("budgets.reserve", id(2), json!({"amount": eur("60")})),
        Ok(vec!["budgets.reserved"])
    );
    assert_eq!(
        settled.when("budgets.reserve", id(2), json!({"amount": eur("60.01")})),
        Err("budget_exceeded")
    );
    assert_eq!(
        settled.when("budgets.settle", whole(), json!({"reservation": id(1), "amount": eur("1")})),
        Err("reservation_unknown")
    );
    let released = reserved.given("budgets.release", whole(), json!({"reservation": id(1)}));
    assert_eq!(
        released.when("budgets.reserve", id(2), json!({"amount": eur("100")})),
        Ok(vec!["budgets.reserved"])
    );
}

#[test]
fn an_overrun_is_put_on_record_and_asks_for_approval() {
    let reserved = with_hundred().given("budgets.reserve", id(1), json!({"amount": eur("10")}));
    let settle = |amount: &str| {
        reserved.when(
            "budgets.settle",
            whole(),
            json!({"reservation": id(1), "amount": eur(amount)}),
        )
    };
    assert_eq!(settle("10"), Ok(vec!["budgets.settled"]));
    assert_eq!(settle("12"), Ok(vec!["budgets.settled", "budgets.overrun", "approvals.requested"]));
    let twice = reserved
        .given("budgets.settle", whole(), json!({"reservation": id(1), "amount": eur("12")}))
        .given("budgets.reserve", id(2), json!({"amount": eur("10")}));
    let again =
        twice.when("budgets.settle", whole(), json!({"reservation": id(2), "amount": eur("12")}));
    assert_eq!(again, Ok(vec!["budgets.settled", "budgets.overrun"]), "one request at a time");
    let settled = twice.clone().given(
        "budgets.settle",
        whole(),
        json!({"reservation": id(2), "amount": eur("12")}),
    );
    let domain::Event::Budgets(domain::budgets::Event::Overrun(overrun)) =
        settled.last("budgets.overrun")
    else {
        panic!()
    };
    let open = overrun.approval.unwrap();
    let rejected = twice
        .by(crate::story::actor(
            2,
            domain::access::PrincipalKind::Human,
            &[domain::values::Role::Owner],
        ))
        .given("approvals.vote", open.0, json!({"choice": "reject"}));
    let after = rejected.when(
        "budgets.settle",
        whole(),
        json!({"reservation": id(2), "amount": eur("12")}),
    );
    assert_eq!(
        after,
        Ok(vec!["budgets.settled", "budgets.overrun", "approvals.requested"]),
        "once it is decided, the next overrun asks again"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is reserved, settled and released, the sum of what is spent and reserved never
    /// exceeds the limit, unless the event `budgets.overrun` says by how much.
    #[test]
    fn what_is_used_never_passes_the_limit_unnoticed(
        steps in proptest::collection::vec((0..3_u8, 1..6_u128, 1..80_u32), 1..30),
    ) {
        let mut story = with_hundred();
        let mut open: std::collections::BTreeMap<u128, u32> = Default::default();
        let (mut spent, mut overrun) = (0_u32, 0_u32);
        for (kind, n, amount) in steps {
            let used = spent + open.values().sum::<u32>();
            let money = eur(&amount.to_string());
            let (command, target, data) = match kind {
                0 => ("budgets.reserve", id(n), json!({"amount": money})),
                1 => ("budgets.settle", whole(), json!({"reservation": id(n), "amount": money})),
                _ => ("budgets.release", whole(), json!({"reservation": id(n)})),
            };
            let outcome = story.when(command, target, data.clone());
            match (kind, open.get(&n).copied()) {
                (0, None) if used + amount <= 100 => { prop_assert!(outcome.is_ok()); open.insert(n, amount); }
                (0, _) => prop_assert!(outcome.is_err()),
                (1, Some(reserved)) => { prop_assert!(outcome.is_ok()); open.remove(&n); spent += amount; overrun += amount.saturating_sub(reserved); }
                (2, Some(_)) => { prop_assert!(outcome.is_ok()); open.remove(&n); }
                _ => prop_assert_eq!(outcome.clone(), Err("reservation_unknown")),
            }
            if outcome.is_ok() { story = story.given(command, target, data); }
            prop_assert!(spent + open.values().sum::<u32>() <= 100 + overrun);
        }
    }
}

fn spent_and_reserved(story: &Story) -> (String, usize) {
    let domain::State::Budget(budget) =
        story.state(domain::AggregateRef::new(domain::Kind::Budget, whole()))
    else {
        panic!()
    };
    (budget.used_in("lifetime").to_string(), budget.reservations.len())
}

#[test]
fn what_was_not_set_aside_is_charged_all_the_same() {
    use crate::agents::enrol;
    use crate::story::agent_of;
    let story = with_hundred().given("agents.enrol", agent_of(50), enrol("producer", 50));
    let decided =
        story.clone().given("decisions.record", id(1), json!({"choice": "x", "cost": eur("30")}));
    assert_eq!(spent_and_reserved(&decided), ("30".to_owned(), 0));
    let acted = decided.given("tasks.plan", id(2), json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        id(2),
        json!({}),
    );
    let acted =
        acted.given("tasks.record_activity", id(2), json!({"activity": "x", "cost": eur("20")}));
    assert_eq!(spent_and_reserved(&acted), ("50".to_owned(), 0));
    let leased = acted.given("tasks.lease", id(2), json!({"agent": agent_of(50)}));
    let submit =
        json!({"agent": agent_of(50), "fencing_token": 1, "result": "r", "cost": eur("60")});
    let outcome = leased.when("tasks.submit", id(2), submit.clone());
    assert_eq!(
        outcome,
        Ok(vec![
            "tasks.submitted",
            "budgets.reserved",
            "budgets.settled",
            "budgets.overrun",
            "approvals.requested"
        ])
    );
    let over = leased.given("tasks.submit", id(2), submit);
    assert_eq!(spent_and_reserved(&over), ("110".to_owned(), 0));
    // Spent and set aside reach the limit: nothing new of that scope is begun or set aside.
    let over = over.given("tasks.plan", id(3), json!({"title": "t", "team": "sales"})).given(
        "tasks.offer",
        id(3),
        json!({}),
    );
    assert_eq!(
        over.when("tasks.lease", id(3), json!({"agent": agent_of(50)})),
        Err("budget_exceeded")
    );
    assert_eq!(
        over.when("budgets.reserve", id(4), json!({"amount": eur("0.01")})),
        Err("budget_exceeded")
    );
    assert_eq!(
        over.given("budgets.raise", whole(), json!({"by": eur("50")})).when(
            "tasks.lease",
            id(3),
            json!({"agent": agent_of(50)})
        ),
        Ok(vec!["tasks.leased"])
    );
}

#[test]
fn what_a_call_costs_is_the_same_in_its_event_and_in_the_budget() {
    use crate::agents::enrol;
    use crate::story::agent_of;
    let story = with_hundred().given("agents.enrol", agent_of(50), enrol("producer", 50));
    let call = json!({"connector": "crm", "operation": "search", "class": "read",
        "agent": agent_of(50), "arguments": {}, "cost_max": eur("10")});
    let silent = story.given("integrations.intend_call", id(1), call).given(
        "integrations.succeed_call",
        id(1),
        json!({}),
    );
    let domain::Event::Integrations(domain::integrations::Event::CallSucceeded(e)) =
        silent.last("integrations.call_succeeded")
    else {
        panic!()
    };
    assert_eq!(
        e.cost.unwrap().amount.to_string(),
        "10",
        "what nobody says counts at what was set aside, in both"
    );
    assert_eq!(spent_and_reserved(&silent), ("10".to_owned(), 0));
}

#[test]
fn a_limit_is_lowered_in_its_own_currency_and_raised_by_a_raise() {
    let again = |limit: Value| {
        with_hundred().when(
            "budgets.set",
            whole(),
            json!({"scope": {"business": {}}, "window": "lifetime", "limit": limit}),
        )
    };
    assert_eq!(again(json!({"amount": "50", "currency": "USD"})), Err("wrong_currency"));
    assert_eq!(again(eur("100")), Ok(vec![]));
    assert_eq!(again(eur("99")), Ok(vec!["budgets.limit_set"]));
    assert_eq!(again(eur("100.01")), Err("raise_instead"));
}
