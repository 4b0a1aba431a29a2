//! Views that are filled in bulk: the program is killed, the machine crashes, an earlier version
//! left its files, events come meanwhile.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use commands::Submission;
use serde_json::{Value, json};
use tests::installation::Installation;

const LONG: Duration = Duration::from_secs(60);
/// Times that the program is killed.
const ROUNDS: u64 = 30;

/// A business with more events than a file is filled one by one with.
async fn long() -> Installation {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let actor = installation.app.operator_in(business).await.unwrap();
    let plans: Vec<commands::BatchItem<'_>> = (0..900)
        .map(|n| {
            let data = json!({"title": format!("canary {n}"), "team": "hr"});
            let key = format!("plan {n}");
            let actor = actor.clone();
            let plan = Submission::new(business, actor, key, "tasks.plan", None, &data);
            Box::new(|| Ok(plan)) as commands::BatchItem<'_>
        })
        .collect();
    assert!(
        installation
            .app
            .submit_batch(&actor, business, None, plans)
            .await
            .iter()
            .all(Result::is_ok)
    );
    installation.app.caught_up(LONG).await.unwrap();
    installation
}

/// What says which file is which in a folder of views.
fn manifest(views: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(views.join("generations.json")).unwrap()).unwrap()
}

fn write_manifest(views: &Path, manifest: &Value) {
    std::fs::write(views.join("generations.json"), manifest.to_string()).unwrap();
}

fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_views_end_up_as_the_log_gives_them() {
    let installation = long().await;
    let folder = installation.close().await;
    let views = folder.path().join("views");
    std::fs::remove_dir_all(&views).unwrap();
    let mut unfinished = 0;
    for round in 0..ROUNDS {
        // Now and then all begins anew, else it goes on where it was killed.
        if round % 5 == 0 && views.exists() {
            std::fs::remove_dir_all(&views).unwrap();
        }
        let mut program = Command::new(env!("CARGO_BIN_EXE_minutebook-for-tests"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..2_000 {
            if views.join("search/generations.json").exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(round * 7_919 % 120_000)).await;
        program.kill().unwrap();
        program.wait().unwrap();
        let filled = |views: &Path| !manifest(views)["current"].is_null();
        unfinished += u32::from(!filled(&views) || !filled(&views.join("search")));
    }
    assert!(unfinished > 0, "it was never killed before the views were filled");
    let installation = Installation::open(folder).await;
    installation.app.caught_up(LONG).await.unwrap();
    installation.app.views.settled(LONG).await.unwrap();
    // A server may have recorded before its end that its clock is not that of the test.
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_crash_of_the_machine_may_have_torn_is_begun_anew() {
    let installation = long().await;
    let right = installation.app.views.digests().unwrap();
    let torn = |folder: &Path| {
        for views in [folder.join("views"), folder.join("views/search")] {
            let mut named = manifest(&views);
            let current = named["current"].as_u64().unwrap();
            let file = rusqlite::Connection::open(views.join(format!("{current}.db"))).unwrap();
            file.execute_batch("UPDATE projections SET position = 4").unwrap();
            drop(file);
            named["building"] = named["current"].take();
            named["boot"] = json!("another boot");
            write_manifest(&views, &named);
        }
        0
    };
    let installation = installation.reopen_after(torn).await;
    installation.app.caught_up(LONG).await.unwrap();
    installation.app.views.settled(LONG).await.unwrap();
    assert_eq!(installation.app.views.digests().unwrap(), right);
    let filled = manifest(&installation.folder.path().join("views"));
    assert_eq!((&filled["building"], &filled["boot"]), (&json!(null), &json!(null)), "{filled}");
    assert!(filled["current"].is_u64(), "{filled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_in_the_file_of_an_earlier_version_is_gone_after_the_next_start() {
    let installation = long().await;
    let earlier = |folder: &Path| {
        let views = folder.join("views");
        let file =
            rusqlite::Connection::open(views.join(format!("{}.db", manifest(&views)["current"])))
                .unwrap();
        file.execute_batch(
            "CREATE VIRTUAL TABLE search_text USING fts5(text); INSERT INTO search_text(text) \
             VALUES ('left-by-an-earlier-version'); INSERT INTO projections VALUES ('search', 3, \
             4, '[[\"table\", \"search_text\"]]')",
        )
        .unwrap();
        drop(file);
        assert!(holds(&views, "left-by-an-earlier-version"), "the test would find it");
        std::fs::remove_dir_all(views.join("search")).unwrap();
        0
    };
    let installation = installation.reopen_after(earlier).await;
    installation.app.caught_up(LONG).await.unwrap();
    installation.app.views.settled(LONG).await.unwrap();
    let found = installation
        .query("{ business(slug: \"acme\") { search(text: \"canary 17\") { snippet } } }")
        .await;
    assert_eq!(found["business"]["search"].as_array().unwrap().len(), 1, "it is filled anew");
    assert!(!holds(&installation.folder.path().join("views"), "left-by-an-earlier-version"));
    assert!(!holds(&installation.folder.path().join("views"), "canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_a_large_batch_is_applied_is_seen_without_anything_after_it() {
    let installation = long().await;
    let folder = installation.close().await;
    std::fs::remove_dir_all(folder.path().join("views")).unwrap();
    // The next batch is read ahead at once, and is empty; then applying takes half a second.
    let slow = "apply=100*sleep(5)->off";
    let server = crate::faults::Server::start(folder.path(), &[], slow, Stdio::null());
    assert_eq!(server.register("late").unwrap().0, 200);
    let position = |metrics: &str, name: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let began = std::time::Instant::now();
    loop {
        let metrics = server.get("/metrics").1;
        let log = position(&metrics, "minutebook_log_position ");
        let views = position(&metrics, "minutebook_views_position ");
        let text = position(&metrics, "minutebook_views_text_position ");
        if (views, text) == (log, log) {
            return;
        }
        assert!(began.elapsed() < LONG, "log {log}, views {views}, text {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
