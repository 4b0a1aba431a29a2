//! What waits for a human: one list of a business, and of all that the reader may see.

use serde_json::{Value, json};
use tests::installation::Installation;

use crate::alike::Work;

async fn waiting(installation: &Installation, arguments: &str) -> Vec<Value> {
    let ask = format!(
        "{{ waiting{arguments} {{ totalCount nodes {{ kind targetId since decideBy business {{ \
         slug }} target {{ __typename nodeId ... on Task {{ status }} }} }} }} }}"
    );
    let answer = installation.query(&ask).await["waiting"].clone();
    let nodes = answer["nodes"].as_array().unwrap().clone();
    assert_eq!(answer["totalCount"], json!(nodes.len()), "{answer}");
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_human_is_one_list_by_the_time_until_which_it_must_be_decided() {
    let work = Work::done().await;
    let installation = work.cast.installation();
    let (business, agent) = (work.cast.business, work.cast.person("agent", "").agent);
    let call = json!({"connector": "slack", "operation": "conversations.history", "class": "read",
        "arguments": {}, "agent": agent, "cost_max": {"amount": "0.01", "currency": "EUR"}});
    let call = installation.must(business, "integrations.intend_call", None, call).await;
    let (call, why) = (Some(call.events[0].id), json!({"reason": "the line was cut"}));
    installation.must(business, "integrations.mark_call_ambiguous", call, why).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let all = waiting(installation, "").await;
    let of = |kind: &str| all.iter().filter(|w| w["kind"] == *kind).collect::<Vec<_>>();
    let open = installation
        .query(
            "{ business(slug: \"acme\") { approvals(filter: {status: REQUESTED}) { totalCount } \
             calls(filter: {status: AMBIGUOUS}) { totalCount } \
             tasks(filter: {status: [ESCALATED, QUARANTINED]}) { totalCount } } }",
        )
        .await["business"]
        .clone();
    assert_eq!(json!(of("APPROVAL").len()), open["approvals"]["totalCount"], "{all:#?}");
    assert_eq!(json!(of("CALL").len()), open["calls"]["totalCount"], "{all:#?}");
    let seen_to = usize::try_from(open["tasks"]["totalCount"].as_u64().unwrap()).unwrap();
    assert!(of("TASK").len() >= seen_to, "{all:#?}");
    assert!(!of("APPROVAL").is_empty() && !of("TASK").is_empty() && !of("CALL").is_empty());
    assert_eq!(of("REVIEW").len(), 0, "the team has a QA agent");
    for item in &all {
        let ty = match item["kind"].as_str().unwrap() {
            "APPROVAL" => "Approval",
            "CALL" => "Call",
            _ => "Task",
        };
        assert_eq!(item["target"]["__typename"], ty, "{item}");
        assert_eq!(item["business"]["slug"], "acme");
    }
    // What has a time is first, the earliest before the others.
    let times: Vec<_> = all.iter().map(|w| w["decideBy"].as_str()).collect();
    let mut sorted = times.clone();
    sorted.sort_by_key(|at| (at.is_none(), *at));
    assert_eq!(times, sorted);
    let approvals = waiting(installation, "(filter: {kind: APPROVAL})").await;
    assert_eq!(approvals.len(), of("APPROVAL").len());
    let first = times[0].unwrap();
    let before = waiting(installation, &format!("(filter: {{decideBefore: \"{first}\"}})")).await;
    assert!(before.is_empty(), "{before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_no_agent_can_review_waits_for_a_human() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let must = async |command: &str, id: Option<uuid::Uuid>, data: Value| {
        installation.must(business, command, id, data).await.events[0].id
    };
    let enrol = async |name: &str, role: &str| {
        let kind = domain::access::PrincipalKind::Agent;
        let principal = installation.principal(business, kind, Some("agent")).await.principal;
        let agent = json!({"name": name, "team": "hr", "role": role, "principal": principal,
            "runtime": {"model": "m"},
            "permissions": {"tools": [], "connectors": [], "data_classes": []}});
        must("agents.enrol", None, agent).await
    };
    let producer = enrol("p", "producer").await;
    let task = must("tasks.plan", None, json!({"title": "t", "team": "hr"})).await;
    must("tasks.offer", Some(task), json!({})).await;
    must("tasks.lease", Some(task), json!({"agent": producer})).await;
    let result = json!({"agent": producer, "fencing_token": 1, "result": "r"});
    must("tasks.submit", Some(task), result).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let all = waiting(&installation, "").await;
    assert_eq!(
        (all.len(), &all[0]["kind"], &all[0]["targetId"]),
        (1, &json!("REVIEW"), &json!(task))
    );
    let qa = enrol("q", "qa").await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    assert!(waiting(&installation, "").await.is_empty(), "the QA agent's turn");
    must("agents.suspend", Some(qa), json!({})).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(waiting(&installation, "").await.len(), 1, "it may not work now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_dependency_will_never_be_completed_waits_for_a_human() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let plan = async |data: Value| {
        installation.must(business, "tasks.plan", None, data).await.events[0].id
    };
    let first = plan(json!({"title": "a", "team": "hr"})).await;
    let needs_it = json!({"title": "b", "team": "hr", "depends_on": [first]});
    let second = plan(needs_it).await;
    let of_humans = async || -> Vec<Value> {
        installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
        let all = waiting(&installation, "").await;
        all.iter().map(|item| item["targetId"].clone()).collect()
    };
    assert_eq!(of_humans().await, [json!(first)], "the second waits for the first");
    installation.must(business, "tasks.cancel", Some(first), json!({})).await;
    assert_eq!(of_humans().await, [json!(second)], "nobody will ever complete the first");
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_waits_for_what_it_may_see_in_every_business() {
    let installation = Installation::new().await;
    let mut owned = Vec::new();
    for slug in ["a", "b", "c"] {
        let slug = format!("acme-{slug}");
        let business = installation.business(&slug).await;
        let task = json!({"title": "t", "team": "hr"});
        let task = installation.must(business, "tasks.plan", None, task).await.events[0].id;
        installation.must(business, "tasks.offer", Some(task), json!({})).await;
        installation.must(business, "tasks.escalate", Some(task), json!({})).await;
        owned.push((business, task));
    }
    let human = domain::access::PrincipalKind::Human;
    let member = installation.principal(owned[1].0, human, Some("member")).await.principal;
    let agent = domain::access::PrincipalKind::Agent;
    let agent = installation.principal(owned[1].0, agent, Some("agent")).await.principal;
    let nobody = installation.principal(owned[1].0, human, None).await.principal;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let ask = "{ waiting(first: 2) { totalCount nodes { targetId } pageInfo { hasNextPage \
        endCursor } } }";
    let all = installation.query(ask).await["waiting"].clone();
    assert_eq!((&all["totalCount"], &all["pageInfo"]["hasNextPage"]), (&json!(3), &json!(true)));
    let end = all["pageInfo"]["endCursor"].as_str().unwrap();
    let rest = installation
        .query(&format!("{{ waiting(after: \"{end}\") {{ nodes {{ targetId }} }} }}"))
        .await["waiting"]["nodes"]
        .clone();
    let mut seen: Vec<_> = all["nodes"].as_array().unwrap().clone();
    seen.extend(rest.as_array().unwrap().clone());
    let mut seen: Vec<_> = seen.iter().map(|w| w["targetId"].clone()).collect();
    let mut every: Vec<_> = owned.iter().map(|(_, task)| json!(task)).collect();
    seen.sort_by_key(Value::to_string);
    every.sort_by_key(Value::to_string);
    assert_eq!(seen, every, "page after page, each once");
    for (who, count) in [(member, 1), (agent, 0), (nobody, 0)] {
        let answer = installation.query_as(who, ask).await["waiting"].clone();
        assert_eq!(answer["totalCount"], json!(count), "{answer}");
    }
}
