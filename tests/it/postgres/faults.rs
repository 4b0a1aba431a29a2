//! What goes wrong between a server and PostgreSQL.

use super::open;
use event_log::{Log, Seq};
use log_postgres::{PostgresLog, migrate};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tests::Said as _;
use tests::postgres::{database, empty_database};
use tests::samples::{append, business, task};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn a_backend_that_is_terminated_in_mid_append_loses_and_doubles_nothing() {
    let url = database().await;
    let log = open(&url).await;
    let killer = tokio::spawn({
        let url = url.clone();
        async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE \
                datname = current_database() AND pid <> pg_backend_pid()";
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                connection.execute(kill).await.unwrap();
            }
        }
    });
    let callers = (0..8_u64).map(|caller| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for turn in 0..60 {
                let committed = log
                    .append(append(
                        business(u128::from(caller % 3)),
                        task(u128::from(caller)),
                        turn,
                        1,
                        "x",
                    ))
                    .await
                    .unwrap();
                assert!(
                    !committed.repeated,
                    "what was sent again for us is no repeat to the caller"
                );
            }
        })
    });
    for caller in futures_util::future::join_all(callers).await {
        caller.unwrap();
    }
    killer.await.unwrap();
    let mut seen = 0;
    for b in 0..3 {
        let all = loop {
            // A reader's connection may have been killed as well.
            match log.read_business(business(b), Seq::START, 10_000).await {
                Ok(all) => break all,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        assert!(all.iter().enumerate().all(|(i, r)| r.seq == Seq(i as u64 + 1)));
        seen += all.len();
    }
    assert_eq!(seen, 480);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn wrong_addresses_schemas_and_passwords_say_what_to_do() {
    let says = async |url: &str| PostgresLog::open(url).await.err().unwrap().said();
    let empty = empty_database().await;
    let unmade = says(&empty).await;
    assert!(unmade.contains("minutebook migrate"), "{unmade}");
    assert!(says("postgres://nobody@127.0.0.1:1/x").await.contains("PostgreSQL"));
    assert!(says(&empty.replace("/t", "/nothing")).await.contains("create the database"));
    let url = database().await;
    assert_eq!(migrate(&url).await.unwrap(), 0, "again is nothing");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE ROLE stranger LOGIN").await.ok();
    assert!(
        says(&url.replace("postgres@", "stranger@"))
            .await
            .contains("member of its roles minutebook_app_")
    );
    if std::env::var_os("MINUTEBOOK_TEST_POSTGRES").is_some() {
        return eprintln!(
            "a wrong password is not tried: whom MINUTEBOOK_TEST_POSTGRES lets in is its own affair"
        );
    }
    connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'").await.unwrap();
    assert!(
        says(&url.replace("postgres@", "guarded:wrong@")).await.contains("check user and password")
    );
    assert!(
        says(&url.replace("postgres@", "guarded:right@"))
            .await
            .contains("member of its roles minutebook_app_"),
        "the right one is let in"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn a_damaged_end_of_a_stream_stops_its_own_business_alone() {
    let url = database().await;
    let log = open(&url).await;
    for n in 1..3 {
        log.append(append(business(n), task(1), 0, 1, "x")).await.unwrap();
    }
    let mut owner = PgConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE minutebook.heads SET frontier = '\\x07' WHERE business = $1")
        .bind(business(1).0)
        .execute(&mut owner)
        .await
        .unwrap();
    // Known before, and asked for anew by another server.
    for log in [log, open(&url).await] {
        let version = log.read_business(business(2), Seq::START, 100).await.unwrap().len() as u64;
        let (to_damaged, to_sound) = (
            append(business(1), task(1), 1, 1, "y"),
            append(business(2), task(1), version, 1, "y"),
        );
        let (damaged, sound) =
            (log.enqueue(to_damaged).await.unwrap(), log.enqueue(to_sound).await.unwrap());
        let refused = damaged.done().await.unwrap_err().said();
        assert!(refused.contains("is damaged") && refused.contains("verify"), "{refused}");
        sound.done().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn an_exhausted_pool_is_an_error_that_says_so_and_appends_go_on() {
    let log = open(&database().await).await;
    let mut held = Vec::new();
    // The follower may have one of them.
    while let Ok(Ok(connection)) =
        tokio::time::timeout(Duration::from_secs(2), log.pool().acquire()).await
    {
        held.push(connection);
    }
    log.append(append(business(1), task(1), 0, 1, "x")).await.unwrap();
    let refused = log.read_business(business(1), Seq::START, 10).await.unwrap_err().said();
    assert!(refused.contains("are busy"), "{refused}");
    drop(held);
    assert_eq!(log.read_business(business(1), Seq::START, 10).await.unwrap().len(), 1);
}
