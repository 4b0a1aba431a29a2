//! Who may do what in PostgreSQL.

use event_log::Log as _;
use log_postgres::{PostgresLog, migrate, role_name};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::Said as _;
use tests::installation::Installation;
use tests::postgres::{database, own};
use tests::samples::{append, business, task};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_can_neither_change_nor_delete_an_event_and_the_auditor_only_reads() {
    let url = database().await;
    PostgresLog::open(&url)
        .await
        .unwrap()
        .append(append(business(1), task(1), 0, 1, "a"))
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (role, sql) in [
        (
            "app",
            "INSERT INTO minutebook.events SELECT position + 1, business, seq + 1, kind, id, \
             version + 1, gen_random_uuid(), leaf, bytes FROM minutebook.events",
        ),
        ("app", "SELECT * FROM minutebook_keys.keys"),
        ("app", "SELECT minutebook_keys.destroy_keys(gen_random_uuid(), gen_random_uuid(), 1)"),
        ("keys", "SELECT * FROM minutebook.events"),
        ("keys", "SELECT minutebook.prune_attempts(gen_random_uuid())"),
        ("auditor", "SELECT * FROM minutebook_keys.keys"),
        (
            "auditor",
            "SELECT minutebook.append(0, \
             '{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')",
        ),
    ] {
        connection.execute(format!("SET ROLE {}", role_of(&url, role)).as_str()).await.unwrap();
        let refused = connection.execute(sql).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{role}: {sql}: {refused}");
        connection.execute("RESET ROLE").await.unwrap();
    }
    connection.execute(format!("SET ROLE {}", role_of(&url, "auditor")).as_str()).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM minutebook.es_events")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(seen, 1);
}

fn role_of(url: &str, of: &str) -> String {
    role_name(of, url.rsplit('/').next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_role_can_drop_alter_empty_change_or_unguard_a_table() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let sql = "SELECT format('%I.%I', schemaname, tablename), (SELECT column_name::text FROM \
        information_schema.columns c
                 WHERE c.table_schema = schemaname AND c.table_name = tablename ORDER BY \
                 ordinal_position DESC LIMIT 1)
               FROM pg_tables WHERE schemaname IN ('minutebook', 'minutebook_keys') ORDER BY 1";
    let tables: Vec<(String, String)> =
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() >= 12, "{tables:?}");
    // What is theirs to move, and nothing else.
    let may = [("app", "minutebook.consumers"), ("keys", "minutebook_keys.applied")];
    for role in ["app", "keys", "auditor"] {
        for (table, column) in &tables {
            for attack in [
                format!("DROP TABLE {table}"),
                format!("ALTER TABLE {table} ADD COLUMN more int"),
                format!("ALTER TABLE {table} OWNER TO CURRENT_USER"),
                format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
                format!("TRUNCATE {table}"),
                format!("DELETE FROM {table}"),
                format!("UPDATE {table} SET {column} = {column}"),
            ] {
                if attack.starts_with("UPDATE") && may.contains(&(role, table.as_str())) {
                    continue;
                }
                let mut tx = connection.begin().await.unwrap();
                tx.execute(format!("SET LOCAL ROLE {}", role_of(&url, role)).as_str())
                    .await
                    .unwrap();
                let refused = tx
                    .execute(attack.as_str())
                    .await
                    .expect_err(&format!("{role}: {attack}"))
                    .to_string();
                assert!(
                    refused.contains("permission denied") || refused.contains("must be owner"),
                    "{role}: {attack}: {refused}"
                );
                tx.rollback().await.unwrap();
            }
        }
    }
    let owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE \
        r.rolname LIKE 'minutebook\\_%'";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(owned).fetch_one(&mut connection).await.unwrap(),
        0,
        "they own nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_of_one_installation_reads_nothing_of_another_in_the_cluster() {
    let cluster = own(None, false).await;
    let mut superuser = tests::postgres::connect(&format!("{}/postgres", cluster.url)).await;
    for name in ["one", "other"] {
        for sql in [format!("CREATE ROLE {name} LOGIN"), format!("CREATE DATABASE {name}")] {
            superuser.execute(sql.as_str()).await.unwrap();
        }
        migrate(&format!("{}/{name}", cluster.url)).await.unwrap();
        let grant =
            format!("GRANT {}, {} TO {name}", role_name("app", name), role_name("keys", name));
        superuser.execute(grant.as_str()).await.unwrap();
    }
    let at = |user: &str, database: &str| {
        format!("{}/{database}", cluster.url.replace("postgres@", &format!("{user}@")))
    };
    Installation::at(&at("one", "one")).await.business("acme").await;
    let refused = PostgresLog::open(&at("other", "one")).await.err().unwrap().said();
    assert!(refused.contains("permission denied"), "{refused}");
    let mut stranger = PgConnection::connect(&at("other", "one")).await.unwrap();
    for sql in ["SELECT * FROM minutebook.events", "SELECT * FROM minutebook_keys.keys"] {
        assert!(
            stranger.execute(sql).await.unwrap_err().said().contains("permission denied"),
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restore_left_without_owners_and_grants_is_not_ready_until_migrate_repairs_it() {
    let url = database().await;
    let served = Installation::at(&url).await;
    served.business("acme").await;
    served.app.caught_up(std::time::Duration::from_secs(30)).await.unwrap();
    let door = crate::door::Door::on(served).await;
    assert_eq!(door.send("GET", "/readyz", None, &[], "").await.status, 200);
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    let keys = role_of(&url, "keys");
    superuser
        .execute(format!("REVOKE ALL ON ALL TABLES IN SCHEMA minutebook_keys FROM {keys}").as_str())
        .await
        .unwrap();
    let told = door.until_ready_is(503).await;
    assert!(told["why"].as_str().unwrap().contains("minutebook migrate"), "{told}");
    assert_eq!(migrate(&url).await.unwrap(), 0);
    door.until_ready_is(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dba_runs_the_printed_sql_and_migrate_has_nothing_left_to_do() {
    let url = tests::postgres::empty_database().await;
    let sql = log_postgres::print(&url).await.unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("migrate.sql");
    std::fs::write(&file, sql).unwrap();
    let (to, from) = (url.clone(), file.clone());
    let psql = move || {
        std::process::Command::new("psql")
            .args([to.as_str(), "-Xq", "-f"])
            .arg(from)
            .output()
            .expect("psql is installed")
    };
    let out = tokio::task::spawn_blocking(psql).await.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(migrate(&url).await.unwrap(), 0);
    Installation::at(&url).await.business("acme").await;
    assert!(!log_postgres::print(&url).await.unwrap().contains("-- step"), "only what is missing");
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
    owner
        .execute(format!("GRANT {} TO an_auditor", role_of(&url, "auditor")).as_str())
        .await
        .unwrap();
    let url = url.replace("postgres@", "an_auditor@");
    let psql = |sql: &'static str| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            std::process::Command::new("psql")
                .args([url.as_str(), "-XAtc", sql])
                .output()
                .expect("psql is installed")
        })
    };
    let out = psql(
        "SELECT event_type, event_version, sequence FROM minutebook.es_events WHERE \
        aggregate_type = 'task'",
    )
    .await
    .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.stdout).trim(),
        "tasks.planned|1|1",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let out = psql(
        "SELECT payload->'data'->>'title' FROM minutebook.es_events WHERE aggregate_type = 'task'",
    )
    .await
    .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.stdout).trim(),
        "{\"$sealed\":0}",
        "what is personal is sealed here too"
    );
    let out = psql("DELETE FROM minutebook.events").await.unwrap();
    assert!(
        !out.status.success() && String::from_utf8_lossy(&out.stderr).contains("permission denied")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_who_is_no_superuser_migrates_and_a_login_with_two_roles_serves() {
    let cluster = own(None, false).await;
    let mut superuser = tests::postgres::connect(&format!("{}/postgres", cluster.url)).await;
    for sql in [
        "CREATE ROLE house LOGIN CREATEROLE",
        "CREATE DATABASE house OWNER house",
        "CREATE ROLE app LOGIN",
    ] {
        superuser.execute(sql).await.unwrap();
    }
    let as_user =
        |user: &str| format!("{}/house", cluster.url.replace("postgres@", &format!("{user}@")));
    let refused = migrate(&as_user("app")).await.unwrap_err().said();
    assert!(refused.contains("permission denied"), "{refused}");
    assert_eq!(migrate(&as_user("house")).await.unwrap(), 6);
    superuser
        .execute(
            format!("GRANT {}, {} TO app", role_name("app", "house"), role_name("keys", "house"))
                .as_str(),
        )
        .await
        .unwrap();
    let served = Installation::at(&as_user("app")).await;
    let business = served.business("acme").await;
    served
        .must(business, "tasks.plan", None, json!({"title": "sealed and read", "team": "hr"}))
        .await;
    let seen =
        served.query("{ business(slug: \"acme\") { tasks { nodes { title { text } } } } }").await;
    assert_eq!(seen["business"]["tasks"]["nodes"][0]["title"]["text"], "sealed and read");
    served.verifies().await;
}
