//! Who may do what in PostgreSQL.

use event_log::EventLog as _;
use event_log::postgres::{PostgresLog, migrate};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::installation::Installation;
use tests::postgres::{database, own};
use tests::samples::{append, business, task};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_can_neither_change_nor_delete_an_event_and_the_auditor_only_reads() {
    let url = database().await;
    PostgresLog::open(&url).await.unwrap().append(append(business(1), task(1), 0, 1, "a")).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (role, sql) in [
        ("minutebook_app", "UPDATE minutebook.events SET bytes = ''"),
        ("minutebook_app", "DELETE FROM minutebook.events"),
        ("minutebook_app", "TRUNCATE minutebook.events"),
        (
            "minutebook_app",
            "INSERT INTO minutebook.events SELECT position + 1, business, seq + 1, kind, id, version + 1, gen_random_uuid(), leaf, bytes FROM minutebook.events",
        ),
        ("minutebook_app", "UPDATE minutebook.log SET position = 0"),
        ("minutebook_app", "UPDATE minutebook.heads SET seq = 0"),
        ("minutebook_app", "SELECT * FROM minutebook_keys.keys"),
        ("minutebook_keys", "SELECT * FROM minutebook.events"),
        ("minutebook_auditor", "SELECT * FROM minutebook_keys.keys"),
        ("minutebook_auditor", "DELETE FROM minutebook.attempts"),
        ("minutebook_auditor", "SELECT minutebook.append(0, '{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')"),
    ] {
        connection.execute(format!("SET ROLE {role}").as_str()).await.unwrap();
        let refused = connection.execute(sql).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{role}: {sql}: {refused}");
        connection.execute("RESET ROLE").await.unwrap();
    }
    connection.execute("SET ROLE minutebook_auditor").await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM minutebook.es_events").fetch_one(&mut connection).await.unwrap();
    assert_eq!(seen, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_reads_history_with_psql() {
    let url = database().await;
    let installation = Installation::at(&url).await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "canary", "team": "hr"})).await;
    let mut owner = PgConnection::connect(&url).await.unwrap();
    // The cluster is shared by tests: the role may be there.
    owner.execute("CREATE ROLE an_auditor LOGIN").await.ok();
    owner.execute("GRANT minutebook_auditor TO an_auditor").await.unwrap();
    let url = url.replace("postgres@", "an_auditor@");
    let psql = |sql: &'static str| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || std::process::Command::new("psql").args([url.as_str(), "-XAtc", sql]).output().expect("psql is installed"))
    };
    let out = psql("SELECT event_type, event_version, sequence FROM minutebook.es_events WHERE aggregate_type = 'task'").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "tasks.planned|1|1", "{}", String::from_utf8_lossy(&out.stderr));
    let out = psql("SELECT payload->'data'->>'title' FROM minutebook.es_events WHERE aggregate_type = 'task'").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "{\"$sealed\":0}", "what is personal is sealed here too");
    let out = psql("DELETE FROM minutebook.events").await.unwrap();
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("permission denied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_who_is_no_superuser_migrates_and_a_login_with_two_roles_serves() {
    let cluster = own(None, false).await;
    let mut superuser = tests::postgres::connect(&format!("{}/postgres", cluster.url)).await;
    for sql in ["CREATE ROLE house LOGIN CREATEROLE", "CREATE DATABASE house OWNER house", "CREATE ROLE app LOGIN"] {
        superuser.execute(sql).await.unwrap();
    }
    let as_user = |user: &str| format!("{}/house", cluster.url.replace("postgres@", &format!("{user}@")));
    let refused = migrate(&as_user("app")).await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    assert_eq!(migrate(&as_user("house")).await.unwrap(), 5);
    superuser.execute("GRANT minutebook_app, minutebook_keys TO app").await.unwrap();
    let served = Installation::at(&as_user("app")).await;
    let business = served.business("acme").await;
    served.must(business, "tasks.plan", None, json!({"title": "sealed and read", "team": "hr"})).await;
    let seen = served.query("{ business(slug: \"acme\") { tasks { nodes { title { text } } } } }").await;
    assert_eq!(seen["business"]["tasks"]["nodes"][0]["title"]["text"], "sealed and read");
    served.verifies().await;
}
