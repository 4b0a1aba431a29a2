//! Keys in a file: one process serves at a time.

use event_log::{Capabilities as _, Log as _};
use kurrent_protocol::{Expected, Proposed, Store as Protocol};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::Said as _;
use tests::samples::{append, business, task};
use tests::streams::{Cluster, open, try_open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn with_keys_in_a_file_only_one_process_serves() {
    let (mut cluster, folders) =
        (Cluster::start().await, [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    let first = open(&cluster.address(), &folders[0]).await;
    first.serve_alone().await.unwrap();
    let second = open(&cluster.address(), &folders[1]).await;
    let refused = second.serve_alone().await.unwrap_err().said();
    assert!(
        refused.contains("only one process may serve") && refused.contains("--keys postgres://"),
        "{refused}"
    );
    first.close().await;
    second.serve_alone().await.unwrap();
    second.append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    cluster.stop().await;
    let there = cluster.address();
    let gone = try_open(&there, &folders[0]);
    let why =
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().err().unwrap().said();
    assert!(why.contains("KurrentDB"), "{why}");
    for wrong in ["esdb://", "esdb://host:port?tls=false", "esdb:nothing"] {
        assert!(
            try_open(wrong, &folders[0])
                .await
                .err()
                .unwrap()
                .said()
                .contains("address of KurrentDB"),
            "{wrong}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn a_second_server_with_keys_in_a_file_does_not_start() {
    let (cluster, folders) =
        (Cluster::start().await, [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    let keys = tests::postgres::database().await;
    let serve = async |folder: &TempDir| {
        let config = server::config::Config {
            log: cluster.address(),
            ..tests::installation::config(folder.path())
        };
        server::app::App::open(&config, server::app::Handles::default()).await
    };
    let first = serve(&folders[0]).await.unwrap();
    let refused = serve(&folders[1]).await.err().unwrap().said();
    assert!(
        refused.contains("only one process may serve") && refused.contains("--keys postgres://"),
        "{refused}"
    );
    first.close().await;
    let keyless = serve(&folders[1]).await.err().unwrap().said();
    assert!(
        keyless.contains("keyring.key wraps them and is not there"),
        "the log is not served under new keys: {keyless}"
    );
    for name in ["keyring.key", "keys.db"] {
        std::fs::copy(folders[0].path().join(name), folders[1].path().join(name)).unwrap();
    }
    serve(&folders[1]).await.unwrap().close().await;
    // Sealed under one keyring, read with another: that must not begin.
    let shared = |url: String, folder: &TempDir| server::config::Config {
        log: url,
        keys: keys.clone(),
        ..tests::installation::config(folder.path())
    };
    let other = server::app::App::open(
        &shared(cluster.address(), &folders[1]),
        server::app::Handles::default(),
    )
    .await
    .err()
    .unwrap()
    .said();
    assert!(
        other.contains("are in a file of the server that made it")
            && other.contains("copy the log to PostgreSQL"),
        "{other}"
    );
    let (together, third) = (Cluster::start().await, TempDir::new().unwrap());
    server::app::App::open(&shared(together.address(), &third), server::app::Handles::default())
        .await
        .unwrap()
        .close()
        .await;
    let alone = server::config::Config {
        log: together.address(),
        ..tests::installation::config(folders[0].path())
    };
    let alone =
        server::app::App::open(&alone, server::app::Handles::default()).await.err().unwrap().said();
    assert!(alone.contains("are in a shared keyring: give --keys"), "{alone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn who_lost_the_lease_of_the_keyring_appends_nothing_any_more() {
    let (cluster, folder) = (Cluster::start().await, TempDir::new().unwrap());
    let log = open(&cluster.address(), &folder).await;
    log.serve_alone().await.unwrap();
    log.append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    // Another process took it while this one stood still.
    let taken = serde_json::json!({"position": 0, "epoch": 1_000, "owner": uuid::Uuid::now_v7(),
        "paused": false});
    let taken = Proposed {
        id: uuid::Uuid::now_v7(),
        event_type: "minutebook.consumer.v1".to_owned(),
        content_type: "application/json".to_owned(),
        metadata: Default::default(),
        data: taken.to_string().into_bytes().into(),
    };
    cluster.streams.append(&(), "lease-keyring", Expected::Any, vec![taken]).await.unwrap();
    let (began, mut version) = (Instant::now(), 1);
    let refused = loop {
        match log.append(append(business(1), task(1), version, 1, "a")).await {
            Ok(_) => version += 1,
            Err(e) => break event_log::chain(&e).to_string(),
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it goes on without the lease");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(refused.contains("can't say that it alone serves"), "{refused}");
    assert!(
        log.keys_elsewhere().is_some() && log.unavailable_reason().is_some(),
        "nor does it destroy keys, and it is not ready"
    );
}
