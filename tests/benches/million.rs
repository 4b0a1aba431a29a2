//! Views of a million events: how long a start takes that finds them current, and what it costs to
//! build all of them anew while they are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::app::{App, Handles};
use tests::installation::config;

use super::dashboards::{answer, import, log_of_a_helpdesk, percentiles};
use super::{folder, per_second};

const EVENTS: u64 = 1_000_000;
const LONG: Duration = Duration::from_secs(900);
const LIST: &str = "{ business(slug: \"m0\") { tasks(first: 10) { nodes { id status } } } }";

/// Memory of the process that is no page of a file, in MiB.
fn anonymous() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = maps.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

pub(crate) async fn million() {
    let Some(log) = log_of_a_helpdesk() else {
        println!("\na million events: not measured without MINUTEBOOK_REAL_DATA");
        return;
    };
    let place = folder();
    let open =
        async || Arc::new(App::open(&config(place.path()), Handles::default()).await.unwrap());
    let app = open().await;
    let (began, mut events, mut turn) = (Instant::now(), 0, 0);
    while events < EVENTS {
        events += import(&app, &log, &format!("m{}", turn / 10), &format!("log{turn}")).await;
        turn += 1;
    }
    app.caught_up(LONG).await.unwrap();
    let imported = per_second(usize::try_from(events).unwrap(), began.elapsed());
    println!("\n{events} events imported with every view kept up: {imported:.0}/s");
    Arc::into_inner(app).unwrap().close().await;
    let began = Instant::now();
    let app = open().await;
    app.caught_up(LONG).await.unwrap();
    println!("start with current views: {:.2} s", began.elapsed().as_secs_f64());
    let (before, began) = (anonymous(), Instant::now());
    let (mut most, mut reads) = (before, Vec::new());
    app.views.rebuild(None).await.unwrap();
    while app.views.building().is_some() {
        reads.push(answer(&app, LIST).await);
        most = most.max(anonymous());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = began.elapsed();
    let outcome = app.views.settled(LONG).await.unwrap().unwrap();
    let (p50, p99) = percentiles(reads);
    println!(
        "all views built beside, compared and flipped while lists are read: {:.1} s, {:.0} \
         events/s; lists p50 {p50:.2} ms, p99 {p99:.2} ms; {most} MiB of anonymous memory at most, \
         {before} before; projections that differed: {}",
        took.as_secs_f64(),
        per_second(usize::try_from(events).unwrap(), took),
        outcome.differed.len()
    );
    Arc::into_inner(app).unwrap().close().await;
}
