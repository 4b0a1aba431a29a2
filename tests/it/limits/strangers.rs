//! Room for strangers, and for each principal.

use super::{closed_with, frame, heard, socket, text, upgraded};
use crate::door::Door;
use domain::limits::{FEEDS_PER_PRINCIPAL_MAX, STRANGERS_MAX, SUBSCRIBERS_PER_PRINCIPAL_MAX};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn nobody_holds_the_feeds_of_all() {
    let door = Door::open().await;
    let mut open = Vec::new();
    let mut follow = async || {
        let mut socket = socket(&door).await;
        let head = format!(
            "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            door.key()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let status = text(&heard(&mut socket, b"\r\n\r\n").await).get(9..12).map(str::to_owned);
        open.push(socket);
        status.unwrap_or_default()
    };
    for n in 0..FEEDS_PER_PRINCIPAL_MAX {
        assert_eq!(follow().await, "200", "feed {n}");
    }
    assert_eq!(follow().await, "429");
}

/// Some hundred sockets are opened here, and the other tests have theirs.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut allowed = getrlimit(Resource::Nofile);
    allowed.current = allowed.maximum;
    setrlimit(Resource::Nofile, allowed).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn strangers_have_room_of_their_own_and_so_has_each_principal() {
    raise_open_files();
    let door = Door::open().await;
    let mut strangers = Vec::new();
    for n in 0..STRANGERS_MAX {
        let (socket, answer) = upgraded(&door, None).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "stranger {n}: {answer}");
        strangers.push(socket);
    }
    assert!(
        upgraded(&door, None).await.1.starts_with("HTTP/1.1 503"),
        "one more than there is room for"
    );
    let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}",
        door.key())}})
    .to_string();
    let mut known = Vec::new();
    for n in 0..SUBSCRIBERS_PER_PRINCIPAL_MAX {
        let mut socket = strangers.pop().unwrap();
        socket.write_all(&frame(init.len(), init.as_bytes())).await.unwrap();
        assert!(
            text(&heard(&mut socket, b"connection_ack").await).contains("connection_ack"),
            "{n}"
        );
        known.push(socket);
    }
    let mut socket = strangers.pop().unwrap();
    socket.write_all(&frame(init.len(), init.as_bytes())).await.unwrap();
    assert_eq!(
        closed_with(&heard(&mut socket, &[0x03, 0xf5]).await),
        Some(1013),
        "one more than a principal has"
    );
    assert!(
        upgraded(&door, None).await.1.starts_with("HTTP/1.1 101"),
        "who said who they are makes room"
    );
    assert_eq!(door.send("GET", "/healthz", None, &[], "").await.status, 200);
}
