//! What operators ask of a server that runs: how far those are that act on events, and whether it
//! is ready.

use std::process::Command;
use std::time::Duration;

use event_log::Position;
use serde_json::{Value, json};
use tests::installation::Installation;
use tests::samples::{append, business, task};
use uuid::Uuid;

use crate::door::{Answer, Door};

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");

async fn consumers(door: &Door, change: Value) -> Answer {
    door.send("POST", "/v1/consumers", Some(door.key()), &[], &change.to_string()).await
}

/// `minutebook --server … consumers …`: what it prints, or its error.
async fn by_command_line(door: &Door, arguments: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(PROGRAM);
    command
        .args(["--server", door.url(), "consumers"])
        .args(arguments)
        .env("MINUTEBOOK_KEY", door.key());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

async fn refused(door: &Door, change: Value) -> String {
    let answer = consumers(door, change).await;
    assert_eq!(
        (answer.status, &answer.body["type"]),
        (422, &json!("urn:minutebook:problem:no_such_place")),
        "{}",
        answer.body
    );
    answer.body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_looked_at_rewound_paused_and_resumed() {
    let door = Door::open().await;
    let places = &door.installation.app.consumers;
    let first = places.claim("notes", Uuid::now_v7()).await.unwrap().unwrap();
    let end = *door.installation.app.log.position().borrow();
    assert!(places.advance("notes", first.epoch, end).await.unwrap());
    let status = by_command_line(&door, &["status"]).await.unwrap();
    assert_eq!(
        (&status[0]["name"], &status[0]["position"], &status[0]["lag"], &status[0]["paused"]),
        (&json!("notes"), &json!(end), &json!(0), &json!(false))
    );

    let rewound = by_command_line(&door, &["rewind", "notes", "--to", "1"]).await.unwrap();
    assert_eq!((&rewound[0]["position"], &rewound[0]["lag"]), (&json!(1), &json!(end.previous())));
    assert!(!places.advance("notes", first.epoch, end).await.unwrap(), "who acted for it is told");
    assert_eq!(
        by_command_line(&door, &["pause", "notes"]).await.unwrap()[0]["paused"],
        json!(true)
    );
    assert_eq!(places.claim("notes", Uuid::now_v7()).await.unwrap(), None, "it waits");
    assert_eq!(
        by_command_line(&door, &["resume", "notes"]).await.unwrap()[0]["paused"],
        json!(false)
    );
    assert_eq!(places.claim("notes", Uuid::now_v7()).await.unwrap().unwrap().position, Position(1));

    let beyond = by_command_line(&door, &["rewind", "notes", "--to", &(end.next()).to_string()])
        .await
        .unwrap_err();
    assert!(beyond.contains(&format!("beyond the end of the log, which is {end}")), "{beyond}");
    assert!(
        by_command_line(&door, &["rewind", "notes", "--to", "-1"])
            .await
            .unwrap_err()
            .contains("--to"),
        "before the beginning there is nothing"
    );
    assert!(
        by_command_line(&door, &["pause", "nobody"])
            .await
            .unwrap_err()
            .contains("`minutebook consumers status` lists them")
    );
    assert!(refused(&door, json!({"rewind": 0})).await.contains("`name` is missing"));
    for malformed in [json!({"name": "notes", "rewind": -1}), json!({"name": "notes", "speed": 1})]
    {
        assert_eq!(consumers(&door, malformed).await.status, 400);
    }
    assert_eq!(
        by_command_line(&door, &["status"]).await.unwrap()[0]["position"],
        json!(1),
        "what was refused moved nothing"
    );
    let member = door
        .installation
        .principal(door.business, domain::access::PrincipalKind::Human, Some("member"))
        .await;
    let (_, key) = door.installation.app.issue_key(member.principal).await.unwrap();
    assert_eq!(door.send("POST", "/v1/consumers", Some(key.reveal()), &[], "{}").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_when_its_views_are_near_the_end_of_the_log() {
    let door = Door::open().await;
    projections::Runner::stop(&door.installation.app.views).await;
    // It ends what it is at; from then on nothing follows.
    let (mut written, began) = (0, std::time::Instant::now());
    let answer = loop {
        for _ in 0..20 {
            door.installation
                .app
                .log
                .append(append(business(1), task(1), written, 100, "x"))
                .await
                .unwrap();
            written += 100;
        }
        let answer = door.send("GET", "/readyz", None, &[], "").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it stays ready: {}", answer.body);
    };
    assert_eq!((answer.status, &answer.body["ready"]), (503, &json!(false)));
    assert!(answer.body["why"].as_str().unwrap().contains("catching up"), "{}", answer.body);
    assert_eq!(
        answer.body.as_object().unwrap().len(),
        2,
        "who asks without a key learns no numbers"
    );
    assert_eq!(door.send("GET", "/healthz", None, &[], "").await.status, 200, "it lives");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_no_wrong_question() {
    let mut cluster = tests::postgres::own(None, false).await;
    let installation = Installation::at(&cluster.database().await).await;
    installation.business("acme").await;
    let door = Door::on(installation).await;
    door.installation.app.consumers.claim("notes", Uuid::now_v7()).await.unwrap();
    assert_eq!(consumers(&door, json!({"name": "notes", "rewind": 0})).await.status, 200);
    cluster.tell("stop");
    assert_eq!(consumers(&door, json!({"name": "notes", "rewind": 0})).await.status, 503);
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_a_place_is_that_of_an_event_and_its_absence_is_told() {
    let (mut cluster, keys) =
        (tests::streams::Cluster::start().await, tests::postgres::database().await);
    let installation = Installation::in_kurrentdb(&cluster.address(), &keys).await;
    installation.business("acme").await;
    let door = Door::on(installation).await;
    door.installation.app.consumers.claim("notes", Uuid::now_v7()).await.unwrap();
    let first = door.installation.app.log.read_all(Position::START, 1).await.unwrap()[0].position;
    let told = refused(&door, json!({"name": "notes", "rewind": first.next()})).await;
    assert!(told.contains("before the log was moved"), "positions have gaps there: {told}");
    assert_eq!(
        consumers(&door, json!({"name": "notes", "rewind": first})).await.body[0]["position"],
        json!(first)
    );
    assert_eq!(door.send("GET", "/readyz", None, &[], "").await.status, 200);
    cluster.stop().await;
    let began = std::time::Instant::now();
    let away = loop {
        let answer = door.send("GET", "/readyz", None, &[], "").await;
        if answer.status == 503 {
            break answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // A key that is taken away elsewhere must not work on here: after a second it is asked for, and
    // nobody answers.
    while door.send("POST", "/v1/consumers", Some(door.key()), &[], "{}").await.status != 503 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "who may what is decided on what was known long ago"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(away.body["why"].as_str().is_some_and(|why| !why.is_empty()), "{}", away.body);
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_searchable_is_not_shown_while_nobody_knows_whether_its_key_is_gone() {
    let (cluster, mut keys) =
        (tests::streams::Cluster::start().await, tests::postgres::own(None, false).await);
    let installation = Installation::in_kurrentdb(&cluster.address(), &keys.database().await).await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "canary", "team": "hr"})).await;
    installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let ask = "{ business(slug: \"acme\") { search(text: \"canary\") { aggregateKind } } }";
    assert!(!installation.query(ask).await["business"]["search"].as_array().unwrap().is_empty());
    keys.tell("stop");
    let began = std::time::Instant::now();
    loop {
        let viewer = installation.app.viewer(server::app::operator()).await.unwrap();
        let answer = serde_json::to_value(
            installation.app.api.execute(server::app::graphql_request(ask, viewer)).await,
        )
        .unwrap();
        if answer["errors"][0]["extensions"]["code"] == json!("UNAVAILABLE") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{answer}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
