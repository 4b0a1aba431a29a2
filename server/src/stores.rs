//! Where the log, its keys and its attempts lie: in the data folder, in PostgreSQL or in KurrentDB.

use std::path::Path;
use std::sync::Arc;

use event_log::attempts::Attempts;
use event_log::consumers::{Consumers, LocalConsumers};
use event_log::keyring::{Chest, LocalKeyring, Wrapping};
use event_log::sqlite::{Options, SqliteLog};
use event_log::{Entropy, EventLog, Keyring};

use crate::app::AppError;
use crate::config::Config;

/// The log with what lies beside it.
pub(crate) struct Stores {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) consumers: Arc<dyn Consumers>,
}

/// Opens what the settings name.
pub(crate) async fn open(config: &Config, options: &Options, wrapping: &Wrapping, entropy: Entropy) -> Result<Stores, AppError> {
    match config.log.split_once("://").map(|(scheme, _)| scheme) {
        None if config.log.is_empty() => in_folder(&config.data, options, wrapping, entropy),
        Some("postgres" | "postgresql") => in_postgres(&config.log, wrapping, entropy).await,
        Some("esdb" | "esdb+discover") => in_kurrent(&config.log, &config.data, &config.keys, wrapping, entropy).await,
        Some("kdb" | "kurrent" | "kurrentdb" | "eventstore" | "kdb+discover" | "kurrent+discover" | "kurrentdb+discover") => {
            Err(AppError::other("not supported: write the address of KurrentDB as esdb://… or esdb+discover://…; it is the same server"))
        }
        Some(_) | None => Err(AppError::other("not supported: --log must be a postgres:// or esdb:// address, or be left out for a log in the data folder")),
    }
}

/// Opens those of a data folder whose lock the caller holds.
pub(crate) fn in_folder(folder: &Path, options: &Options, wrapping: &Wrapping, entropy: Entropy) -> Result<Stores, AppError> {
    Ok(Stores {
        log: Arc::new(SqliteLog::open(folder, options)?),
        keyring: Arc::new(LocalKeyring::open(&folder.join("keys.db"), wrapping, entropy)?),
        attempts: Arc::new(Attempts::open(&folder.join("attempts.db"))?),
        consumers: Arc::new(LocalConsumers::open(&folder.join("consumers.db"))?),
    })
}

/// The keyring of a database, as it is kept.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres_chest(url: &str) -> Result<Chest, AppError> {
    Ok(event_log::postgres::chest(url).await?)
}

/// Puts a keyring into a database.
#[cfg(feature = "postgres")]
pub(crate) async fn put_postgres_chest(url: &str, chest: &Chest) -> Result<(), AppError> {
    Ok(event_log::postgres::put_chest(url, chest).await?)
}

#[cfg(not(feature = "postgres"))]
fn without_postgres() -> AppError {
    AppError::other("not supported: this program was built without PostgreSQL; build it with `--features postgres`")
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn postgres_chest(_: &str) -> Result<Chest, AppError> {
    Err(without_postgres())
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn put_postgres_chest(_: &str, _: &Chest) -> Result<(), AppError> {
    Err(without_postgres())
}

/// Opens those of a database.
#[cfg(feature = "postgres")]
pub(crate) async fn in_postgres(url: &str, wrapping: &Wrapping, entropy: Entropy) -> Result<Stores, AppError> {
    use event_log::postgres::{PostgresConsumers, PostgresKeyring, PostgresLog};
    let log = PostgresLog::open(url).await?;
    let keyring = Arc::new(PostgresKeyring::open(url, wrapping, entropy).await?);
    let attempts = Arc::new(Attempts::in_postgres(&log));
    let consumers = Arc::new(PostgresConsumers::of(&log));
    Ok(Stores { log: Arc::new(log), keyring, attempts, consumers })
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn in_postgres(_: &str, _: &Wrapping, _: Entropy) -> Result<Stores, AppError> {
    Err(without_postgres())
}

/// Opens those of a cluster; the mirror, the attempts and, unless they are elsewhere, the keys are in a
/// folder whose lock the caller holds.
#[cfg(feature = "kurrentdb")]
pub(crate) async fn in_kurrent(url: &str, folder: &Path, keys: &str, wrapping: &Wrapping, entropy: Entropy) -> Result<Stores, AppError> {
    use event_log::kurrent::{KurrentConsumers, KurrentLog};
    // First: its client is the one that puts the process's TLS provider there.
    let connecting = KurrentLog::prepare(url)?;
    let keyring: Arc<dyn Keyring> = if keys.is_empty() {
        Arc::new(LocalKeyring::open(&folder.join("keys.db"), wrapping, entropy)?)
    } else {
        postgres_keyring(keys, wrapping, entropy).await?
    };
    let log = Arc::new(connecting.open(folder, Arc::clone(&keyring)).await?);
    let serving = if keys.is_empty() { log.serve_alone().await } else { log.serve_together().await };
    if let Err(e) = serving {
        log.close().await;
        return Err(e.into());
    }
    let attempts = Arc::new(Attempts::open(&folder.join("attempts.db"))?);
    let consumers = Arc::new(KurrentConsumers::of(&log));
    Ok(Stores { log, keyring, attempts, consumers })
}

#[cfg(not(feature = "kurrentdb"))]
pub(crate) async fn in_kurrent(_: &str, _: &Path, _: &str, _: &Wrapping, _: Entropy) -> Result<Stores, AppError> {
    Err(AppError::other("not supported: this program was built without KurrentDB; build it with `--features kurrentdb`"))
}

#[cfg(all(feature = "kurrentdb", feature = "postgres"))]
async fn postgres_keyring(url: &str, wrapping: &Wrapping, entropy: Entropy) -> Result<Arc<dyn Keyring>, AppError> {
    Ok(Arc::new(event_log::postgres::PostgresKeyring::open(url, wrapping, entropy).await?))
}

#[cfg(all(feature = "kurrentdb", not(feature = "postgres")))]
async fn postgres_keyring(_: &str, _: &Wrapping, _: Entropy) -> Result<Arc<dyn Keyring>, AppError> {
    Err(without_postgres())
}

/// Makes or brings up to date the schema of a log in PostgreSQL; says how many steps there were.
pub(crate) async fn migrate(config: &Config) -> Result<usize, AppError> {
    let url = if config.log.starts_with("postgres") { &config.log } else { &config.keys };
    if !url.starts_with("postgres") {
        return Err(AppError::other("there is nothing to migrate in a data folder or in KurrentDB; give --log (or --keys) postgres://user@host/database"));
    }
    #[cfg(feature = "postgres")]
    return Ok(event_log::postgres::migrate(url).await?);
    #[cfg(not(feature = "postgres"))]
    Err(without_postgres())
}
