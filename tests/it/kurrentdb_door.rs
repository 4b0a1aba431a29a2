//! KurrentDB's clients at the business door and on generic streams: three of other languages as
//! processes, the Rust one here; and what the door refuses.

mod streams;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use domain::access::PrincipalKind;
use domain::{BusinessId, PrincipalId};
use event_log::Seq;
use kurrentdb::{
    AppendToStreamOptions, Client, DeleteStreamOptions, Error, EventData, Position, ReadAllOptions,
    ReadStreamOptions, ResolvedEvent, StreamPosition, SubscribeToAllOptions,
    SubscribeToStreamOptions, SubscriptionEvent, SubscriptionFilter, TombstoneStreamOptions,
};
use serde_json::{Value, json};
use tests::installation::{Installation, config};
use tests::streams::Cluster;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

/// A business door over an installation with a business that has a history, and another one.
struct BusinessDoor {
    installation: Installation,
    business: BusinessId,
    there: String,
    member: String,
    owner: String,
    stop: watch::Sender<bool>,
}

async fn key(installation: &Installation, principal: PrincipalId) -> String {
    installation.app.issue_key(principal).await.unwrap().1.reveal().to_owned()
}

impl BusinessDoor {
    async fn open() -> Self {
        let installation = Installation::new().await;
        crate::metrics::import(
            &installation,
            &importers::Transcripts,
            "tau-bench/airline-slice.json",
            "airline",
        )
        .await;
        installation.business("secret").await;
        let business = installation.app.business("airline").await.unwrap().unwrap();
        // One that has no public form.
        installation
            .must(
                business,
                "approvals.define_policy",
                None,
                json!({"rules": domain::approvals::shipped_rules()}),
            )
            .await;
        let member =
            installation.principal(business, PrincipalKind::Human, Some("member")).await.principal;
        let (member, owner) =
            (key(&installation, member).await, key(&installation, server::app::operator()).await);
        let (stop, stopped) = watch::channel(false);
        let mut config = config(installation.folder.path());
        config.kurrentdb_listen = "127.0.0.1:0".to_owned();
        let (_, there) = server::kurrentdb::listen(&config, Arc::clone(&installation.app), stopped)
            .await
            .unwrap();
        Self { installation, business, there, member, owner, stop }
    }

    fn uri(&self, scheme: &str, key: &str) -> String {
        format!("{scheme}://key:{key}@{}", self.there)
    }

    fn client(&self, key: &str) -> Client {
        client(&self.uri("kdb", key))
    }

    /// One event more in the business.
    async fn happens(&self) {
        self.installation
            .must(self.business, "tasks.plan", None, json!({"title": "one more", "team": "hr"}))
            .await;
    }

    async fn public(&self) -> Vec<(u64, Value)> {
        let all = self
            .installation
            .app
            .log
            .read_business(self.business, Seq::START, 10_000)
            .await
            .unwrap();
        all.iter()
            .filter_map(|r| hub::public::cloud_event(r).unwrap().map(|e| (r.seq.previous().0, e)))
            .collect()
    }
}

fn client(uri: &str) -> Client {
    tests::streams::tls_provider();
    Client::new(uri.parse().unwrap()).unwrap()
}

/// Runs a driver; when it says that it follows, `happens` is done, and it is told.
async fn drive(
    program: &str,
    arguments: Vec<String>,
    python: Option<&Path>,
    happens: impl AsyncFnOnce(),
) {
    let mut command = tokio::process::Command::new(program);
    if let Some(packages) = python {
        command.env("PYTHONPATH", packages);
    }
    command
        .args(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut input = child.stdin.take().unwrap();
    let told = async {
        let mut last = String::new();
        while let Some(line) = said.next_line().await.unwrap() {
            if line == "following" {
                return line;
            }
            last = line;
        }
        last
    };
    let limit = Duration::from_secs(60);
    let mut last = tokio::time::timeout(limit, told).await.expect("the driver does not get on");
    if last == "following" {
        happens().await;
        input.write_all(b"go\n").await.unwrap();
        while let Some(line) = tokio::time::timeout(limit, said.next_line())
            .await
            .expect("the driver does not get on")
            .unwrap()
        {
            last = line;
        }
    }
    let out = child.wait_with_output().await.unwrap();
    assert!(
        out.status.success() && last == "ok",
        "{program} {arguments:?}: {last}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_reads_follows_and_comes_back() {
    let (door, packages) = (
        BusinessDoor::open().await,
        tokio::task::spawn_blocking(crate::drivers::python).await.unwrap(),
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("drivers/kurrentdb_client.py")
        .to_str()
        .unwrap()
        .to_owned();
    let (stream, count) = (door.business.stream_name(), door.public().await.len().to_string());
    let arguments = vec![
        script.clone(),
        "door".to_owned(),
        door.uri("kdb", &door.member),
        door.uri("kdb", "mb_wrong"),
        stream,
        count,
    ];
    drive("python3", arguments, Some(packages), async || door.happens().await).await;
    let cluster = Cluster::start().await;
    drive(
        "python3",
        vec![script, "streams".to_owned(), format!("kdb://127.0.0.1:{}?tls=false", cluster.port)],
        Some(packages),
        async || {},
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_node_clients_read_follow_and_come_back() {
    let (door, cluster) = (BusinessDoor::open().await, Cluster::start().await);
    let folder = tokio::task::spawn_blocking(crate::drivers::drivers).await.unwrap();
    let script = folder.join("kurrentdb.mjs").to_str().unwrap().to_owned();
    let (mut seen, stream) = (0, door.business.stream_name());
    for (package, scheme) in
        [("@kurrent/kurrentdb-client", "kdb"), ("@eventstore/db-client", "esdb")]
    {
        let count = door.public().await.len();
        assert!(count > seen);
        seen = count;
        let (uri, wrong) = (door.uri(scheme, &door.member), door.uri(scheme, "mb_wrong"));
        let arguments = [
            script.clone(),
            package.to_owned(),
            "door".to_owned(),
            uri,
            wrong,
            stream.clone(),
            count.to_string(),
        ];
        drive("node", arguments.to_vec(), None, async || door.happens().await).await;
        let streams = [
            script.clone(),
            package.to_owned(),
            "streams".to_owned(),
            format!("{scheme}://127.0.0.1:{}?tls=false", cluster.port),
        ];
        drive("node", streams.to_vec(), None, async || {}).await;
    }
}

async fn all(mut events: kurrentdb::ReadStream) -> Vec<ResolvedEvent> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        found.push(event);
    }
    found
}

async fn until_caught_up(mut subscription: kurrentdb::Subscription) -> Vec<ResolvedEvent> {
    let mut found = Vec::new();
    loop {
        match subscription.next_subscription_event().await.unwrap() {
            SubscriptionEvent::EventAppeared(event) => found.push(event),
            SubscriptionEvent::CaughtUp(_) => return found,
            _ => {}
        }
    }
}

fn places(events: &[ResolvedEvent]) -> Vec<(u64, u64)> {
    events.iter().map(|e| e.get_original_event()).map(|e| (e.position.commit, e.revision)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_client_reads_what_its_key_may_see() {
    let door = BusinessDoor::open().await;
    let stream = door.business.stream_name();
    let (member, owner) = (door.client(&door.member), door.client(&door.owner));
    let everything = ReadStreamOptions::default();
    let public = all(member.read_stream(stream.as_str(), &everything).await.unwrap()).await;
    let told: Vec<(u64, Value)> = public
        .iter()
        .map(|e| (e.get_original_event().revision, e.get_original_event().as_json().unwrap()))
        .collect();
    assert_eq!(told, door.public().await, "the public form, and gaps where an event has none");
    assert!(!told.iter().any(|(_, e)| e.to_string().contains("$sealed")
        || e.to_string().contains("digest_key")));
    let stored = all(owner.read_stream(stream.as_str(), &everything).await.unwrap()).await;
    let bytes =
        door.installation.app.log.read_business(door.business, Seq::START, 10_000).await.unwrap();
    assert!(
        stored
            .iter()
            .map(|e| &e.get_original_event().data[..])
            .eq(bytes.iter().map(|r| &r.bytes[..])),
        "who verifies is given the bytes"
    );
    assert!(stored.len() > public.len());
    // Another business is not there for who may not see it.
    let other = door.installation.app.business("secret").await.unwrap().unwrap().stream_name();
    let read = member.read_stream(other.as_str(), &everything).await.unwrap().next().await;
    assert!(matches!(read, Err(Error::ResourceNotFound)), "{read:?}");
    let seen =
        all(member.read_all(&ReadAllOptions::default().max_count(100_000)).await.unwrap()).await;
    assert!(
        seen.iter().all(|e| e.get_original_event().stream_id() == stream)
            && places(&seen) == places(&public)
    );
    let wide =
        all(owner.read_all(&ReadAllOptions::default().max_count(100_000)).await.unwrap()).await;
    assert!(wide.iter().any(|e| e.get_original_event().stream_id() == other));
    // Backwards from a place, of the stream and of everything.
    let middle = public[public.len() / 2].get_original_event();
    let back = ReadStreamOptions::default()
        .backwards()
        .position(StreamPosition::Position(middle.revision))
        .max_count(10_000);
    let half: Vec<_> =
        places(&public).into_iter().rev().filter(|p| p.1 <= middle.revision).collect();
    assert_eq!(places(&all(member.read_stream(stream.as_str(), &back).await.unwrap()).await), half);
    let back = ReadAllOptions::default()
        .backwards()
        .position(StreamPosition::Position(middle.position))
        .max_count(10_000);
    assert_eq!(
        places(&all(member.read_all(&back).await.unwrap()).await),
        half[1..],
        "of $all, what was before"
    );
    let follow =
        SubscribeToAllOptions::default().position(StreamPosition::Position(middle.position));
    let rest: Vec<_> = places(&public).into_iter().filter(|p| p.1 > middle.revision).collect();
    assert_eq!(places(&until_caught_up(member.subscribe_to_all(&follow).await).await), rest);
    let follow =
        follow.filter(SubscriptionFilter::on_event_type().regex("^(?!minutebook.tasks).*$"));
    let without = until_caught_up(member.subscribe_to_all(&follow).await).await;
    assert!(!without.is_empty() && without.len() < rest.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_door_refuses_it_refuses_with_what_to_do() {
    let door = BusinessDoor::open().await;
    let (stream, member) = (door.business.stream_name(), door.client(&door.member));
    let event = || EventData::json("x", &json!({})).unwrap();
    let write =
        member.append_to_stream(stream.as_str(), &AppendToStreamOptions::default(), event()).await;
    assert!(matches!(write, Err(Error::AccessDenied)), "{write:?}");
    assert!(matches!(
        member.delete_stream(stream.as_str(), &DeleteStreamOptions::default()).await,
        Err(Error::AccessDenied)
    ));
    assert!(matches!(
        member.tombstone_stream(stream.as_str(), &TombstoneStreamOptions::default()).await,
        Err(Error::AccessDenied)
    ));
    let denied = door.client("mb_wrong").read_all(&ReadAllOptions::default()).await.err();
    assert!(matches!(denied, Some(Error::AccessDenied)), "{denied:?}");
    // A place of another log, such as one before a move.
    let elsewhere = StreamPosition::Position(Position { commit: 1 << 40, prepare: 1 << 40 });
    let mut lost =
        member.subscribe_to_all(&SubscribeToAllOptions::default().position(elsewhere)).await;
    let why = lost.next().await.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(why.contains("follow each `business-<id>` stream from the revision you have"), "{why}");
    // A hostile expression ends with an error, and costs no more than itself.
    let hostile = SubscribeToAllOptions::default()
        .filter(SubscriptionFilter::on_event_type().regex("^(?=(.+)+$)(.|..)+!"));
    let mut stopped = member.subscribe_to_all(&hostile).await;
    let why = stopped.next().await.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(why.contains("takes too long"), "{why}");
    // A key that is taken away ends what it follows.
    let mut following = member
        .subscribe_to_stream(
            stream.as_str(),
            &SubscribeToStreamOptions::default().start_from(StreamPosition::End),
        )
        .await;
    while !matches!(
        following.next_subscription_event().await.unwrap(),
        SubscriptionEvent::CaughtUp(_)
    ) {}
    let principal =
        door.installation.app.bus.directory().principal_of(&door.member).await.unwrap().unwrap();
    let known = door.installation.app.bus.directory().principal(principal).await.unwrap().unwrap();
    let revoke = json!({"key": known.keys[0].0});
    door.installation
        .must(domain::ids::INSTALLATION, "access.revoke_key", Some(principal.0), revoke)
        .await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    door.happens().await;
    let ended = tokio::time::timeout(Duration::from_secs(60), following.next()).await.unwrap();
    assert!(matches!(ended, Err(Error::AccessDenied)), "{ended:?}");
    // A stop is no end but an error: otherwise clients would ask again at once, for ever.
    let owner = door.client(&door.owner);
    let mut following = owner
        .subscribe_to_all(&SubscribeToAllOptions::default().position(StreamPosition::End))
        .await;
    while !matches!(
        following.next_subscription_event().await.unwrap(),
        SubscriptionEvent::CaughtUp(_)
    ) {}
    door.stop.send_replace(true);
    let ended = tokio::time::timeout(Duration::from_secs(60), following.next()).await.unwrap();
    assert!(
        matches!(&ended, Err(Error::ServerError(why)) if why.contains("stopping")),
        "{ended:?}"
    );
}
