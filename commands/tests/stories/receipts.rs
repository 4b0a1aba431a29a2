//! What a receipt tells its caller for the next command, without a question to the views.

use commands::{Receipt, Submission};
use domain::access::PrincipalKind;
use serde_json::json;

use crate::bus::Bus;

#[tokio::test]
async fn a_receipt_carries_what_the_caller_needs_next_and_so_does_its_repeat() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let worker = bus.principal(business, PrincipalKind::Agent, Some("agent")).await;
    let enrol = json!({"name": "a", "team": "sales", "role": "producer", "runtime": {"model": "m"},
        "principal": worker.principal, "concurrency": 1});
    let agent = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    let plan = json!({"title": "t", "team": "sales"});
    let planned = bus.must(business, "tasks.plan", None, plan).await;
    assert_eq!(planned.result, None, "a receipt without anything to go on with says nothing");
    let task = planned.events[0].id;
    bus.must(business, "tasks.offer", Some(task), json!({})).await;

    let lease = json!({"agent": agent});
    let send = async |command: &str, data: &serde_json::Value| -> (Receipt, Receipt) {
        let submission =
            Submission::new(business, worker.clone(), bus.key(), command, Some(task), data);
        let first = bus.bus().submit(submission.clone()).await.unwrap();
        (first, bus.bus().submit(submission).await.unwrap())
    };
    let (leased, again) = send("tasks.lease", &lease).await;
    let result = leased.result.unwrap();
    assert_eq!(result.fencing_token, Some(1));
    assert_eq!(
        result.lease_expires_at.unwrap().to_string(),
        "2026-11-22T12:15:00.000000Z",
        "a lease is 900 seconds where nobody says otherwise"
    );
    assert!(again.repeated && again.result == leased.result, "{again:?}");

    let submit = json!({"agent": agent, "fencing_token": 1, "result": "done"});
    let (submitted, again) = send("tasks.submit", &submit).await;
    let digest = submitted.result.unwrap().artifact_digest.unwrap();
    assert!(again.repeated && again.result == submitted.result, "{again:?}");

    let reviewer = bus.principal(business, PrincipalKind::Agent, Some("agent")).await;
    let enrol = json!({"name": "q", "team": "sales", "role": "qa", "runtime": {"model": "m"},
        "principal": reviewer.principal, "concurrency": 1});
    let qa = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    let review = json!({"reviewer": qa, "artifact_digest": digest, "verdict": "passed"});
    bus.submit(&reviewer, business, "tasks.review", Some(task), review).await.unwrap();

    let wind_up = json!({"command": {"type": "businesses.advance", "id": business,
        "data": {"to": "wound_up"}}});
    let owner = bus.operator_in(business).await;
    let asked = bus.submit(&owner, business, "approvals.request", None, wind_up).await.unwrap();
    assert_eq!(asked.result.unwrap().approval_id.unwrap().0, asked.events[0].id);
}

#[tokio::test]
async fn an_id_of_the_wrong_kind_is_told_by_what_it_is() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let worker = bus.principal(business, PrincipalKind::Agent, Some("agent")).await;
    let elsewhere = bus.principal(business, PrincipalKind::Human, None).await;
    let owner = bus.operator_in(business).await;
    let plan = json!({"title": "t", "team": "sales"});
    let task = bus.must(business, "tasks.plan", None, plan).await.events[0].id;
    bus.must(business, "tasks.offer", Some(task), json!({})).await;

    let lease = async |agent: uuid::Uuid| {
        let data = json!({"agent": agent});
        bus.submit(&owner, business, "tasks.lease", Some(task), data).await.unwrap_err()
    };
    let told = lease(worker.principal.0).await;
    assert_eq!(told.name(), "wrong_kind");
    assert_eq!(
        told.to_string(),
        format!(
            "the id {} belongs to an aggregate of kind `principal`, but this command needs kind \
             `agent`; send the id of the agent",
            worker.principal
        )
    );
    let of_a_task = bus.submit(&owner, business, "approvals.expire", Some(task), json!({})).await;
    assert!(of_a_task.unwrap_err().to_string().contains("of kind `task`"));
    // Of a principal without a role here nothing is told, and nothing of what an id made of a
    // person's would give away.
    let subject = domain::SubjectId(uuid::Uuid::from_u128(9));
    let about = json!({"title": "t", "team": "sales", "serves": subject});
    bus.must(business, "tasks.plan", None, about).await;
    bus.must(business, "privacy.forget_subject", None, json!({"subject": subject})).await;
    let erasure = domain::ids::ErasureId::of(business, subject);
    assert_eq!(lease(erasure.0).await.name(), "unknown");
    assert_eq!(lease(elsewhere.principal.0).await.name(), "unknown");
    assert_eq!(lease(uuid::Uuid::from_u128(7)).await.name(), "unknown");
}

#[tokio::test]
async fn an_append_whose_writer_ended_without_an_answer_has_an_unknown_outcome() {
    let (answer, wait) = tokio::sync::oneshot::channel();
    drop(answer);
    let unknown = event_log::Pending::new(wait).done().await.unwrap_err();
    let told = commands::CommandError::from(unknown);
    assert_eq!(told.name(), "outcome_unknown");
    assert!(told.to_string().contains("same key"), "{told}");
}
