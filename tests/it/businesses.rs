//! Businesses.

use event_log::{Seq, Version};
use serde_json::json;
use tests::installation::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_is_one_businesss_and_a_wound_up_business_does_nothing_more() {
    let installation = Installation::new().await;
    let acme = installation.business("acme").await;
    let operator = installation.app.operator_in(acme).await.unwrap();
    let taken = installation
        .submit(
            &operator,
            domain::ids::INSTALLATION,
            "businesses.register",
            None,
            json!({"slug": "acme"}),
        )
        .await;
    assert_eq!(taken.unwrap_err().name(), "slug_taken");
    let alone = installation
        .submit(&operator, acme, "businesses.advance", None, json!({"to": "wound_up"}))
        .await;
    assert_eq!(alone.unwrap_err().name(), "approval_required", "no policy has to say so");
    installation.approved(acme, "businesses.advance", acme.0, json!({"to": "wound_up"})).await;
    let dead = installation
        .submit(&operator, acme, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
        .await;
    assert_eq!(dead.unwrap_err().name(), "wound_up");
    let answer = installation
        .query(
            "{ businesses(first: 5) { nodes { slug phase currency idea { text } members { nodes { \
        role principal { kind name { text } } } } } } }",
        )
        .await;
    assert_eq!(
        answer["businesses"]["nodes"][0],
        json!({
            "slug": "acme", "phase": "WOUND_UP", "currency": "EUR", "idea": {"text": "canary-idea"},
            "members": {"nodes": [
                {"role": "OWNER", "principal": {"kind": "HUMAN", "name": {"text": "operator"}}},
                {"role": "APPROVER",
                    "principal": {"kind": "HUMAN", "name": {"text": "canary-approver"}}}]},
        }),
        "names are shown to the people of the business"
    );
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_operator_registers_so_many_a_day_and_a_taken_slug_counts() {
    use domain::ids::INSTALLATION;
    let installation = Installation::new().await;
    let acme = installation.business("acme").await;
    let stranger = installation.principal(acme, domain::access::PrincipalKind::Human, None).await;
    let register = async |slug: &str| {
        installation
            .submit(&stranger, INSTALLATION, "businesses.register", None, json!({"slug": slug}))
            .await
    };
    for n in 0..3 {
        register(&format!("own-{n}")).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(register("acme").await.unwrap_err().name(), "slug_taken");
    }
    let probed = register("own-9").await.unwrap_err();
    assert_eq!(
        probed.name(),
        "too_many_registrations",
        "two looks at what exists were two of the five"
    );
    assert_eq!(
        register("acme").await.unwrap_err().name(),
        "too_many_registrations",
        "what exists is not told any more"
    );
    installation.clock.advance_seconds(86_400);
    register("own-9").await.unwrap();
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    for n in 0..7 {
        installation
            .submit(
                &operator,
                INSTALLATION,
                "businesses.register",
                None,
                json!({"slug": format!("op-{n}")}),
            )
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_registrations_at_once_are_no_more_than_one_after_another() {
    use domain::ids::INSTALLATION;
    let installation = std::sync::Arc::new(Installation::new().await);
    let acme = installation.business("acme").await;
    let stranger = installation.principal(acme, domain::access::PrincipalKind::Human, None).await;
    let tries = (0..24).map(|n| {
        let (installation, stranger) = (std::sync::Arc::clone(&installation), stranger.clone());
        tokio::spawn(async move {
            installation
                .submit(
                    &stranger,
                    INSTALLATION,
                    "businesses.register",
                    None,
                    json!({"slug": format!("race-{n}")}),
                )
                .await
        })
    });
    let answers = futures_util::future::join_all(tries).await;
    let names: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().map_or_else(|e| e.name(), |_| "done"))
        .collect();
    assert_eq!(names.iter().filter(|name| **name == "done").count(), 5, "{names:?}");
    assert!(
        names.iter().all(|name| ["done", "too_many_registrations"].contains(name)),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_claims_no_slug() {
    use domain::ids::INSTALLATION;
    let installation = Installation::new().await;
    let acme = installation.business("acme").await;
    let stranger = installation.principal(acme, domain::access::PrincipalKind::Human, None).await;
    let large = json!({"slug": "large", "idea": "x".repeat(domain::limits::IDEA_CHARS_MAX + 1)});
    let refused = installation
        .submit(&stranger, INSTALLATION, "businesses.register", None, large)
        .await
        .unwrap_err();
    assert_eq!(refused.name(), "out_of_range");
    assert_eq!(installation.app.business("large").await.unwrap(), None);
    let fits = json!({"slug": "large", "idea": "x".repeat(domain::limits::IDEA_CHARS_MAX)});
    installation.submit(&stranger, INSTALLATION, "businesses.register", None, fits).await.unwrap();
}

/// Puts the claim of a slug into the log and nothing else.
async fn claimed_and_never_opened(installation: &Installation, slug: &str) {
    use domain::ids::INSTALLATION;
    let claims = installation.app.log.read_business(INSTALLATION, Seq::START, 100).await.unwrap();
    let claim =
        claims.iter().find(|r| r.stored().unwrap().r#type == "businesses.slug_claimed").unwrap();
    let mut event: serde_json::Value = serde_json::from_slice(&claim.bytes).unwrap();
    let (id, event_id) =
        (commands::businesses::slug_id(&slug.parse().unwrap()), uuid::Uuid::now_v7());
    event["id"] = json!(id);
    event["event_id"] = json!(event_id);
    event["data"] = json!({"slug": slug, "business": uuid::Uuid::now_v7()});
    let bytes = proof::canonical::to_bytes(&event).unwrap();
    let aggregate = domain::AggregateRef::new(domain::Kind::Slug, id);
    let new = event_log::NewEvent {
        aggregate,
        version: Version(1),
        event_id: domain::ids::EventId(event_id),
        bytes,
    };
    installation
        .app
        .log
        .append(event_log::Append {
            business: INSTALLATION,
            reads: Vec::new(),
            events: vec![new],
            chain: None,
            key_epoch: None,
        })
        .await
        .unwrap();
    installation.app.bus.directory().refresh().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_business_never_opened_is_the_next_ones_after_an_hour() {
    use domain::ids::INSTALLATION;
    let installation = Installation::new().await;
    let acme = installation.business("acme").await;
    // A process died between the claim and the business: the claim is all there is.
    claimed_and_never_opened(&installation, "late").await;
    let next = installation.principal(acme, domain::access::PrincipalKind::Human, None).await;
    let register = async || {
        installation
            .submit(&next, INSTALLATION, "businesses.register", None, json!({"slug": "late"}))
            .await
    };
    assert_eq!(register().await.unwrap_err().name(), "slug_taken");
    installation.clock.advance_seconds(3_599);
    assert_eq!(register().await.unwrap_err().name(), "slug_taken");
    installation.clock.advance_seconds(1);
    let opened = register().await.unwrap().business;
    assert_eq!(installation.app.business("late").await.unwrap(), Some(opened));
    // One that did open is never the next one's.
    installation.clock.advance_seconds(10 * 3_600);
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    let taken = installation
        .submit(&operator, INSTALLATION, "businesses.register", None, json!({"slug": "late"}))
        .await;
    assert_eq!(taken.unwrap_err().name(), "slug_taken");
}
