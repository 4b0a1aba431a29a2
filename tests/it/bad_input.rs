//! Bad input: a clear answer, and nothing half done.

use event_log::sqlite::FolderLock;
use serde_json::json;
use tests::Said as _;
use tests::installation::{Installation, config, handles};

use crate::door::Door;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_command_it_says_so_and_leaves_no_event() {
    let door = Door::open().await;
    let before = door.installation.app.log.head(door.business).await.unwrap();
    let deep = format!(
        "{{\"type\":\"tasks.plan\",\"data\":{{\"title\":{}1{}}}}}",
        "[".repeat(70),
        "]".repeat(70)
    );
    let long = json!({"type": "tasks.plan", "data": {"title": "x".repeat(1 << 20), "team": "hr"}})
        .to_string();
    for (body, status, says) in [
        ("", 400, "no command"),
        ("nonsense", 400, "no command"),
        ("[]", 400, "no command"),
        ("{\"type\":\"tasks.plan\"", 400, "EOF"),
        ("{\"type\":\"tasks.plan\"}", 400, "missing field `data`"),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"hr\"},\"extra\":1}",
            400,
            "unknown field `extra`",
        ),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"hr\",\"extra\":1}}",
            400,
            "unknown field `extra`",
        ),
        ("{\"type\":\"tasks.nonsense\",\"data\":{}}", 400, "no command `tasks.nonsense`"),
        ("{\"type\":\"tasks.plan\",\"data\":[]}", 400, "must be an object"),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"nobody\"}}",
            400,
            "unknown variant `nobody`",
        ),
        ("{\"type\":\"tasks.plan\",\"data\":{\"title\":7,\"team\":\"hr\"}}", 400, "wrong type"),
        (
            r#"{"type":"tasks.plan","data":{"title":"x","team":"hr","priority":"high"}}"#,
            400,
            "`priority`: invalid type",
        ),
        (
            r#"{"type":"decisions.record","data":{"choice":"x","usage":{"input_tokens":"9"}}}"#,
            400,
            "`usage.input_tokens`: invalid type",
        ),
        (r#"{"type":"tasks.plan","data":{},"id":"x"}"#, 400, "`id`: "),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"title\":\"y\",\"team\":\"hr\"}}",
            400,
            "`title` stands twice",
        ),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"hr\",\"priority\":9007199254740992}}",
            400,
            "2^53",
        ),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"hr\",\"priority\":1.5}}",
            400,
            "invalid type",
        ),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":{\"$sealed\":0},\"team\":\"hr\"}}",
            400,
            "reserved",
        ),
        (
            "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"\\ud800\",\"team\":\"hr\"}}",
            400,
            "surrogate",
        ),
        (
            "{\"type\":\"tasks.plan\",\"id\":\"7\",\"data\":{\"title\":\"x\",\"team\":\"hr\"}}",
            400,
            "UUID",
        ),
        ("{\"type\":\"tasks.offer\",\"data\":{}}", 400, "`id` is missing"),
        (
            "{\"type\":\"decisions.record\",\"data\":{\"choice\":\"x\",\"cost\":{\"amount\":1.5,\"currency\":\"EUR\"}}}",
            400,
            "invalid type",
        ),
        (
            "{\"type\":\"decisions.record\",\"data\":{\"choice\":\"x\",\"cost\":{\"amount\":\"1.0000000001\",\"currency\":\"EUR\"}}}",
            400,
            "9 fraction digits",
        ),
        (
            "{\"type\":\"decisions.record\",\"data\":{\"choice\":\"x\",\"cost\":{\"amount\":\"1\",\"currency\":\"euro\"}}}",
            400,
            "ISO 4217",
        ),
        (deep.as_str(), 400, "deeper than 64"),
        (long.as_str(), 413, "send less"),
    ] {
        let answer = door.raw("bad", body).await;
        let detail = answer.body["detail"].as_str().unwrap();
        assert_eq!(answer.status, status, "{body:.80}: {detail}");
        assert!(detail.contains(says), "{body:.80}: {detail}");
        assert!(detail.len() < 600, "an error does not repeat what was sent");
    }
    let no_key = door
        .send(
            "POST",
            &format!("/v1/businesses/{}/commands", door.business),
            Some(door.key()),
            &[],
            "{}",
        )
        .await;
    assert_eq!(no_key.status, 428);
    let long_key = door.raw(&"k".repeat(201), "{\"type\":\"tasks.plan\",\"data\":{}}").await;
    assert_eq!(long_key.status, 400);
    assert_eq!(door.installation.app.log.head(door.business).await.unwrap(), before);
    let after = door
        .raw("bad", "{\"type\":\"tasks.plan\",\"data\":{\"title\":\"x\",\"team\":\"hr\"}}")
        .await;
    assert_eq!(after.status, 200, "a refused key may be used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_of_another_business_does_not_exist_here() {
    let installation = Installation::new().await;
    let (a, b) = (installation.business("a1").await, installation.business("b1").await);
    let task =
        installation.must(a, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await.events
            [0]
        .id;
    let actor = installation.app.operator_in(b).await.unwrap();
    assert_eq!(
        installation
            .submit(&actor, b, "tasks.offer", Some(task), json!({}))
            .await
            .unwrap_err()
            .name(),
        "unknown"
    );
    let nowhere = domain::BusinessId(uuid::Uuid::now_v7());
    assert_eq!(
        installation
            .submit(&actor, nowhere, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
            .await
            .unwrap_err()
            .name(),
        "not_registered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_what_to_do() {
    let installation = Installation::new().await;
    let second =
        server::app::App::open(&config(installation.folder.path()), handles(&installation.clock))
            .await;
    let error = second.err().unwrap().said();
    assert!(error.contains("--server URL"), "{error}");
    assert!(FolderLock::take(installation.folder.path()).is_err());
    let folder = installation.close().await;
    FolderLock::take(folder.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_commands_and_takes_them_again_later() {
    let installation =
        Installation::with(event_log::sqlite::Options { pages_max: 120, ..Default::default() })
            .await;
    let business = installation.business("acme").await;
    let actor = installation.app.operator_in(business).await.unwrap();
    let mut accepted = 0;
    let error = loop {
        match installation
            .submit(
                &actor,
                business,
                "tasks.plan",
                None,
                json!({"title": "x".repeat(30_000), "team": "hr"}),
            )
            .await
        {
            Ok(_) => accepted += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(error.name(), "unavailable");
    assert!(error.to_string().contains("disk is full"), "{error}");
    let view = installation
        .query("{ business(slug: \"acme\") { tasks { totalCount } head { seq } } }")
        .await;
    assert_eq!(view["business"]["tasks"]["totalCount"], json!(accepted));
    installation.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_address_is_a_problem_that_names_the_part() {
    let door = Door::open().await;
    for (method, path, status, says) in [
        ("GET", "/v1/events?folow=false", 400, "unknown field `folow`"),
        ("GET", "/v1/events?follow=maybe", 400, "`follow` is true or false"),
        ("GET", "/v1/events?after=yesterday", 400, "set `after` to the place of the last event"),
        (
            "GET",
            "/v1/businesses/nobody/events?follow=false",
            404,
            "no business has this slug or id",
        ),
        ("GET", "/v1/principals/nobody/keys", 400, "`principal` in the address"),
        ("DELETE", "/v1/businesses/acme/subjects/ada/key", 400, "`subject` in the address"),
        ("GET", "/v1/nothing", 404, "there is nothing at this address"),
        ("PUT", "/v1/commands", 404, "there is nothing at this address"),
    ] {
        let answer = door.send(method, path, Some(door.key()), &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let kind = answer.body["type"].as_str().unwrap_or_default().to_owned();
        assert!(kind.starts_with("urn:minutebook:problem:"), "{method} {path}: {}", answer.body);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{method} {path}: {detail}");
        let stranger = door.send(method, path, None, &[], "").await;
        assert!(matches!(stranger.status, 401 | 404), "{method} {path}: {}", stranger.body);
    }
    let by_slug = "/v1/businesses/acme/events?follow=false";
    let answer = door.send("GET", by_slug, Some(door.key()), &[], "").await;
    assert_eq!(answer.status, 200, "every door takes a slug too: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_key_can_not_tell_a_taken_slug_from_a_free_one() {
    use domain::access::PrincipalKind;
    let door = Door::open().await;
    let stranger = door.installation.principal(door.business, PrincipalKind::Human, None).await;
    let (_, key) = door.installation.app.issue_key(stranger.principal).await.unwrap();
    let register = json!({"type": "businesses.register", "data": {"slug": "x", "currency": "EUR"}});
    let large = "x".repeat((1 << 20) + 1);
    for (headers, body) in [
        (&[][..], register.to_string()),
        (&[("Idempotency-Key", "k")][..], register.to_string()),
        (&[("Idempotency-Key", "k")][..], "nonsense".to_owned()),
        (&[("Idempotency-Key", "k")][..], large),
    ] {
        let mut answers = Vec::new();
        for slug in ["acme", "free-slug"] {
            let path = format!("/v1/businesses/{slug}/commands");
            let answer = door.send("POST", &path, Some(key.reveal()), headers, &body).await;
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0], answers[1], "{headers:?} {}", &body[..20.min(body.len())]);
    }
}
