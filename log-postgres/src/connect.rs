//! Connects to the database: options of the address, pools and roles.

use super::{IDLE_IN_TRANSACTION_MAX, LOCK_TIMEOUT, PING_MAX, STATEMENT_TIMEOUT, within};
use event_log::{Cause, LogError};
use sha2::Digest as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use std::str::FromStr as _;
use std::time::Duration;

/// The name of a role of one database, such as `minutebook_app_acme`. If the database's name is too
/// long it is cut, and a digest of it keeps the role's name unique.
#[must_use]
pub fn role_name(of: &str, database: &str) -> String {
    /// Longest name that PostgreSQL keeps, in bytes.
    const NAME_MAX: usize = 63;
    let name = format!("minutebook_{of}_{database}");
    if name.len() <= NAME_MAX {
        return name;
    }
    let digest =
        domain::values::Digest(sha2::Sha256::digest(database.as_bytes()).into()).to_string();
    let cut: String = name
        .chars()
        .take_while({
            let mut bytes = 0;
            move |c| {
                bytes += c.len_utf8();
                bytes <= NAME_MAX - 17
            }
        })
        .collect();
    format!("{cut}_{}", digest.get(..16).unwrap_or(&digest))
}

/// Options of a connection that uses a role of its database (`app` or `keys`), or none.
pub(super) fn options(url: &str, role: Option<&str>) -> Result<PgConnectOptions, LogError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|e| LogError::Storage(Cause::new("--log is no address of PostgreSQL", e)))?;
    let settings = [
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX),
        ("search_path", "minutebook"),
        ("timezone", "UTC"),
        ("synchronous_commit", "on"),
        // A plan that was made while the tables were empty must not stay when they are not.
        ("enable_seqscan", "off"),
        // What is off counts as very dear, and what is dear would be compiled, for 40 ms.
        ("jit", "off"),
    ];
    let options =
        options.options(settings).application_name("minutebook").disable_statement_logging();
    Ok(match role {
        Some(role) => {
            let database =
                options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
            options.options([("role", role_name(role, &database))])
        }
        None => options,
    })
}

/// Makes a pool of at most `connections` connections. A returned connection that does not answer a
/// ping within [`PING_MAX`] is dropped.
pub(crate) fn pool_of(connections: u32) -> PgPoolOptions {
    let pool =
        PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(10));
    pool.after_release(|connection, _| {
        Box::pin(async move { within(PING_MAX, connection.ping()).await.map(|()| true) })
    })
}
