//! A store that stands still: nobody is told, and nothing comes back.

use std::time::Duration;

use serde_json::{Value, json};
use tests::installation::Installation;
use tests::proxy::{Proxy, Weather};

use crate::door::{Answer, Door};

async fn graphql(door: &Door, query: &str) -> Answer {
    door.send(
        "POST",
        "/graphql",
        Some(door.key()),
        &[("Content-Type", "application/json")],
        &json!({"query": query}).to_string(),
    )
    .await
}

fn problem(answer: &Answer) -> String {
    answer.body["type"].as_str().unwrap_or_default().to_owned()
}

/// The store stops in the middle of a command: the key of it, whose outcome its caller does not
/// know.
async fn stop_in_a_command(door: &Door, proxy: &Proxy, plan: &Value) -> String {
    for round in 0..5 {
        let key = format!("in the middle {round}");
        door.until_ready_is(200).await;
        assert_eq!(door.command(&format!("before {round}"), plan).await.status, 200);
        proxy.turns(Weather::HalfOpen);
        let answer = door.command(&key, plan).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        if problem(&answer).ends_with(":outcome_unknown") {
            assert!(
                answer.body["detail"].as_str().unwrap().contains("under the same key"),
                "{}",
                answer.body
            );
            return key;
        }
        // The machine was so slow that it was refused before it began.
        assert!(problem(&answer).ends_with(":unavailable"), "{}", answer.body);
        proxy.turns(Weather::Fair);
    }
    panic!("no command was under way when the store stopped");
}

/// Whether what stands still has the keys of texts too.
#[derive(PartialEq)]
enum Keys {
    There,
    Elsewhere,
}

async fn stands_still_and_goes_on(installation: Installation, proxy: Proxy, keys: Keys) {
    installation.business("acme").await;
    let door = Door::on(installation).await;
    let plan = json!({"type": "tasks.plan", "data": {"title": "a title", "team": "hr"}});
    assert_eq!(door.command("first", &plan).await.status, 200);
    door.installation.app.caught_up(Duration::from_secs(30)).await.unwrap();
    let key = stop_in_a_command(&door, &proxy, &plan).await;
    let view = graphql(
        &door,
        "{ business(slug: \"acme\") { tasks(first: 1) { nodes { status title { text } } } } }",
    )
    .await;
    assert_eq!(view.status, 200, "{}", view.body);
    let (data, errors) =
        (&view.body["data"]["business"]["tasks"]["nodes"][0], &view.body["errors"]);
    assert_eq!(data["status"], "PLANNED", "the views go on: {}", view.body);
    if keys == Keys::There {
        assert!(
            data["title"]["text"].is_null() && errors[0]["extensions"]["code"] == "UNAVAILABLE",
            "texts wait for their keys: {}",
            view.body
        );
    } else {
        assert_eq!(data["title"]["text"], "a title", "{}", view.body);
    }
    door.until_ready_is(503).await;
    let refused = door.command("while it stands", &plan).await;
    assert_eq!(
        (refused.status, problem(&refused).ends_with(":unavailable")),
        (503, true),
        "{}",
        refused.body
    );
    assert_eq!(door.send("GET", "/metrics", Some(door.key()), &[], "").await.status, 200);
    assert_eq!(door.send("GET", "/healthz", None, &[], "").await.status, 200);
    proxy.turns(Weather::Fair);
    door.until_ready_is(200).await;
    let receipt = door.command(&key, &plan).await;
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    let again = door.command(&key, &plan).await;
    assert_eq!(
        (&again.body["events"], &again.body["repeated"]),
        (&receipt.body["events"], &json!(true))
    );
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_stands_still_and_every_caller_is_told() {
    let (proxy, through) = Proxy::of(&tests::postgres::database().await).await;
    stands_still_and_goes_on(Installation::at(&through).await, proxy, Keys::There).await;
}

#[cfg(all(feature = "kurrentdb", feature = "postgres"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kurrentdb_stands_still_and_every_caller_is_told() {
    let (cluster, keys) =
        (tests::streams::Cluster::start().await, tests::postgres::database().await);
    let proxy = Proxy::before(cluster.port).await;
    let installation =
        Installation::in_kurrentdb(&tests::streams::address(proxy.address.port()), &keys).await;
    stands_still_and_goes_on(installation, proxy, Keys::Elsewhere).await;
}
