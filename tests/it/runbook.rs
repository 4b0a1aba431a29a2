//! The runbook's backups and restores, as they stand in it, run on an installation: with a person
//! who is forgotten after the backup.

use std::path::Path;
use std::process::Command;

use domain::BusinessId;
use serde_json::json;
use tempfile::TempDir;
use tests::installation::Installation;

const RUNBOOK: &str = include_str!("../../infra/runbook.md");

/// The commands of a block: the indented lines after its mark.
fn block(name: &str) -> String {
    let mark = format!("<!-- block: {name} -->");
    let after =
        RUNBOOK.split_once(&mark).unwrap_or_else(|| panic!("the runbook has no block {name}")).1;
    let lines: Vec<&str> = after
        .lines()
        .skip_while(|line| line.is_empty())
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    assert!(!lines.is_empty(), "the block {name} is empty");
    lines.join("\n")
}

/// Runs a block with the places of the runbook under a folder of the test.
async fn run(name: &str, root: &Path, addresses: &[(&str, String)]) {
    let root_text = root.display().to_string();
    let mut script = block(name);
    for place in ["/srv/", "/backup/", "/elsewhere"] {
        script = script.replace(place, &format!("{root_text}{place}"));
    }
    for (written, meant) in addresses {
        script = script.replace(written, meant);
    }
    let bin = root.join("bin");
    if !bin.exists() {
        std::fs::create_dir_all(root.join("srv")).unwrap();
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_minutebook-for-tests"),
            bin.join("minutebook"),
        )
        .unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euc", &script]).env("PATH", path);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        out.status.success(),
        "{name}: {script}\n{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// A business with work for Ada and for Bob.
async fn work(installation: &Installation) -> BusinessId {
    let business = installation.business("acme").await;
    for who in ["ada", "bob"] {
        let plan = json!({"title": format!("canary of {who}"), "team": "sales",
            "serves": business.derive_id(who)});
        installation.must(business, "tasks.plan", None, plan).await;
    }
    business
}

/// Ada stays forgotten, Bob is read.
async fn is_restored(installation: &Installation) {
    let answer = installation
        .query(
            "{ business(slug: \"acme\") { tasks { nodes { title { text } } \
        } signedCheckpoint { vkey } } }",
        )
        .await;
    let titles: Vec<&str> = answer["business"]["tasks"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["title"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(titles, ["forgotten", "canary of bob"]);
    installation.verifies().await;
}

async fn vkey(installation: &Installation) -> String {
    let answer =
        installation.query("{ business(slug: \"acme\") { signedCheckpoint { vkey } } }").await;
    answer["business"]["signedCheckpoint"]["vkey"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_backed_up_while_it_is_served_and_restored() {
    let root = TempDir::new().unwrap();
    let installation = Installation::new().await;
    let business = work(&installation).await;
    std::fs::create_dir(root.path().join("srv")).unwrap();
    std::os::unix::fs::symlink(installation.folder.path(), root.path().join("srv/minutebook"))
        .unwrap();
    std::fs::create_dir(root.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_minutebook-for-tests"),
        root.path().join("bin/minutebook"),
    )
    .unwrap();
    run("folder backup", root.path(), &[]).await;
    installation.forgets(business, business.derive_id("ada")).await;
    run("folder secrets", root.path(), &[]).await;
    let signed = vkey(&installation).await;
    installation.close().await;
    run("folder restore", root.path(), &[]).await;
    let folder = TempDir::new().unwrap();
    for entry in std::fs::read_dir(root.path().join("srv/restored")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let restored = Installation::open(folder).await;
    is_restored(&restored).await;
    assert_eq!(vkey(&restored).await, signed, "it signs under the same name");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_postgresql_is_backed_up_and_restored_without_a_superuser() {
    use log_postgres::{migrate, role_name};
    use sqlx::Executor as _;
    let cluster = tests::postgres::own(None, false).await;
    let mut superuser = tests::postgres::connect(&format!("{}/postgres", cluster.url)).await;
    for sql in [
        "CREATE ROLE owner LOGIN CREATEROLE",
        "CREATE ROLE minutebook LOGIN",
        "CREATE DATABASE minutebook OWNER owner",
        "CREATE DATABASE restored OWNER owner",
    ] {
        superuser.execute(sql).await.unwrap();
    }
    let at = |user: &str, database: &str| {
        format!("{}/{database}", cluster.url.replace("postgres@", &format!("{user}@")))
    };
    migrate(&at("owner", "minutebook")).await.unwrap();
    let grant = format!(
        "GRANT {}, {} TO minutebook",
        role_name("app", "minutebook"),
        role_name("keys", "minutebook")
    );
    superuser.execute(grant.as_str()).await.unwrap();
    let installation = Installation::at(&at("minutebook", "minutebook")).await;
    let business = work(&installation).await;
    let root = TempDir::new().unwrap();
    let addresses = [
        ("postgres://owner@db/minutebook", at("owner", "minutebook")),
        ("postgres://owner@db/restored", at("owner", "restored")),
        ("postgres://minutebook@db/restored", at("minutebook", "restored")),
    ];
    run("postgres backup", root.path(), &addresses).await;
    installation.forgets(business, business.derive_id("ada")).await;
    std::os::unix::fs::symlink(installation.folder.path(), root.path().join("srv/minutebook"))
        .unwrap();
    run("folder secrets", root.path(), &addresses).await;
    run("postgres restore", root.path(), &addresses).await;
    let restored = Installation::at_with(
        &at("minutebook", "restored"),
        &root.path().join("srv/restored/forgotten"),
    )
    .await;
    is_restored(&restored).await;
    assert_eq!(vkey(&restored).await, vkey(&installation).await, "it signs under the same name");
}
