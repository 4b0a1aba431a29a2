//! Generic streams: what a file of them keeps and refuses, and readers that do not keep up.

use std::sync::Arc;
use std::time::Duration;

use hub::streams::Streams;
use kurrent_protocol::{Cursor, Direction, Expected, Proposed, Refusal, Store};
use kurrentdb::{Client, SubscribeToAllOptions, SubscriptionEvent, SubscriptionFilter};
use tempfile::TempDir;
use tests::Said as _;
use tests::streams::Cluster;
use uuid::Uuid;

fn event(n: u128, event_type: &str, bytes: usize) -> Proposed {
    Proposed {
        id: Uuid::from_u128(n),
        event_type: event_type.to_owned(),
        content_type: "application/octet-stream".to_owned(),
        metadata: Default::default(),
        data: vec![b'x'; bytes].into(),
    }
}

async fn revisions(streams: &Streams, name: &str, from: Cursor, direction: Direction) -> Vec<u64> {
    let page = streams.stream(&(), name, from, direction, 100).await.unwrap();
    page.map(|p| p.events.iter().map(|e| e.revision).collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_streams_keeps_what_was_acknowledged_and_is_one_process_own() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("streams.db");
    let streams = Streams::open(&file).unwrap();
    let other = Streams::open(&file).err().unwrap().said();
    assert!(other.contains("in use by another process"), "{other}");
    let first = streams
        .append(&(), "s", Expected::NoStream, vec![event(1, "a", 10), event(2, "a", 10)])
        .await
        .unwrap();
    let closed =
        streams.append(&(), "s", Expected::Revision(1), vec![event(3, "a", 10)]).await.unwrap();
    assert!(closed.position > first.position && closed.revision == Some(2));
    streams.delete(&(), "gone", Expected::Any, true).await.unwrap();
    let everything = streams.all(&(), Cursor::Start, Direction::Forwards, 100).await.unwrap();
    streams.close().await;
    assert!(matches!(
        streams.append(&(), "s", Expected::Any, vec![event(4, "a", 1)]).await,
        Err(Refusal::Unavailable(_))
    ));
    drop(streams);
    let streams = Streams::open(&file).unwrap();
    assert_eq!(
        streams.all(&(), Cursor::Start, Direction::Forwards, 100).await.unwrap(),
        everything
    );
    let again = streams
        .append(&(), "s", Expected::NoStream, vec![event(1, "a", 10), event(2, "a", 10)])
        .await
        .unwrap();
    assert_eq!(again, first, "the same again, after a restart too");
    assert!(matches!(
        streams.append(&(), "gone", Expected::Any, vec![event(5, "a", 1)]).await,
        Err(Refusal::StreamDeleted(_))
    ));
    let next =
        streams.append(&(), "s", Expected::Revision(2), vec![event(6, "a", 1)]).await.unwrap();
    assert!(next.position > closed.position);
    drop(streams);
    let foreign = folder.path().join("other.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    let refused = Streams::open(&foreign).err().unwrap().said();
    assert!(refused.contains("a database of something else"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_ids_again_are_the_same_append_and_half_of_them_are_none() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::open(&folder.path().join("streams.db")).unwrap();
    let append = async |expected, ids: &[u128]| {
        let events = ids.iter().map(|n| event(*n, "a", 1)).collect();
        streams.append(&(), "s", expected, events).await
    };
    let first = append(Expected::Any, &[1, 2, 3]).await.unwrap();
    for expected in [Expected::Any, Expected::NoStream, Expected::Exists] {
        assert_eq!(append(expected, &[1, 2, 3]).await.unwrap(), first, "{expected:?}");
    }
    assert_eq!(append(Expected::Revision(0), &[2, 3]).await.unwrap().revision, Some(2));
    for (expected, ids) in [
        (Expected::Revision(0), &[2, 3, 4][..]),
        (Expected::Revision(0), &[3]),
        (Expected::Revision(7), &[1]),
        (Expected::NoStream, &[2]),
        (Expected::Any, &[3, 4]),
    ] {
        assert!(
            matches!(
                append(expected, ids).await,
                Err(Refusal::WrongVersion { actual: Some(2), .. })
            ),
            "{expected:?} {ids:?}"
        );
    }
    assert_eq!(append(Expected::Any, &[]).await.unwrap().revision, Some(2));
    assert_eq!(
        revisions(&streams, "s", Cursor::Start, Direction::Forwards).await,
        [0, 1, 2],
        "nothing doubled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_metadata_says_holds_for_reads_either_way() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::open(&folder.path().join("streams.db")).unwrap();
    streams
        .append(&(), "s", Expected::NoStream, (1..=10).map(|n| event(n, "a", 1)).collect())
        .await
        .unwrap();
    let say = async |text: &str| {
        let metadata = Proposed {
            event_type: "$metadata".to_owned(),
            data: text.as_bytes().to_vec().into(),
            ..event(Uuid::now_v7().as_u128(), "", 0)
        };
        streams.append(&(), "$$s", Expected::Any, vec![metadata]).await.unwrap();
    };
    for (said, forwards) in [
        (r#"{"$maxCount":3}"#, &[7, 8, 9][..]),
        (r#"{"$tb":4}"#, &[4, 5, 6, 7, 8, 9]),
        (r#"{"$tb":4,"$maxCount":2}"#, &[8, 9]),
        (r#"{"$maxAge":3600}"#, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (r#"{"$maxAge":0}"#, &[]),
        (r#"{"$tb":10}"#, &[]),
        ("not json", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ] {
        say(said).await;
        assert_eq!(
            revisions(&streams, "s", Cursor::Start, Direction::Forwards).await,
            forwards,
            "{said}"
        );
        let backwards: Vec<u64> = forwards.iter().rev().copied().collect();
        assert_eq!(
            revisions(&streams, "s", Cursor::End, Direction::Backwards).await,
            backwards,
            "{said}"
        );
        let some: Vec<u64> = backwards.into_iter().filter(|n| *n <= 5).collect();
        assert_eq!(
            revisions(&streams, "s", Cursor::At(5), Direction::Backwards).await,
            some,
            "{said}"
        );
        assert_eq!(
            revisions(&streams, "s", Cursor::At(u64::MAX), Direction::Forwards).await,
            [0; 0],
            "{said}"
        );
    }
    assert_eq!(
        revisions(&streams, "$$s", Cursor::Start, Direction::Forwards).await,
        [6],
        "of metadata the newest is kept"
    );
    assert!(matches!(
        streams.append(&(), "$all", Expected::Any, vec![event(1, "a", 1)]).await,
        Err(Refusal::AccessDenied(_))
    ));
}

fn client(port: u16) -> Client {
    tests::streams::tls_provider();
    Client::new(format!("kdb://127.0.0.1:{port}?tls=false").parse().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_keep_up_holds_nobody_up_and_misses_nothing() {
    const MANY: u128 = 6_000;
    let cluster = Cluster::start().await;
    let client = client(cluster.port);
    let filter = SubscriptionFilter::on_event_type().regex("^(?!skipped).*$");
    let mut slow = client.subscribe_to_all(&SubscribeToAllOptions::default().filter(filter)).await;
    while !matches!(slow.next_subscription_event().await.unwrap(), SubscriptionEvent::CaughtUp(_)) {
    }
    // Far more than connections and buffers hold, while it does not look.
    for n in 0..MANY / 100 {
        let events = (n * 100..n * 100 + 100)
            .map(|n| event(n + 1, if n % 3 == 0 { "skipped" } else { "kept" }, 8_000))
            .collect();
        cluster.streams.append(&(), &format!("s-{n}"), Expected::NoStream, events).await.unwrap();
    }
    let (mut next, mut fell_behind, mut checkpoint) = (0, 0, 0);
    while next < MANY {
        match tokio::time::timeout(Duration::from_secs(60), slow.next_subscription_event())
            .await
            .unwrap()
            .unwrap()
        {
            SubscriptionEvent::EventAppeared(event)
                if event.get_original_event().stream_id().starts_with('$') => {}
            SubscriptionEvent::EventAppeared(event) => {
                next += u128::from(next % 3 == 0);
                assert_eq!(
                    event.get_original_event().id,
                    Uuid::from_u128(next + 1),
                    "in order, nothing left out"
                );
                assert!(
                    event.get_original_event().position.commit > checkpoint,
                    "a checkpoint is of what was sent"
                );
                next += 1;
            }
            SubscriptionEvent::FellBehind(_) => fell_behind += 1,
            SubscriptionEvent::Checkpoint(at) => checkpoint = at.commit,
            _ => {}
        }
    }
    assert!(fell_behind > 0 && checkpoint > 0, "it is told that it is behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_while_others_write_gets_each_event_once_and_in_order() {
    let cluster = Arc::new(Cluster::start().await);
    let client = client(cluster.port);
    let followers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut following =
                    client.subscribe_to_all(&SubscribeToAllOptions::default()).await;
                let (mut seen, mut last) = (0, 0);
                while seen < 2_000 {
                    let event = following.next().await.unwrap();
                    let event = event.get_original_event();
                    assert!(event.position.commit > last);
                    last = event.position.commit;
                    seen += usize::from(!event.stream_id().starts_with('$'));
                }
                seen
            })
        })
        .collect();
    let writers = (0..8_u128).map(|w| {
        let cluster = Arc::clone(&cluster);
        async move {
            for n in 0..250 {
                cluster
                    .streams
                    .append(
                        &(),
                        &format!("w-{w}"),
                        Expected::Any,
                        vec![event(w * 1_000 + n + 1, "e", 50)],
                    )
                    .await
                    .unwrap();
            }
        }
    });
    futures_util::future::join_all(writers).await;
    for follower in followers {
        assert_eq!(
            tokio::time::timeout(Duration::from_secs(60), follower).await.unwrap().unwrap(),
            2_000
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_appends_on_one_call_stays_in_order() {
    let cluster = Cluster::start().await;
    let client = client(cluster.port);
    let batch = client.batch_append(&Default::default()).await.unwrap();
    let appends = (0..1_000_u128).map(|n| {
        let event = kurrentdb::EventData::json("e", &serde_json::json!({ "n": n }))
            .unwrap()
            .id(Uuid::from_u128(n + 1));
        batch.append_to_stream("s", kurrentdb::StreamState::Any, vec![event])
    });
    for done in futures_util::future::join_all(appends).await {
        done.unwrap();
    }
    let mut read = client
        .read_stream("s", &kurrentdb::ReadStreamOptions::default().max_count(2_000))
        .await
        .unwrap();
    for n in 0..1_000_u128 {
        assert_eq!(
            read.next().await.unwrap().unwrap().get_original_event().id,
            Uuid::from_u128(n + 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_begins_again_and_does_not_come_back() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::open(&folder.path().join("streams.db")).unwrap();
    streams
        .append(&(), "s", Expected::NoStream, vec![event(1, "a", 1), event(2, "a", 1)])
        .await
        .unwrap();
    streams.delete(&(), "s", Expected::Revision(1), false).await.unwrap();
    assert!(
        streams.stream(&(), "s", Cursor::Start, Direction::Forwards, 10).await.unwrap().is_none()
    );
    let metadata = Proposed {
        event_type: "$metadata".to_owned(),
        data: br#"{"$maxCount":10}"#.to_vec().into(),
        ..event(9, "", 0)
    };
    streams.append(&(), "$$s", Expected::Any, vec![metadata]).await.unwrap();
    assert_eq!(
        revisions(&streams, "s", Cursor::Start, Direction::Forwards).await,
        [0; 0],
        "what was deleted is not brought back by metadata"
    );
    let again = streams.append(&(), "s", Expected::Any, vec![event(3, "a", 1)]).await.unwrap();
    assert_eq!(revisions(&streams, "s", Cursor::Start, Direction::Forwards).await, [2]);
    streams.delete(&(), "s", Expected::Exists, false).await.unwrap();
    let anew = streams.append(&(), "s", Expected::NoStream, vec![event(4, "a", 1)]).await.unwrap();
    assert!(anew.position > again.position && anew.revision == Some(3));
    let page =
        streams.stream(&(), "s", Cursor::Start, Direction::Forwards, 10).await.unwrap().unwrap();
    assert_eq!(
        page.events[0].position,
        anew.position.unwrap(),
        "the position of the event, not of what was written beside it"
    );
}
