//! Snapshots of the views that several servers share.

use std::time::Duration;

use event_log::Position;
use projections::SharedFolder;
use serde_json::json;
use tempfile::TempDir;
use tests::installation::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_begins_with_the_snapshot_of_another_and_fills_what_is_searchable_from_the_log()
 {
    let shared = TempDir::new().unwrap();
    let url = tests::postgres::database().await;
    let often = SharedFolder { every: 200, look_every: Duration::ZERO, ..SharedFolder::default() };
    let first = Installation::sharing(&url, shared.path(), often.clone()).await;
    crate::metrics::import(&first, &importers::Transcripts, "tau-bench/airline-slice.json", "acme")
        .await;
    let business = first.app.business("acme").await.unwrap().unwrap();
    let ada = business.derive_id("ada");
    for (title, subject) in [("canary-of-ada stays", business.0), ("canary-of-ada goes", ada)] {
        first
            .must(
                business,
                "tasks.plan",
                None,
                json!({"title": title, "team": "hr", "serves": subject}),
            )
            .await;
    }
    first.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let snapshots = || -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(shared.path()).unwrap().map(|e| e.unwrap().path());
        all.filter(|p| p.extension().is_some_and(|e| e == "db")).collect()
    };
    let began = std::time::Instant::now();
    while snapshots().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody left a snapshot");
        // It looks whenever something comes.
        first.must(business, "tasks.plan", None, json!({"title": "more", "team": "hr"})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for path in snapshots() {
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            !bytes.windows(13).any(|w| w == b"canary-of-ada"),
            "a snapshot holds no text in the clear"
        );
    }
    first.forgets(business, ada).await;

    let second = Installation::sharing(&url, shared.path(), often.clone()).await;
    assert!(
        second.app.views.position() >= Position(200),
        "it begins where the snapshot ends, whatever is still to be filled"
    );
    let reads = second.app.views.building();
    assert!(
        reads.is_some() || !second.app.views.health().search_pending,
        "what is searchable is filled beside"
    );
    second.app.views.settled(Duration::from_secs(60)).await.unwrap();
    second.app.caught_up(Duration::from_secs(60)).await.unwrap();
    assert!(!second.app.views.health().search_pending);
    let found =
        second.query("{ business(slug: \"acme\") { search(text: \"canary\") { snippet } } }").await;
    let found = found["business"]["search"].to_string();
    assert!(found.contains("stays") && !found.contains("goes"), "{found}");
    assert_eq!(first.app.views.digests().unwrap(), second.app.views.digests().unwrap());
    second.views_are_rebuilt_alike().await;

    // Of another log, and not even a database: passed over.
    let third =
        Installation::sharing(&tests::postgres::database().await, shared.path(), often.clone())
            .await;
    third.business("elsewhere").await;
    third.views_are_rebuilt_alike().await;
    let good = snapshots().into_iter().max().unwrap();
    let name = good.file_name().unwrap().to_str().unwrap().to_owned();
    let (prefix, _) = name.rsplit_once('-').unwrap();
    std::fs::write(good.with_file_name(format!("{prefix}-{:020}.db", 9_000_000)), b"no database")
        .unwrap();
    let fourth = Installation::sharing(&url, shared.path(), often).await;
    fourth.app.views.settled(Duration::from_secs(60)).await.unwrap();
    fourth.views_are_rebuilt_alike().await;
}
