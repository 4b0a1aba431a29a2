//! Access: who may come in, and what for.

use commands::CommandError;
use domain::access::PrincipalKind;
use domain::ids::INSTALLATION;
use serde_json::json;
use tests::installation::Installation;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_what_it_may_and_nothing_else() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let other = installation.business("other").await;
    let plan = json!({"title": "x", "team": "sales"});
    let policy = json!({"rules": []});
    for (role, plans, defines) in
        [("owner", true, true), ("member", true, false), ("approver", false, false), ("auditor", false, false), ("service", true, false)]
    {
        let actor = installation.principal(business, PrincipalKind::Human, Some(role)).await;
        let planned = installation.submit(&actor, business, "tasks.plan", None, plan.clone()).await;
        assert_eq!(planned.is_ok(), plans, "{role} plans");
        let defined = installation.submit(&actor, business, "approvals.define_policy", None, policy.clone()).await;
        assert_eq!(defined.is_ok(), defines, "{role} defines the approval policy");
        let elsewhere = actor.clone();
        let elsewhere = commands::Actor { roles: Default::default(), ..elsewhere };
        let hidden = installation.submit(&elsewhere, other, "tasks.plan", None, plan.clone()).await;
        assert!(matches!(hidden, Err(CommandError::NotFound(_))), "{role} does not learn that another business exists");
        let above =
            installation.submit(&actor, INSTALLATION, "access.grant_role", Some(actor.principal.0), json!({"business": business, "role": "owner"})).await;
        assert!(matches!(above, Err(CommandError::Forbidden(_))), "{role} gives nobody a role");
        let unseen = installation.query_as(actor.principal, "{ businesses { slug } business(slug: \"other\") { slug } }").await;
        assert_eq!(unseen, json!({"businesses": [{"slug": "acme"}], "business": null}), "{role} sees its own business only");
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
    assert!(third.unwrap_err().to_string().contains("at most two keys"));
    let directory = installation.app.desk.directory();
    assert_eq!(directory.principal_of(first.reveal()).await.unwrap(), Some(actor.principal));
    assert_eq!(directory.principal_of(second.reveal()).await.unwrap(), Some(actor.principal));
    installation.must(INSTALLATION, "access.revoke_key", Some(actor.principal.0), json!({"key": first_id})).await;
    assert_eq!(directory.principal_of(first.reveal()).await.unwrap(), None);
    assert_eq!(directory.principal_of(second.reveal()).await.unwrap(), Some(actor.principal));
    let operator = installation.app.operator_in(INSTALLATION).await.unwrap();
    let unknown = installation.submit(&operator, INSTALLATION, "access.grant_role", Some(Uuid::now_v7()), json!({"business": business, "role": "owner"}));
    assert_eq!(unknown.await.unwrap_err().name(), "unknown");
    assert!(!format!("{first:?}").contains(first.reveal()));
}
