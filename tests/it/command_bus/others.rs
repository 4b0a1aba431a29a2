//! A command bus beside others: repeats, restarts, versions, other processes.

use super::every_command;
use commands::{CommandError, Submission};
use domain::limits::CONFLICT_TRIES_MAX;
use event_log::{Append, NewEvent, Version};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::installation::Installation;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn after_a_restart_the_same_commands_are_decided_the_same_way() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let done = every_command(&installation, business).await;
    let refusals = |installation: &Installation| {
        let bus = Arc::clone(&installation.app.bus);
        // The approver is another person in each of the two installations.
        let asks: Vec<Submission> = done
            .iter()
            .filter(|(s, _)| s.actor.principal == server::app::operator())
            .map(|(s, _)| Submission { key: format!("again-{}", Uuid::now_v7()), ..s.clone() })
            .collect();
        async move {
            let mut outcomes = Vec::new();
            for ask in asks {
                outcomes
                    .push(bus.submit(ask).await.map(|r| r.events.len()).map_err(|e| e.to_string()));
            }
            outcomes
        }
    };
    // Live state (folded as it went) and rebuilt state (folded from the log) must say the same; the
    // few commands that get through change both alike.
    let folder = tempfile::TempDir::new().unwrap();
    installation.app.caught_up(std::time::Duration::from_secs(10)).await.unwrap();
    let live = refusals(&installation).await;
    drop(folder);
    let rebuilt_from = Installation::new().await;
    let same = rebuilt_from.business("acme").await;
    assert_eq!(same, business);
    every_command(&rebuilt_from, same).await;
    let reopened = rebuilt_from.reopen().await;
    let rebuilt = refusals(&reopened).await;
    assert_eq!(live, rebuilt);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn if_match_holds_the_caller_to_the_version_it_saw() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let task = installation
        .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
        .await
        .events[0]
        .id;
    let actor = installation.app.operator_in(business).await.unwrap();
    let mut offer =
        Submission::new(business, actor, "offer", "tasks.offer", Some(task), &json!({}));
    offer.if_match = Some(Version(7));
    let error = installation.app.bus.submit(offer.clone()).await.unwrap_err();
    assert!(
        matches!(
            error,
            CommandError::PreconditionFailed { expected: Version(7), actual: Version(1) }
        ),
        "{error}"
    );
    offer.if_match = Some(Version(1));
    installation.app.bus.submit(offer).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_key_in_flight_is_waited_for() {
    let installation = Arc::new(Installation::new().await);
    let business = installation.business("acme").await;
    let actor = installation.app.operator_in(business).await.unwrap();
    let plan = Submission::new(
        business,
        actor,
        "one-key",
        "tasks.plan",
        None,
        &json!({"title": "x", "team": "hr"}),
    );
    let all = join_all((0..50).map(|_| installation.app.bus.submit(plan.clone()))).await;
    let first = all.iter().filter(|r| !r.as_ref().unwrap().repeated).count();
    assert_eq!(first, 1);
    assert!(all.windows(2).all(|w| w[0].as_ref().unwrap().events == w[1].as_ref().unwrap().events));
}

/// Writes to the log past the command bus, as another process would.
pub(super) async fn another_process_writes(
    installation: &Installation,
    business: domain::BusinessId,
    task: Uuid,
    version: u64,
) {
    let stored = installation
        .app
        .log
        .read_aggregate(
            business,
            domain::AggregateRef::new(domain::Kind::Task, task),
            Version(version - 1),
            1,
        )
        .await
        .unwrap();
    let mut event: Value = serde_json::from_slice(&stored[0].bytes).unwrap();
    let event_id = Uuid::now_v7();
    event["version"] = json!(version + 1);
    event["event_id"] = json!(event_id);
    event["type"] = json!("tasks.activity_recorded");
    event["data"] = json!({"activity": "elsewhere", "subject": business});
    event.as_object_mut().unwrap().remove("request");
    event.as_object_mut().unwrap().remove("sealed");
    let bytes = proof::canonical::to_bytes(&event).unwrap();
    let new = NewEvent {
        aggregate: domain::AggregateRef::new(domain::Kind::Task, task),
        version: Version(version + 1),
        event_id: domain::ids::EventId(event_id),
        bytes,
    };
    installation
        .app
        .log
        .append(Append {
            business,
            reads: Vec::new(),
            events: vec![new],
            chain: None,
            key_epoch: None,
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn what_another_process_changed_is_read_and_decided_again() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let task = installation
        .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
        .await
        .events[0]
        .id;
    another_process_writes(&installation, business, task, 1).await;
    let receipt = installation.must(business, "tasks.offer", Some(task), json!({})).await;
    assert_eq!(
        receipt.events[0].version,
        Version(3),
        "decided at version 1, refused by the log, decided again at 2"
    );
    const { assert!(CONFLICT_TRIES_MAX >= 2) };
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn every_attempt_is_kept_with_its_outcome_and_without_its_data() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let _ = installation
        .submit(&operator, business, "tasks.offer", Some(Uuid::now_v7()), json!({}))
        .await;
    let _ = installation.submit(&operator, business, "tasks.nonsense", None, json!({})).await;
    installation
        .must(business, "tasks.plan", None, json!({"title": "canary-title", "team": "hr"}))
        .await;
    let view = installation
        .query(
            "{ business(slug: \"acme\") { attempts(first: 10) { totalCount \
        nodes { commandType outcome } } } }",
        )
        .await;
    let outcomes: Vec<_> = view["business"]["attempts"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["commandType"].as_str().unwrap(), n["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        outcomes[..3],
        [("tasks.plan", "accepted"), ("(unknown)", "malformed"), ("tasks.offer", "unknown")]
    );
    let folder = installation.close().await;
    let raw = std::fs::read(folder.path().join("attempts.db")).unwrap();
    assert!(!raw.windows(12).any(|w| w == b"canary-title"));
}
