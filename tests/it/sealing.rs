//! Personal fields: sealed in everything that is kept, forgotten at once when their key is gone.

use domain::access::PrincipalKind;
use event_log::Seq;
use serde_json::json;
use tests::installation::Installation;

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_but_the_searchable_tables_holds_personal_text() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let plan =
        json!({"title": "canary-task", "instructions": "canary-instructions", "team": "sales"});
    installation.must(business, "tasks.plan", None, plan).await;
    let call = json!({"connector": "crm", "operation": "o", "class": "read",
        "arguments": {"who": "canary-arguments"}});
    installation.lets_crm_be_asked(business, &["o"]).await;
    installation.must(business, "integrations.intend_call", None, call).await;
    installation.principal(business, domain::access::PrincipalKind::Human, Some("member")).await;
    installation.app.caught_up(std::time::Duration::from_secs(10)).await.unwrap();
    let folder = installation.close().await;
    let files = |folder: &std::path::Path| {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>()
    };
    let views = folder.path().join("views");
    let all = [files(folder.path()), files(&views), files(&views.join("search"))].concat();
    let mut searchable = Vec::new();
    for path in all {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // A WAL goes away with its last reader.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        // Who a principal is is no text of a business: it is searched for nowhere.
        assert!(!contains(&bytes, "canary-name"), "a name lies in the clear in {name}");
        if path.starts_with(views.join("search")) {
            searchable.extend(bytes);
        } else {
            assert!(!contains(&bytes, "canary-"), "personal text lies in the clear in {name}");
        }
    }
    assert!(contains(&searchable, "canary-task"), "the test would find it");
}

#[tokio::test(flavor = "multi_thread")]
async fn shredding_a_subject_makes_every_answer_say_forgotten_and_the_proof_stands() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let (ada, bob) = (business.derive_id("ada"), business.derive_id("bob"));
    for who in [ada, bob] {
        let plan = json!({"title": format!("canary for {who}"), "team": "sales", "serves": who});
        installation.must(business, "tasks.plan", None, plan).await;
    }
    let ask = "{ business(slug: \"acme\") { tasks { nodes { title { text state } } } \
    events(filter: {type: \
        \"tasks.planned\"}) { nodes { data } } search(text: \"canary\") { snippet } } }";
    let before = installation.query(ask).await["business"].clone();
    assert_eq!(
        before["search"].as_array().unwrap().len(),
        3,
        "two tasks and the idea of the business"
    );
    installation.app.views.rebuild(None).await.unwrap();
    installation.app.views.settled(std::time::Duration::from_secs(60)).await.unwrap();
    assert!(
        installation.app.views.health().previous,
        "what was read before the rebuild is kept, and holds the text too"
    );
    let stored =
        async || installation.app.log.read_business(business, Seq::START, 100).await.unwrap();
    let rows = stored().await;
    installation.forgets(business, ada).await;
    let after = installation.query(ask).await["business"].clone();
    assert_eq!(
        after["tasks"]["nodes"][0]["title"],
        json!({"text": "forgotten", "state": "FORGOTTEN"})
    );
    assert_eq!(after["tasks"]["nodes"][1], before["tasks"]["nodes"][1], "Bob is not touched");
    assert_eq!(after["events"]["nodes"][0]["data"]["title"], "forgotten");
    assert_eq!(after["search"].as_array().unwrap().len(), 2);
    let now = stored().await;
    assert_eq!(
        (&now[..rows.len()], now.len()),
        (&rows[..], rows.len() + 1),
        "no byte is changed, and that it was forgotten is on record"
    );
    installation.verifies().await;
    installation.views_are_rebuilt_alike().await;
    // A repeat can't be compared any more, and still gets its first receipt.
    let folder = {
        let reopened = installation.reopen().await;
        let again = reopened.query(ask).await["business"].clone();
        assert_eq!(again, after, "it stays forgotten");
        reopened.close().await
    };
    let files = std::fs::read_dir(folder.path().join("views/search")).unwrap();
    let views =
        files.map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect::<Vec<_>>().concat();
    assert!(!contains(&views, &format!("canary for {ada}")), "nothing is left in the file");
    assert!(contains(&views, &format!("canary for {bob}")), "the test would find it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_in_a_business_reads_no_personal_text() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation
        .must(business, "tasks.plan", None, json!({"title": "canary", "team": "sales"}))
        .await;
    let ask = "{ business(slug: \"acme\") { tasks { nodes { title { text state } } } \
    events(filter: {type: \
        \"tasks.planned\"}) { nodes { data } } } }";
    let auditor = installation.principal(business, PrincipalKind::Human, Some("auditor")).await;
    let seen = installation.query_as(auditor.principal, ask).await;
    assert_eq!(seen["business"]["tasks"]["nodes"][0]["title"]["text"], "canary");
    let owner = server::app::operator();
    installation
        .must(
            domain::ids::INSTALLATION,
            "access.revoke_role",
            Some(owner.0),
            json!({"business": business, "role": "owner"}),
        )
        .await;
    let withheld = installation.query(ask).await;
    assert_eq!(
        withheld["business"]["tasks"]["nodes"][0]["title"],
        json!({"text": null, "state": "WITHHELD"})
    );
    assert!(withheld["business"]["events"]["nodes"][0]["data"]["title"]["$sealed"].is_number());
    let search = installation
        .try_query(owner, "{ business(slug: \"acme\") { search(text: \"canary\") { snippet } } }")
        .await;
    assert_eq!(search["errors"][0]["extensions"]["code"], "FORBIDDEN");
}
