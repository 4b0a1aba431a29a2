//! Logs, keys and lists that are put back to an earlier day.

use super::{CANARY, contains, files, forgettings, serves, titles};
use domain::ids::{ErasureId, INSTALLATION};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;
use tests::installation::Installation;

/// Copies what a backup has of a folder, and nothing else.
pub(super) fn back_up(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        for suffix in ["", "-wal"] {
            let (source, target) =
                (from.join(format!("{name}{suffix}")), to.join(format!("{name}{suffix}")));
            let _ = std::fs::remove_file(&target);
            if source.exists() {
                std::fs::copy(source, target).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn keys_of_the_day_before_open_nothing_that_the_log_says_is_forgotten() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    serves(&installation, business, business.derive_id("ada")).await;
    let backup = TempDir::new().unwrap();
    let installation = installation.reopen().await;
    back_up(installation.folder.path(), backup.path(), &["keys.db"]);
    installation.forgets(business, business.derive_id("ada")).await;
    let folder = installation.close().await;
    back_up(backup.path(), folder.path(), &["keys.db"]);
    let restored = Installation::open(folder).await;
    assert_eq!(titles(&restored).await["tasks"]["nodes"][0]["title"]["text"], "forgotten");
    assert_eq!(forgettings(&restored).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn log_and_keys_of_the_day_before_are_restored_and_the_person_stays_forgotten() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let (ada, bob) = (business.derive_id("ada"), business.derive_id("bob"));
    serves(&installation, business, ada).await;
    installation
        .must(
            business,
            "tasks.plan",
            None,
            json!({"title": "of Bob", "team": "sales", "serves": bob}),
        )
        .await;
    let member = installation
        .principal(business, domain::access::PrincipalKind::Human, Some("member"))
        .await
        .principal;
    let backup = TempDir::new().unwrap();
    let folder = installation.close().await;
    back_up(folder.path(), backup.path(), &["log.db", "keys.db"]);
    let installation = Installation::open(folder).await;
    installation.forgets(business, ada).await;
    let name = ErasureId::of(INSTALLATION, member.as_subject()).0;
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    let data = json!({"principal": member});
    let forget = commands::Submission::new(
        INSTALLATION,
        operator,
        "n",
        "privacy.forget_name",
        Some(name),
        &data,
    );
    installation.app.submit(forget).await.unwrap();
    installation.forgets(business, business.0).await;
    let folder = installation.close().await;
    back_up(backup.path(), folder.path(), &["log.db", "keys.db"]);
    let restored = Installation::open(folder).await;
    let all = forgettings(&restored).await;
    assert_eq!(all.len(), 3, "the log says it again: {all:?}");
    let states = titles(&restored).await;
    assert_eq!(states["tasks"]["nodes"][0]["title"]["state"], "FORGOTTEN");
    assert_eq!(states["tasks"]["nodes"][1]["title"]["text"], "of Bob");
    assert!(!states["search"].to_string().contains("canary"), "{states}");
    let plan = json!({"title": "another", "team": "sales", "serves": ada});
    let operator = restored.app.operator_in(business).await.unwrap();
    assert_eq!(
        restored.submit(&operator, business, "tasks.plan", None, plan).await.unwrap_err().name(),
        "subject_fenced"
    );
    restored
        .must(business, "tasks.plan", None, json!({"title": "it goes on", "team": "sales"}))
        .await;
    restored.verifies().await;
    let again = restored.reopen().await;
    assert_eq!(forgettings(&again).await.len(), 3, "once is enough");
    let folder = again.close().await;
    for (name, bytes) in files(folder.path()) {
        assert!(!contains(&bytes, CANARY.as_bytes()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_list_that_is_put_back_late_is_applied_whatever_was_forgotten_meanwhile() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let (ada, bob) = (business.derive_id("ada"), business.derive_id("bob"));
    serves(&installation, business, ada).await;
    installation
        .must(
            business,
            "tasks.plan",
            None,
            json!({"title": "of Bob", "team": "sales", "serves": bob}),
        )
        .await;
    let backup = TempDir::new().unwrap();
    let folder = installation.close().await;
    back_up(folder.path(), backup.path(), &["log.db", "keys.db"]);
    let installation = Installation::open(folder).await;
    installation.forgets(business, ada).await;
    let folder = installation.close().await;
    back_up(backup.path(), folder.path(), &["log.db", "keys.db"]);
    let list = std::fs::read(folder.path().join("forgotten")).unwrap();
    std::fs::remove_file(folder.path().join("forgotten")).unwrap();
    // Served without the list; the log grows past where Ada was forgotten, and Bob is.
    let served = Installation::open(folder).await;
    for _ in 0..5 {
        served.must(business, "tasks.plan", None, json!({"title": "more", "team": "sales"})).await;
    }
    served.forgets(business, bob).await;
    let folder = served.close().await;
    let bobs = std::fs::read(folder.path().join("forgotten")).unwrap();
    std::fs::write(folder.path().join("forgotten"), [list, bobs].concat()).unwrap();
    let restored = Installation::open(folder).await;
    let states = titles(&restored).await;
    assert_eq!(states["tasks"]["nodes"][0]["title"]["state"], "FORGOTTEN");
    assert_eq!(forgettings(&restored).await.len(), 2);
    assert!(!states["search"].to_string().contains(CANARY), "{states}");
}
