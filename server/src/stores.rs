//! Where the log, its keys and its attempts are stored: data folder, PostgreSQL or KurrentDB.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use event_log::attempts::Attempts;
use event_log::consumers::{Consumers, LocalConsumers};
use event_log::keyring::{Chest, IfMissing, LocalKeyring, Wrapping};
use event_log::sqlite::{Options, SqliteLog};
use event_log::{Entropy, EventLog, Keyring};

use zeroize::Zeroizing;

use crate::app::AppError;
use crate::config::Config;
use crate::presence::{self, IfNone};

/// The log, with its keyring, its attempts and its consumers.
pub(crate) struct Stores {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) consumers: Arc<dyn Consumers>,
}

/// Where the keys of a log come from.
pub(crate) enum KeySource<'a> {
    /// The settings say; keys are made for a log without events, if one may be made.
    Settings(&'a Config, IfNone),
    /// The keys were put there before the log, and this wraps them.
    Given(&'a Wrapping),
}

impl KeySource<'_> {
    /// What wraps the keys of an opened log, and whether keys may be made.
    async fn of(
        &self,
        log: &dyn EventLog,
        entropy: &Entropy,
    ) -> Result<(Cow<'_, Wrapping>, IfMissing), AppError> {
        match self {
            Self::Given(wrapping) => Ok((Cow::Borrowed(wrapping), IfMissing::Make)),
            Self::Settings(config, if_none) => {
                let new = presence::is_new(config, log, *if_none).await?;
                let if_missing = if new { IfMissing::Make } else { IfMissing::Refuse };
                Ok((Cow::Owned(wrapping(config, entropy, if_missing)?), if_missing))
            }
        }
    }
}

/// What wraps the keys: a passphrase, the key file of the settings, or that in the data folder.
fn wrapping(
    config: &Config,
    entropy: &Entropy,
    if_missing: IfMissing,
) -> Result<Wrapping, AppError> {
    if let Ok(passphrase) = std::env::var("MINUTEBOOK_KEYRING_PASSPHRASE") {
        return Ok(Wrapping::Passphrase(Zeroizing::new(passphrase)));
    }
    let own = config.data.join("keyring.key");
    let file = if config.keyring_key_file.as_os_str().is_empty() {
        &own
    } else {
        &config.keyring_key_file
    };
    Ok(match if_missing {
        IfMissing::Make => Wrapping::from_file(file, entropy)?,
        IfMissing::Refuse => Wrapping::of_file(file)?,
    })
}

/// Opens the stores that the settings name.
pub(crate) async fn open(
    config: &Config,
    options: &Options,
    keys: &KeySource<'_>,
    entropy: Entropy,
) -> Result<Stores, AppError> {
    match config.log.split_once("://").map(|(scheme, _)| scheme) {
        None if config.log.is_empty() => in_folder(&config.data, options, keys, entropy).await,
        Some("postgres" | "postgresql") => in_postgres(&config.log, keys, entropy).await,
        Some("esdb" | "esdb+discover") => {
            in_kurrent(&config.log, &config.data, &config.keys, keys, entropy).await
        }
        Some(
            "kdb" | "kurrent" | "kurrentdb" | "eventstore" | "kdb+discover" | "kurrent+discover"
            | "kurrentdb+discover",
        ) => Err(AppError::other(
            "not supported: write the address of KurrentDB as esdb://… or esdb+discover://…; it is \
             the same server",
        )),
        Some(_) | None => Err(AppError::other(
            "not supported: --log must be a postgres:// or esdb:// address, or be left out for a \
             log in the data folder",
        )),
    }
}

/// Opens the stores in a data folder whose lock the caller holds.
pub(crate) async fn in_folder(
    folder: &Path,
    options: &Options,
    keys: &KeySource<'_>,
    entropy: Entropy,
) -> Result<Stores, AppError> {
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(folder, options)?);
    let keyring = match keys.of(&*log, &entropy).await {
        Ok((wrapping, if_missing)) => {
            LocalKeyring::open(&folder.join("keys.db"), &wrapping, entropy, if_missing)
                .map_err(AppError::from)
        }
        Err(e) => Err(e),
    };
    let keyring = closing(&*log, keyring).await?;
    Ok(Stores {
        log,
        keyring: Arc::new(keyring),
        attempts: Arc::new(Attempts::open(&folder.join("attempts.db"))?),
        consumers: Arc::new(LocalConsumers::open(&folder.join("consumers.db"))?),
    })
}

/// Returns a store that was opened beside a log; if opening it failed, closes the log, which leaves
/// no file behind.
async fn closing<T>(log: &dyn EventLog, opened: Result<T, AppError>) -> Result<T, AppError> {
    if opened.is_err() {
        log.close().await;
    }
    opened
}

/// Reads the whole keyring of a database, still wrapped.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres_chest(url: &str) -> Result<Chest, AppError> {
    Ok(log_postgres::chest(url).await?)
}

/// Writes a whole keyring into a database.
#[cfg(feature = "postgres")]
pub(crate) async fn put_postgres_chest(url: &str, chest: &Chest) -> Result<(), AppError> {
    Ok(log_postgres::put_chest(url, chest).await?)
}

#[cfg(not(feature = "postgres"))]
fn without_postgres() -> AppError {
    AppError::other(
        "not supported: this program was built without PostgreSQL; build it with `--features \
         postgres`",
    )
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn postgres_chest(_: &str) -> Result<Chest, AppError> {
    Err(without_postgres())
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn put_postgres_chest(_: &str, _: &Chest) -> Result<(), AppError> {
    Err(without_postgres())
}

/// Opens the stores in a PostgreSQL database.
#[cfg(feature = "postgres")]
pub(crate) async fn in_postgres(
    url: &str,
    keys: &KeySource<'_>,
    entropy: Entropy,
) -> Result<Stores, AppError> {
    use log_postgres::{PostgresConsumers, PostgresKeyring, PostgresLog};
    let log = PostgresLog::open(url).await?;
    let keyring = match keys.of(&log, &entropy).await {
        Ok((wrapping, if_missing)) => {
            PostgresKeyring::open(url, &wrapping, entropy, if_missing).await.map_err(AppError::from)
        }
        Err(e) => Err(e),
    };
    let keyring = Arc::new(closing(&log, keyring).await?);
    let attempts = Arc::new(log_postgres::attempts(&log));
    let consumers = Arc::new(PostgresConsumers::of(&log));
    Ok(Stores { log: Arc::new(log), keyring, attempts, consumers })
}

#[cfg(not(feature = "postgres"))]
pub(crate) async fn in_postgres(
    _: &str,
    _: &KeySource<'_>,
    _: Entropy,
) -> Result<Stores, AppError> {
    Err(without_postgres())
}

/// Opens the stores of a KurrentDB cluster; mirror, attempts and, unless `keys` names a database,
/// the keyring are in a folder whose lock the caller holds.
#[cfg(feature = "kurrentdb")]
pub(crate) async fn in_kurrent(
    url: &str,
    folder: &Path,
    keys: &str,
    source: &KeySource<'_>,
    entropy: Entropy,
) -> Result<Stores, AppError> {
    use event_log::Log as _;
    use event_log::keyring::KeyringToCome;
    use log_kurrentdb::{KurrentConsumers, KurrentLog};
    // First: its client is the one that puts the process's TLS provider there.
    let connecting = KurrentLog::prepare(url)?;
    let later = Arc::new(KeyringToCome::default());
    let log = Arc::new(connecting.open(folder, Arc::clone(&later) as Arc<dyn Keyring>).await?);
    let serving =
        if keys.is_empty() { log.serve_alone().await } else { log.serve_together().await };
    if let Err(e) = serving {
        log.close().await;
        return Err(e.into());
    }
    let keyring: Result<Arc<dyn Keyring>, AppError> = match source.of(&*log, &entropy).await {
        Ok((wrapping, if_missing)) if keys.is_empty() => {
            LocalKeyring::open(&folder.join("keys.db"), &wrapping, entropy, if_missing)
                .map(|k| Arc::new(k) as Arc<dyn Keyring>)
                .map_err(AppError::from)
        }
        Ok((wrapping, if_missing)) => postgres_keyring(keys, &wrapping, entropy, if_missing).await,
        Err(e) => Err(e),
    };
    let keyring = closing(&*log, keyring).await?;
    later.is(&keyring);
    let attempts = Arc::new(Attempts::open(&folder.join("attempts.db"))?);
    let consumers = Arc::new(KurrentConsumers::of(&log));
    Ok(Stores { log, keyring, attempts, consumers })
}

#[cfg(not(feature = "kurrentdb"))]
pub(crate) async fn in_kurrent(
    _: &str,
    _: &Path,
    _: &str,
    _: &KeySource<'_>,
    _: Entropy,
) -> Result<Stores, AppError> {
    Err(AppError::other(
        "not supported: this program was built without KurrentDB; build it with `--features \
         kurrentdb`",
    ))
}

#[cfg(all(feature = "kurrentdb", feature = "postgres"))]
async fn postgres_keyring(
    url: &str,
    wrapping: &Wrapping,
    entropy: Entropy,
    if_missing: IfMissing,
) -> Result<Arc<dyn Keyring>, AppError> {
    Ok(Arc::new(log_postgres::PostgresKeyring::open(url, wrapping, entropy, if_missing).await?))
}

#[cfg(all(feature = "kurrentdb", not(feature = "postgres")))]
async fn postgres_keyring(
    _: &str,
    _: &Wrapping,
    _: Entropy,
    _: IfMissing,
) -> Result<Arc<dyn Keyring>, AppError> {
    Err(without_postgres())
}

/// The SQL that makes the schema of a log in PostgreSQL, or brings it up to date.
pub(crate) async fn print_migration(config: &Config) -> Result<String, AppError> {
    let url = if config.log.starts_with("postgres") { &config.log } else { &config.keys };
    if !url.starts_with("postgres") {
        return Err(AppError::other(
            "give --log (or --keys) postgres://user@host/database: the names of its roles follow \
             from the database's",
        ));
    }
    #[cfg(feature = "postgres")]
    return Ok(log_postgres::print(url).await?);
    #[cfg(not(feature = "postgres"))]
    Err(without_postgres())
}

/// Makes the schema of a log in PostgreSQL, or brings it up to date; returns the number of steps.
pub(crate) async fn migrate(config: &Config) -> Result<usize, AppError> {
    let url = if config.log.starts_with("postgres") { &config.log } else { &config.keys };
    if !url.starts_with("postgres") {
        return Err(AppError::other(
            "there is nothing to migrate in a data folder or in KurrentDB; give --log (or --keys) \
             postgres://user@host/database",
        ));
    }
    #[cfg(feature = "postgres")]
    return Ok(log_postgres::migrate(url).await?);
    #[cfg(not(feature = "postgres"))]
    Err(without_postgres())
}
