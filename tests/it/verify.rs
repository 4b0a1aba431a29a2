//! Verification: one byte is enough to be found, and the event is named.

use event_log::Seq;
use event_log::sqlite::SqliteLog;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tests::installation::{Installation, config, handles};

async fn stopped() -> TempDir {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for n in 0..20 {
        installation
            .must(business, "tasks.plan", None, json!({"title": format!("task {n}"), "team": "hr"}))
            .await;
    }
    installation.close().await
}

async fn verify(folder: &TempDir) -> server::verify::Report {
    let app = server::app::App::open(&config(folder.path()), handles(&commands::Clock::System))
        .await
        .unwrap();
    let report = server::verify::verify_open(&app.log).await.unwrap();
    app.close().await;
    report
}

fn change(folder: &TempDir, sql: &str) {
    let connection = Connection::open(SqliteLog::file(folder.path())).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_tamper_is_found_at_the_right_event() {
    for (sql, seq, says) in [
        (
            "UPDATE events SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"priority\":5', \
             '\"priority\":6') AS BLOB) WHERE seq = 7 AND kind = 'task'",
            7,
            "hash to its leaf",
        ),
        (
            "UPDATE events SET leaf = zeroblob(32) WHERE seq = 9 AND kind = 'task'",
            9,
            "hash to its leaf",
        ),
        ("UPDATE events SET id = zeroblob(16) WHERE seq = 5 AND kind = 'task'", 5, "another place"),
        ("DELETE FROM events WHERE seq = 11 AND kind = 'task'", 12, "missing or doubled"),
        ("DELETE FROM events WHERE seq = 21", 21, "it and all after it are missing"),
        (
            "UPDATE heads SET frontier = zeroblob(length(frontier)) WHERE seq = 21",
            21,
            "another root",
        ),
        ("DELETE FROM heads WHERE seq = 21", 1, "no stored end"),
    ] {
        let folder = stopped().await;
        assert!(verify(&folder).await.fault.is_none());
        change(&folder, sql);
        let fault = verify(&folder).await.fault.unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!(fault.seq, Seq(seq), "{sql}: {fault:?}");
        assert!(fault.why.contains(says), "{sql}: {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_of_an_event_in_the_file_is_found_and_named() {
    let folder = stopped().await;
    let path = SqliteLog::file(folder.path());
    Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let id: String = {
        let bytes: Vec<u8> = Connection::open(&path)
            .unwrap()
            .query_row("SELECT bytes FROM events WHERE seq = 13 AND kind = 'task'", [], |r| {
                r.get(0)
            })
            .unwrap();
        let stored = event_log::Stored::parse(&bytes).unwrap();
        stored.event_id.to_string()
    };
    let mut file = std::fs::read(&path).unwrap();
    let needle = format!("\"event_id\":\"{id}\"");
    let at = file.windows(needle.len()).position(|w| w == needle.as_bytes()).unwrap();
    file[at + 3] ^= 1;
    std::fs::write(&path, file).unwrap();
    let fault = verify(&folder).await.fault.unwrap();
    assert_eq!((fault.seq, fault.event_id), (Seq(13), id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_page_is_a_clear_answer_and_no_crash() {
    let folder = stopped().await;
    let path = SqliteLog::file(folder.path());
    Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let mut file = std::fs::read(&path).unwrap();
    let (root, pages) = (file.len() / 2 / 4096 * 4096, file.len() / 4096);
    assert!(pages > 4);
    file[root..root + 4096].fill(0xA5);
    std::fs::write(&path, file).unwrap();
    match server::app::App::open(&config(folder.path()), handles(&commands::Clock::System)).await {
        Err(e) => assert!(e.to_string().contains("damaged"), "{e}"),
        Ok(app) => {
            let report = server::verify::verify_open(&app.log).await.unwrap();
            assert!(report.fault.is_some());
            app.close().await;
        }
    }
}
