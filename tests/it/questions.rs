//! GraphQL as a whole: ids among all there are, lists on rows of lists, and how often they read.

use serde_json::{Value, json};
use server::app::operator;
use tests::installation::Installation;

use crate::door::Door;

const TRANSCRIPTS: &str = "{ tasks(first: 50) { totalCount nodes { id reviews { nodes { verdict \
} } \
    decisions(first: 2) { totalCount pageInfo { hasNextPage }
    edges { cursor node { id calls { nodes { id } } } } } calls(last: 3) { totalCount \
    nodes { id } } activities(first: 5) { totalCount nodes { event { id } } } } } }";

async fn traces() -> Installation {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/microsoft-agent-2025-12-17.trace.json",
        "acme",
    )
    .await;
    crate::metrics::import(&installation, &importers::Xes, "process-logs/orders.xes", "acme").await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    for n in 0..30 {
        let task = installation
            .must(business, "tasks.plan", None, json!({"title": format!("t{n}"), "team": "hr"}))
            .await
            .events[0]
            .id;
        for m in 0..n % 4 {
            let choice =
                json!({"task": task, "choice": format!("c{m}"), "options": [], "risk": "low"});
            installation.must(business, "decisions.record", None, choice).await;
        }
    }
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_reads_as_often_as_it_has_lists_however_many_rows_they_have() {
    let door = Door::on(traces().await).await;
    let body =
        json!({"query": format!("{{ business(slug: \"acme\") {TRANSCRIPTS} }}")}).to_string();
    let ask = async || {
        door.send(
            "POST",
            "/graphql",
            Some(door.key()),
            &[("Content-Type", "application/json")],
            &body,
        )
        .await
        .body["data"]
            .clone()
    };
    let warm = ask().await;
    let before = door.installation.app.views.reads();
    let answer = ask().await;
    let reads = door.installation.app.views.reads() - before;
    assert_eq!(answer, warm);
    assert!(answer["business"]["tasks"]["nodes"].as_array().unwrap().len() >= 30);
    // The business, its tasks and their number; reviews, and decisions, calls and activities, each
    // with their numbers; calls of decisions; ids of events.
    assert_eq!(reads, 12, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_on_a_row_is_the_list_of_the_business_that_is_filtered_by_it() {
    let installation = traces().await;
    let ask = format!("{{ business(slug: \"acme\") {TRANSCRIPTS} }}");
    let answer = installation.query(&ask).await;
    let mut seen = 0;
    for task in answer["business"]["tasks"]["nodes"].as_array().unwrap() {
        let ask = format!(
            "{{ business(slug: \"acme\") {{ decisions(first: 2, filter: {{taskId: {id}}}) {{ \
            totalCount pageInfo \
             {{ hasNextPage }} edges {{ cursor node {{ id calls {{ nodes {{ id }} }} }} }} }}
               calls(last: 3, filter: {{taskId: {id}}}) {{ totalCount nodes {{ id }} }} }} }}",
            id = task["id"]
        );
        let alone = installation.query(&ask).await["business"].clone();
        assert_eq!((&task["decisions"], &task["calls"]), (&alone["decisions"], &alone["calls"]));
        seen += task["decisions"]["totalCount"].as_u64().unwrap();
        if task["decisions"]["pageInfo"]["hasNextPage"] == json!(true) {
            let cursor = task["decisions"]["edges"][1]["cursor"].as_str().unwrap();
            let rest = format!(
                "{{ business(slug: \"acme\") {{ tasks(first: 1, filter: {{id: {}}}) {{ nodes {{ \
                 decisions(first: 9, after: \"{cursor}\") {{ nodes {{ id }} pageInfo {{ \
                 hasPreviousPage }} }} }} }} }} }}",
                task["id"]
            );
            let rest =
                installation.query(&rest).await["business"]["tasks"]["nodes"][0]["decisions"]
                    .clone();
            assert_eq!(
                rest["nodes"].as_array().unwrap().len() as u64 + 2,
                task["decisions"]["totalCount"].as_u64().unwrap()
            );
            assert_eq!(rest["pageInfo"]["hasPreviousPage"], json!(true));
        }
    }
    assert!(seen > 40, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_found_again_by_its_node_id_by_those_who_may_see_it() {
    let installation = traces().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let stranger = installation
        .principal(business, domain::access::PrincipalKind::Human, None)
        .await
        .principal;
    let ask = "{ business(slug: \"acme\") { nodeId id agents(first: 2) { nodes { nodeId id } } \
        tasks(first: 2) { nodes { nodeId id activities(first: 1) { nodes { nodeId } } } }
        decisions(first: 2) { nodes { nodeId id } } calls(first: 2) { nodes { nodeId id } } \
        events(last: 2) { nodes { nodeId id } } } }";
    let answer = installation.query(ask).await;
    let mut found = Vec::new();
    collect(&answer, &mut found);
    assert!(found.len() >= 10, "{answer}");
    for (node, id) in found {
        let ask = format!(
            "{{ node(id: \"{node}\") {{ __typename nodeId ... on Task {{ id }} ... on Decision {{ \
             id }} ... on Call {{ id }} ... on Agent {{ id }} ... on Event {{ id }} ... on \
             Business {{ id }} }} }}"
        );
        let again = installation.query(&ask).await["node"].clone();
        assert_eq!((again["nodeId"].as_str(), &again["id"]), (Some(node.as_str()), &id));
        assert_eq!(installation.query_as(stranger, &ask).await["node"], Value::Null);
    }
    for wrong in ["", "x", "VGFzazp4OjE"] {
        let refused = installation
            .try_query(operator(), &format!("{{ node(id: \"{wrong}\") {{ nodeId }} }}"))
            .await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_ARGUMENT", "{wrong}");
    }
}

fn collect(value: &Value, found: &mut Vec<(String, Value)>) {
    if let Some(id) = value.get("nodeId") {
        found.push((id.as_str().unwrap().to_owned(), value["id"].clone()));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        Value::Object(fields) => fields.values().for_each(|v| collect(v, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_documents_are_refused_with_a_code() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let aliases: String =
        (0..1_000).map(|n| format!("a{n}: businesses {{ nodes {{ slug }} }} ")).collect();
    for (query, code) in [
        (
            "query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
            "BAD_QUERY",
        ),
        ("query { ...A } fragment A on Query { ...A }".to_owned(), "BAD_QUERY"),
        (format!("{{ {aliases} }}"), "TOO_MANY_ALIASES"),
        (
            format!("{}{}", "{ business(slug: \"x\") { tasks { nodes ".repeat(40), "}".repeat(80)),
            "BAD_QUERY",
        ),
        (
            "{ business(slug: \"acme\") { tasks(first: 2147483647) { totalCount } } }".to_owned(),
            "BAD_PAGE",
        ),
        (
            "{ business(slug: \"acme\") { tasks(first: 9999999999) { totalCount } } }".to_owned(),
            "BAD_VALUE",
        ),
        (format!("{{ business(slug: {}) {{ id }} }}", "[".repeat(5_000)), "BAD_QUERY"),
    ] {
        let answer = installation.try_query(operator(), &query).await;
        let short: String = query.chars().take(80).collect();
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], code,
            "{short}: {}",
            answer["errors"][0]
        );
    }
}
