//! A clock that can't be relied on: nothing is recorded before its cause, and what time alone
//! decides waits.

use domain::ids::INSTALLATION;
use event_log::Seq;
use serde_json::{Value, json};
use std::time::Duration;
use tests::installation::Installation;

use crate::door::{Answer, Door};

async fn ready(door: &Door) -> Answer {
    door.send("GET", "/readyz", None, &[], "").await
}

async fn recorded(door: &Door) -> Vec<domain::Timestamp> {
    let events =
        door.installation.app.log.read_business(door.business, Seq::START, 1_000).await.unwrap();
    events.iter().map(|e| e.stored().unwrap().recorded_at).collect()
}

fn plan() -> Value {
    json!({"type": "tasks.plan", "data": {"title": "x", "team": "hr"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_put_back_a_day_puts_no_event_before_another() {
    let door = Door::open().await;
    let clock = door.installation.clock.clone();
    assert_eq!(door.command("before", &plan()).await.status, 200);
    clock.step_seconds(-86_400);
    assert_eq!(door.command("after", &plan()).await.status, 200);
    let times = recorded(&door).await;
    assert!(times.is_sorted() && times.last() > Some(&clock.now()), "{times:?}");
    assert!(
        door.until_ready_is(503).await["why"].as_str().unwrap().contains("behind the newest event")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_the_log_says_how_late_it_is() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    installation.clock.advance_seconds(86_400);
    installation
        .must(
            installation.app.business("acme").await.unwrap().unwrap(),
            "tasks.plan",
            None,
            plan()["data"].clone(),
        )
        .await;
    let door = Door::on(installation.reopen().await).await;
    door.installation.clock.step_seconds(-86_400);
    assert_eq!(door.command("later", &plan()).await.status, 200);
    let times = recorded(&door).await;
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_accepts_a_clock_on_record_and_time_goes_on_by_it() {
    let door = Door::open().await;
    door.installation.clock.step_seconds(-86_400);
    door.until_ready_is(503).await;
    let accept = json!({"type": "operations.accept_clock", "data": {"reason": "the time server was \
        wrong until today"}});
    let by_nobody = door
        .send("POST", "/v1/commands", None, &[("Idempotency-Key", "a")], &accept.to_string())
        .await;
    assert_eq!(by_nobody.status, 401);
    let accepted = door
        .send(
            "POST",
            "/v1/commands",
            Some(door.key()),
            &[("Idempotency-Key", "a")],
            &accept.to_string(),
        )
        .await;
    assert_eq!(
        (accepted.status, &accepted.body["events"][0]["type"]),
        (200, &json!("operations.clock_accepted")),
        "{}",
        accepted.body
    );
    assert_eq!(ready(&door).await.status, 200);
    let nothing = door
        .send(
            "POST",
            "/v1/commands",
            Some(door.key()),
            &[("Idempotency-Key", "b")],
            &accept.to_string(),
        )
        .await;
    assert_eq!(nothing.body["events"], json!([]), "there is nothing left to accept");
    door.installation.clock.step_seconds(5);
    assert!(door.until_ready_is(503).await["why"].as_str().unwrap().contains("jumped by 5000 ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_knows_what_was_accepted() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    installation.clock.step_seconds(-86_400);
    let accept = json!({"reason": "the time server was wrong until today"});
    while installation
        .app
        .as_operator("a", "operations.accept_clock", None, &accept, INSTALLATION)
        .await
        .unwrap()
        .events
        .is_empty()
    {}
    let clock = installation.clock.clone();
    let door = Door::on(installation.reopen().await).await;
    assert_eq!(door.installation.clock.now(), clock.now());
    // Long enough to see that the log is a day ahead.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(ready(&door).await.status, 200);
}
