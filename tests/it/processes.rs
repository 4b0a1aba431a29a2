//! Several servers on one log in PostgreSQL or KurrentDB: they serve each other's writes, decide on
//! what the others did, and forget together. And a log gives the same whichever store it lies in.

use std::time::Duration;

use domain::access::PrincipalKind;
use domain::personal::Generation;
use serde_json::json;
use tests::installation::Installation;
use tests::postgres::database;

/// Does something with two servers on one log in PostgreSQL, and with two on one in KurrentDB whose
/// keyring is in PostgreSQL; there the second hears of everything a little later.
async fn with_two(test: impl AsyncFn(Installation, Installation)) {
    let url = database().await;
    test(Installation::at(&url).await, Installation::at(&url).await).await;
    #[cfg(feature = "kurrentdb")]
    {
        let (cluster, keys) = (tests::streams::Cluster::start().await, database().await);
        let (slow, through) = tests::proxy::Proxy::of(&cluster.address()).await;
        slow.turns(tests::proxy::Weather::Slow(Duration::from_millis(20)));
        test(
            Installation::in_kurrentdb(&cluster.address(), &keys).await,
            Installation::in_kurrentdb(&through, &keys).await,
        )
        .await;
    }
}

/// Waits until a server knows who has which role: that may be a second old.
pub(crate) async fn knows(
    one: &Installation,
    principal: domain::PrincipalId,
    business: domain::BusinessId,
) {
    let began = std::time::Instant::now();
    while one
        .app
        .bus
        .directory()
        .actor(principal, business)
        .await
        .unwrap()
        .is_none_or(|x| x.roles.is_empty())
    {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_serve_each_others_writes() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        knows(&b, server::app::operator(), business).await;
        for n in 0..10 {
            let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let position = writer
                .must(business, "tasks.plan", None, json!({"title": format!("t{n}"), "team": "hr"}))
                .await
                .position
                .unwrap();
            let viewer = reader.app.viewer(server::app::operator()).await.unwrap();
            let ask = format!(
                "{{ business(slug: \"acme\", minPosition: {position}) {{ tasks(last: \
                1) {{ totalCount nodes {{ title {{ text }} }} }} }} }}"
            );
            let answer = serde_json::to_value(
                reader.app.api.execute(server::app::graphql_request(&ask, viewer)).await,
            )
            .unwrap();
            assert_eq!(
                answer["data"]["business"]["tasks"],
                json!({"totalCount": n + 1, "nodes": [{"title": {"text": format!("t{n}")}}]}),
                "{answer}"
            );
        }
        for one in [&a, &b] {
            one.app.bus.attempts().flush().await;
        }
        for one in [&a, &b] {
            one.views_are_rebuilt_alike().await;
            one.verifies().await;
            let attempts = one
                .query(
                    "{ business(slug: \"acme\") { attempts(first: 5) { totalCount \
                } } }",
                )
                .await;
            let seen = if a.app.log.positions_have_gaps() { 5 } else { 10 };
            assert_eq!(
                attempts["business"]["attempts"]["totalCount"],
                json!(seen),
                "in PostgreSQL who tried what is seen by all; of KurrentDB each keeps its own"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_made_on_what_another_server_has_changed() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        knows(&b, server::app::operator(), business).await;
        let operator = b.app.operator_in(business).await.unwrap();
        for n in 0..10 {
            let task = a
                .must(business, "tasks.plan", None, json!({"title": "t", "team": "hr"}))
                .await
                .events[0]
                .id;
            // B learns the task as planned, and refuses to cancel it twice only if it is cancelled.
            let refused = b
                .submit(
                    &operator,
                    business,
                    "tasks.resolve",
                    Some(task),
                    json!({"resolution": "cancelled"}),
                )
                .await;
            assert!(refused.is_err(), "it is not escalated");
            a.must(business, "tasks.offer", Some(task), json!({})).await;
            a.must(business, "tasks.escalate", Some(task), json!({"to_role": "owner"})).await;
            b.must(business, "tasks.resolve", Some(task), json!({"resolution": "cancelled"})).await;
            let again = a
                .submit(
                    &a.app.operator_in(business).await.unwrap(),
                    business,
                    "tasks.offer",
                    Some(task),
                    json!({}),
                )
                .await;
            assert!(again.is_err(), "round {n}: A knows that B closed it");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_at_two_servers_is_one_command() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        knows(&b, server::app::operator(), business).await;
        let data = json!({"title": "t", "team": "hr"});
        for n in 0..20 {
            let key = format!("same {n}");
            let submit = async |one: &Installation| {
                let actor = one.app.operator_in(business).await.unwrap();
                one.app
                    .bus
                    .submit(commands::Submission::new(
                        business,
                        actor,
                        key.clone(),
                        "tasks.plan",
                        None,
                        &data,
                    ))
                    .await
                    .unwrap()
            };
            let (first, second) = tokio::join!(submit(&a), submit(&b));
            assert_eq!(
                (first.events[0].event_id, first.events[0].seq, first.position),
                (second.events[0].event_id, second.events[0].seq, second.position)
            );
            b.app.views.wait_for(first.position.unwrap(), Duration::from_secs(30)).await.unwrap();
            assert_eq!(
                usize::from(first.repeated) + usize::from(second.repeated),
                1,
                "one of them \
                wrote it"
            );
        }
        assert_eq!(
            b.query(
                "{ business(slug: \"acme\") { tasks { totalCount } } \
            }"
            )
            .await["business"]["tasks"]["totalCount"],
            json!(20)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_one_server_destroys_is_gone_at_the_next_use_at_the_other() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        knows(&b, server::app::operator(), business).await;
        let ada = business.derive_id("ada");
        for one in [&a, &b] {
            let planned = one
                .must(
                    business,
                    "tasks.plan",
                    None,
                    json!({"title": "canary", "team": "hr", "serves": ada}),
                )
                .await;
            for seen in [&a, &b] {
                seen.app
                    .views
                    .wait_for(planned.position.unwrap(), Duration::from_secs(30))
                    .await
                    .unwrap();
            }
        }
        let ask = "{ business(slug: \"acme\") { tasks { nodes { title { text } } } search(text: \
            \"canary\") { snippet } } }";
        assert_eq!(b.query(ask).await["business"]["tasks"]["nodes"][0]["title"]["text"], "canary");
        a.forgets(business, ada).await;
        let forgotten = b.query(ask).await["business"].clone();
        assert_eq!(forgotten["tasks"]["nodes"][0]["title"]["text"], "forgotten");
        assert_eq!(forgotten["tasks"]["nodes"][1]["title"]["text"], "forgotten");
        let began = std::time::Instant::now();
        while b.query(ask).await["business"]["search"].as_array().unwrap().len() > 1 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "what B has in the clear goes too, \
                but for the idea of the business"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let anew = json!({"title": "anew", "team": "hr", "serves": ada});
        for one in [&a, &b] {
            let operator = one.app.operator_in(business).await.unwrap();
            let refused = one
                .submit(&operator, business, "tasks.plan", None, anew.clone())
                .await
                .unwrap_err();
            assert_eq!(refused.name(), "subject_fenced", "the fence stands at both");
        }
        let began = std::time::Instant::now();
        while !b.folder.path().join("forgotten").exists() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "B's list has it too: whichever is \
                taken along by a restore"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let epoch = a.app.keyring.epoch().await.unwrap();
        assert_eq!(
            b.app.keyring.destroy(business, domain::SubjectId(ada), Generation(1)).await.unwrap(),
            0
        );
        assert_eq!(
            a.app.keyring.epoch().await.unwrap(),
            epoch,
            "what is destroyed already makes \
            nobody's keys stale"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_of_one_server_is_known_to_the_other_within_a_second() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        let member = a.principal(business, PrincipalKind::Human, Some("member")).await;
        knows(&b, member.principal, business).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_gives_the_same_counts_and_roots_in_every_store() {
    for (format, file) in [
        (&importers::Transcripts as importers::Format, "tau-bench/airline-slice.json"),
        (&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json"),
        (&importers::Openhands, "openhands/basic_gui_mode.json"),
        (&importers::SweAgent, "swe-agent/flash.traj"),
        (&importers::Csv, "process-logs/tickets.csv"),
        (&importers::Xes, "process-logs/orders.xes"),
        (&importers::Documents, "documents"),
    ] {
        let sqlite = Installation::at("").await;
        let in_sqlite = crate::metrics::import_at_once(&sqlite, format, file, "acme", 1).await;
        let mut others = vec![Installation::at(&database().await).await];
        #[cfg(feature = "kurrentdb")]
        let cluster = tests::streams::Cluster::start().await;
        #[cfg(feature = "kurrentdb")]
        others.push(Installation::at(&cluster.address()).await);
        for other in others {
            let counts = crate::metrics::import_at_once(&other, format, file, "acme", 1).await;
            assert_eq!(
                serde_json::to_value(&in_sqlite).unwrap(),
                serde_json::to_value(&counts).unwrap(),
                "{file}"
            );
            assert_eq!(
                sqlite.app.log.heads().await.unwrap(),
                other.app.log.heads().await.unwrap(),
                "{file}"
            );
            let again = crate::metrics::import_at_once(&other, format, file, "acme", 1).await;
            assert_eq!(again.events_written, 0, "{file}");
            other.views_are_rebuilt_alike().await;
            assert_eq!(
                sqlite.app.views.digests().unwrap(),
                other.app.views.digests().unwrap(),
                "{file}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_loses_nothing_and_changes_no_order() {
    with_two(async |a, b| {
        let business = a.business("acme").await;
        knows(&b, server::app::operator(), business).await;
        for n in 0..6 {
            let one = if n % 2 == 0 { &a } else { &b };
            one.must(business, "tasks.plan", None, json!({"title": format!("t{n}"), "team": "hr"}))
                .await;
            a.clock.step_seconds(-3_600);
        }
        let last = b.app.log.position().borrow().to_owned();
        for one in [&a, &b] {
            one.app.views.wait_for(last, Duration::from_secs(30)).await.unwrap();
            one.verifies().await;
            one.views_are_rebuilt_alike().await;
            let tasks = one
                .query("{ business(slug: \"acme\") { tasks { nodes { title { text } } } } }")
                .await;
            let titles: Vec<_> = tasks["business"]["tasks"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["title"]["text"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(
                titles,
                ["t0", "t1", "t2", "t3", "t4", "t5"],
                "the order is the log's, not the clock's"
            );
        }
        assert_eq!(a.app.views.digests().unwrap(), b.app.views.digests().unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_somebody_else_took_is_refused_as_taken_and_not_as_changing() {
    let a = Installation::at(&database().await).await;
    let business = a.business("acme").await;
    let actor = a.app.operator_in(business).await.unwrap();
    let id = event_log::envelope::event_id(business, actor.principal, "mine", u32::MAX).0;
    a.must(business, "tasks.plan", Some(id), json!({"title": "planted", "team": "hr"})).await;
    let data = json!({"title": "x", "team": "hr"});
    let refused = a
        .app
        .bus
        .submit(commands::Submission::new(
            business,
            actor,
            "mine".to_owned(),
            "tasks.plan",
            None,
            &data,
        ))
        .await
        .unwrap_err();
    assert!(matches!(refused, commands::CommandError::Refused(_)), "{refused}");
}
