//! Access: who may come in, and what for.

use std::io::{Read as _, Write as _};

use commands::CommandError;
use domain::access::PrincipalKind;
use domain::ids::INSTALLATION;
use serde_json::json;
use tests::Said as _;
use tests::installation::Installation;
use uuid::Uuid;

use crate::door::Door;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_what_it_may_and_nothing_else() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let other = installation.business("other").await;
    let plan = json!({"title": "x", "team": "sales"});
    let policy = json!({"rules": domain::approvals::shipped_rules()});
    for (role, plans, defines) in [
        ("owner", true, true),
        ("member", true, false),
        ("approver", false, false),
        ("auditor", false, false),
        ("service", true, false),
    ] {
        let actor = installation.principal(business, PrincipalKind::Human, Some(role)).await;
        let planned = installation.submit(&actor, business, "tasks.plan", None, plan.clone()).await;
        assert_eq!(planned.is_ok(), plans, "{role} plans");
        let defined = installation
            .submit(&actor, business, "approvals.define_policy", None, policy.clone())
            .await;
        assert_eq!(defined.is_ok(), defines, "{role} defines the approval policy");
        let elsewhere = actor.clone();
        let elsewhere = commands::Actor { roles: Default::default(), ..elsewhere };
        let hidden = installation.submit(&elsewhere, other, "tasks.plan", None, plan.clone()).await;
        assert!(
            matches!(hidden, Err(CommandError::NotFound(_))),
            "{role} does not learn that another business exists"
        );
        let above = installation
            .submit(
                &actor,
                INSTALLATION,
                "access.grant_role",
                Some(actor.principal.0),
                json!({"business": business, "role": "owner"}),
            )
            .await;
        assert!(matches!(above, Err(CommandError::Forbidden { .. })), "{role} gives nobody a role");
        let unseen = installation
            .query_as(
                actor.principal,
                "{ businesses { nodes { slug } } business(slug: \"other\") { slug } }",
            )
            .await;
        assert_eq!(
            unseen,
            json!({"businesses": {"nodes": [{"slug": "acme"}]}, "business": null}),
            "{role} sees its own business only"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_work_at_once_so_that_one_can_replace_the_other() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let actor = installation.principal(business, PrincipalKind::Human, Some("member")).await;
    let (first_id, first) = installation.app.issue_key(actor.principal).await.unwrap();
    let (_, second) = installation.app.issue_key(actor.principal).await.unwrap();
    let third = installation.app.issue_key(actor.principal).await;
    assert!(third.unwrap_err().said().contains("at most two keys"));
    let directory = installation.app.bus.directory();
    assert_eq!(directory.principal_of(first.reveal()).await.unwrap(), Some(actor.principal));
    assert_eq!(directory.principal_of(second.reveal()).await.unwrap(), Some(actor.principal));
    installation
        .must(INSTALLATION, "access.revoke_key", Some(actor.principal.0), json!({"key": first_id}))
        .await;
    assert_eq!(directory.principal_of(first.reveal()).await.unwrap(), None);
    assert_eq!(directory.principal_of(second.reveal()).await.unwrap(), Some(actor.principal));
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    let unknown = installation.submit(
        &operator,
        INSTALLATION,
        "access.grant_role",
        Some(Uuid::now_v7()),
        json!({"business": business, "role": "owner"}),
    );
    assert_eq!(unknown.await.unwrap_err().name(), "unknown");
    assert!(!format!("{first:?}").contains(first.reveal()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_registers_their_way_into_what_is_open_already() {
    let installation = Installation::new().await;
    let victim = installation.business("victim").await;
    let stranger = installation.principal(victim, PrincipalKind::Human, None).await;
    for (business, id) in
        [(victim, None), (INSTALLATION, Some(victim.0)), (INSTALLATION, Some(Uuid::nil()))]
    {
        let taken = installation
            .submit(&stranger, business, "businesses.register", id, json!({"slug": "fresh"}))
            .await;
        assert!(matches!(taken, Err(CommandError::Forbidden { .. })), "{taken:?}");
    }
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    let again = installation
        .submit(&operator, victim, "businesses.register", None, json!({"slug": "fresh"}))
        .await;
    assert_eq!(again.unwrap_err().name(), "exists");
    let unseen =
        installation.query_as(stranger.principal, "{ businesses { nodes { slug } } }").await;
    assert_eq!(unseen, json!({"businesses": {"nodes": []}}), "nothing was granted on the way");
    assert_eq!(installation.app.business("fresh").await.unwrap(), None, "and no slug was claimed");
    let own = installation
        .submit(&stranger, INSTALLATION, "businesses.register", None, json!({"slug": "fresh"}))
        .await
        .unwrap();
    let seen =
        installation.query_as(stranger.principal, "{ businesses { nodes { slug id } } }").await;
    assert_eq!(seen["businesses"]["nodes"][0]["id"], json!(own.business));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_speak_for_others_does() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let member = installation.principal(business, PrincipalKind::Human, Some("member")).await;
    let mut plan = commands::Submission::new(
        business,
        member.clone(),
        "k",
        "tasks.plan",
        None,
        &json!({"title": "x", "team": "hr"}),
    );
    plan.on_behalf_of = Some(server::app::operator());
    assert!(matches!(
        installation.app.bus.submit(plan.clone()).await,
        Err(CommandError::Forbidden { .. })
    ));
    plan.on_behalf_of = Some(member.principal);
    installation.app.bus.submit(plan.clone()).await.unwrap();
    // A service speaks for those who belong to the business: an operator from above does not.
    let service = installation.principal(business, PrincipalKind::Service, Some("service")).await;
    let outside = uuid::Uuid::now_v7();
    let add = json!({"kind": "human", "display_name": "x", "operator": true});
    installation.must(INSTALLATION, "access.add_principal", Some(outside), add).await;
    (plan.actor, plan.key) = (service, "k2".to_owned());
    plan.on_behalf_of = Some(domain::PrincipalId(outside));
    assert_eq!(
        installation.app.bus.submit(plan.clone()).await.unwrap_err().name(),
        "principal_unknown"
    );
    plan.on_behalf_of = Some(member.principal);
    installation.app.bus.submit(plan).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_keeps_no_revoked_key_and_no_lost_role_alive() {
    let door = Door::open().await;
    let app = &door.installation.app;
    let business = app.business("acme").await.unwrap().unwrap();
    for (command, data, status) in [
        ("access.revoke_key", json!({}), 401),
        ("access.revoke_role", json!({"business": business, "role": "member"}), 404),
    ] {
        let member =
            door.installation.principal(business, PrincipalKind::Human, Some("member")).await;
        let (key, secret) = app.issue_key(member.principal).await.unwrap();
        let body = json!({"type": "tasks.plan", "data": {"title": "x", "team": "hr"}}).to_string();
        let (half, rest) = body.split_at(10);
        let at = door.url().trim_start_matches("http://").to_owned();
        let head = format!(
            "POST /v1/businesses/acme/commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: \
             Bearer {}\r\nIdempotency-Key: k\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{half}",
            secret.reveal(),
            body.len()
        );
        let begun = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(at).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            // The door knows the sender, and waits for the rest.
            std::thread::sleep(std::time::Duration::from_millis(500));
            stream
        });
        let mut stream = begun.await.unwrap();
        let data = if data == json!({}) { json!({"key": key}) } else { data };
        door.installation.must(INSTALLATION, command, Some(member.principal.0), data).await;
        let rest = rest.to_owned();
        let answer = tokio::task::spawn_blocking(move || {
            stream.write_all(rest.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{command}: {answer}");
    }
}
