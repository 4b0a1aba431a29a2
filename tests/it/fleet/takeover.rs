//! Servers that take over from each other, of a cluster and of the relay.

use super::{PROGRAM, Work, all_is_well, first, start};
use event_log::Seq;
use serde_json::Value;
use tests::fleet::run;
use tests::installation::Installation;
use tests::postgres::database;

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn two_servers_of_one_cluster_of_which_one_is_killed_lose_and_double_nothing() {
    let (cluster, keys) = (tests::streams::Cluster::start().await, database().await);
    let shared: &'static [&'static str] = vec!["--keys", &*keys.clone().leak()].leak();
    let (mut killed, key, business) = first(&cluster.address(), shared).await;
    let other = start(&cluster.address(), shared).await;
    let work = Work::begin(&[killed.url.clone(), other.url.clone()], &key, &business, 4);
    work.goes_on(40).await;
    other.stop();
    work.goes_on(20).await;
    other.go_on();
    work.goes_on(20).await;
    killed.kill();
    work.goes_on(40).await;
    all_is_well(&Installation::in_kurrentdb(&cluster.address(), &keys).await, &work.end().await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn three_processes_that_import_the_same_file_at_once_import_it_once() {
    let log = database().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tau-bench/airline-slice.json");
    let alone = Installation::new().await;
    let counted = crate::metrics::import(
        &alone,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "acme",
    )
    .await;
    let importers = (0..3).map(|_| {
        let log = log.clone();
        tokio::task::spawn_blocking(move || {
            let folder = tempfile::TempDir::new().unwrap();
            std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
            run(
                PROGRAM,
                folder.path(),
                &log,
                &["import", "transcript", file, "--business", "acme", "--json"],
            )
        })
    });
    let mut written = 0;
    for importer in futures_util::future::join_all(importers).await {
        let (code, said) = importer.unwrap();
        assert_eq!(code, 0, "{said}");
        let counts: Value =
            serde_json::from_str(&said[said.find('{').unwrap()..=said.rfind('}').unwrap()])
                .unwrap_or_else(|e| panic!("{e}: {said}"));
        written += counts["events_written"].as_u64().unwrap();
    }
    let together = Installation::at(&log).await;
    together.verifies().await;
    together.views_are_rebuilt_alike().await;
    let of = async |one: &Installation| {
        let business = one.app.business("acme").await.unwrap().unwrap();
        let all = one.app.log.read_business(business, Seq::START, 100_000).await.unwrap();
        // The ids are made with a secret that each installation has for itself.
        let mut events: Vec<(u64, String)> = Vec::new();
        for recorded in &all {
            let stored = recorded.stored().unwrap();
            events.push((stored.version.0, stored.r#type.to_string()));
        }
        events.sort();
        events
    };
    let (there, expected) = (of(&together).await, of(&alone).await);
    assert_eq!(there, expected, "the same events, whoever wrote them");
    assert_eq!(written, counted.events_written, "each was written by one of them");
}
