//! KPIs: each against an independent slow computation straight from the stored events.

mod reported;

use std::collections::{BTreeMap, BTreeSet};

use domain::BusinessId;
use event_log::Seq;
use futures_util::StreamExt as _;
use importers::source::Reading;
use importers::{Format, Import, Settings};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use server::app::operator;
use tests::installation::Installation;
use uuid::Uuid;

/// Takes a committed file in.
pub(crate) async fn import(
    installation: &Installation,
    format: Format,
    file: &str,
    business: &str,
) -> importers::Counts {
    // Cases of XES are whole: they may come in side by side.
    import_at_once(
        installation,
        format,
        file,
        business,
        if format.name() == "xes" { 16 } else { 1 },
    )
    .await
}

pub(crate) async fn import_at_once(
    installation: &Installation,
    format: Format,
    file: &str,
    business: &str,
    records: usize,
) -> importers::Counts {
    let settings = Settings {
        business: business.to_owned(),
        currency: domain::values::Currency::USD,
        clear: Vec::new(),
    };
    let importer = Import::begin(
        &installation.app.import_host().await.unwrap(),
        format,
        &settings,
        operator(),
    )
    .await
    .unwrap();
    let [case, activity, time, resource] = if file.ends_with("receipt.csv") {
        ["case:concept:name", "concept:name", "time:timestamp", "org:resource"]
    } else {
        ["ticket", "step", "when", "who"]
    };
    let columns = importers::csv::Columns {
        case: case.to_owned(),
        activity: activity.to_owned(),
        time: time.to_owned(),
        resource: Some(resource.to_owned()),
        ..Default::default()
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let mut total = importers::Counts::default();
    let take = async |record: std::io::Result<importers::records::Record>| {
        importer.record(&record.unwrap().bytes.unwrap()).await.unwrap()
    };
    let mut under_way = futures_util::stream::iter(
        format
            .open(&path, &Reading { columns, allow_missing: true, ..Reading::default() })
            .unwrap(),
    )
    .map(take)
    .buffered(records);
    while let Some(counts) = under_way.next().await {
        total.add(&counts);
    }
    total
}

async fn events(installation: &Installation, business: BusinessId) -> Vec<Value> {
    let all = installation.app.log.read_business(business, Seq::START, 100_000).await.unwrap();
    all.iter().map(|r| serde_json::from_slice(&r.bytes).unwrap()).collect()
}

fn number(value: &Value) -> Decimal {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse().unwrap()
}

fn ratio(of: usize, over: usize) -> Option<Decimal> {
    Decimal::from(of).checked_div(Decimal::from(over)).map(|v| v.round_dp(9).normalize())
}

/// What every KPI should be, by other means: loops over the stored JSON.
fn slowly(events: &[Value]) -> BTreeMap<&'static str, Option<Decimal>> {
    let named = |name: &str| events.iter().filter(|e| e["type"] == name).collect::<Vec<_>>();
    let count = |name: &str| named(name).len();
    let completed = named("tasks.completed");
    let alone = completed.iter().filter(|e| e["data"]["without_human"] == true).count();
    let closed = completed.len() + count("tasks.failed") + count("tasks.cancelled");
    let closed_tasks: BTreeSet<&str> = ["tasks.completed", "tasks.failed", "tasks.cancelled"]
        .iter()
        .flat_map(|n| named(n))
        .map(|e| e["id"].as_str().unwrap())
        .collect();
    let touched: BTreeSet<&str> = ["tasks.escalated", "tasks.quarantined", "tasks.resolved"]
        .iter()
        .flat_map(|n| named(n))
        .map(|e| e["id"].as_str().unwrap())
        .collect();
    let by_hand: BTreeSet<&str> = named("tasks.submitted")
        .iter()
        .filter(|e| e["data"]["by_human"] == true)
        .map(|e| e["id"].as_str().unwrap())
        .collect();
    let not_alone: BTreeSet<&str> = completed
        .iter()
        .filter(|e| e["data"]["without_human"] == false)
        .map(|e| e["id"].as_str().unwrap())
        .collect();
    let human = closed_tasks
        .iter()
        .filter(|t| touched.contains(*t) || by_hand.contains(*t) || not_alone.contains(*t))
        .count();
    let mut first: BTreeMap<&str, bool> = BTreeMap::new();
    for review in named("tasks.reviewed") {
        first
            .entry(review["id"].as_str().unwrap())
            .or_insert(review["data"]["verdict"] == "passed");
    }
    let reviews = named("tasks.reviewed");
    let failed_reviews = reviews.iter().filter(|e| e["data"]["verdict"] != "passed").count();
    let done: BTreeSet<&str> = completed.iter().map(|e| e["id"].as_str().unwrap()).collect();
    let rework = reviews
        .iter()
        .filter(|e| e["data"]["verdict"] != "passed" && done.contains(e["id"].as_str().unwrap()))
        .count();
    let history =
        named("tasks.history_closed").iter().filter(|e| e["data"]["completed"] == true).count();
    let (failed_calls, calls) = (
        count("integrations.call_failed"),
        count("integrations.call_failed") + count("integrations.call_succeeded"),
    );
    let sum = |pointer: &str| {
        events.iter().filter_map(|e| e.pointer(pointer)).map(number).sum::<Decimal>()
    };
    let cost = sum("/data/cost/amount");
    BTreeMap::from([
        ("agent_completion", ratio(alone, completed.len())),
        ("agent_completion_of_all", ratio(alone, closed)),
        ("human_intervention_rate", ratio(human, closed)),
        ("first_pass_yield", ratio(first.values().filter(|p| **p).count(), first.len())),
        ("rework_rounds", ratio(rework, completed.len())),
        ("defect_proxy", ratio(failed_reviews, reviews.len())),
        ("throughput", Some(Decimal::from(completed.len() + history))),
        ("call_error_rate", ratio(failed_calls, calls)),
        ("cost", Some(cost.normalize())),
        (
            "cost_per_accepted_result",
            cost.checked_div(Decimal::from(completed.len())).map(|v| v.round_dp(9).normalize()),
        ),
        ("input_tokens", Some(sum("/data/usage/input_tokens"))),
        ("output_tokens", Some(sum("/data/usage/output_tokens"))),
    ])
}

async fn kpis(
    installation: &Installation,
    slug: &str,
) -> BTreeMap<String, (Option<Decimal>, String)> {
    let answer = installation
        .query(&format!("{{ business(slug: \"{slug}\") {{ kpis {{ id exact status }} }} }}"))
        .await;
    let all = answer["business"]["kpis"].as_array().unwrap().clone();
    all.iter()
        .map(|k| {
            (
                k["id"].as_str().unwrap().to_owned(),
                (k["exact"].as_str().map(|t| t.parse().unwrap()), k["status"].to_string()),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kpi_is_what_a_slow_count_says() {
    let installation = Installation::new().await;
    import(&installation, &importers::Transcripts, "tau-bench/airline-slice.json", "airline").await;
    for file in ["langgraph-python-2025-08-22", "microsoft-agent-2025-12-17"] {
        import(
            &installation,
            &importers::Langfuse,
            &format!("langfuse/{file}.trace.json"),
            "airline",
        )
        .await;
    }
    import(&installation, &importers::Xes, "process-logs/orders.xes", "airline").await;
    let business = installation.app.business("airline").await.unwrap().unwrap();
    let (slow, fast) =
        (slowly(&events(&installation, business).await), kpis(&installation, "airline").await);
    for (id, wanted) in slow {
        assert_eq!(fast[id].0, wanted, "{id}");
        assert_eq!(fast[id].1 == "\"NO_DATA\"", wanted.is_none(), "{id}");
    }
    assert_eq!(fast["approval_latency_p50"], (None, "\"NO_DATA\"".to_owned()));
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_opens_to_the_events_it_was_counted_from() {
    let installation = Installation::new().await;
    import(
        &installation,
        &importers::Langfuse,
        "langfuse/langgraph-python-2025-08-22.trace.json",
        "traces",
    )
    .await;
    let query =
        "{ business(slug: \"traces\") { kpis(ids: [\"cost\"]) { exact unit series(by: DAY) \
        { key exact } breakdown(by: MODEL) { key exact }
        events(first: 10) { totalCount nodes { type data } } } } }";
    let cost = installation.query(query).await["business"]["kpis"][0].clone();
    assert_eq!((cost["exact"].as_str(), cost["unit"].as_str()), (Some("0.000234"), Some("USD")));
    assert_eq!(cost["series"], json!([{"key": "2025-08-22", "exact": "0.000234"}]));
    assert_eq!(cost["breakdown"], json!([{"key": "gpt-4o-2024-08-06", "exact": "0.000234"}]));
    let opened = cost["events"]["nodes"].as_array().unwrap();
    let sum: Decimal = opened.iter().map(|e| number(&e["data"]["cost"]["amount"])).sum();
    assert_eq!((opened.len(), sum.to_string()), (2, "0.000234".to_owned()));
    let other = "{ business(slug: \"traces\") { kpis(ids: [\"cost\"], filter: {happenedBefore: \
        \"2025-08-22T00:00:00Z\"}) { exact events(first: 1) { totalCount } } } }";
    assert_eq!(
        installation.query(other).await["business"]["kpis"][0],
        json!({"exact": "0", "events": {"totalCount": 0}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_and_budgets_are_counted_by_their_times_and_limits() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let approver = installation
        .principal(business, domain::access::PrincipalKind::Human, Some("approver"))
        .await;
    let eur = |n: &str| json!({"amount": n, "currency": "EUR"});
    let limit = json!({"scope": {"business": {}}, "window": "month", "limit": eur("50")});
    let budget = installation.must(business, "budgets.set", None, limit).await.events[0].id;
    for (n, seconds) in [(1, 2), (2, 100), (3, 300)] {
        let request =
            json!({"command": {"type": "budgets.raise", "id": budget, "data": {"by": eur("5")}}});
        let approval = installation
            .must(business, "approvals.request", Some(Uuid::from_u128(n)), request)
            .await
            .events[0]
            .id;
        installation.clock.advance_seconds(seconds);
        let choice = if n == 3 { "reject" } else { "approve" };
        installation
            .submit(
                &approver,
                business,
                "approvals.vote",
                Some(approval),
                json!({"choice": choice}),
            )
            .await
            .unwrap();
    }
    installation
        .must(business, "budgets.reserve", Some(Uuid::from_u128(9)), json!({"amount": eur("20")}))
        .await;
    installation
        .must(
            business,
            "budgets.settle",
            Some(budget),
            json!({"reservation": Uuid::from_u128(9), "amount": eur("10")}),
        )
        .await;
    let found = kpis(&installation, "acme").await;
    let exact = |id: &str| found[id].0.map(|v| v.to_string());
    assert_eq!(exact("approval_latency_p50"), Some("100".to_owned()));
    assert_eq!(exact("approval_latency_p95"), Some("300".to_owned()));
    assert_eq!(exact("approval_override_rate"), Some("0.333333333".to_owned()));
    assert_eq!(exact("approval_expiry_rate"), Some("0".to_owned()));
    assert_eq!(exact("rubber_stamp_index"), Some("0.5".to_owned()));
    assert_eq!(exact("budget_burn"), Some("0.2".to_owned()));
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_ambiguous_and_turned_out_well_is_no_error() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let intend = json!({"connector": "crm", "operation": "o", "class": "read", "arguments": {}});
    installation.lets_crm_be_asked(business, &["o"]).await;
    let call =
        installation.must(business, "integrations.intend_call", None, intend).await.events[0].id;
    installation
        .must(
            business,
            "integrations.mark_call_ambiguous",
            Some(call),
            json!({"reason": "no answer"}),
        )
        .await;
    assert_eq!(kpis(&installation, "acme").await["call_error_rate"].0, Some(Decimal::ONE));
    installation.must(business, "integrations.succeed_call", Some(call), json!({})).await;
    assert_eq!(kpis(&installation, "acme").await["call_error_rate"].0, Some(Decimal::ZERO));
    installation.views_are_rebuilt_alike().await;
}
