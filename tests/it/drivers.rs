//! Judges written by others (npm packages, pinned in `tests/drivers/package.json`), run against a
//! door of ours. Where Node.js or the packages can't be had the test fails and says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use domain::operations::ExportFormat;
use event_log::Seq;
use tests::installation::Installation;

use crate::door::Door;

/// A folder of `tests` with its packages in it, outside the source.
pub(crate) fn with_packages(name: &str) -> PathBuf {
    let (source, folder) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name),
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name),
    );
    copy_files(&source, &folder);
    let pinned = std::fs::read(source.join("package.json")).unwrap();
    if std::fs::read(folder.join("installed.json")).unwrap_or_default() == pinned {
        return folder;
    }
    let npm = Command::new("npm")
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .output();
    let npm = npm.unwrap_or_else(|e| {
        panic!("npm (Node.js 20 or later) is needed for the judges of others: {e}")
    });
    assert!(npm.status.success(), "npm install: {}", String::from_utf8_lossy(&npm.stderr));
    std::fs::write(folder.join("installed.json"), pinned).unwrap();
    folder
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_files(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// The folder of the drivers.
pub(crate) fn drivers() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| with_packages("drivers"))
}

/// A folder with packages of Python in it, outside the source.
pub(crate) fn python_packages(name: &str, pinned: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if std::fs::read_to_string(folder.join("installed.txt")).unwrap_or_default() != pinned {
        let pip = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
            .arg(&folder)
            .args(pinned.split(' '))
            .output();
        let pip = pip
            .unwrap_or_else(|e| panic!("python3 with pip is needed for the judges of others: {e}"));
        assert!(pip.status.success(), "pip install: {}", String::from_utf8_lossy(&pip.stderr));
        std::fs::write(folder.join("installed.txt"), pinned).unwrap();
    }
    folder
}

async fn node(script: &'static str, arguments: Vec<String>) -> String {
    let run =
        move || Command::new("node").arg(drivers().join(script)).args(arguments).output().unwrap();
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audits_of_graphql_over_http_are_all_ok() {
    let door = Door::open().await;
    let said =
        node("graphql-http.mjs", vec![format!("{}/graphql", door.url()), door.key().to_owned()])
            .await;
    let last = said.trim().lines().last().unwrap();
    let (ok, all) = last.trim_end_matches(" ok").split_once('/').unwrap();
    assert!(ok == all && ok.parse::<u32>().unwrap() >= 60, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_graphql_ws_subscribes_resumes_and_is_closed_by_the_book() {
    let door = Door::open().await;
    assert_eq!(
        node("graphql-ws.mjs", vec![format!("{}/graphql", door.url()), door.key().to_owned()])
            .await
            .trim(),
        "ok"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdk_finds_every_exported_cloud_event_valid() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/langgraph-python-2025-08-22.trace.json",
        "acme",
    )
    .await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("events");
    let mut writer = server::export::ExportWriter::begin(&file, ExportFormat::Cloudevents).unwrap();
    let events = installation.app.log.read_business(business, Seq::START, 1_000).await.unwrap();
    for recorded in &events {
        writer.event(std::str::from_utf8(&recorded.bytes).unwrap()).unwrap();
    }
    writer.end().unwrap();
    assert_eq!(
        node("cloudevents.mjs", vec![file.to_str().unwrap().to_owned()]).await.trim(),
        format!("{} valid", events.len())
    );
}

/// The Python packages of the drivers, outside the source.
pub(crate) fn python() -> &'static Path {
    const PINNED: &str =
        "gql[requests]==4.4.0 pika==1.4.4 cloudevents==1.11.0 kurrentdbclient==1.0.4";
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| python_packages("python", PINNED))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_readme_is_answered() {
    let door = Door::open().await;
    for (format, file, business) in [
        (&importers::Transcripts as importers::Format, "tau-bench/airline-slice.json", "airline"),
        (&importers::Langfuse, "langfuse/langgraph-python-2025-08-22.trace.json", "studio"),
        (&importers::Documents, "documents", "bank"),
    ] {
        crate::metrics::import(&door.installation, format, file, business).await;
    }
    door.installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments = [
        folder.join("../README.md").to_str().unwrap().to_owned(),
        format!("{}/graphql", door.url()),
        door.key().to_owned(),
    ];
    let run = move || {
        Command::new("python3")
            .arg(folder.join("drivers/readme.py"))
            .args(arguments)
            .env("PYTHONPATH", python())
            .output()
            .unwrap()
    };
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    let said =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let asked: u32 =
        said.trim().trim_end_matches(" ok").parse().unwrap_or_else(|_| panic!("{said}"));
    assert!(asked >= 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_server_sent_events_follows_and_comes_back() {
    let door = Door::open().await;
    for _ in 0..6 {
        door.installation
            .must(
                door.business,
                "tasks.plan",
                None,
                serde_json::json!({"title": "x", "team": "hr"}),
            )
            .await;
    }
    let url = format!("{}/v1/businesses/{}/events", door.url(), door.business);
    let planned = tokio::spawn(node(
        "eventsource.mjs",
        vec![url, door.key().to_owned(), "3".to_owned(), "8".to_owned()],
    ));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    // One that comes while somebody follows.
    door.installation
        .must(door.business, "tasks.plan", None, serde_json::json!({"title": "x", "team": "hr"}))
        .await;
    assert_eq!(planned.await.unwrap().trim(), "1,2,3,4,5,6,7,8");
}
