//! Businesses.

use serde_json::json;
use tests::installation::Installation;

use crate::story::{BUSINESS, Story};

#[test]
fn a_business_is_registered_once() {
    let register = json!({"slug": "acme"});
    assert_eq!(Story::empty().when("businesses.register", BUSINESS.0, register.clone()), Ok(vec!["businesses.registered"]));
    assert_eq!(Story::new().when("businesses.register", BUSINESS.0, register), Err("exists"));
}

#[test]
fn phases_follow_one_another_and_none_is_left_out() {
    let story = Story::new();
    let advance = |s: &Story, to: &str| s.when("businesses.advance", BUSINESS.0, json!({"to": to}));
    assert_eq!(advance(&story, "approved"), Err("phase_order"));
    assert_eq!(advance(&story, "idea"), Ok(vec![]), "being there already is no news");
    let story = story.given("businesses.advance", BUSINESS.0, json!({"to": "planning"}));
    assert_eq!(advance(&story, "idea"), Err("phase_order"));
    assert_eq!(advance(&story, "approved"), Ok(vec!["businesses.advanced"]));
    assert_eq!(advance(&story, "wound_up"), Ok(vec!["businesses.advanced"]), "it can be wound up from anywhere");
    assert_eq!(advance(&Story::empty(), "planning"), Err("unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_is_one_businesss_and_a_wound_up_business_does_nothing_more() {
    let installation = Installation::new().await;
    let acme = installation.business("acme").await;
    let operator = installation.app.operator_in(acme).await.unwrap();
    let taken = installation.submit(&operator, domain::ids::INSTALLATION, "businesses.register", None, json!({"slug": "acme"})).await;
    assert_eq!(taken.unwrap_err().name(), "slug_taken");
    let alone = installation.submit(&operator, acme, "businesses.advance", None, json!({"to": "wound_up"})).await;
    assert_eq!(alone.unwrap_err().name(), "approval_required", "no policy has to say so");
    installation.approved(acme, "businesses.advance", acme.0, json!({"to": "wound_up"})).await;
    let dead = installation.submit(&operator, acme, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    assert_eq!(dead.unwrap_err().name(), "wound_up");
    let answer = installation.query("{ businesses { slug phase currency idea { text } members { role kind displayName { text } } } }").await;
    assert_eq!(
        answer["businesses"][0],
        json!({
            "slug": "acme", "phase": "wound_up", "currency": "EUR", "idea": {"text": "canary-idea"},
            "members": [{"role": "owner", "kind": "human", "displayName": {"text": null}}, {"role": "approver", "kind": "human", "displayName": {"text": null}}],
        }),
        "the name of a principal belongs to the installation, where the reader has no role"
    );
    installation.views_are_rebuilt_alike().await;
}
