//! Figures that a business reports, and limits that are raised.

use super::kpis;
use serde_json::json;
use tests::installation::Installation;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_business_counts_what_it_reports_and_a_portfolio_counts_all() {
    let installation = Installation::new().await;
    let (one, _) = (installation.business("one").await, installation.business("two").await);
    for (n, value) in [(1, "10"), (2, "30")] {
        installation
            .must(
                one,
                "metrics.report",
                Some(Uuid::from_u128(n)),
                json!({"measure": "revenue", "value": value, "unit": "EUR"}),
            )
            .await;
    }
    let define = json!({"kpi": "mean_sale", "text": "Mean sale.", "measure": "revenue",
        "aggregation": "mean", "unit": "EUR", "direction": "up"});
    installation.must(one, "metrics.define_kpi", None, define).await;
    installation
        .must(one, "metrics.set_target", None, json!({"kpi": "mean_sale", "target": "25"}))
        .await;
    let query = "{ business(slug: \"one\") { kpis(ids: [\"mean_sale\"]) { value unit target status \
        definition { text version } events(first: 5) { totalCount } } } }";
    let kpi = installation.query(query).await["business"]["kpis"][0].clone();
    let wanted = json!({"value": 20.0, "unit": "EUR", "target": 25.0, "status": "OFF_TARGET",
        "definition": {"text": "Mean sale.", "version": 1}, "events": {"totalCount": 2}});
    assert_eq!(kpi, wanted);
    let portfolio = installation
        .query(
            "{ portfolio { businessCount kpis(ids: [\"throughput\", \
        \"agent_completion\"]) { id value status } } }",
        )
        .await;
    let wanted = json!({"businessCount": 2, "kpis": [
        {"id": "agent_completion", "value": null, "status": "NO_DATA"},
            {"id": "throughput", "value": 0.0, "status": "NO_TARGET"}]});
    assert_eq!(portfolio["portfolio"], wanted);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn sums_outgrow_one_amount_and_nothing_stops() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for amount in ["999999999999999", "999999999999999", "1"] {
        installation
            .must(
                business,
                "decisions.record",
                None,
                json!({"choice": "x", "cost": {"amount": amount, "currency": "EUR"}}),
            )
            .await;
    }
    let refused = json!({"choice": "x", "cost": {"source_text": "1e20", "currency": "EUR"}});
    let actor = installation.app.operator_in(business).await.unwrap();
    let error =
        installation.submit(&actor, business, "decisions.record", None, refused).await.unwrap_err();
    assert_eq!(error.name(), "out_of_range", "{error}");
    assert_eq!(
        kpis(&installation, "acme").await["cost"].0.unwrap().to_string(),
        "1999999999999999"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn figures_of_another_unit_are_other_figures() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for (n, value, unit) in [(1, "10", "EUR"), (2, "1000", "JPY")] {
        installation
            .must(
                business,
                "metrics.report",
                Some(Uuid::from_u128(n)),
                json!({"measure": "cost", "value": value, "unit": unit}),
            )
            .await;
    }
    let define = json!({"kpi": "spent", "text": "What was spent.", "measure": "cost",
        "aggregation": "sum", "unit": "EUR", "direction": "down"});
    installation.must(business, "metrics.define_kpi", None, define).await;
    let all = "{ business(slug: \"acme\") { kpis(ids: [\"spent\"]) { exact } of: kpis(ids: \
        [\"spent\"], filter: {team: SALES}) { status events(first: 1) { totalCount } } } }";
    let found = installation.query(all).await["business"].clone();
    assert_eq!(
        found,
        json!({"kpis": [{"exact": "10"}], "of": [{"status": "NO_DATA",
            "events": {"totalCount": 0}}]})
    );
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_limit_that_is_raised_counts_with_what_it_was_raised_by() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let approver = installation
        .principal(business, domain::access::PrincipalKind::Human, Some("approver"))
        .await;
    let eur = |n: &str| json!({"amount": n, "currency": "EUR"});
    let budget = installation
        .must(
            business,
            "budgets.set",
            None,
            json!({"scope": {"business": {}}, "window": "month", "limit": eur("100")}),
        )
        .await
        .events[0]
        .id;
    installation
        .must(business, "budgets.reserve", Some(Uuid::from_u128(1)), json!({"amount": eur("50")}))
        .await;
    installation
        .must(
            business,
            "budgets.settle",
            Some(budget),
            json!({"reservation": Uuid::from_u128(1), "amount": eur("50")}),
        )
        .await;
    assert_eq!(kpis(&installation, "acme").await["budget_burn"].0.unwrap().to_string(), "0.5");
    let command = json!({"type": "budgets.raise", "id": budget, "data": {"by": eur("100")}});
    let approval = installation
        .must(business, "approvals.request", None, json!({"command": command}))
        .await
        .events[0]
        .id;
    installation
        .submit(&approver, business, "approvals.vote", Some(approval), json!({"choice": "approve"}))
        .await
        .unwrap();
    let mut raise = commands::Submission::new(
        business,
        installation.app.operator_in(business).await.unwrap(),
        "raise",
        "budgets.raise",
        Some(budget),
        &json!({"by": eur("100")}),
    );
    raise.approval_id = Some(domain::ids::ApprovalId(approval));
    installation.app.bus.submit(raise).await.unwrap();
    assert_eq!(kpis(&installation, "acme").await["budget_burn"].0.unwrap().to_string(), "0.25");
    installation.views_are_rebuilt_alike().await;
}
