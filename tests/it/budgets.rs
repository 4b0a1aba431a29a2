//! Budgets: no overspend under load, and sums as the views show them.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::installation::Installation;

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_on_one_budget_get_no_conflict_and_spend_no_cent_too_much() {
    let installation = Arc::new(Installation::new().await);
    let business = installation.business("acme").await;
    let limit = json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur("100")});
    installation.must(business, "budgets.set", None, limit).await;
    let callers = (0..64).map(|_| {
        let installation = Arc::clone(&installation);
        tokio::spawn(async move {
            let actor = installation.app.operator_in(business).await.unwrap();
            let mut got = 0;
            for _ in 0..4 {
                match installation
                    .submit(&actor, business, "budgets.reserve", None, json!({"amount": eur("1")}))
                    .await
                {
                    Ok(_) => got += 1,
                    Err(e) => assert_eq!(e.name(), "budget_exceeded", "{e}"),
                }
            }
            got
        })
    });
    let got: i32 = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(got, 100, "256 asked for 1 EUR of 100");
    let view = installation
        .query(
            "{ business(slug: \"acme\") { budgets { nodes { limit { amount } \
        periods { nodes { period reserved spent } } } } } }",
        )
        .await;
    assert_eq!(
        view["business"]["budgets"]["nodes"][0],
        json!({"limit": {"amount": "100"}, "periods": {"nodes": [
            {"period": "lifetime", "reserved": "100",
            "spent": "0"}]}})
    );
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_beyond_what_one_amount_can_be_stop_no_view_and_no_stream() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let most = json!({"amount": "999999999999999", "currency": "EUR"});
    let limit = json!({"scope": {"business": {}}, "window": "lifetime", "limit": most});
    let budget = installation.must(business, "budgets.set", None, limit).await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let id = budget.events[0].id;
    let raise = json!({"command": {"type": "budgets.raise", "id": id, "data": {"by": most}}});
    let raised = installation
        .submit(&operator, business, "approvals.request", None, raise)
        .await
        .unwrap_err();
    assert_eq!(raised.name(), "out_of_range", "an event could not be read back");
    let task = installation
        .must(business, "tasks.plan", None, json!({"title": "t", "team": "sales"}))
        .await
        .events[0]
        .id;
    for _ in 0..3 {
        installation
            .must(
                business,
                "tasks.record_activity",
                Some(task),
                json!({"activity": "x", "cost": most}),
            )
            .await;
    }
    installation
        .must(
            business,
            "budgets.set",
            Some(id),
            json!({"scope": {"business": {}}, "window": "lifetime", "limit": eur("50")}),
        )
        .await;
    let view = installation
        .query(
            "{ business(slug: \"acme\") { budgets { nodes { limit { amount } \
        periods { nodes { spent } } } } } }",
        )
        .await;
    assert_eq!(
        view["business"]["budgets"]["nodes"][0],
        json!({"limit": {"amount": "50"}, "periods": {"nodes": [{"spent": "2999999999999997"}]}})
    );
    installation.views_are_rebuilt_alike().await;
}
