//! Moving house: the same bytes, places, roots, keys and views on the other side.

use event_log::Inspect as _;
use event_log::Position;
use serde_json::json;
use server::app::{App, Handles};
use server::copy::{self, Moved, copy, wrapping};
use tempfile::TempDir;
use tests::Said as _;
use tests::installation::{Installation, config};
use tests::postgres::database;

async fn moved(from: &copy::Installation, to: &copy::Installation) -> Result<Moved, String> {
    let wrapping = wrapping(from, to, std::path::Path::new(""))
        .map_err(|e| event_log::chain(&e).to_string())?;
    copy(from, to, &wrapping, |_, _| {}).await.map_err(|e| event_log::chain(&e).to_string())
}

fn folder(folder: &TempDir) -> copy::Installation {
    copy::Installation::Folder(folder.path().to_owned())
}

/// A folder that has the key of all these tests and nothing else.
fn empty() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
    folder
}

async fn business() -> Installation {
    let installation = Installation::at("").await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/microsoft-agent-2025-12-17.trace.json",
        "acme",
    )
    .await;
    installation.business("other").await;
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_moves_to_postgres_and_back_with_the_same_roots_and_views() {
    let installation = business().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let (ada, bob) = (business.derive_id("ada"), business.derive_id("bob"));
    for who in [ada, bob] {
        installation
            .must(
                business,
                "tasks.plan",
                None,
                json!({"title": "canary", "team": "hr", "serves": who}),
            )
            .await;
    }
    installation.forgets(business, ada).await;
    let heads = installation.app.log.heads().await.unwrap();
    let rows = installation.app.log.raw_rows(Position::START, 10_000).await.unwrap();
    installation.app.bus.attempts().flush().await;
    let attempts = installation.app.bus.attempts().count().await.unwrap();
    let home = installation.close().await;
    let postgres = copy::Installation::Postgres(database().await);
    let first = moved(&folder(&home), &postgres).await.unwrap();
    assert!(
        first.same && first.copied == rows.len() as u64 && first.attempts == attempts,
        "{first:?}"
    );
    assert_eq!(first.views.len(), projections::ALL.len());
    let again = moved(&folder(&home), &postgres).await.unwrap();
    assert!(again.same && again.copied == 0 && again.attempts == 0, "{again:?}");
    let back = empty();
    let second = moved(&postgres, &folder(&back)).await.unwrap();
    assert!(second.same && second.copied == first.copied, "{second:?}");
    let app = App::open(&config(back.path()), Handles::default()).await.unwrap();
    assert_eq!(app.log.heads().await.unwrap(), heads);
    let came_back = app.log.raw_rows(Position::START, 10_000).await.unwrap();
    let whole = |rows: &[event_log::RawRow]| {
        rows.iter()
            .map(|r| (r.position, r.business, r.seq, r.event_id, r.leaf.clone(), r.bytes.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(whole(&came_back), whole(&rows), "every byte, id and place");
    app.caught_up(std::time::Duration::from_secs(30)).await.unwrap();
    let ask = "{ business(slug: \"acme\") { tasks(last: 2) { nodes { title { text } } } } }";
    let viewer = app.viewer(server::app::operator()).await.unwrap();
    let answer =
        serde_json::to_value(app.api.execute(server::app::graphql_request(ask, viewer)).await)
            .unwrap();
    let titles = &answer["data"]["business"]["tasks"]["nodes"];
    assert_eq!(
        (&titles[0]["title"]["text"], &titles[1]["title"]["text"]),
        (&json!("forgotten"), &json!("canary")),
        "keys moved, and the destroyed one did not come back"
    );
    assert!(server::verify::verify_open(&app.log).await.unwrap().fault.is_none());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_goes_on_where_it_was_and_refuses_what_is_no_copy() {
    let installation = business().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let home = installation.close().await;
    let target = empty();
    assert!(moved(&folder(&home), &folder(&target)).await.unwrap().same);
    let app = App::open(&config(home.path()), Handles::default()).await.unwrap();
    for n in 0..30 {
        app.as_operator(
            &format!("later {n}"),
            "tasks.plan",
            None,
            &json!({"title": "later", "team": "hr"}),
            business,
        )
        .await
        .unwrap();
    }
    let locked = moved(&folder(&home), &folder(&target)).await.unwrap_err();
    assert!(locked.contains("in use by another minutebook process"), "{locked}");
    app.close().await;
    let rest = moved(&folder(&home), &folder(&target)).await.unwrap();
    assert!(rest.same && rest.copied == 30, "{rest:?}");
    let ahead = moved(&folder(&target), &folder(&home)).await.unwrap();
    assert!(ahead.same && ahead.copied == 0);
    let other = Installation::at("").await;
    other.business("strange").await;
    let other = other.close().await;
    for (from, to) in [(&home, &other), (&other, &home)] {
        let refused = moved(&folder(from), &folder(to)).await.unwrap_err();
        assert!(
            refused.contains("other events")
                || refused.contains("not a copy")
                || refused.contains("another keyring"),
            "{refused}"
        );
    }
    let nothing = moved(&folder(&TempDir::new().unwrap()), &folder(&target)).await.unwrap_err();
    assert!(nothing.contains("there is no log"), "{nothing}");
    assert!(moved(&folder(&home), &folder(&home)).await.unwrap_err().contains("the same"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_again_and_again_goes_on_and_ends_with_the_same_roots() {
    let installation = business().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let plans = (0..2_000).map(|n| {
        let app = std::sync::Arc::clone(&installation.app);
        async move {
            let data = json!({"title": format!("t{n}"), "team": "hr"});
            app.as_operator(&format!("plan {n}"), "tasks.plan", None, &data, business)
                .await
                .unwrap();
        }
    });
    futures_util::future::join_all(plans).await;
    let heads = installation.app.log.heads().await.unwrap();
    let home = installation.close().await;
    let url = database().await;
    let target = log_postgres::PostgresLog::open(&url).await.unwrap();
    let (mut at, mut kills) = (0, 0);
    let done = loop {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_minutebook-for-tests"));
        command.arg("copy").arg("--from").arg(home.path()).args(["--to", &url]);
        let mut copying = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Once it has written something more it is killed; a few times, and then it may end.
        let before = at;
        let status = loop {
            at = target.consistent_heads().await.unwrap().1.0;
            if kills < 3 && at > before {
                copying.kill().unwrap();
            }
            if let Some(status) = copying.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        };
        if status.code().is_some() {
            break status;
        }
        kills += 1;
    };
    assert!(done.success() && kills >= 1, "{done}, after {kills} kills");
    assert_eq!(target.heads().await.unwrap(), heads);
    let last = moved(&folder(&home), &copy::Installation::Postgres(url)).await.unwrap();
    assert!(last.same && last.copied == 0, "{last:?}");
}

/// Round three stores, and what becomes of places on the way.
#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
async fn a_business_moves_to_kurrentdb_to_postgres_and_back_with_the_same_roots_and_views() {
    use event_log::consumers::{Consumers as _, LocalConsumers};
    let installation = business().await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    installation
        .must(
            business,
            "tasks.plan",
            None,
            json!({"title": "canary", "team": "hr", "serves": business.derive_id("ada")}),
        )
        .await;
    installation.forgets(business, business.derive_id("ada")).await;
    let (heads, rows) = (
        installation.app.log.heads().await.unwrap(),
        installation.app.log.raw_rows(Position::START, 10_000).await.unwrap(),
    );
    let (stands, end) = (rows[rows.len() / 2].clone(), rows.len() as u64);
    let home = installation.close().await;
    let local = LocalConsumers::open(&home.path().join("consumers.db")).unwrap();
    let claim = local.claim("amqp", uuid::Uuid::now_v7()).await.unwrap().unwrap();
    assert!(local.advance("amqp", claim.epoch, stands.position).await.unwrap());
    drop(local);
    let (cluster, beside, back) = (tests::streams::Cluster::start().await, empty(), empty());
    let kurrent = copy::Installation::Kurrent {
        url: cluster.address(),
        folder: beside.path().to_owned(),
        keys: String::new(),
    };
    let postgres = copy::Installation::Postgres(database().await);
    let way = [folder(&home), kurrent.clone(), postgres, folder(&back)];
    for (n, two) in way.windows(2).enumerate() {
        let there = moved(&two[0], &two[1]).await.unwrap();
        assert!(
            there.same && there.copied == end && there.views.len() == projections::ALL.len(),
            "stop {n}: {there:?}"
        );
    }
    let again = moved(&folder(&home), &kurrent).await.unwrap();
    assert!(again.same && again.copied == 0, "{again:?}");
    let other = Installation::at("").await;
    other.business("strange").await;
    let other = other.close().await;
    let refused = moved(&folder(&other), &kurrent).await.unwrap_err();
    assert!(
        refused.contains("other events")
            || refused.contains("not a copy")
            || refused.contains("another keyring"),
        "{refused}"
    );
    let same = wrapping(
        &folder(&home),
        &copy::Installation::Kurrent {
            url: cluster.address(),
            folder: home.path().to_owned(),
            keys: String::new(),
        },
        std::path::Path::new(""),
    );
    assert!(same.err().unwrap().said().contains("a folder each"));
    // The cluster serves: places are its own, and a place of before is refused with the way to go
    // on.
    let mut settings = config(beside.path());
    settings.log = cluster.address();
    let app = std::sync::Arc::new(App::open(&settings, Handles::default()).await.unwrap());
    assert_eq!(app.log.heads().await.unwrap(), heads);
    let consumer = app.consumers.list().await.unwrap().remove(0);
    let at = app.log.read_back(consumer.position.next(), 1).await.unwrap().remove(0);
    assert_eq!(
        (consumer.name.as_str(), at.bytes, at.position),
        ("amqp", stands.bytes.clone(), consumer.position),
        "it stands at the same event"
    );
    assert!(consumer.position > stands.position && app.log.positions_have_gaps());
    let (_, secret) = app.issue_key(server::app::operator()).await.unwrap();
    let door = server::http::listen(
        std::sync::Arc::clone(&app),
        server::http::Entrance {
            address: "127.0.0.1:0".to_owned(),
            workers: 1,
            ..Default::default()
        },
    )
    .unwrap();
    let (url, stop) =
        (format!("http://{}/v1/events?follow=false&after=", door.address), door.stop());
    let serving = tokio::spawn(door.server);
    let key = format!("Bearer {}", secret.reveal());
    let feed = async |after: String| {
        let (url, key) = (format!("{url}{after}"), key.clone());
        let ask = move || {
            ureq::get(url)
                .config()
                .http_status_as_error(false)
                .build()
                .header("Authorization", key)
                .call()
                .unwrap()
        };
        let mut answer = tokio::task::spawn_blocking(ask).await.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let (status, why) = feed(stands.position.to_string()).await;
    assert!(status == 400 && why.contains("after=<business id>:<seq>"), "{status} {why}");
    let (status, rest) = feed(format!("{}:{}", stands.business, stands.seq)).await;
    let (by_place, same) = feed(consumer.position.to_string()).await;
    assert!(
        status == 200 && by_place == 200 && !rest.is_empty() && rest == same,
        "by business and seq as by the new place"
    );
    stop.now();
    let _ = serving.await;
    app.log.close().await;
    drop(app);
    let app = App::open(&config(back.path()), Handles::default()).await.unwrap();
    assert_eq!(app.log.heads().await.unwrap(), heads);
    let came_back: Vec<_> = app
        .log
        .raw_rows(Position::START, 10_000)
        .await
        .unwrap()
        .into_iter()
        .map(|r| (r.position, r.event_id, r.bytes))
        .collect();
    assert_eq!(
        came_back,
        rows.into_iter().map(|r| (r.position, r.event_id, r.bytes)).collect::<Vec<_>>(),
        "every byte, id and place"
    );
    assert_eq!(
        app.consumers.list().await.unwrap().remove(0).position,
        stands.position,
        "and the consumer stands where it stood"
    );
    app.close().await;
}
