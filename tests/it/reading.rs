//! Who sees what, by every way to it: lists, single objects, search, the audit trail, proofs,
//! feeds, subscriptions. The table is written by hand; an agent sees what its work needs, whichever
//! way it asks.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::permissions::cast::{Cast, Person};

const SENDERS: [&str; 9] = [
    "nobody",
    "elsewhere",
    "owner",
    "member",
    "approver",
    "auditor",
    "agent",
    "service",
    "operator",
];

/// What is asked, and what each of [`SENDERS`] gets: `all`, `some` of it, `none`, or `no`: refused.
const TABLE: &[(&str, [&str; 9])] = &[
    ("tasks", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("decisions", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("calls", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("approvals", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("agents", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("budgets", ["no", "no", "all", "all", "all", "all", "none", "all", "all"]),
    ("memory", ["no", "no", "all", "all", "all", "all", "all", "all", "all"]),
    ("exports", ["no", "no", "all", "all", "all", "all", "none", "all", "all"]),
    ("events", ["no", "no", "all", "all", "all", "all", "some", "all", "all"]),
    ("members", ["no", "no", "all", "all", "all", "all", "no", "no", "all"]),
    ("attempts", ["no", "no", "all", "no", "no", "all", "no", "no", "all"]),
    ("kpis", ["no", "no", "all", "all", "all", "all", "all", "all", "all"]),
    ("personal text", ["no", "no", "all", "all", "all", "all", "all", "all", "none"]),
    ("idea of the business", ["no", "no", "all", "all", "all", "all", "none", "all", "none"]),
    ("search", ["no", "no", "all", "all", "all", "all", "some", "all", "no"]),
    (
        "another team's task by its node id",
        ["none", "none", "all", "all", "all", "all", "none", "all", "all"],
    ),
    (
        "calls of another team among the events",
        ["no", "no", "all", "all", "all", "all", "none", "all", "all"],
    ),
    (
        "proof of another team's event",
        ["no", "no", "all", "all", "all", "all", "none", "all", "all"],
    ),
    ("feed of the business", ["no", "no", "all", "all", "all", "all", "no", "all", "all"]),
    ("feed of everything", ["no", "some", "all", "all", "all", "all", "no", "all", "all"]),
    ("verification", ["no", "no", "all", "no", "no", "all", "no", "no", "all"]),
    ("metrics of the server", ["no", "no", "no", "no", "no", "no", "no", "no", "all"]),
];

/// What somebody got of a personal text.
fn opened(text: &Value) -> &'static str {
    match (text["state"].as_str(), text["text"].as_str()) {
        (Some("VISIBLE"), Some(_)) => "all",
        (Some("WITHHELD"), None) => "none",
        (None, None) => "no",
        _ => "not what its state says",
    }
}

/// Work of two teams, and the same of nobody's in particular.
pub(crate) struct Reading {
    pub(crate) cast: Cast,
    foreign_node: String,
    foreign_event: String,
}

impl Reading {
    pub(crate) async fn new() -> Self {
        let cast = Cast::new().await;
        for name in ["agent", "stranger"] {
            let person = cast.person(name, "").clone();
            let team = if name == "agent" { "sales" } else { "hr" };
            let task = cast
                .must_by(
                    &person,
                    "tasks.plan",
                    None,
                    json!({"title": format!("canary of {team}"), "team": team}),
                )
                .await;
            let decision = json!({"choice": "canary", "agent": person.agent, "task": task});
            cast.must_by(&person, "decisions.record", None, decision).await;
            let call = json!({"connector": "slack", "operation": "conversations.history",
                "class": "read", "arguments": {}, "agent": person.agent,
                "task": task, "cost_max": {"amount": "0.01", "currency": "EUR"}});
            cast.must_by(&person, "integrations.intend_call", None, call).await;
            let pay = json!({"connector": "bank", "operation": "pay", "class": "spending",
                "arguments": {}, "agent": person.agent,
                "cost_max": {"amount": "0.01", "currency": "EUR"}});
            let request = json!({"command": {"type": "integrations.intend_call",
                "id": uuid::Uuid::now_v7(), "data": pay}});
            cast.must_by(&person, "approvals.request", None, request).await;
        }
        let owner = cast.person("owner", "").clone();
        cast.must_by(
            &owner,
            "memory.record_fact",
            None,
            json!({"fact_kind": "process_memory", "statement": "canary fact"}),
        )
        .await;
        cast.must_by(
            &owner,
            "operations.record_export",
            None,
            json!({"format": "jsonl", "events": 1, "digest": "0".repeat(64),
                "root": "0".repeat(64)}),
        )
        .await;
        let installation = cast.installation();
        let foreign = installation
            .query(
                "{ business(slug: \"acme\") { tasks { nodes { nodeId id team } } events(filter: \
                {type: \
                \"tasks.planned\"}) { nodes { id aggregateId } } } }",
            )
            .await;
        let of_hr = |list: &Value| {
            list["nodes"].as_array().unwrap().iter().find(|n| n["team"] == "HR").unwrap().clone()
        };
        let task = of_hr(&foreign["business"]["tasks"]);
        let event = foreign["business"]["events"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["aggregateId"] == task["id"])
            .unwrap()
            .clone();
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        Self { foreign_node: text(&task["nodeId"]), foreign_event: text(&event["id"]), cast }
    }

    async fn graphql(&self, person: &Person, query: &str) -> Value {
        self.cast.installation().app.caught_up(std::time::Duration::from_secs(10)).await.unwrap();
        let body = json!({"query": query}).to_string();
        let headers = [("content-type", "application/json")];
        self.cast.door.send("POST", "/graphql", person.key(), &headers, &body).await.body
    }

    /// How much of a list somebody gets, against what the operator gets.
    async fn list(&self, person: &Person, field: &str, count: &str) -> &'static str {
        let query = format!("{{ business(slug: \"acme\") {{ {field} }} }}");
        let operator = self.cast.person("operator", "").clone();
        let (mine, whole) =
            (self.graphql(person, &query).await, self.graphql(&operator, &query).await);
        let size = |answer: &Value| {
            let found = answer.pointer(&format!("/data/business{count}"))?.clone();
            found.as_u64().or_else(|| found.as_array().map(|list| list.len() as u64))
        };
        let (mine, whole) = (size(&mine), size(&whole).unwrap_or(0));
        match mine {
            None => "no",
            Some(0) if whole > 0 => "none",
            Some(n) if n < whole => "some",
            Some(_) => "all",
        }
    }

    async fn status(&self, person: &Person, method: &str, path: &str) -> &'static str {
        if self.cast.door.send(method, path, person.key(), &[], "").await.status == 200 {
            "all"
        } else {
            "no"
        }
    }

    async fn asked(&self, what: &str, person: &Person) -> &'static str {
        let business = self.cast.business;
        match what {
            "members" => {
                self.list(person, "members(first: 1) { totalCount }", "/members/totalCount").await
            }
            "attempts" => {
                self.list(person, "attempts(first: 1) { totalCount }", "/attempts/totalCount").await
            }
            "kpis" => self.list(person, "kpis { id }", "/kpis").await,
            "personal text" => {
                let answer = self
                    .graphql(
                        person,
                        "{ business(slug: \"acme\") { tasks(first: 1) { \
                    nodes { title { state text } } } } }",
                    )
                    .await;
                opened(&answer["data"]["business"]["tasks"]["nodes"][0]["title"])
            }
            "idea of the business" => {
                let answer = self
                    .graphql(person, "{ business(slug: \"acme\") { idea { state text } } }")
                    .await;
                opened(&answer["data"]["business"]["idea"])
            }
            "search" => {
                let member = self.cast.person("member", "").clone();
                let query = "{ business(slug: \"acme\") { search(text: \"canary\") { seq } } }";
                let size = |a: Value| {
                    a.pointer("/data/business/search").and_then(Value::as_array).map(Vec::len)
                };
                match (
                    size(self.graphql(person, query).await),
                    size(self.graphql(&member, query).await).unwrap(),
                ) {
                    (None, _) => "no",
                    (Some(n), whole) if n < whole && n > 0 => "some",
                    (Some(n), whole) if n == whole => "all",
                    (Some(_), _) => "none",
                }
            }
            "another team's task by its node id" => {
                let answer = self
                    .graphql(
                        person,
                        &format!("{{ node(id: \"{}\") {{ nodeId }} }}", self.foreign_node),
                    )
                    .await;
                if answer.pointer("/data/node/nodeId").is_some() { "all" } else { "none" }
            }
            "calls of another team among the events" => {
                let query = "{ business(slug: \"acme\") { events(filter: {type: \
                    \"integrations.call_intended\"}) { totalCount nodes { correlated { nodes { \
                    aggregateKind aggregateId } } } } } }";
                let answer = self.graphql(person, query).await;
                match answer.pointer("/data/business/events/totalCount").and_then(Value::as_u64) {
                    None => "no",
                    Some(2) => "all",
                    Some(_) if answer.to_string().contains(&self.foreign_node) => "some",
                    Some(_) => "none",
                }
            }
            "proof of another team's event" => {
                let answer = self
                    .graphql(
                        person,
                        &format!(
                            "{{ business(slug: \"acme\") {{ \
                        inclusionProof(eventId: \"{}\") {{ seq }} }} }}",
                            self.foreign_event
                        ),
                    )
                    .await;
                match answer.pointer("/data/business") {
                    None | Some(Value::Null) => "no",
                    Some(b) if b["inclusionProof"].is_null() => "none",
                    Some(_) => "all",
                }
            }
            "feed of the business" => {
                self.status(
                    person,
                    "GET",
                    &format!("/v1/businesses/{business}/events?follow=false"),
                )
                .await
            }
            "feed of everything" => {
                let answer = self
                    .cast
                    .door
                    .send("GET", "/v1/events?follow=false", person.key(), &[], "")
                    .await;
                let text =
                    answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned);
                match (answer.status, text.contains(&business.to_string())) {
                    (200, true) => "all",
                    (200, false) => "some",
                    _ => "no",
                }
            }
            "verification" => {
                self.status(person, "POST", &format!("/v1/businesses/{business}/verification"))
                    .await
            }
            "metrics of the server" => self.status(person, "GET", "/metrics").await,
            list => {
                self.list(
                    person,
                    &format!("{list}(first: 1) {{ totalCount }}"),
                    &format!("/{list}/totalCount"),
                )
                .await
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_the_table_says_and_no_more() {
    let reading = Reading::new().await;
    let mut wrong = Vec::new();
    for (what, row) in TABLE {
        for (sender, wanted) in SENDERS.iter().zip(row) {
            let found = reading.asked(what, reading.cast.person(sender, "")).await;
            if found != *wanted {
                wrong.push(format!("{what} by {sender}: {found}, not {wanted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_subscription_tells_it_of_its_own_team_only() {
    let reading = Reading::new().await;
    let app = &reading.cast.installation().app;
    app.caught_up(std::time::Duration::from_secs(10)).await.unwrap();
    let viewer = app.viewer(reading.cast.person("agent", "").actor.principal).await.unwrap();
    for (query, own) in [
        ("subscription { tasks(slug: \"acme\", after: 0) { task { team } } }", json!("SALES")),
        ("subscription { events(slug: \"acme\", after: 0) { aggregateKind } }", json!("AGENT")),
    ] {
        let mut stream = app.api.stream(server::app::graphql_request(query, viewer.clone())).await;
        let first = serde_json::to_value(stream.next().await.unwrap()).unwrap();
        assert!(first.to_string().contains(&own.to_string()), "{first}");
        // What comes next, if anything does, is not another team's.
        while let Ok(Some(next)) =
            tokio::time::timeout(std::time::Duration::from_millis(200), stream.next()).await
        {
            let next = serde_json::to_value(next).unwrap().to_string();
            assert!(!next.contains("\"HR\""), "{next}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_touch_only_public_data_reads_no_memory() {
    let reading = Reading::new().await;
    let installation = reading.cast.installation();
    let agent = reading.cast.person("agent", "").clone();
    let narrow =
        json!({"permissions": {"tools": [], "connectors": [], "data_classes": ["public"]}});
    installation
        .approved(reading.cast.business, "agents.change", agent.agent.unwrap(), narrow)
        .await;
    assert_eq!(reading.asked("memory", &agent).await, "none");
}
