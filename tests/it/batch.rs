//! `POST …/commands:batch`: every command of a batch is a command of its own.

use domain::access::PrincipalKind;
use domain::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Answer, Door};

async fn send(door: &Door, key: &str, body: &str) -> Answer {
    let path = format!("/v1/businesses/{}/commands:batch", door.business);
    door.send("POST", &path, Some(key), &[], body).await
}

async fn batch(door: &Door, commands: &[Value]) -> Vec<Value> {
    let answer = send(door, door.key(), &json!({"commands": commands}).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.body["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), commands.len());
    results
}

fn plan(key: &str, id: Uuid) -> Value {
    json!({"key": key, "type": "tasks.plan", "id": id, "data": {"title": "x", "team": "hr"}})
}

/// Name of the problem of a result; empty if it is a receipt.
fn problem(result: &Value) -> &str {
    let name = result["problem"]["type"].as_str().unwrap_or_default();
    name.strip_prefix("urn:minutebook:problem:").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_is_decided_on_what_those_before_it_left() {
    let door = Door::open().await;
    let id = Uuid::now_v7();
    let act = |key: &str, command: &str, if_match: Option<u64>, data: Value| {
        let mut act = json!({"key": key, "type": command, "id": id, "data": data});
        act["if_match"] = json!(if_match);
        act
    };
    let commands = [
        plan("1", id),
        act("2", "tasks.offer", Some(1), json!({})),
        act("3", "tasks.offer", Some(1), json!({})),
        json!({"key": "4", "type": "privacy.forget_subject", "data": {"subject": Uuid::now_v7()}}),
        act("5", "tasks.cancel", Some(2), json!({"reason": "enough"})),
        act("6", "tasks.offer", None, json!({})),
        plan("7", Uuid::now_v7()),
    ];
    let results = batch(&door, &commands).await;
    let problems: Vec<&str> = results.iter().map(problem).collect();
    assert_eq!(problems[..3], ["", "", "precondition_failed"], "{results:#?}");
    assert_eq!((problems[3], problems[4], problems[6]), ("malformed", "", ""), "{results:?}");
    assert_eq!(problems[5], "wrong_status", "it was cancelled just before: {results:?}");
    let seqs: Vec<u64> = [0, 1, 4, 6]
        .iter()
        .map(|n| results[*n]["receipt"]["events"][0]["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    // Sent again, whole or in part, every command has its first answer.
    let again = batch(&door, &commands[..5]).await;
    for (first, again) in results.iter().zip(&again) {
        assert_eq!(first["receipt"]["events"], again["receipt"]["events"]);
        assert_eq!(
            again["receipt"]["repeated"].as_bool(),
            first["receipt"].is_object().then_some(true)
        );
    }
    let alone = door.command("1", &plan("", id)).await;
    assert_eq!(alone.status, 400, "`key` is no member of a single command");
    let mut single = plan("", id);
    single.as_object_mut().unwrap().remove("key");
    let alone = door.command("1", &single).await;
    assert_eq!(alone.body["events"], results[0]["receipt"]["events"], "{}", alone.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_its_own_rights_attempt_and_token() {
    let door = Door::open().await;
    let installation = &door.installation;
    let member = installation.principal(door.business, PrincipalKind::Human, Some("member")).await;
    let (_, secret) = installation.app.issue_key(member.principal).await.unwrap();
    let attempts = async || {
        let ask = "{ business(slug: \"acme\") { attempts(first: 1) { totalCount } } }";
        let seen = installation.query(ask).await;
        seen["business"]["attempts"]["totalCount"].as_u64().unwrap()
    };
    let before = attempts().await;
    let allowed = member.rate_profile.rates().commands_burst as usize;
    let half = allowed / 2 + 10;
    let mut problems = Vec::new();
    for turn in 0..2 {
        let mut commands: Vec<Value> =
            (0..half).map(|n| plan(&format!("{turn}-{n}"), Uuid::now_v7())).collect();
        commands[1] = json!({"key": "r", "type": "businesses.advance", "data": {"to": "planning"}});
        let body = json!({"commands": commands}).to_string();
        let answer = send(&door, secret.reveal(), &body).await;
        let results =
            answer.body["results"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
        problems.extend(results.iter().map(|result| problem(result).to_owned()));
    }
    let count = |name: &str| problems.iter().filter(|p| *p == name).count();
    assert_eq!((count("forbidden"), count("rate_limited")), (2, 20), "{problems:?}");
    assert_eq!(count(""), allowed - 2);
    assert_eq!(attempts().await - before, allowed as u64, "who is over the limit is only counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let door = Door::open().await;
    let many: Vec<Value> = (0..=BATCH_COMMANDS_MAX).map(|_| json!({})).collect();
    let wide = "x".repeat(BATCH_BYTES_MAX);
    for (body, status) in [
        (String::new(), 400),
        ("[]".to_owned(), 400),
        (json!({"commands": []}).to_string(), 400),
        (json!({"commands": [], "more": 1}).to_string(), 400),
        (r#"{"commands": [], "commands": [{}]}"#.to_owned(), 400),
        (json!({"commands": many}).to_string(), 413),
        (json!({"commands": [wide]}).to_string(), 413),
        (format!("{{\"commands\": [{}0]}}", "0,".repeat(1_000_000)), 413),
    ] {
        let answer = send(&door, door.key(), &body).await;
        assert_eq!(answer.status, status, "{:.80}: {}", body, answer.body);
    }
    // What is no command has its problem, and the others are carried out.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let odd = [
        r#"{"type": "tasks.plan", "data": {}}"#.to_owned(),
        r#"{"key": 7, "type": "tasks.plan", "data": {}}"#.to_owned(),
        r#"{"key": "a", "key": "b", "type": "tasks.plan", "data": {}}"#.to_owned(),
        r#"{"key": "c", "type": "tasks.plan", "data": {}, "priority": 9}"#.to_owned(),
        r#"{"key": "d", "type": "tasks.plan", "data": {}, "if_match": "3"}"#.to_owned(),
        format!(r#"{{"key": "e", "type": "tasks.plan", "data": {deep}}}"#),
        format!(r#"{{"$serde_json::private::RawValue": "{}"}}"#, "[".repeat(9_000)),
        "17".to_owned(),
    ];
    let body = format!(r#"{{"commands": [{}, {}]}}"#, odd.join(", "), plan("f", Uuid::now_v7()));
    let answer = send(&door, door.key(), &body).await;
    let results = answer.body["results"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    let problems: Vec<&str> = results.iter().map(problem).collect();
    assert_eq!(problems[..odd.len()], ["malformed"; 8], "{}", answer.body);
    assert_eq!(problems[odd.len()], "", "{}", answer.body);
    let path = format!("/v1/businesses/{}/commands:batch", door.business);
    let body = json!({"commands": [plan("g", Uuid::now_v7())]}).to_string();
    for header in [("Idempotency-Key", "g"), ("If-Match", "\"1\"")] {
        let answer = door.send("POST", &path, Some(door.key()), &[header], &body).await;
        assert_eq!(answer.status, 400, "{header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_from_a_batch_no_more_than_from_a_command() {
    let door = Door::open().await;
    let stranger = door.installation.business("other").await;
    let stranger = door.installation.principal(stranger, PrincipalKind::Human, Some("owner")).await;
    let (_, secret) = door.installation.app.issue_key(stranger.principal).await.unwrap();
    let body = json!({"commands": [plan("1", Uuid::now_v7())]}).to_string();
    let mut answers = Vec::new();
    for business in [door.business.to_string(), Uuid::now_v7().to_string(), "acme".to_owned()] {
        let path = format!("/v1/businesses/{business}/commands:batch");
        let answer = door.send("POST", &path, Some(secret.reveal()), &[], &body).await;
        answers.push((answer.status, answer.body));
        assert_eq!(door.send("POST", &path, None, &[], &body).await.status, 401);
    }
    assert!(answers.iter().all(|a| a.0 == 404 && a.1 == answers[0].1), "{answers:?}");
}
