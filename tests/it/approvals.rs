//! Approvals, as they are asked for, used, forgotten and shown.

use commands::Submission;
use event_log::{Seq, Version};
use serde_json::{Value, json};
use tests::installation::Installation;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumed_approval_is_shown_with_its_votes() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for phase in ["planning", "approved", "building"] {
        installation.must(business, "businesses.advance", None, json!({"to": phase})).await;
    }
    installation
        .approved(business, "businesses.advance", business.0, json!({"to": "operating"}))
        .await;
    let view = installation
        .query(
            "{ business(slug: \"acme\") { phase approvals { nodes { status \
        votes { nodes { choice yes } } rule } } } }",
        )
        .await;
    assert_eq!(view["business"]["phase"], "OPERATING");
    assert_eq!(
        view["business"]["approvals"]["nodes"][0],
        json!({"status": "CONSUMED", "rule": "launch", "votes": {"nodes": [{"choice": "APPROVE",
            "yes": true}]}})
    );
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_shows_request_votes_command_and_outcome() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let pay = json!({"connector": "bank", "operation": "pay", "class": "read", "arguments": {}});
    let call = Uuid::now_v7();
    let refused = installation
        .submit(&operator, business, "integrations.intend_call", Some(call), pay.clone())
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains(&call.to_string()),
        "the refusal names the id to send: {refused}"
    );
    installation.approved(business, "integrations.intend_call", call, pay).await;
    installation.must(business, "integrations.succeed_call", Some(call), json!({})).await;
    let query = "{ business(slug: \"acme\") { events(first: 1, filter: {type: \
    \"approvals.requested\"}) { \
        nodes { correlated(first: 20) { nodes { id type causationId } } } } } }";
    let thread =
        installation.query(query).await["business"]["events"]["nodes"][0]["correlated"]["nodes"]
            .clone();
    let types: Vec<_> =
        thread.as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "approvals.requested",
            "approvals.voted",
            "approvals.granted",
            "integrations.call_intended",
            "approvals.consumed",
            "integrations.call_succeeded"
        ]
    );
    assert_eq!(thread[3]["causationId"], thread[2]["id"], "the grant is the cause of the command");
    let stored = installation
        .query("{ business(slug: \"acme\") { calls { nodes { class dataClass } } } }")
        .await;
    assert_eq!(
        stored["business"]["calls"]["nodes"][0],
        json!({"class": "SPENDING", "dataClass": "RESTRICTED"}),
        "what the caller called reading"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_the_business_itself_takes_a_second_human() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let alone = installation
        .app
        .forget_subject(business, operator.clone(), business.as_subject(), None)
        .await
        .unwrap_err();
    assert!(alone.to_string().contains("businesses.forget"), "{alone}");
    let refused = installation
        .submit(&operator, business, "businesses.forget", None, json!({}))
        .await
        .unwrap_err();
    assert_eq!(refused.name(), "approval_required");
    let idea = "{ business(slug: \"acme\") { idea { text } } }";
    assert_eq!(installation.query(idea).await["business"]["idea"]["text"], "canary-idea");
    let approval =
        installation.approval_of(business, "businesses.forget", business.0, &json!({})).await;
    let mut forget = Submission::new(
        business,
        operator,
        installation.key(),
        "businesses.forget",
        Some(business.0),
        &json!({}),
    );
    forget.approval_id = Some(domain::ids::ApprovalId(approval));
    // What the sender says it belongs to does not tear it from its request.
    (forget.correlation, forget.causation) =
        (Some(Uuid::now_v7()), Some(domain::ids::EventId(Uuid::now_v7())));
    let receipt = installation.app.submit(forget.clone()).await.unwrap();
    assert_eq!(
        receipt.events.iter().map(|e| e.r#type.as_str()).collect::<Vec<_>>(),
        ["privacy.subject_forgotten", "approvals.consumed"]
    );
    let log = installation.app.log.read_business(business, Seq::START, 100).await.unwrap();
    let stored =
        |name: &str| log.iter().map(|r| r.stored().unwrap()).find(|s| s.r#type == name).unwrap();
    let (requested, granted, consumed) =
        (stored("approvals.requested"), stored("approvals.granted"), stored("approvals.consumed"));
    assert_eq!(
        (consumed.correlation, consumed.causation),
        (requested.correlation, Some(granted.event_id))
    );
    assert_eq!(installation.query(idea).await["business"]["idea"]["text"], "forgotten");
    assert!(installation.app.submit(forget).await.unwrap().repeated);
    installation
        .must(business, "tasks.plan", None, json!({"title": "work goes on", "team": "hr"}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_before_these_checks_still_counts_and_is_shown_with_its_faults() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation
        .must(
            business,
            "approvals.define_policy",
            None,
            json!({"rules": domain::approvals::shipped_rules()}),
        )
        .await;
    // The next one as an older program stored it: a rule for a command that does not exist, in a v1
    // event.
    let id = domain::AggregateRef::new(domain::Kind::ApprovalPolicy, business.0);
    let first = installation
        .app
        .log
        .read_aggregate(business, id, Version::START, 1)
        .await
        .unwrap()
        .remove(0);
    let mut event: Value = serde_json::from_slice(&first.bytes).unwrap();
    let event_id = Uuid::now_v7();
    (event["version"], event["event_id"], event["schema"]) = (json!(2), json!(event_id), json!(1));
    event.as_object_mut().unwrap().remove("request");
    event.as_object_mut().unwrap().remove("sealed");
    let rule = json!({"name": "typo", "when": {"command_types": ["budgets.rise"]}, "quorum": 1,
        "roles": ["member"], "separation_of_duties": true,
        "expires_after_seconds": 60, "escalate_to": []});
    event["data"] = json!({"approval_policy_version": 2, "rules": [rule]});
    let bytes = proof::canonical::to_bytes(&event).unwrap();
    let new = event_log::NewEvent {
        aggregate: id,
        version: Version(2),
        event_id: domain::ids::EventId(event_id),
        bytes,
    };
    let append = event_log::Append {
        business,
        reads: Vec::new(),
        events: vec![new],
        chain: None,
        key_epoch: None,
    };
    installation.app.log.append(append).await.unwrap();
    let query = "{ business(slug: \"acme\") { approvalPolicy { version faults { rule fault } } } }";
    let policy = installation.query(query).await["business"]["approvalPolicy"].clone();
    assert_eq!(
        (policy["version"].as_i64(), policy["faults"].as_array().unwrap().len()),
        (Some(2), 2),
        "{policy}"
    );
    assert!(
        policy["faults"][0]["fault"].as_str().unwrap().contains("did you mean `budgets.raise`"),
        "{policy}"
    );
}
