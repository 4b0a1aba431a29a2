//! Streams that clients write, and what the README follows.

use super::{all, client, key, places};
use kurrentdb::{
    AppendToStreamOptions, DeleteStreamOptions, Error, EventData, StreamMetadataBuilder,
    StreamMetadataResult, StreamState, TombstoneStreamOptions,
};
use serde_json::json;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tests::installation::{Installation, config};
use tests::streams::Cluster;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn the_rust_client_writes_streams_as_to_the_real_server() {
    let cluster = Cluster::start().await;
    let client = client(&format!("kdb://127.0.0.1:{}?tls=false", cluster.port));
    let events = |n: usize| {
        (0..n)
            .map(|n| {
                EventData::json("e", &json!({"n": n}))
                    .unwrap()
                    .id(uuid::Uuid::from_u128(n as u128 + 1))
            })
            .collect::<Vec<_>>()
    };
    let state = |state| AppendToStreamOptions::default().stream_state(state);
    let first =
        client.append_to_stream("s", &state(StreamState::NoStream), events(3)).await.unwrap();
    let again =
        client.append_to_stream("s", &state(StreamState::NoStream), events(3)).await.unwrap();
    assert_eq!((again.position, again.next_expected_version), (first.position, 2));
    let conflict =
        client.append_to_stream("s", &state(StreamState::StreamRevision(7)), events(1)).await;
    assert!(matches!(conflict, Err(Error::WrongExpectedVersion { .. })), "{conflict:?}");
    let missing =
        client.append_to_stream("none", &state(StreamState::StreamExists), events(1)).await;
    assert!(matches!(missing, Err(Error::WrongExpectedVersion { .. })), "{missing:?}");
    let too_large = EventData::binary("large", vec![0_u8; 15 << 20].into());
    let refused = client
        .append_to_stream("s", &state(StreamState::Any), vec![too_large.clone(), too_large])
        .await;
    assert!(
        refused.is_err() && client.read_stream("s", &Default::default()).await.is_ok(),
        "{refused:?}"
    );
    let batch = client.batch_append(&Default::default()).await.unwrap();
    let many = (0..50).map(|n| {
        batch.append_to_stream(
            format!("batch-{n}"),
            StreamState::NoStream,
            vec![EventData::json("e", &json!({})).unwrap()],
        )
    });
    for done in futures_util::future::join_all(many).await {
        assert_eq!(done.unwrap().current_revision(), Some(0));
    }
    client
        .set_stream_metadata(
            "s",
            &state(StreamState::Any),
            &StreamMetadataBuilder::new()
                .max_age(Duration::from_secs(3_600))
                .truncate_before(1)
                .build(),
        )
        .await
        .unwrap();
    assert_eq!(
        places(&all(client.read_stream("s", &Default::default()).await.unwrap()).await)
            .iter()
            .map(|p| p.1)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(matches!(
        client.get_stream_metadata("s", &Default::default()).await.unwrap(),
        StreamMetadataResult::Success(_)
    ));
    client.delete_stream("s", &DeleteStreamOptions::default()).await.unwrap();
    let deleted = client.read_stream("s", &Default::default()).await.unwrap().next().await;
    assert!(matches!(deleted, Err(Error::ResourceNotFound)), "{deleted:?}");
    let revived = client
        .append_to_stream("s", &state(StreamState::Any), events(5).split_off(4))
        .await
        .unwrap();
    assert_eq!(revived.next_expected_version, 3, "numbers go on");
    client.tombstone_stream("s", &TombstoneStreamOptions::default()).await.unwrap();
    let gone = client.append_to_stream("s", &state(StreamState::Any), events(1)).await;
    assert!(matches!(gone, Err(Error::ResourceDeleted)), "{gone:?}");
}

/// A fenced block of the README, with the lines that it is said to print (all before an ellipsis).
pub(super) fn snippet(language: &str) -> (String, Vec<String>) {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (code, after) =
        readme.split_once(&format!("```{language}\n")).unwrap().1.split_once("```\n").unwrap();
    let said = after
        .lines()
        .skip_while(|l| l.is_empty())
        .take_while(|l| l.starts_with("    ") && !l.contains('…'));
    (code.to_owned(), said.map(|l| l.trim().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn what_the_readme_follows_comes_as_the_readme_says() {
    // As `make run` has it: the import, and nothing else.
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "airline",
    )
    .await;
    let (_stop, stopped) = watch::channel(false);
    let mut config = config(installation.folder.path());
    config.kurrentdb_listen = "127.0.0.1:0".to_owned();
    let (listening, _) =
        server::kurrentdb::listen(&config, Arc::clone(&installation.app), stopped).await.unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let run = folder.path().join(".run");
    std::fs::create_dir_all(run.join("data")).unwrap();
    std::fs::copy(
        installation.folder.path().join("kurrentdb-cert.pem"),
        run.join("data/kurrentdb-cert.pem"),
    )
    .unwrap();
    std::fs::write(
        run.join("operator.key"),
        key(&installation, server::app::operator()).await + "\n",
    )
    .unwrap();
    let packages =
        tokio::task::spawn_blocking(|| (crate::drivers::python(), crate::drivers::drivers()))
            .await
            .unwrap();
    std::os::unix::fs::symlink(packages.1.join("node_modules"), folder.path().join("node_modules"))
        .unwrap();
    for (language, program, file) in
        [("python", "python3", "follow.py"), ("js", "node", "follow.mjs")]
    {
        let (code, told) = snippet(language);
        assert!(!told.is_empty() && code.contains(":7119"), "{code}");
        std::fs::write(
            folder.path().join(file),
            code.replace(":7119", &format!(":{}", listening.address.port())),
        )
        .unwrap();
        let mut command = tokio::process::Command::new(program);
        command
            .arg(file)
            .current_dir(folder.path())
            .env("PYTHONPATH", packages.0)
            .env("PYTHONUNBUFFERED", "1");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in told {
            let next = tokio::time::timeout(Duration::from_secs(60), said.next_line())
                .await
                .expect(&line)
                .unwrap();
            assert_eq!(next.as_deref(), Some(line.as_str()), "{language}");
        }
    }
}
