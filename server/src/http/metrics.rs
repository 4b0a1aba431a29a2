//! Metrics of the HTTP listener and the views, in the text format of Prometheus 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::limits::{FEEDS_MAX, IMPORTS_MAX, PROOFS_MAX};
use event_log::Position;
use projections::Views;

use super::State;

/// Upper bounds of the time buckets, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 1.0, 5.0];

#[derive(Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// Counters of this process.
#[derive(Default)]
pub(crate) struct Metrics {
    routes: Mutex<BTreeMap<String, Route>>,
}

impl Metrics {
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route.to_owned()).or_default();
        *route.by_status.entry(status).or_default() += 1;
        route.count += 1;
        route.seconds += took.as_secs_f64();
        for (bucket, bound) in route.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    pub(crate) fn text(&self, log_position: Position, lag: u64, views: &Views) -> String {
        let mut out = String::new();
        let (views_position, health) = (views.position(), views.health());
        let _ = writeln!(
            out,
            "# TYPE minutebook_log_position counter\nminutebook_log_position {log_position}"
        );
        let _ = writeln!(
            out,
            "# TYPE minutebook_views_position counter\nminutebook_views_position {views_position}\n\
             # TYPE minutebook_views_text_position counter\nminutebook_views_text_position {}",
            views.text_position()
        );
        let _ = writeln!(out, "# TYPE minutebook_views_lag gauge\nminutebook_views_lag {lag}");
        let _ = writeln!(
            out,
            "# TYPE minutebook_views_reads_total counter\nminutebook_views_reads_total {}",
            views.reads()
        );
        let verified = health.verified.unwrap_or(Position::START);
        let differing = health.last.map_or(0, |l| l.differed.len());
        let _ = writeln!(
            out,
            "# HELP minutebook_views_verified_position Up to here the views are known to be what \
             the log gives."
        );
        let _ = writeln!(
            out,
            "# TYPE minutebook_views_verified_position gauge\nminutebook_views_verified_position \
             {verified}"
        );
        let _ = writeln!(
            out,
            "# HELP minutebook_views_differing Projections that differed when the views were last \
             compared."
        );
        let _ = writeln!(
            out,
            "# TYPE minutebook_views_differing gauge\nminutebook_views_differing {differing}"
        );
        let _ = writeln!(
            out,
            "# TYPE minutebook_http_requests_total counter\n# TYPE minutebook_http_seconds \
             histogram"
        );
        for (name, route) in self.routes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (status, count) in &route.by_status {
                let _ = writeln!(
                    out,
                    "minutebook_http_requests_total{{route=\"{name}\",status=\"{status}\"}} {count}"
                );
            }
            for (bucket, bound) in route.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(
                    out,
                    "minutebook_http_seconds_bucket{{route=\"{name}\",le=\"{bound}\"}} {bucket}"
                );
            }
            let _ = writeln!(
                out,
                "minutebook_http_seconds_bucket{{route=\"{name}\",le=\"+Inf\"}} {}",
                route.count
            );
            let _ =
                writeln!(out, "minutebook_http_seconds_sum{{route=\"{name}\"}} {}", route.seconds);
            let _ =
                writeln!(out, "minutebook_http_seconds_count{{route=\"{name}\"}} {}", route.count);
        }
        out
    }
}

/// Metrics that show how much of each bounded resource is in use.
pub(super) fn places_taken(state: &State) -> String {
    let taken = [
        ("bytes of bodies", state.bodies.bytes()),
        ("feeds", FEEDS_MAX - state.app.feeds.available_permits()),
        ("graphql queries", state.questions.running()),
        ("imports", IMPORTS_MAX - state.imports.available_permits()),
        ("proofs", PROOFS_MAX - state.app.proofs.available_permits()),
    ];
    let lines = taken.map(|(of, n)| format!("minutebook_places_taken{{of=\"{of}\"}} {n}\n"));
    format!(
        "# HELP minutebook_places_taken Current use of each resource that has a limit on \
         concurrent use.\n# TYPE minutebook_places_taken gauge\n{}",
        lines.concat()
    )
}
