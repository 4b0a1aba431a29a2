//! Projections: one business's broken event stops nobody else; rebuilt is the same as live.

use std::time::Duration;

use domain::ids::EventId;
use event_log::{Append, NewEvent, Position, Seq, Version};
use serde_json::{Value, json};
use tests::Said as _;
use tests::installation::Installation;
use uuid::Uuid;

/// An event of a type that only a newer program knows, as if that program had written it.
async fn write_unknown(installation: &Installation, business: domain::BusinessId) {
    let first =
        installation.app.log.read_business(business, Seq::START, 1).await.unwrap().remove(0);
    let mut event: Value = serde_json::from_slice(&first.bytes).unwrap();
    let (event_id, id) = (Uuid::now_v7(), Uuid::now_v7());
    for (key, value) in [
        ("event_id", json!(event_id)),
        ("id", json!(id)),
        ("kind", json!("task")),
        ("type", json!("tasks.teleported")),
        ("version", json!(1)),
    ] {
        event[key] = value;
    }
    let bytes = proof::canonical::to_bytes(&event).unwrap();
    let aggregate = domain::AggregateRef::new(domain::Kind::Task, id);
    let new = NewEvent { aggregate, version: Version(1), event_id: EventId(event_id), bytes };
    installation
        .app
        .log
        .append(Append {
            business,
            reads: Vec::new(),
            events: vec![new],
            chain: None,
            key_epoch: None,
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_stops_its_business_alone_and_is_reported() {
    let installation = Installation::new().await;
    let (broken, fine) =
        (installation.business("broken").await, installation.business("fine").await);
    write_unknown(&installation, broken).await;
    for business in [broken, fine] {
        installation.must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    }
    let count = "{ a: business(slug: \"broken\") { tasks { totalCount } } b: business(slug: \
        \"fine\") { tasks { totalCount } } projections { name lag failures { businessId seq \
        error } \
        } }";
    let seen = installation.query(count).await;
    assert_eq!(
        (&seen["a"]["tasks"]["totalCount"], &seen["b"]["tasks"]["totalCount"]),
        (&json!(0), &json!(1))
    );
    let failures: Vec<_> = seen["projections"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["failures"] != json!([]))
        .collect();
    assert_eq!(failures.len(), projections::ALL.len(), "nobody can apply what nobody knows");
    assert_eq!(failures[0]["failures"][0]["businessId"], json!(broken));
    assert_eq!(failures[0]["failures"][0]["seq"], json!(2));
    for failed in failures {
        let error = failed["failures"][0]["error"].as_str().unwrap();
        // The search needs no more than the sealed fields, and these are of another event.
        let why = if failed["name"] == "search" { "sealed field" } else { "newer program" };
        assert!(error.contains(why), "{error}");
    }
    assert!(
        seen["projections"].as_array().unwrap().iter().all(|p| p["lag"] == json!(0)),
        "the others are not held up"
    );
    let reopened = installation.reopen().await;
    let again = reopened.query(count).await;
    assert_eq!(
        again["a"]["tasks"]["totalCount"],
        json!(0),
        "a restart tries again, and stops again"
    );
    reopened.must(fine, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    assert_eq!(reopened.query(count).await["b"]["tasks"]["totalCount"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_a_broken_event_passed_over_and_a_rebuild_does_the_same() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    write_unknown(&installation, business).await;
    installation.must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    let count = "{ business(slug: \"acme\") { tasks { totalCount } } projections { name failures { \
        seq } } }";
    assert_eq!(installation.query(count).await["business"]["tasks"]["totalCount"], json!(0));
    installation.app.views.retry().await.unwrap();
    assert_eq!(
        installation.query(count).await["business"]["tasks"]["totalCount"],
        json!(0),
        "it still can't be applied"
    );
    let skip = json!({"projection": "tasks", "business": business, "seq": 2,
        "reason": "written by a newer program"});
    let refused = installation
        .submit(
            &installation.app.operator_in(business).await.unwrap(),
            business,
            "operations.skip_event",
            None,
            skip.clone(),
        )
        .await;
    assert!(refused.is_err(), "it is no business's own affair");
    installation
        .app
        .as_operator("skip", "operations.skip_event", None, &skip, domain::ids::INSTALLATION)
        .await
        .unwrap();
    let passed = installation.query(count).await;
    assert_eq!(passed["business"]["tasks"]["totalCount"], json!(1));
    let stopped = |answer: &Value, name: &str| {
        answer["projections"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()["failures"]
            != json!([])
    };
    assert_eq!(
        (stopped(&passed, "tasks"), stopped(&passed, "audit")),
        (false, true),
        "only what was named"
    );
    let live = installation.app.views.digests().unwrap();
    installation.app.views.rebuild(None).await.unwrap();
    installation.app.views.settled(Duration::from_secs(10)).await.unwrap();
    assert_eq!(installation.app.views.digests().unwrap(), live);
    assert_eq!(installation.query(count).await["business"]["tasks"]["totalCount"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_are_lost_or_broken_are_made_anew() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    installation.app.caught_up(Duration::from_secs(10)).await.unwrap();
    let digests = installation.app.views.digests().unwrap();
    installation.app.views.rebuild(Some("tasks".to_owned())).await.unwrap();
    installation.app.views.settled(Duration::from_secs(10)).await.unwrap();
    assert_eq!(installation.app.views.digests().unwrap(), digests);
    assert!(
        installation
            .app
            .views
            .rebuild(Some("nonsense".to_owned()))
            .await
            .unwrap_err()
            .said()
            .contains("status")
    );
    let folder = installation.close().await;
    std::fs::write(
        folder.path().join("views/2.db"),
        b"this is no database, however long it may be written on for",
    )
    .unwrap();
    let clock = commands::Clock::System;
    let app = server::app::App::open(
        &tests::installation::config(folder.path()),
        tests::installation::handles(&clock),
    )
    .await
    .unwrap();
    app.caught_up(Duration::from_secs(10)).await.unwrap();
    assert_eq!(app.views.digests().unwrap(), digests);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn min_position_waits_for_what_was_just_written() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for _ in 0..20 {
        let position = installation
            .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
            .await
            .position
            .unwrap();
        let viewer = installation.app.viewer(server::app::operator()).await.unwrap();
        let ask = format!(
            "{{ business(slug: \"acme\", minPosition: {position}) {{ tasks(last: 1) {{ totalCount \
             }} }} }}"
        );
        let answer = installation.app.api.execute(server::app::graphql_request(&ask, viewer)).await;
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        let said = answer.extensions["position"].clone().into_json().unwrap();
        assert!(said.as_u64().unwrap() >= position.0, "{said}: it is of {position} at least");
    }
    let late =
        installation.app.views.wait_for(Position(1_000_000), Duration::from_millis(10)).await;
    assert!(late.unwrap_err().said().contains("1000000 was asked for"));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_a_log_that_was_put_back_to_an_earlier_day_are_made_anew() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let earlier = tempfile::TempDir::new().unwrap();
    let kept = earlier.path().join("log.db");
    let installation = installation
        .reopen_after(|folder| std::fs::copy(folder.join("log.db"), &kept).map(|_| 0).unwrap())
        .await;
    for _ in 0..5 {
        installation
            .must(business, "tasks.plan", None, json!({"title": "it never was", "team": "hr"}))
            .await;
    }
    installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let installation = installation
        .reopen_after(|folder| std::fs::copy(&kept, folder.join("log.db")).map(|_| 0).unwrap())
        .await;
    installation.must(business, "tasks.plan", None, json!({"title": "it is", "team": "hr"})).await;
    installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let tasks = installation
        .query("{ business(slug: \"acme\") { tasks { nodes { title { text } } } } }")
        .await;
    assert_eq!(tasks["business"]["tasks"]["nodes"], json!([{"title": {"text": "it is"}}]));
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_and_stay_while_the_stream_grows() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    for n in 0..7 {
        installation
            .must(business, "tasks.plan", None, json!({"title": format!("t{n}"), "team": "hr"}))
            .await;
    }
    let ask = |args: &str| {
        format!(
            "{{ business(slug: \"acme\") {{ tasks({args}) {{ totalCount pageInfo {{ hasNextPage \
             hasPreviousPage endCursor startCursor }} nodes {{ title {{ text }} }} edges {{ cursor \
             }} }} }} }}"
        )
    };
    let titles = |v: &Value| {
        v["business"]["tasks"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["title"]["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = installation.query(&ask("first: 3")).await;
    assert_eq!(titles(&first), ["t0", "t1", "t2"]);
    let end = first["business"]["tasks"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    installation.must(business, "tasks.plan", None, json!({"title": "t7", "team": "hr"})).await;
    let second = installation.query(&ask(&format!("first: 3, after: \"{end}\""))).await;
    assert_eq!(titles(&second), ["t3", "t4", "t5"]);
    assert_eq!(second["business"]["tasks"]["totalCount"], json!(8));
    let back = installation.query(&ask(&format!("last: 2, before: \"{end}\""))).await;
    assert_eq!(titles(&back), ["t0", "t1"]);
    assert_eq!(back["business"]["tasks"]["pageInfo"]["hasPreviousPage"], json!(false));
    for (args, code) in [
        ("first: 0", "BAD_PAGE"),
        ("first: 201", "BAD_PAGE"),
        ("first: -1", "BAD_PAGE"),
        ("first: 1, last: 1", "BAD_PAGE"),
        ("after: \"bm9uc2Vuc2U\"", "BAD_CURSOR"),
    ] {
        let answer = installation.try_query(server::app::operator(), &ask(args)).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{args}");
    }
    let other = installation
        .try_query(
            server::app::operator(),
            &format!(
                "{{ business(slug: \"acme\") {{ agents(after: \"{end}\") {{ totalCount }} }} }}"
            ),
        )
        .await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "BAD_CURSOR", "a cursor of another list");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_shows_what_led_to_it_what_it_led_to_and_what_belongs_to_it() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/microsoft-agent-2025-12-17.trace.json",
        "acme",
    )
    .await;
    let query =
        "{ business(slug: \"acme\") { events(filter: {type: \"integrations.call_succeeded\"}) { \
        nodes { id causes { type id }
        correlated(first: 1) { totalCount } } } all: events { totalCount } } }";
    let answer = installation.query(query).await["business"].clone();
    let outcome = &answer["events"]["nodes"][0];
    let chain: Vec<_> =
        outcome["causes"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(chain, ["integrations.call_intended", "tasks.activity_recorded", "tasks.planned"]);
    assert!(outcome["correlated"]["totalCount"].as_u64().unwrap() >= 8);
    let root = outcome["causes"][1]["id"].as_str().unwrap();
    let query = format!(
        "{{ business(slug: \"acme\") {{ events(filter: {{id: \"{root}\"}}) {{ nodes {{ \
        effects(first: 9) \
         {{ nodes {{ type effects(first: 9) {{ totalCount }} }} }} }} }} }} }}"
    );
    let effects =
        installation.query(&query).await["business"]["events"]["nodes"][0]["effects"]["nodes"]
            .as_array()
            .unwrap()
            .clone();
    assert_eq!(effects.len(), 3, "two generations and a tool");
    let found = installation
        .query(
            "{ business(slug: \"acme\") { events(search: \"weather\") { \
        totalCount nodes { type } } } }",
        )
        .await;
    assert!(found["business"]["events"]["totalCount"].as_u64().unwrap() >= 2);
}
