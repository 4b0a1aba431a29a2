//! KPIs: what a report must say.

use serde_json::json;

use crate::story::{Story, id};

#[test]
fn figures_kpis_and_targets_follow_their_rules() {
    let report = json!({"measure": "revenue", "value": "10", "unit": "EUR"});
    let story = Story::new().given("metrics.report", id(1), report.clone());
    assert_eq!(story.when("metrics.report", id(1), report), Err("exists"));
    let define = |how: &str| {
        json!({"kpi": "sales", "text": "What came in.", "measure": "revenue",
        "aggregation": how, "unit": "EUR", "direction": "up"})
    };
    let kpi = domain::ids::KpiId::of(crate::story::BUSINESS, "sales").0;
    assert_eq!(
        story.when("metrics.set_target", kpi, json!({"kpi": "sales", "target": "5"})),
        Err("unknown")
    );
    let story = story.given("metrics.define_kpi", kpi, define("sum"));
    assert_eq!(story.when("metrics.define_kpi", kpi, define("sum")), Ok(vec![]));
    assert_eq!(
        story.when("metrics.define_kpi", kpi, define("mean")),
        Ok(vec!["metrics.kpi_defined"])
    );
    assert_eq!(
        story.when("metrics.set_target", kpi, json!({"kpi": "sales", "target": "5"})),
        Ok(vec!["metrics.target_set"])
    );
    let taken = domain::ids::KpiId::of(crate::story::BUSINESS, "cost").0;
    let mut own = define("sum");
    own["kpi"] = "cost".into();
    assert_eq!(story.when("metrics.define_kpi", taken, own), Err("exists"));
}
