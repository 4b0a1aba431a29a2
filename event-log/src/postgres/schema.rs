//! The schema: made and brought up to date step by step, and whether this program can work with one.

use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{ANSWER_MAX, log_error, options, read, within};
use crate::log::LogError;

/// Longest that connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

fn migrations() -> Migrator {
    let all = [
        (1, "log", include_str!("migrations/1_log.sql")),
        (2, "roles", include_str!("migrations/2_roles.sql")),
        (3, "move", include_str!("migrations/3_move.sql")),
        (4, "works with", include_str!("migrations/4_works_with.sql")),
        (5, "forgettings", include_str!("migrations/5_forgettings.sql")),
    ];
    let one = |(version, name, sql): (i64, &'static str, &'static str)| Migration::new(version, name.into(), MigrationType::Simple, sql.into(), false);
    // Steps of a later program are none of ours.
    Migrator { migrations: all.map(one).to_vec().into(), ignore_missing: true, ..Migrator::DEFAULT }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, LogError> {
    within(CONNECT_MAX, options.connect()).await.map_err(|e| log_error(&e))
}

/// Makes or brings up to date the schema of a database; says how many steps there were.
///
/// # Errors
/// When the database can't be reached, or the one who asks may not.
pub async fn migrate(url: &str) -> Result<usize, LogError> {
    let mut connection = connect(&options(url, None)?).await?;
    let version: i32 = read(sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut connection)).await?;
    if version < 150_000 {
        return Err(LogError::Storage(format!("PostgreSQL {} is too old: 15 or later is needed", version / 10_000)));
    }
    read(connection.execute("CREATE SCHEMA IF NOT EXISTS minutebook")).await?;
    let before = applied(&mut connection).await.unwrap_or_default();
    let missing = migrations().iter().filter(|m| !before.contains(&m.version)).count();
    migrations().run_direct(&mut connection).await.map_err(|e| LogError::Storage(format!("the schema could not be made: {e}")))?;
    let _ = connection.close().await;
    Ok(missing)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let asked = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version").fetch_all(connection);
    within(ANSWER_MAX, asked).await
}

/// Whether this program can work with the schema: it has every step that the program knows, and those
/// that came later took nothing away.
pub(super) async fn check(url: &str) -> Result<(), LogError> {
    let mut connection = connect(&options(url, Some("minutebook_app"))?).await?;
    let there = applied(&mut connection).await.map_err(|e| log_error(&e))?;
    let known: Vec<i64> = migrations().iter().map(|m| m.version).collect();
    let what = if known.iter().any(|step| !there.contains(step)) {
        Some("older than this program: run `minutebook migrate --log …`")
    } else {
        let oldest: i64 = read(sqlx::query_scalar("SELECT oldest FROM works_with").fetch_one(&mut connection)).await?;
        (known.last() < Some(&oldest)).then_some("newer than this program can work with: start a newer minutebook")
    };
    let _ = connection.close().await;
    what.map_or(Ok(()), |what| Err(LogError::Storage(format!("the schema in PostgreSQL is {what}"))))
}
