//! Trusted documents, and the log of queries: what a server answers that knows its clients, and
//! what it says of each query.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::faults::Server;

const LISTED: &str = "query Slugs($first: Int) { businesses(first: $first) { nodes { slug } } }";

fn ask(server: &Server, body: &Value) -> Value {
    let (_, text) = server.send("POST", "/graphql", &server.key, body).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_server_with_trusted_documents_answers_them_and_nothing_else() {
    let (folder, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (list, log) = (beside.path().join("documents.json"), beside.path().join("said"));
    std::fs::write(&list, json!({"slugs": LISTED}).to_string()).unwrap();
    let settings = [
        ("MINUTEBOOK_TRUSTED_DOCUMENTS", list.to_str().unwrap()),
        ("MINUTEBOOK_QUERY_LOG", "true"),
    ];
    let said = std::fs::File::create(&log).unwrap();
    let server = Server::start(folder.path(), &settings, "", said.into());
    assert_eq!(server.register("canary-slug").unwrap().0, 200);
    let wanted = json!({"businesses": {"nodes": [{"slug": "canary-slug"}]}});
    let variables = json!({"first": 3});
    for body in [
        json!({"documentId": "slugs", "variables": variables}),
        json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "slugs"}}}),
        json!({"query": LISTED, "variables": variables}),
        // A text beside an id counts for nothing.
        json!({"documentId": "slugs", "query": "{ limits { name } }"}),
    ] {
        let mut answer = ask(&server, &body);
        for _ in 0..200 {
            if answer["data"] == wanted {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            answer = ask(&server, &body);
        }
        assert_eq!(answer["data"], wanted, "{body}: {answer}");
    }
    for body in [
        json!({"query": "{ limits { name } }"}),
        json!({"query": "{ __schema { queryType { name } } }"}),
        json!({"documentId": "other"}),
        json!({"query": LISTED.replace("slug }", "slug name }")}),
    ] {
        let answer = ask(&server, &body);
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_TRUSTED", "{body}: {answer}");
        assert_eq!(answer["data"], Value::Null, "{body}");
    }
    drop(server);
    let said = std::fs::read_to_string(&log).unwrap();
    let queries: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "queries")
        .collect();
    assert!(queries.len() >= 4, "{said}");
    for query in &queries {
        assert_eq!(query["document"].as_str().map(str::len), Some(16), "{query}");
        assert!(query["duration_us"].as_u64().is_some(), "{query}");
        assert_eq!(query["outcome"], "OK", "{query}");
    }
    // 1 for the page, and 2 (nodes, slug) for each of its rows.
    assert_eq!(queries[0]["cost"], json!(1 + 3 * 2), "{queries:?}");
    assert!(!said.contains("canary-slug"), "what is answered is in no log: {said}");
}

#[test]
fn a_list_that_is_broken_or_not_there_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("documents.json");
    for text in [None, Some("{"), Some("{}"), Some("{\"a\": \"{ limits \"}")] {
        if let Some(text) = text {
            std::fs::write(&list, text).unwrap();
        }
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_minutebook-for-tests"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .arg("--trusted-documents")
            .arg(&list)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("trusted_documents") && said.contains("documents.json"), "{said}");
    }
}
