//! Views that are built beside those that are read: rebuilds, other versions, rollbacks, audits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use projections::{Outcome, Purpose};
use serde_json::json;
use tests::Said as _;
use tests::installation::Installation;

const LONG: Duration = Duration::from_secs(60);

/// A business with the log of the running example and some tasks.
async fn busy() -> Installation {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    crate::metrics::import(&installation, &importers::Xes, "process-logs/orders.xes", "example")
        .await;
    for n in 0..50 {
        installation
            .must(business, "tasks.plan", None, json!({"title": format!("t{n}"), "team": "hr"}))
            .await;
    }
    installation.app.caught_up(LONG).await.unwrap();
    installation
}

async fn settled(installation: &Installation) -> Outcome {
    installation.app.views.settled(LONG).await.unwrap().unwrap()
}

/// Does something to the file of views that is read.
fn tamper(sql: &'static str) -> impl FnOnce(&Path) -> u32 {
    move |folder| {
        let named: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("views/generations.json")).unwrap())
                .unwrap();
        let file = folder.join(format!("views/{}.db", named["current"]));
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
        0
    }
}

const COUNT: &str =
    "{ business(slug: \"acme\") { tasks(first: 1) { totalCount nodes { title { text } } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_everything_while_all_is_built_anew() {
    let installation = Arc::new(busy().await);
    let before = installation.app.views.digests().unwrap();
    let (done, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let reader = tokio::spawn({
        let (installation, done, reads) =
            (Arc::clone(&installation), Arc::clone(&done), Arc::clone(&reads));
        async move {
            while !done.load(Ordering::Relaxed) {
                let viewer = installation.app.viewer(server::app::operator()).await.unwrap();
                let answer =
                    installation.app.api.execute(server::app::graphql_request(COUNT, viewer)).await;
                let count =
                    serde_json::to_value(answer.data).unwrap()["business"]["tasks"]["totalCount"]
                        .as_u64()
                        .unwrap();
                assert!(count >= 50, "a reader saw {count} of 50 tasks");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let business = installation.app.business("acme").await.unwrap().unwrap();
    for name in [None, Some("tasks".to_owned()), Some("search".to_owned()), None] {
        installation.app.views.rebuild(name).await.unwrap();
        // What is written meanwhile is in what is read afterwards.
        installation
            .must(business, "tasks.plan", None, json!({"title": "meanwhile", "team": "hr"}))
            .await;
        assert_eq!(settled(&installation).await.differed, Vec::<String>::new());
    }
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert_eq!(installation.query(COUNT).await["business"]["tasks"]["totalCount"], json!(54));
    assert_ne!(installation.app.views.digests().unwrap(), before);
    installation.views_are_rebuilt_alike().await;
    let files = std::fs::read_dir(installation.folder.path().join("views")).unwrap();
    let kept =
        files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "db")).count();
    assert_eq!(kept, 2, "one that is read, one for a rollback");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_version_made_is_read_until_the_new_one_has_come_as_far_and_compared() {
    let installation = busy().await;
    let right = installation.app.views.digests().unwrap();
    let older = tamper(
        "UPDATE projections SET version = 0 WHERE name IN ('tasks', 'agents'); UPDATE tasks SET \
         priority = 9",
    );
    let installation = installation.reopen_after(older).await;
    let outcome = settled(&installation).await;
    assert_eq!(
        (outcome.purpose, outcome.differed.as_slice()),
        (Purpose::Rebuild, &["tasks".to_owned()][..]),
        "agents have the same rows in both versions"
    );
    assert_eq!(installation.app.views.digests().unwrap(), right);
    let refused = installation.app.views.rollback().await.unwrap_err().said();
    assert!(refused.contains("start that program"), "{refused}");
    // The program that made the earlier ones is back, as it were: it goes on with what it made.
    let swap = |folder: &Path| {
        tamper("UPDATE projections SET version = 99 WHERE name = 'tasks'")(folder);
        let named: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("views/generations.json")).unwrap())
                .unwrap();
        let earlier =
            rusqlite::Connection::open(folder.join(format!("views/{}.db", named["previous"])))
                .unwrap();
        for projection in projections::ALL {
            earlier
                .execute(
                    "UPDATE projections SET version = ? WHERE name = ?",
                    (projection.version, projection.name),
                )
                .unwrap();
        }
        0
    };
    let installation = installation.reopen_after(swap).await;
    assert_eq!(installation.app.views.building(), None);
    let priority = installation
        .query("{ business(slug: \"acme\") { tasks(first: 1) { nodes { priority } } } }")
        .await;
    assert_eq!(
        priority["business"]["tasks"]["nodes"][0]["priority"],
        json!(9),
        "these are the earlier rows"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_this_program_cannot_read_are_not_read() {
    let installation = busy().await;
    let right = installation.app.views.digests().unwrap();
    let other = tamper(
        "UPDATE projections SET version = 0 WHERE name = 'tasks'; ALTER TABLE tasks DROP COLUMN \
         activities; ALTER TABLE reviews RENAME TO remarks",
    );
    let installation = installation.reopen_after(other).await;
    assert_eq!(installation.query(COUNT).await["business"]["tasks"]["totalCount"], json!(50));
    assert_eq!(installation.app.views.digests().unwrap(), right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_a_restart_broke_off_goes_on() {
    let installation = busy().await;
    let right = installation.app.views.digests().unwrap();
    installation.app.views.rebuild(None).await.unwrap();
    let installation = installation.reopen().await;
    assert_eq!(settled(&installation).await.differed, Vec::<String>::new());
    assert_eq!(installation.app.views.digests().unwrap(), right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_reads_the_earlier_views_again_caught_up() {
    let installation = busy().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    assert!(
        installation.app.views.rollback().await.unwrap_err().said().contains("no earlier views")
    );
    installation.app.views.rebuild(Some("tasks".to_owned())).await.unwrap();
    settled(&installation).await;
    installation.must(business, "tasks.plan", None, json!({"title": "later", "team": "hr"})).await;
    installation.app.views.rollback().await.unwrap();
    let outcome = settled(&installation).await;
    assert_eq!((outcome.purpose, outcome.differed.len()), (Purpose::Rollback, 0));
    assert_eq!(installation.query(COUNT).await["business"]["tasks"]["totalCount"], json!(51));
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_says_up_to_where_the_views_are_what_the_log_gives() {
    let installation = busy().await;
    let status = "{ views { verifiedPosition previousKept building { purpose } last { purpose \
        position differed failed } } }";
    assert_eq!(installation.query(status).await["views"]["verifiedPosition"], json!(null));
    installation.app.views.audit().await.unwrap();
    settled(&installation).await;
    let end = installation.app.views.position();
    let seen = installation.query(status).await["views"].clone();
    let expected = json!({"purpose": "AUDIT", "position": end, "differed": [], "failed": null});
    assert_eq!((&seen["verifiedPosition"], &seen["last"]), (&json!(end), &expected));
    let installation =
        installation.reopen_after(tamper("UPDATE tasks SET priority = 9 WHERE seq = 2")).await;
    installation.app.views.audit().await.unwrap();
    assert_eq!(settled(&installation).await.differed, ["tasks"]);
    assert_eq!(
        installation.query(status).await["views"]["verifiedPosition"],
        json!(null),
        "it was not verified"
    );
    installation.app.views.rebuild(None).await.unwrap();
    settled(&installation).await;
    assert_eq!(installation.query(status).await["views"]["verifiedPosition"], json!(end));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_rebuild_and_leaves_what_is_read() {
    let installation = busy().await;
    let less = |folder: &Path| {
        u32::try_from(std::fs::metadata(folder.join("views/1.db")).unwrap().len() / 4096 - 5)
            .unwrap()
    };
    let installation = installation.reopen_after(less).await;
    let right = installation.app.views.digests().unwrap();
    installation.app.views.rebuild(None).await.unwrap();
    let failed = installation.app.views.settled(LONG).await.unwrap_err().said();
    assert!(failed.contains("full") && failed.contains("stayed as it was"), "{failed}");
    assert_eq!(installation.app.views.digests().unwrap(), right);
    assert_eq!(installation.query(COUNT).await["business"]["tasks"]["totalCount"], json!(50));
    let installation = installation.reopen().await;
    installation.app.views.rebuild(None).await.unwrap();
    settled(&installation).await;
    assert_eq!(installation.app.views.digests().unwrap(), right);
}
