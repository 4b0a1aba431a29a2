//! What may run so many times at once: one more waits or is refused, and takes nothing from others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::PrincipalId;
use domain::ids::EventId;
use domain::ids::INSTALLATION;
use domain::limits::{
    BODIES_BYTES_PER_PRINCIPAL_MAX, BODY_BYTES_SMALL, GRAPHQL_QUERIES_MAX,
    GRAPHQL_QUERIES_PER_PRINCIPAL_MAX, IMPORTS_MAX, IMPORTS_PER_PRINCIPAL_MAX,
    MIN_POSITION_WAIT_MS_MAX, PROOF_MS_MAX, PROOFS_MAX,
};
use event_log::Seq;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::door::{Answer, Door};

/// Another operator with a key of its own.
async fn operator(door: &Door, n: usize) -> String {
    let id = INSTALLATION.derive_id(&format!("operator {n} of tests"));
    let data = json!({"kind": "human", "display_name": "canary-operator", "operator": true});
    door.installation.must(INSTALLATION, "access.add_principal", Some(id), data).await;
    door.installation.app.issue_key(PrincipalId(id)).await.unwrap().1.reveal().to_owned()
}

/// How much runs, of what the metrics name so.
async fn running(door: &Door, of: &str) -> usize {
    let metrics = door.send("GET", "/metrics", Some(door.key()), &[], "").await.body;
    let line = format!("minutebook_places_taken{{of=\"{of}\"}} ");
    metrics.as_str().unwrap().lines().find_map(|l| l.strip_prefix(&line)).unwrap().parse().unwrap()
}

async fn until_running(door: &Door, of: &str, wanted: usize) {
    let began = Instant::now();
    while running(door, of).await != wanted {
        assert!(began.elapsed() < Duration::from_secs(60), "never {wanted} {of}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(door: &Door, key: &str, query: &str) -> Answer {
    door.send(
        "POST",
        "/graphql",
        Some(key),
        &[("Content-Type", "application/json")],
        &json!({"query": query}).to_string(),
    )
    .await
}

/// A question that waits for what never comes to the views, as long as any question does.
fn waiting(door: &Arc<Door>, key: &str) -> tokio::task::JoinHandle<()> {
    let (door, key) = (Arc::clone(door), key.to_owned());
    tokio::spawn(async move {
        ask(&door, &key, "{ business(slug: \"acme\", minPosition: 999999) { slug } }").await;
    })
}

/// Asks something quick while as many as may wait; it is answered when the first of them ends, and
/// not before.
async fn waits_for_the_first(door: &Arc<Door>, those: &[&str], key: &str) {
    for _ in 0..10 {
        let began = Instant::now();
        let waits: Vec<_> = those.iter().map(|key| waiting(door, key)).collect();
        let mut all = false;
        while !all && began.elapsed() < Duration::from_millis(MIN_POSITION_WAIT_MS_MAX) {
            all = running(door, "graphql queries").await == waits.len();
        }
        if all {
            assert_eq!(ask(door, key, "{ businesses { nodes { slug } } }").await.status, 200);
            assert!(
                began.elapsed() >= Duration::from_millis(MIN_POSITION_WAIT_MS_MAX),
                "it was answered after {:?}",
                began.elapsed()
            );
        }
        for wait in waits {
            wait.await.unwrap();
        }
        if all {
            return;
        }
        // The machine was so slow that the first of them had ended before the last began.
    }
    panic!("{} questions never ran at once", those.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principals_questions_wait_for_its_own_and_everybodys_for_all() {
    let door = Arc::new(Door::open().await);
    waits_for_the_first(&door, &[door.key(); GRAPHQL_QUERIES_PER_PRINCIPAL_MAX], door.key()).await;
    // As many principals as there are places for, each with as many as it may; none waits for
    // another.
    let mut keys = Vec::new();
    for n in 0..GRAPHQL_QUERIES_MAX / GRAPHQL_QUERIES_PER_PRINCIPAL_MAX {
        keys.push(operator(&door, n).await);
    }
    let all: Vec<&str> =
        keys.iter().flat_map(|key| [key.as_str(); GRAPHQL_QUERIES_PER_PRINCIPAL_MAX]).collect();
    waits_for_the_first(&door, &all, door.key()).await;
}

/// A record of an import whose last byte does not come.
async fn import_begun(door: &Door, key: &str) -> (TcpStream, u8) {
    let settings = json!({"business": "acme", "currency": "EUR", "clear": []});
    let body = json!({"settings": settings, "record": "{}"}).to_string();
    let mut socket = TcpStream::connect(door.url().trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/imports/langfuse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
         {key}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let (last, rest) = body.as_bytes().split_last().unwrap();
    socket.write_all(&[head.as_bytes(), rest].concat()).await.unwrap();
    (socket, *last)
}

async fn end((mut socket, last): (TcpStream, u8)) -> String {
    socket.write_all(&[last]).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Whether nothing is said for a moment.
async fn is_silent(socket: &TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(300), socket.readable()).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_imports_wait_for_those_of_their_principal_and_for_all() {
    let door = Door::open().await;
    let keys = [door.key().to_owned(), operator(&door, 1).await, operator(&door, 2).await];
    let mut begun = Vec::new();
    for _ in 0..IMPORTS_PER_PRINCIPAL_MAX {
        begun.push(import_begun(&door, &keys[0]).await);
    }
    until_running(&door, "imports", IMPORTS_PER_PRINCIPAL_MAX).await;
    let mut waits = import_begun(&door, &keys[0]).await;
    waits.0.write_all(&[waits.1]).await.unwrap();
    assert!(is_silent(&waits.0).await, "whole as it is, it waits");
    assert_eq!(running(&door, "imports").await, IMPORTS_PER_PRINCIPAL_MAX);
    while begun.len() < IMPORTS_MAX {
        begun.push(import_begun(&door, &keys[1]).await);
    }
    until_running(&door, "imports", IMPORTS_MAX).await;
    let mut others = import_begun(&door, &keys[2]).await;
    others.0.write_all(&[others.1]).await.unwrap();
    assert!(is_silent(&others.0).await, "there is no place left for anybody");
    for import in begun {
        let answer = end(import).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "it was read, and is no record: {answer}");
    }
    for (mut socket, _) in [waits, others] {
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"));
    }
}

/// A command on its way in that has so many bytes, without its last one.
async fn command_begun(door: &Door, key: &str, bytes: usize) -> (TcpStream, u8) {
    let mut socket = TcpStream::connect(door.url().trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/businesses/acme/commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
         {key}\r\nIdempotency-Key: {}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n",
        uuid::Uuid::now_v7()
    );
    socket.write_all(format!("{head}{}", " ".repeat(bytes - 1)).as_bytes()).await.unwrap();
    (socket, b' ')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_wait_for_room_and_small_ones_never_do() {
    let door = Door::open().await;
    let other = operator(&door, 1).await;
    let large = BODIES_BYTES_PER_PRINCIPAL_MAX / 8;
    let mut begun = Vec::new();
    for _ in 0..8 {
        begun.push(command_begun(&door, door.key(), large).await);
    }
    until_running(&door, "bytes of bodies", BODIES_BYTES_PER_PRINCIPAL_MAX).await;
    let mut waits = command_begun(&door, door.key(), BODY_BYTES_SMALL + 1).await;
    waits.0.write_all(b" ").await.unwrap();
    assert!(is_silent(&waits.0).await, "there is no room for one more of this principal");
    assert_eq!(running(&door, "bytes of bodies").await, BODIES_BYTES_PER_PRINCIPAL_MAX);
    assert!(
        end(command_begun(&door, door.key(), BODY_BYTES_SMALL).await)
            .await
            .starts_with("HTTP/1.1 400"),
        "a small one needs none"
    );
    assert!(
        end(command_begun(&door, &other, large).await).await.starts_with("HTTP/1.1 400"),
        "somebody else has room of their own"
    );
    for body in begun {
        assert!(end(body).await.starts_with("HTTP/1.1 400"), "it was read, and is no command");
    }
    let mut answer = Vec::new();
    waits.0.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    until_running(&door, "bytes of bodies", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_more_than_there_are_places_for_is_refused_or_ends_in_time() {
    let door = Door::open().await;
    let event =
        door.installation.app.log.read_business(door.business, Seq::START, 1).await.unwrap()[0]
            .stored()
            .unwrap()
            .event_id;
    let prove = |event: EventId| {
        format!(
            "{{ business(slug: \"acme\") {{ inclusionProof(eventId: \"{event}\") {{ seq }} }} }}"
        )
    };
    let verify =
        async || door.send("POST", "/v1/verification", Some(door.key()), &[], "").await.status;
    let places = &door.installation.app.proofs;
    let mut held: Vec<_> = (1..PROOFS_MAX).map(|_| places.try_acquire().unwrap()).collect();
    assert_eq!(verify().await, 200, "the last place");
    held.push(places.try_acquire().unwrap());
    assert!(places.try_acquire().is_err(), "there are {PROOFS_MAX}");
    assert_eq!(running(&door, "proofs").await, PROOFS_MAX);
    assert_eq!(verify().await, 503);
    let known = ask(&door, door.key(), &prove(event)).await;
    let seq = &known.body["data"]["business"]["inclusionProof"]["seq"];
    assert_eq!(seq, 1, "a proof of what the views hold needs no place");
    let unknown = prove(EventId(uuid::Uuid::from_u128(1)));
    let began = Instant::now();
    let late = ask(&door, door.key(), &unknown).await;
    assert_eq!(late.body["errors"][0]["extensions"]["code"], "TOO_SLOW", "{}", late.body);
    assert!(began.elapsed() >= Duration::from_millis(PROOF_MS_MAX));
    held.pop();
    let none = ask(&door, door.key(), &unknown).await;
    assert_eq!(none.body["data"]["business"]["inclusionProof"], serde_json::Value::Null);
}
