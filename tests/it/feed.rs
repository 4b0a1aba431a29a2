//! The feed: public forms only, in order, resumable from any place, and never for those who may
//! not.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use domain::Event;
use event_log::Seq;
use serde_json::{Value, json};
use tests::installation::Installation;

use crate::door::Door;

async fn door() -> Door {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/microsoft-agent-2025-12-17.trace.json",
        "acme",
    )
    .await;
    installation.business("other").await;
    Door::on(installation).await
}

fn lines(text: &Value) -> Vec<Value> {
    text.as_str()
        .unwrap_or_default()
        .lines()
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

async fn ndjson(door: &Door, path: &str) -> Vec<Value> {
    let answer = door.send("GET", path, Some(door.key()), &[], "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    // One line alone reads as JSON.
    if answer.body.is_object() { vec![answer.body] } else { lines(&answer.body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_gives_every_public_event_once_from_any_place() {
    let door = door().await;
    let of_business = format!("/v1/businesses/{}/events?follow=false", door.business);
    let all = ndjson(&door, &of_business).await;
    assert!(all.len() > 5);
    let stored =
        door.installation.app.log.read_business(door.business, Seq::START, 1_000).await.unwrap();
    let public: Vec<_> =
        stored.iter().filter_map(|r| hub::public::cloud_event(r).unwrap()).collect();
    assert_eq!(all, public);
    let seqs: Vec<u64> =
        all.iter().map(|e| e["mbseq"].as_str().unwrap().parse().unwrap()).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]));
    for cut in [0, 3, all.len() - 1] {
        let rest = ndjson(&door, &format!("{of_business}&after={}", seqs[cut])).await;
        assert_eq!(rest, all[cut + 1..], "after {cut}");
        let position = all[cut]["mbposition"].as_str().unwrap();
        let by_position = ndjson(&door, &format!("/v1/events?follow=false&after={position}")).await;
        let by_place = ndjson(
            &door,
            &format!("/v1/events?follow=false&after={}:{}", door.business, seqs[cut]),
        )
        .await;
        assert_eq!(by_position, by_place);
        assert!(
            by_position.iter().any(|e| e["mbbusiness"] != json!(door.business)),
            "of every business"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sealed_or_private_leaves_the_house() {
    let door = door().await;
    let feed = ndjson(&door, "/v1/events?follow=false").await;
    let schema: Value =
        serde_json::from_str(include_str!("../data/cloudevents/cloudevents.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for event in &feed {
        let text = event.to_string();
        assert!(schema.is_valid(event), "{event:#}");
        assert!(
            !text.contains("$sealed")
                && !text.contains("digest_key")
                && !text.contains("minutebook.access."),
            "{text}"
        );
    }
    let documented = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/public-events.md"),
    )
    .unwrap();
    for event_type in Event::types() {
        let row = documented.lines().find(|l| l.starts_with(&format!("| `{}` |", event_type.name)));
        let said = row.unwrap_or_else(|| {
            panic!("docs/public-events.md does not say whether {} is public", event_type.name)
        });
        assert_eq!(said.contains("| public |"), hub::public::is_public(event_type.name), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_business_gets_nothing_of_it() {
    let door = door().await;
    let member = door
        .installation
        .principal(door.business, domain::access::PrincipalKind::Human, Some("member"))
        .await;
    let (_, secret) = door.installation.app.issue_key(member.principal).await.unwrap();
    let ask = async |path: &str| door.send("GET", path, Some(secret.reveal()), &[], "").await;
    let other = door.installation.app.business("other").await.unwrap().unwrap();
    assert_eq!(ask(&format!("/v1/businesses/{other}/events?follow=false")).await.status, 404);
    let all = ask("/v1/events?follow=false").await;
    assert!(
        lines(&all.body).iter().all(|e| e["mbbusiness"] == json!(door.business))
            && !lines(&all.body).is_empty()
    );
    assert_eq!(
        ask(&format!("/v1/events?follow=false&after={other}:1")).await.status,
        400,
        "not even whether an event is there"
    );
    for wrong in ["x", "-1", "1:2", "99999999999999999999"] {
        let answer = ask(&format!("/v1/events?after={wrong}")).await;
        assert_eq!(
            (answer.status, answer.body["type"].as_str().unwrap().ends_with("bad_place")),
            (400, true),
            "{wrong}: {}",
            answer.body
        );
    }
    assert_eq!(door.send("GET", "/v1/events", None, &[], "").await.status, 401);
}

/// Opens a feed and leaves it open.
fn connect(door: &Door, path: &str, headers: &str) -> std::net::TcpStream {
    let mut stream =
        std::net::TcpStream::connect(door.url().trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{headers}\r\n",
        door.key()
    )
    .unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read_until(stream: &mut std::net::TcpStream, wanted: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(wanted) {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the feed ended before `{wanted}`: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_feed_gives_what_comes_and_a_reader_comes_back_with_its_last_id() {
    let door = door().await;
    let path = format!("/v1/businesses/{}/events", door.business);
    let end = door.installation.app.log.head(door.business).await.unwrap().unwrap().seq;
    let mut stream =
        connect(&door, &path, &format!("Accept: text/event-stream\r\nLast-Event-ID: {end}\r\n"));
    let seq = door
        .installation
        .must(door.business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
        .await
        .events[0]
        .seq;
    let text = tokio::task::spawn_blocking(move || read_until(&mut stream, "\n\n")).await.unwrap();
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    let text = if text.contains(&format!("id: {seq}\nevent: minutebook.tasks.planned.v1\ndata: {{"))
    {
        text
    } else {
        panic!("{text}")
    };
    assert_eq!(text.matches("\ndata: ").count(), 1, "nothing that it had already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_which_nothing_comes_gives_a_sign_of_life() {
    let door = door().await;
    let end = door.installation.app.log.position().borrow().to_string();
    let mut events =
        connect(&door, &format!("/v1/events?after={end}"), "Accept: text/event-stream\r\n");
    let mut lines = connect(&door, &format!("/v1/events?after={end}"), "");
    let read = tokio::task::spawn_blocking(move || {
        for stream in [&events, &lines] {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        }
        (read_until(&mut events, ": still here\n\n"), read_until(&mut lines, "\r\n\r\n1\r\n\n"))
    });
    let (events, lines) = read.await.unwrap();
    assert!(!events.contains("data:") && !lines.contains('{'), "{events}{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_dropped_and_others_are_not_disturbed() {
    let installation = Installation::impatient().await;
    let business = installation.business("acme").await;
    let task = installation
        .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
        .await
        .events[0]
        .id;
    for _ in 0..60 {
        // In the clear: what is sealed would not be in the feed.
        let attribute = json!({"key": "big", "type": "string", "value": "x".repeat(300_000)});
        let activity = json!({"activity": "step", "attributes": [attribute], "clear": ["big"]});
        installation.must(business, "tasks.record_activity", Some(task), activity).await;
    }
    let door = Door::on(installation).await;
    let path = format!("/v1/businesses/{business}/events");
    let mut idle = connect(&door, &path, "");
    assert_eq!(
        ndjson(&door, &format!("{path}?follow=false&after=50")).await.len(),
        12,
        "others are not held up"
    );
    let began = std::time::Instant::now();
    while !door
        .send("GET", "/metrics", Some(door.key()), &[], "")
        .await
        .body
        .as_str()
        .unwrap()
        .contains("minutebook_feeds_dropped_total 1")
    {
        assert!(began.elapsed() < Duration::from_secs(60), "it is dropped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let taken = tokio::task::spawn_blocking(move || {
        let (mut bytes, mut buffer, began) =
            (Vec::new(), vec![0; 1 << 16], std::time::Instant::now());
        while began.elapsed() < Duration::from_secs(60) {
            match idle.read(&mut buffer) {
                Ok(0) | Err(_) => return bytes,
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            }
        }
        panic!("it was not dropped");
    });
    let taken = taken.await.unwrap();
    assert!(
        (100_000..17_000_000).contains(&taken.len()),
        "it got what there was room for: {}",
        taken.len()
    );
    assert!(!taken.ends_with(b"0\r\n\r\n"), "it can tell that it was cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_when_its_key_is_revoked() {
    let door = door().await;
    let (business, installation) = (door.business, &door.installation);
    let member = installation
        .principal(business, domain::access::PrincipalKind::Human, Some("member"))
        .await;
    let (key, secret) = installation.app.issue_key(member.principal).await.unwrap();
    let mut stream =
        std::net::TcpStream::connect(door.url().trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "GET /v1/businesses/{business}/events HTTP/1.1\r\nHost: \
        localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        secret.reveal()
    )
    .unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = tokio::task::spawn_blocking(move || {
        read_until(&mut stream, "minutebook.");
        stream
    })
    .await
    .unwrap();
    let revoke = json!({"key": key});
    installation
        .app
        .as_operator(
            "revoke",
            "access.revoke_key",
            Some(member.principal.0),
            &revoke,
            domain::ids::INSTALLATION,
        )
        .await
        .unwrap();
    installation.must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    let ended = tokio::task::spawn_blocking(move || {
        let (mut buffer, mut rest) = ([0; 4096], String::new());
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return rest,
                Ok(n) => rest.push_str(&String::from_utf8_lossy(&buffer[..n])),
            }
        }
    });
    let rest =
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the feed ends").unwrap();
    assert!(!rest.contains("tasks.planned"), "{rest}");
}
