//! Requests for approval: tried as they would be sent.

use super::{inputs, rule, ruled};
use crate::bus::Bus;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
pub(super) async fn a_request_that_a_built_in_rule_wants_stays_open_for_a_week() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let approver = bus.approver(business).await;
    let request = json!({"command": {"type": "businesses.advance", "id": business,
        "data": {"to": "wound_up"}}});
    let requests = [
        bus.must(business, "approvals.request", None, request.clone()).await,
        bus.must(business, "approvals.request", None, request).await,
    ];
    let [first, second] = requests.map(|r| r.events[0].id);
    let vote = async |id| {
        inputs(
            bus.submit(
                &approver,
                business,
                "approvals.vote",
                Some(id),
                json!({"choice": "approve"}),
            )
            .await,
        )
    };
    bus.clock.advance_seconds(7 * 86_400 - 1);
    assert_eq!(vote(first).await, "taken");
    bus.clock.advance_seconds(1);
    assert_eq!(vote(second).await, "approval_expired");
}

#[tokio::test]
pub(super) async fn a_forgetting_is_asked_for_as_it_would_be_sent() {
    let (bus, business, _) = ruled(&[rule("careful", "privacy.forget_subject", &json!({}))]).await;
    let person = Uuid::from_u128(5);
    bus.must(
        business,
        "tasks.plan",
        None,
        json!({"title": "about somebody", "team": "sales", "serves": person}),
    )
    .await;
    let id = domain::ids::ErasureId::of(business, domain::SubjectId(person)).0;
    let forgotten =
        bus.approved(business, "privacy.forget_subject", id, json!({"subject": person})).await;
    assert_eq!(forgotten.events[0].r#type, "privacy.subject_forgotten");
}

#[tokio::test]
pub(super) async fn a_request_is_tried_as_it_would_be_sent_without_an_approval_of_its_own() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    let wind_up = json!({"to": "wound_up"});
    let approval = bus.approval_of(business, "businesses.advance", business.0, &wind_up).await;
    let owner = bus.operator_in(business).await;
    let request =
        json!({"command": {"type": "businesses.advance", "id": business, "data": wind_up}});
    let id = Uuid::from_u128(9);
    // An approval that comes with a request is not what the request is tried with.
    let with_another =
        bus.present(&owner, business, "approvals.request", id, &request, Some(approval)).await;
    assert_eq!(inputs(with_another), "approval_mismatch");
    assert_eq!(
        inputs(bus.submit(&owner, business, "approvals.request", Some(id), request).await),
        "taken"
    );
}
