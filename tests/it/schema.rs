//! The schema in PostgreSQL: brought up to date with what is in it, and older programs on a newer
//! one; what followers are told, and what they find by themselves.

use event_log::{Inspect as _, Log as _, Position, Seq};
use std::sync::Arc;
use std::time::Duration;
use tests::Said as _;

use log_postgres::{PostgresLog, migrate};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::postgres::{database, empty_database};
use tests::samples::{append, business, task};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Takes the first steps only, as an older program would.
async fn migrate_as_before(url: &str) {
    let steps = [
        (1, "log", include_str!("../../log-postgres/migrations/1_log.sql")),
        (2, "roles", include_str!("../../log-postgres/migrations/2_roles.sql")),
    ];
    let one = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into(), false)
    };
    let mut connection = connect(url).await;
    connection.execute("CREATE SCHEMA minutebook; SET search_path = minutebook").await.unwrap();
    Migrator { migrations: steps.map(one).to_vec().into(), ..Migrator::DEFAULT }
        .run_direct(&mut connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_schema_is_brought_up_to_date_with_what_is_in_it() {
    let (older, newer) = (empty_database().await, database().await);
    migrate_as_before(&older).await;
    let log = PostgresLog::open(&newer).await.unwrap();
    log.append(append(business(1), task(1), 0, 5, "a")).await.unwrap();
    let rows = async |log: &PostgresLog| {
        log.raw_rows(Position::START, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|r| (r.position, r.event_id, r.bytes))
            .collect::<Vec<_>>()
    };
    let before = rows(&log).await;
    let (mut from, mut to) = (connect(&newer).await, connect(&older).await);
    for table in ["events", "heads", "log"] {
        let sql = format!("SELECT coalesce(json_agg(t), '[]')::text FROM minutebook.{table} t");
        let content: String = sqlx::query_scalar(&sql).fetch_one(&mut from).await.unwrap();
        to.execute(format!("DELETE FROM minutebook.{table}").as_str()).await.unwrap();
        let sql = format!(
            "INSERT INTO minutebook.{table} SELECT * FROM \
             json_populate_recordset(NULL::minutebook.{table}, $1::json)"
        );
        sqlx::query(&sql).bind(content).execute(&mut to).await.unwrap();
    }
    let says = PostgresLog::open(&older).await.err().unwrap().said();
    assert!(
        says.contains("older than this program, or not there: run `minutebook migrate"),
        "{says}"
    );
    assert_eq!(migrate(&older).await.unwrap(), 4, "the steps that were missing");
    let log = PostgresLog::open(&older).await.unwrap();
    assert_eq!(rows(&log).await, before);
    log.append(append(business(1), task(1), 5, 1, "a")).await.unwrap();
    assert_eq!(log.head(business(1)).await.unwrap().unwrap().seq, Seq(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_only_grew_serves_this_program_and_one_that_lost_something_does_not() {
    let url = database().await;
    let mut connection = connect(&url).await;
    connection
        .execute(
            "INSERT INTO minutebook._sqlx_migrations VALUES (99, 'later', now(), true, '\\x00', 1)",
        )
        .await
        .unwrap();
    let log = PostgresLog::open(&url).await.unwrap();
    log.append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    assert_eq!(migrate(&url).await.unwrap(), 0, "an older program has nothing to do here");
    connection.execute("UPDATE minutebook.works_with SET oldest = 99").await.unwrap();
    let says = PostgresLog::open(&url).await.err().unwrap().said();
    assert!(
        says.contains("newer than this program can work with: start a newer minutebook"),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_told_once_a_batch_and_find_by_themselves_what_nobody_told() {
    let url = database().await;
    let log = Arc::new(PostgresLog::open(&url).await.unwrap());
    let mut listening = sqlx::postgres::PgListener::connect(&url).await.unwrap();
    listening.listen("minutebook").await.unwrap();
    // Nobody gets any further while they queue up: what the first call leaves goes in the second.
    let mut other = connect(&url).await;
    other.execute("BEGIN").await.unwrap();
    other.execute("SELECT position FROM minutebook.log FOR UPDATE").await.unwrap();
    let mut pending = Vec::new();
    for n in 0..200 {
        pending.push(log.enqueue(append(business(n), task(1), 0, 1, "a")).await.unwrap());
    }
    other.execute("COMMIT").await.unwrap();
    for one in pending {
        one.done().await.unwrap();
    }
    let mut told = Vec::new();
    while told.last() != Some(&200) {
        let next = tokio::time::timeout(Duration::from_secs(60), listening.recv())
            .await
            .expect("they are told")
            .unwrap();
        told.push(next.payload().parse::<u64>().unwrap());
    }
    assert!(told.is_sorted() && told.len() <= 3, "one word for many: {told:?}");

    // As if the word had got lost: written by somebody who tells nobody.
    let mut silent = connect(&url).await;
    let sql = "INSERT INTO minutebook.events SELECT 201, business, 2, kind, id, 2, \
        gen_random_uuid(), leaf, bytes FROM minutebook.events WHERE position = 200;
        UPDATE minutebook.log SET position = 201";
    sqlx::raw_sql(sql).execute(&mut silent).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(60), async {
        log.position().wait_for(|at| *at == Position(201)).await.map(drop)
    })
    .await;
    found.expect("it is looked for now and then").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_outlasts_a_lock_that_is_held_too_long() {
    let url = database().await;
    let log = PostgresLog::open(&url).await.unwrap();
    log.append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    let mut other = connect(&url).await;
    other.execute("BEGIN").await.unwrap();
    other.execute("SELECT position FROM minutebook.log FOR UPDATE").await.unwrap();
    let pending = log.enqueue(append(business(1), task(1), 1, 1, "a")).await.unwrap();
    // Longer than the server lets it wait: it is refused there, and tried again.
    tokio::time::sleep(Duration::from_secs(11)).await;
    other.execute("COMMIT").await.unwrap();
    assert_eq!(pending.done().await.unwrap().first_seq, Seq(2));
    assert_eq!(log.head(business(1)).await.unwrap().unwrap().seq, Seq(2));
}
