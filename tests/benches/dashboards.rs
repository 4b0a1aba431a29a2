//! Views at 300,000 events: how fast they are built, whether a page depends on how much happened,
//! and how soon an event is seen by those who wait for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use server::app::{App, Handles, graphql_request, operator};
use tests::installation::config;

use super::{folder, per_second, usage};

/// How often the log comes into the big business; once into the small one.
const TIMES: usize = 10;
const SUBSCRIBERS: usize = 500;

const PAGE: &str = "{ business(slug: \"SLUG\") { kpis { id value unit target status } } }";
const LIST: &str = "{ business(slug: \"SLUG\") { tasks(first: 10) { nodes { id team status \
    nextActor priority plannedAt } } } }";
/// With texts, which are read from the log.
const TEXTS: &str = "{ business(slug: \"SLUG\") { tasks(last: 50) { nodes { id title { text } \
    attributes { text } } } } }";

/// The help desk's log, where the folder of real data is.
pub(crate) fn log_of_a_helpdesk() -> Option<PathBuf> {
    let root = std::env::var("MINUTEBOOK_REAL_DATA").ok()?;
    Some(PathBuf::from(root).join("2-process-logs/pm4py/helpdesk.xes.gz")).filter(|p| p.exists())
}

/// The log under a name of its own, so that importing it again makes new events.
pub(crate) async fn import(
    app: &Arc<App>,
    log: &std::path::Path,
    business: &str,
    name: &str,
) -> u64 {
    let place = folder();
    let copy = place.path().join(format!("{name}.xes.gz"));
    std::fs::copy(log, &copy).unwrap();
    super::views::import(app, &importers::Xes, &copy, business).await
}

/// Median and 99th percentile, in milliseconds.
pub(crate) fn percentiles(mut each: Vec<Duration>) -> (f64, f64) {
    each.sort_unstable();
    let at = |q: usize| each[(each.len() - 1) * q / 100].as_secs_f64() * 1_000.0;
    (at(50), at(99))
}

pub(crate) async fn answer(app: &App, query: &str) -> Duration {
    let viewer = app.viewer(operator()).await.unwrap();
    let began = Instant::now();
    let answer = app.api.execute(graphql_request(query, viewer)).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    began.elapsed()
}

/// Builds everything anew while readers go on.
async fn building(app: &App) {
    let end = app.views.position();
    let began = Instant::now();
    app.views.rebuild(None).await.unwrap();
    let mut reads = Vec::new();
    while app.views.building().is_some() {
        reads.push(answer(app, &LIST.replace("SLUG", "small")).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let outcome = app.views.settled(Duration::from_secs(1)).await.unwrap().unwrap();
    let built = per_second(usize::try_from(end.0).unwrap(), began.elapsed());
    let (p50, p99) = percentiles(reads);
    println!(
        "all projections built beside while lists of 10 rows are read: {built:.0} events/s; lists \
         p50 {p50:.2} ms, p99 {p99:.2} ms; projections that differed: {}",
        outcome.differed.len()
    );
}

async fn pages(app: &App) {
    let asked =
        [("KPI page", PAGE), ("list of 10 rows", LIST), ("list of 50 rows with texts", TEXTS)];
    for (what, query) in asked {
        let (mut small, mut big) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            small.push(answer(app, &query.replace("SLUG", "small")).await);
            big.push(answer(app, &query.replace("SLUG", "big")).await);
        }
        let (small, (big, p99)) = (percentiles(small).0, percentiles(big));
        println!(
            "{what}: {small:.3} ms in a business with a tenth of the events, {big:.3} ms in the \
             big one (p99 {p99:.2} ms), ratio {:.2}",
            big / small
        );
    }
}

fn plan(business: domain::BusinessId, actor: &commands::Actor) -> commands::Submission {
    let data = json!({"title": "Write to the customer whose order was late", "team": "sales"});
    commands::Submission::new(
        business,
        actor.clone(),
        uuid::Uuid::now_v7().to_string(),
        "tasks.plan",
        None,
        &data,
    )
}

async fn events(app: &Arc<App>) -> futures_util::stream::BoxStream<'static, Vec<String>> {
    let viewer = app.viewer(operator()).await.unwrap();
    let stream = app
        .api
        .stream(graphql_request("subscription { events(slug: \"small\") { seq type } }", viewer))
        .await;
    Box::pin(stream.map(|r| r.errors.iter().map(|e| e.message.clone()).collect()))
}

async fn seen(app: &Arc<App>) {
    let business = app.business("small").await.unwrap().unwrap();
    let actor = app.operator_in(business).await.unwrap();
    let mut subscriber = events(app).await;
    // It begins when it is first asked.
    let begun = tokio::spawn(async move {
        let first = subscriber.next().await.unwrap();
        assert!(first.is_empty(), "{first:?}");
        subscriber
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    app.bus.submit(plan(business, &actor)).await.unwrap();
    let mut subscriber = begun.await.unwrap();
    let (mut visible, mut given) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let receipt = app.bus.submit(plan(business, &actor)).await.unwrap();
        let durable = Instant::now();
        app.views.wait_for(receipt.position.unwrap(), Duration::from_secs(10)).await.unwrap();
        visible.push(durable.elapsed());
        subscriber.next().await.unwrap();
        given.push(durable.elapsed());
    }
    for (what, each) in [("visible to a query", visible), ("given to a subscriber", given)] {
        let (p50, p99) = percentiles(each);
        println!("from durable to {what}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
}

async fn many(app: &Arc<App>) {
    let business = app.business("small").await.unwrap().unwrap();
    let actor = app.operator_in(business).await.unwrap();
    let (got, before) = (Arc::new(AtomicU64::new(0)), memory());
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let (mut stream, got) = (events(app).await, Arc::clone(&got));
        readers.push(tokio::spawn(async move {
            while stream.next().await.is_some_and(|errors| errors.is_empty()) {
                got.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (began, cpu) = (Instant::now(), usage().0);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..500 {
        tick.tick().await;
        app.bus.submit(plan(business, &actor)).await.unwrap();
    }
    let appended = began.elapsed();
    while got.load(Ordering::Relaxed) < 500 * SUBSCRIBERS as u64
        && began.elapsed() < Duration::from_secs(60)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let late = began.elapsed().saturating_sub(appended);
    println!(
        "{SUBSCRIBERS} subscribers, 500 events at {:.0}/s: {} of {} given, the last {:.0} ms after \
         the last append; {:.2} cores; {} KiB more memory a subscriber",
        per_second(500, appended),
        got.load(Ordering::Relaxed),
        500 * SUBSCRIBERS,
        late.as_secs_f64() * 1_000.0,
        (usage().0 - cpu) / began.elapsed().as_secs_f64(),
        memory().saturating_sub(before) / SUBSCRIBERS as u64
    );
    readers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Resident memory now, KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

pub(crate) async fn dashboards() {
    let Some(log) = log_of_a_helpdesk() else {
        println!(
            "\nviews at 300,000 events: not measured, set MINUTEBOOK_REAL_DATA to the folder of \
             real data"
        );
        return;
    };
    let place = folder();
    let app = Arc::new(App::open(&config(place.path()), Handles::default()).await.unwrap());
    let began = Instant::now();
    let small = import(&app, &log, "small", "helpdesk").await;
    let mut big = 0;
    for n in 0..TIMES {
        big += import(&app, &log, "big", &format!("helpdesk{n}")).await;
    }
    let rate = per_second(usize::try_from(small + big).unwrap(), began.elapsed());
    app.caught_up(Duration::from_secs(600)).await.unwrap();
    println!(
        "\nthe help desk's log, once ({small} events) and {TIMES} times ({big}): imported at \
         {rate:.0} events/s, views caught up at {:.0}/s",
        per_second(usize::try_from(small + big).unwrap(), began.elapsed())
    );
    pages(&app).await;
    seen(&app).await;
    many(&app).await;
    building(&app).await;
    Arc::into_inner(app).unwrap().close().await;
}
