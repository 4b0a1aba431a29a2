//! Limits come before the work they limit: what is too much is refused by its head, by whoever
//! sends it.

mod strangers;

use std::time::{Duration, Instant};

use domain::limits::{BODY_BYTES_MAX, GRAPHQL_SELECTIONS_MAX, INIT_BYTES_MAX, SEARCH_WORDS_MAX};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::door::{Answer, Door};

async fn ask(door: &Door, query: &str) -> Answer {
    door.send(
        "POST",
        "/graphql",
        Some(door.key()),
        &[("Content-Type", "application/json")],
        &json!({ "query": query }).to_string(),
    )
    .await
}

fn code(answer: &Answer) -> &str {
    answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

async fn socket(door: &Door) -> TcpStream {
    TcpStream::connect(door.url().trim_start_matches("http://")).await.unwrap()
}

/// What the server sends within 2 s, until `end` is in it or it hangs up.
async fn heard(socket: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let (mut heard, until) = (Vec::new(), tokio::time::Instant::now() + Duration::from_secs(2));
    let mut bytes = [0; 4_096];
    while !heard.windows(end.len()).any(|w| w == end) {
        match tokio::time::timeout_at(until, socket.read(&mut bytes)).await {
            Ok(Ok(n @ 1..)) => heard.extend_from_slice(&bytes[..n]),
            _ => break,
        }
    }
    heard
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fragments that each spread the next one twice.
fn bomb(fragments: usize) -> String {
    let within = |n: usize| {
        if n + 1 == fragments { "__typename".to_owned() } else { format!("...F{0} ...F{0}", n + 1) }
    };
    let all: String =
        (0..fragments).map(|n| format!(" fragment F{n} on Query {{ {} }}", within(n))).collect();
    format!("query {{ ...F0 }}{all}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_that_is_spread_over_and_over_is_counted_before_anything_walks_it() {
    let door = Door::open().await;
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(code(&ask(&door, &bomb(28)).await), "TOO_MANY_SELECTIONS");
    }
    assert_eq!(
        code(&ask(&door, &bomb(200)).await),
        "TOO_MANY_SELECTIONS",
        "a sum beyond 64 bits too"
    );
    assert_eq!(
        code(
            &ask(&door, "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }").await
        ),
        "BAD_QUERY"
    );
    assert!(began.elapsed() < Duration::from_secs(60), "28 such fragments are 2^28 selections");
    assert_eq!(door.send("GET", "/healthz", None, &[], "").await.status, 200);
    // 100 spreads of 99 fields are as many selections as there may be.
    let spreads = |n: usize| {
        format!(
            "{{ {} }} fragment F on Query {{ {} }}",
            "...F ".repeat(n),
            "__typename ".repeat(99)
        )
    };
    assert_eq!(GRAPHQL_SELECTIONS_MAX, 10_000);
    assert_ne!(code(&ask(&door, &spreads(100)).await), "TOO_MANY_SELECTIONS");
    assert_eq!(code(&ask(&door, &spreads(101)).await), "TOO_MANY_SELECTIONS");
    assert_eq!(
        code(&ask(&door, &format!("{{ __typename }} #{}", "x".repeat(64 << 10))).await),
        "TOO_LONG"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_has_so_many_words_and_an_answer_so_many_bytes() {
    let door = Door::open().await;
    let search = |words: usize| {
        format!(
            "{{ business(slug: \"acme\") {{ search(text: \"{0}\") {{ seq }} events(search: \
             \"{0}\") {{ totalCount }} }} }}",
            "w ".repeat(words)
        )
    };
    assert_eq!(code(&ask(&door, &search(SEARCH_WORDS_MAX)).await), "");
    assert_eq!(code(&ask(&door, &search(SEARCH_WORDS_MAX + 1)).await), "TOO_MANY_WORDS");
    let member = door.installation.app.operator_in(door.business).await.unwrap();
    for n in 0..24 {
        let fact = json!({"fact_kind": "process_memory", "statement": format!("{n}{}",
            "x".repeat(700_000))});
        door.installation
            .submit(&member, door.business, "memory.record_fact", None, fact)
            .await
            .unwrap();
    }
    door.installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let facts = |first: usize| {
        format!(
            "{{ business(slug: \"acme\") {{ memory(first: {first}) {{ nodes {{ text {{ state }} }} \
             }} }} }}"
        )
    };
    assert_eq!(ask(&door, &facts(5)).await.body["errors"], Value::Null);
    assert_eq!(
        code(&ask(&door, &facts(24)).await),
        "ANSWER_TOO_LARGE",
        "24 of 700 kB, sealed and in base64"
    );
    let aliases: String = (0..24).map(|n| format!("a{n}: text {{ text }} ")).collect();
    let again = format!(
        "{{ business(slug: \"acme\") {{ memory(first: 1) {{ nodes {{ {aliases} }} }} }} }}"
    );
    assert_eq!(code(&ask(&door, &again).await), "ANSWER_TOO_LARGE", "the same text 24 times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_ends_in_the_middle_of_a_statement_when_its_time_is_over() {
    let door = Door::open().await;
    let views = &door.installation.app.views;
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let until = Instant::now() + Duration::from_millis(50);
    let ended = views.read_until(
        move || Instant::now() > until,
        |c| c.query_row(endless, [], |r| r.get::<_, i64>(0)),
    );
    assert_eq!(
        ended.unwrap_err().sqlite_error_code(),
        Some(rusqlite::ErrorCode::OperationInterrupted)
    );
    let next: i64 =
        views.read(|c: &rusqlite::Connection| c.query_row("SELECT 1", [], |r| r.get(0))).unwrap();
    assert_eq!(next, 1, "the next who reads with that connection is not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_read_before_it_is_known_who_sends_it() {
    let door = Door::open().await;
    let paths = [
        "/v1/commands",
        "/v1/businesses/acme/commands",
        "/graphql",
        "/v1/imports/csv",
        "/v1/consumers",
        "/v1/projections/rebuild",
    ];
    for path in paths {
        let mut stranger = socket(&door).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
             application/json\r\nContent-Length: 1000\r\n\r\n"
        );
        stranger.write_all(head.as_bytes()).await.unwrap();
        let answer = text(&heard(&mut stranger, b"\r\n\r\n").await);
        assert!(
            answer.starts_with("HTTP/1.1 401"),
            "{path}, without one byte of the body: {answer}"
        );
    }
    // What is announced as too much is refused before it comes; what is not announced, when it has
    // come.
    for (path, max) in [("/v1/commands", BODY_BYTES_MAX), ("/v1/consumers", 64 << 10)] {
        let mut known = socket(&door).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer {}\r\n",
            door.key()
        );
        known
            .write_all(format!("{head}Content-Length: {}\r\n\r\n", max + 1).as_bytes())
            .await
            .unwrap();
        assert!(text(&heard(&mut known, b"\r\n\r\n").await).starts_with("HTTP/1.1 413"), "{path}");
        let mut known = socket(&door).await;
        let chunk = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n",
            max + 1,
            " ".repeat(max + 1)
        );
        known.write_all(chunk.as_bytes()).await.unwrap();
        assert!(
            text(&heard(&mut known, b"\r\n\r\n").await).starts_with("HTTP/1.1 413"),
            "{path}, in chunks"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_names_of_ours_are_answered_and_no_page_may_frame_or_keep_an_answer() {
    let door = Door::open().await;
    let get =
        async |path: &str, host: &str| door.send("GET", path, None, &[("Host", host)], "").await;
    for host in [
        "localhost:7117",
        "127.0.0.1",
        "[::1]:80",
        "10.1.2.3:7117",
        "MINUTES.example.com",
        "minutes.example.com.:443",
    ] {
        assert_eq!(get("/", host).await.status, 200, "{host}");
    }
    for host in
        ["evil.example", "evil.example:7117", "localhost.evil.example", "127.0.0.1.evil.example"]
    {
        assert_eq!(get("/", host).await.status, 421, "{host}");
        assert_eq!(get("/healthz", host).await.status, 200, "who watches us knows no name");
    }
    for path in ["/", "/nothing", "/healthz", "/v1/events"] {
        let headers = get(path, "localhost").await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"),
            "{path}"
        );
    }
    let ready = door.send("GET", "/readyz", None, &[], "").await;
    assert_eq!(ready.body, json!({"ready": true}), "a stranger learns no count");
    let lower = door
        .send("GET", "/metrics", None, &[("Authorization", &format!("bEARER {}", door.key()))], "")
        .await;
    assert_eq!(lower.status, 200);
}

/// Says hello as a WebSocket of this protocol; gives the socket, and the head of the answer.
async fn upgraded(door: &Door, origin: Option<&str>) -> (TcpStream, String) {
    let mut socket = socket(door).await;
    let origin = origin.map_or_else(String::new, |o| format!("Origin: {o}\r\n"));
    let head = format!(
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: \
         graphql-transport-ws\r\n{origin}\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = text(&heard(&mut socket, b"\r\n\r\n").await);
    (socket, answer)
}

/// A text frame, masked with zeros, that announces `length` bytes and has `payload`.
fn frame(length: usize, payload: &[u8]) -> Vec<u8> {
    [&[0x81, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4], payload].concat()
}

/// The code of the close frame in what was heard.
fn closed_with(bytes: &[u8]) -> Option<u16> {
    let at = bytes.iter().position(|b| *b == 0x88)?;
    Some(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_refused_by_what_its_head_announces() {
    let door = Door::open().await;
    let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}",
        door.key())}})
    .to_string();
    let (mut stranger, _) = upgraded(&door, None).await;
    stranger.write_all(&frame(1 << 40, b"{")).await.unwrap();
    assert_eq!(closed_with(&heard(&mut stranger, &[0x03, 0xf1]).await), Some(1009), "2^40 bytes");
    let (mut stranger, _) = upgraded(&door, None).await;
    stranger.write_all(&frame(INIT_BYTES_MAX + 1, b"{")).await.unwrap();
    assert_eq!(
        closed_with(&heard(&mut stranger, &[0x03, 0xf1]).await),
        Some(1009),
        "one byte more than a stranger may send"
    );
    let (mut known, _) = upgraded(&door, None).await;
    let padded = format!("{init:INIT_BYTES_MAX$}");
    known.write_all(&frame(padded.len(), padded.as_bytes())).await.unwrap();
    assert!(
        text(&heard(&mut known, b"connection_ack").await).contains("connection_ack"),
        "just as many are taken"
    );
    let unnamed =
        json!({"id": "", "type": "subscribe", "payload": {"query": "{ businesses { nodes { slug \
        } } }"}})
        .to_string();
    let (mut other, _) = upgraded(&door, None).await;
    other.write_all(&frame(init.len(), init.as_bytes())).await.unwrap();
    heard(&mut other, b"connection_ack").await;
    other.write_all(&frame(unnamed.len(), unnamed.as_bytes())).await.unwrap();
    assert_eq!(
        closed_with(&heard(&mut other, &[0x11, 0x30]).await),
        Some(4400),
        "an operation has a name"
    );
    let ping = format!("{:n$}", json!({"type": "ping"}).to_string(), n = INIT_BYTES_MAX * 2);
    known.write_all(&frame(ping.len(), ping.as_bytes())).await.unwrap();
    assert!(text(&heard(&mut known, b"pong").await).contains("pong"), "who is known may send more");
    known.write_all(&frame(BODY_BYTES_MAX + 1, b"{")).await.unwrap();
    assert_eq!(closed_with(&heard(&mut known, &[0x03, 0xf1]).await), Some(1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_over_a_websocket_is_refused_too_and_a_foreign_page_gets_no_socket() {
    let door = Door::open().await;
    for origin in ["http://evil.example", "http://evil.example:7117", "http://6.6.6.6", "null"] {
        assert!(upgraded(&door, Some(origin)).await.1.starts_with("HTTP/1.1 403"), "{origin}");
    }
    for origin in ["http://localhost", "http://localhost:3000", "https://minutes.example.com"] {
        assert!(upgraded(&door, Some(origin)).await.1.starts_with("HTTP/1.1 101"), "{origin}");
    }
    let (mut known, _) = upgraded(&door, None).await;
    let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}",
        door.key())}})
    .to_string();
    known.write_all(&frame(init.len(), init.as_bytes())).await.unwrap();
    heard(&mut known, b"connection_ack").await;
    for (id, query) in [
        ("q", bomb(28)),
        ("s", bomb(28).replace("query", "subscription").replace("on Query", "on Subscription")),
    ] {
        let subscribe =
            json!({"id": id, "type": "subscribe", "payload": {"query": query}}).to_string();
        known.write_all(&frame(subscribe.len(), subscribe.as_bytes())).await.unwrap();
        assert!(
            text(&heard(&mut known, b"TOO_MANY_SELECTIONS").await).contains("TOO_MANY_SELECTIONS"),
            "{id}"
        );
    }
}
