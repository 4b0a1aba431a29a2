//! Memory: what was known when, what holds when, and where it is known from.

use serde_json::{Value, json};
use tests::installation::Installation;

fn ships(day: &str) -> Value {
    json!({"fact_kind": "process_memory", "statement": format!("the shop ships on \
        {day}"), "topic": "shipping"})
}

async fn ask(installation: &Installation, arguments: &str) -> Vec<Value> {
    let fields = "nodes { text { text } status revision knownFrom knownTo validFrom snippet \
        event { id } evidenceIds title { text } }";
    let answer = installation
        .query(&format!("{{ business(slug: \"acme\") {{ memory({arguments}) {{ {fields} }} }} }}"))
        .await;
    answer["business"]["memory"]["nodes"].as_array().unwrap().clone()
}

fn texts(nodes: &[Value]) -> Vec<&str> {
    nodes.iter().map(|n| n["text"]["text"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_and_what_held_are_two_questions() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let before = installation.clock.now().to_string();
    installation.clock.advance_seconds(10);
    let fact =
        installation.must(business, "memory.record_fact", None, ships("Monday")).await.events[0].id;
    installation.clock.advance_seconds(10);
    let between = installation.clock.now().to_string();
    installation.clock.advance_seconds(10);
    let revised =
        json!({"statement": "the shop ships on Tuesday", "valid_from": "2030-01-01T00:00:00Z"});
    installation.must(business, "memory.revise_fact", Some(fact), revised).await;
    assert_eq!(texts(&ask(&installation, "first: 5").await), ["the shop ships on Tuesday"]);
    assert_eq!(
        texts(&ask(&installation, &format!("asOf: \"{between}\"")).await),
        ["the shop ships on Monday"]
    );
    assert!(ask(&installation, &format!("asOf: \"{before}\"")).await.is_empty());
    assert!(ask(&installation, "validAt: \"2029-01-01T00:00:00Z\"").await.is_empty());
    assert_eq!(
        texts(&ask(&installation, "validAt: \"2031-01-01T00:00:00Z\"").await),
        ["the shop ships on Tuesday"]
    );
    assert_eq!(ask(&installation, "history: true").await.len(), 2);
    // Search knows the same two times, and says where it found it.
    assert!(ask(&installation, "search: \"ships Monday\"").await.is_empty());
    let found = ask(&installation, &format!("search: \"ships Monday\", asOf: \"{between}\"")).await;
    assert_eq!(found[0]["snippet"], "the shop [ships] on [Monday]");
    assert!(found[0]["event"]["id"].is_string());
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_their_words_and_forgotten_with_their_subject() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let text = format!(
        "# Returns\nSend it back within 30 days.\n# Refunds\n{}",
        "Money comes back after five days.\n".repeat(20)
    );
    installation
        .must(
            business,
            "memory.add_document",
            None,
            json!({"title": "House rules", "text": text, "source": "rules.md"}),
        )
        .await;
    let found =
        ask(&installation, "search: \"refunds money\", filter: {kind: DOMAIN_EXPERTISE}").await;
    assert_eq!((found.len(), found[0]["title"]["text"].as_str()), (1, Some("House rules")));
    assert!(found[0]["text"]["text"].as_str().unwrap().starts_with("# Refunds"));
    let several = "search: \"refunds money\", filter: {kind: [PROCESS_MEMORY, DOMAIN_EXPERTISE], \
                   item: [FACT, DOCUMENT]}";
    assert_eq!(ask(&installation, several).await.len(), 1);
    assert_eq!(
        ask(&installation, "search: \"\\\" OR NEAR(\"").await.len(),
        0,
        "what is typed is never run"
    );
    installation.forgets(business, business.0).await;
    assert!(ask(&installation, "search: \"refunds\"").await.is_empty());
    assert_eq!(texts(&ask(&installation, "first: 1").await), ["forgotten"]);
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_headings_stops_nothing() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation
        .must(
            business,
            "memory.add_document",
            None,
            json!({"title": "many", "text": "# t\n".repeat(1_200)}),
        )
        .await;
    installation
        .must(
            business,
            "memory.add_document",
            None,
            json!({"title": "after", "text": "it goes on"}),
        )
        .await;
    let answer = installation
        .query(
            "{ business(slug: \"acme\") { memory(first: 1) { totalCount } \
        } projections { failures { error } } }",
        )
        .await;
    assert_eq!(answer["business"]["memory"]["totalCount"], json!(1_201));
}
