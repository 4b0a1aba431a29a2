//! GraphQL over the HTTP door.

use super::Door;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn graphiql_comes_from_this_server_alone_or_the_page_says_how_to_get_it() {
    let door = Door::open().await;
    let page = door.send("GET", "/graphiql", None, &[], "").await;
    let (text, policy) = (
        page.body.as_str().unwrap().to_owned(),
        page.headers["content-security-policy"].to_str().unwrap().to_owned(),
    );
    assert!(
        !text.contains("http://")
            && !text.contains("https://")
            && policy.starts_with("default-src 'none'"),
        "{text}"
    );
    let files: Vec<&str> = text.split('"').filter(|part| part.starts_with("/graphiql/")).collect();
    assert!(files.len() == 4 || text.contains("make graphiql"), "{text}");
    for file in files {
        let answer = door.send("GET", file, None, &[], "").await;
        assert!(answer.status == 200 && answer.body.as_str().unwrap().len() > 1_000, "{file}");
    }
    assert_eq!(door.send("GET", "/graphiql/passwd", None, &[], "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn graphql_answers_and_keeps_its_limits() {
    let door = Door::open().await;
    let ask = async |body: Value| {
        door.send(
            "POST",
            "/graphql",
            Some(door.key()),
            &[("Content-Type", "application/json")],
            &body.to_string(),
        )
        .await
    };
    let good = ask(json!({"query": "query($s: String) { business(slug: $s) { slug } \
        }", "variables": {"s": "acme"}}))
    .await;
    assert_eq!(good.body["data"], json!({"business": {"slug": "acme"}}));
    assert!(good.body["extensions"]["position"].as_u64().unwrap() > 0, "{}", good.body);
    let batch =
        ask(json!([{"query": "{ businesses { nodes { slug } } }"}, {"query": "{ businesses { \
        nodes { phase } } }"}]))
        .await;
    assert_eq!(batch.body.as_array().unwrap().len(), 2);
    let many = ask(Value::from(vec![json!({"query": "{ __typename }"}); 11])).await;
    assert_eq!(many.status, 400);
    let aliases: String =
        (0..201).map(|n| format!("a{n}: businesses {{ nodes {{ slug }} }} ")).collect();
    let refused = ask(json!({"query": format!("{{ {aliases} }}")})).await;
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("201 aliases"));
    let costly = "{ business(slug: \"acme\") { tasks(first: 200) { nodes { decisions(first: 200) { \
        nodes { id } } } } } }";
    let refused = ask(json!({"query": costly})).await.body["errors"][0].clone();
    assert_eq!(
        (&refused["extensions"]["cost"], &refused["extensions"]["limit"]),
        (&json!(80_402), &json!(10_000)),
        "{refused}"
    );
    let mut very_deep = "name".to_owned();
    for _ in 0..26 {
        very_deep = format!("ofType {{ {very_deep} }}");
    }
    let deep =
        ask(json!({"query": format!("{{ __type(name: \"Query\") {{ {very_deep} }} }}")})).await;
    assert!(deep.body["errors"][0]["message"].as_str().unwrap().contains("deep"), "{}", deep.body);
    assert_eq!(ask(json!({"nonsense": 1})).await.status, 400);
    let mutation = ask(json!({"query": "mutation { x }"})).await;
    assert!(mutation.body["errors"][0]["message"].as_str().is_some());
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_persisted_query_is_sent_once_and_then_by_its_hash() {
    use sha2::Digest as _;
    let door = Door::open().await;
    let query = "{ businesses { nodes { slug } } }";
    let hash = domain::values::Digest(sha2::Sha256::digest(query).into()).to_string();
    let named = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let ask = async |body: Value| {
        door.send(
            "POST",
            "/graphql",
            Some(door.key()),
            &[("Content-Type", "application/json")],
            &body.to_string(),
        )
        .await
        .body
    };
    let unknown = ask(json!({"extensions": named})).await;
    assert_eq!(
        (&unknown["errors"][0]["message"], &unknown["errors"][0]["extensions"]["code"]),
        (&json!("PersistedQueryNotFound"), &json!("PERSISTED_QUERY_NOT_FOUND"))
    );
    let wrong = ask(json!({"query": "{ __typename }", "extensions": named})).await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    let answer = json!({"businesses": {"nodes": [{"slug": "acme"}]}});
    assert_eq!(ask(json!({"query": query, "extensions": named})).await["data"], answer);
    assert_eq!(ask(json!({"extensions": named})).await["data"], answer);
}
