//! Makes the schema and brings it up to date, step by step; and checks whether this program can
//! work with a schema.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{ANSWER_MAX, log_error, options, read, role_name, within};
use event_log::Cause;
use event_log::attempts::{AGE_MICROS_MAX, Caps};
use event_log::log::LogError;

/// Longest time that connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

fn migrations() -> Migrator {
    let all = [
        (1, "log", include_str!("../migrations/1_log.sql")),
        (2, "roles", include_str!("../migrations/2_roles.sql")),
        (3, "move", include_str!("../migrations/3_move.sql")),
        (4, "works with", include_str!("../migrations/4_works_with.sql")),
        (5, "forgettings", include_str!("../migrations/5_forgettings.sql")),
        (6, "least", include_str!("../migrations/6_least.sql")),
    ];
    let one = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into(), false)
    };
    // Steps of a later program are none of ours.
    Migrator { migrations: all.map(one).to_vec().into(), ignore_missing: true, ..Migrator::DEFAULT }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, LogError> {
    within(CONNECT_MAX, options.connect()).await.map_err(log_error)
}

/// Makes the schema of a database or brings it up to date; returns the number of steps.
///
/// # Errors
/// If the database can't be reached, or the role in the address lacks the rights.
pub async fn migrate(url: &str) -> Result<usize, LogError> {
    let granting = grants(&options(url, None)?)?;
    let mut connection = connect(&options(url, None)?).await?;
    let version: i32 = read(
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut connection),
    )
    .await?;
    if version < 150_000 {
        return Err(LogError::storage(format!(
            "PostgreSQL {} is too old: 15 or later is needed",
            version / 10_000
        )));
    }
    read(connection.execute("CREATE SCHEMA IF NOT EXISTS minutebook")).await?;
    let before = applied(&mut connection).await.unwrap_or_default();
    let missing = migrations().iter().filter(|m| !before.contains(&m.version)).count();
    migrations()
        .run_direct(&mut connection)
        .await
        .map_err(|e| LogError::Storage(Cause::new("the schema could not be made", e)))?;
    let granted = within(CONNECT_MAX, connection.execute(granting.as_str())).await;
    granted.map_err(|e| {
        LogError::Storage(Cause::new(
            "owners and grants could not be set; migrate as the owner of the schemas, who may \
             create roles",
            e,
        ))
    })?;
    let _ = connection.close().await;
    Ok(missing)
}

/// The SQL that sets owners and grants for the roles of one database.
fn grants(options: &PgConnectOptions) -> Result<String, LogError> {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    if !database.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        let what = "not supported: a database whose name has other characters than letters, \
            digits, _ and -; roles are named after it";
        return Err(LogError::storage(what.to_owned()));
    }
    let role = |of: &str| role_name(of, database);
    let caps = Caps::default();
    let numbers = [
        ("{per_business}", caps.per_business as u64),
        ("{per_principal}", caps.per_principal as u64),
        ("{age_micros}", AGE_MICROS_MAX),
    ];
    let mut sql = include_str!("../migrations/grants.sql")
        .replace("{app}", &role("app"))
        .replace("{keys}", &role("keys"))
        .replace("{auditor}", &role("auditor"));
    for (name, n) in numbers {
        sql = sql.replace(name, &n.to_string());
    }
    Ok(sql)
}

/// The SQL of [`migrate`] for a DBA to run with psql: the steps that the database lacks (all, if it
/// can't be reached), then owners and grants.
///
/// # Errors
/// If the address can't be parsed.
pub async fn print(url: &str) -> Result<String, LogError> {
    let wanted = options(url, None)?;
    let before = match connect(&wanted).await {
        Ok(mut connection) => applied(&mut connection).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let mut sql = "\\set ON_ERROR_STOP on\nBEGIN;\nCREATE SCHEMA IF NOT EXISTS minutebook;\nSET \
        LOCAL search_path = minutebook;\n\
        CREATE TABLE IF NOT EXISTS _sqlx_migrations(version bigint PRIMARY KEY, description text \
        NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),\n\
        \x20 success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);\n"
        .to_owned();
    for step in migrations().iter().filter(|step| !before.contains(&step.version)) {
        let checksum: String = step.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(
            sql,
            "\n-- step {} ({})\n{}\nINSERT INTO _sqlx_migrations VALUES ({}, '{}', now(), true, \
             '\\x{checksum}', 0);\n",
            step.version, step.description, step.sql, step.version, step.description
        );
    }
    let _ = write!(sql, "\n{}COMMIT;\n", grants(&wanted)?);
    Ok(sql)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let asked =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(connection);
    within(ANSWER_MAX, asked).await
}

/// Checks that this program can work with the schema: the schema has every step that the program
/// knows, and later steps removed nothing that it needs.
pub(super) async fn check(url: &str) -> Result<(), LogError> {
    let connecting = within(CONNECT_MAX, options(url, Some("app"))?.connect()).await;
    // Steps before the sixth made no role of this database alone.
    if connecting
        .as_ref()
        .is_err_and(|e| e.as_database_error().is_some_and(|d| d.code().as_deref() == Some("22023")))
    {
        let what = "older than this program, or not there: run `minutebook migrate --log …`, and \
            grant its roles to who connects";
        return Err(LogError::storage(format!("the schema in PostgreSQL is {what}")));
    }
    let mut connection = connecting.map_err(log_error)?;
    let there = applied(&mut connection).await.map_err(log_error)?;
    let known: Vec<i64> = migrations().iter().map(|m| m.version).collect();
    let what = if known.iter().any(|step| !there.contains(step)) {
        Some("older than this program: run `minutebook migrate --log …`")
    } else {
        let oldest: i64 =
            read(sqlx::query_scalar("SELECT oldest FROM works_with").fetch_one(&mut connection))
                .await?;
        (known.last() < Some(&oldest))
            .then_some("newer than this program can work with: start a newer minutebook")
    };
    let _ = connection.close().await;
    what.map_or(Ok(()), |what| {
        Err(LogError::storage(format!("the schema in PostgreSQL is {what}")))
    })
}
