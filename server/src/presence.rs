//! Whether an installation exists, and which log a data folder belongs to. Looking makes nothing:
//! only `serve` on an empty folder, `import` and `copy` make an installation.

use std::path::Path;

use domain::ids::ErasureId;
use domain::values::Digest;
use event_log::sqlite::SqliteLog;
use event_log::{EventLog, Keyring, KeyringError, Position, Unsealed, unseal};
use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::config::Config;

/// What a command does if there is no installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfNone {
    /// The command makes an installation.
    #[default]
    Make,
    /// The command fails and says that there is none.
    Refuse,
}

/// Name of the file in a data folder that says which log the folder serves.
const SERVES: &str = "serves.json";
/// Files that a data folder only has if there was a log.
const TRACES: [&str; 5] = ["keys.db", "attempts.db", "consumers.db", "operator.key", "views"];

/// Which log a folder serves. Only the kind of store is kept, as an address may have a password.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Serves {
    /// Leaf hash of the log's first event.
    log: Digest,
    /// Where the log is stored: in the folder, in PostgreSQL or in KurrentDB.
    store: String,
}

fn store(config: &Config) -> &'static str {
    match config.log.split_once("://").map(|(scheme, _)| scheme) {
        None => "the folder itself",
        Some(scheme) if scheme.starts_with("postgres") => "PostgreSQL",
        Some(_) => "KurrentDB",
    }
}

fn serves(folder: &Path) -> Result<Option<Serves>, AppError> {
    let file = folder.join(SERVES);
    let broken =
        |e: std::io::Error| AppError::caused(format!("{} can't be read", file.display()), e);
    match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| broken(e.into())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(broken(e)),
    }
}

/// Checks a folder before anything is opened or made in it.
///
/// # Errors
/// If there is no installation and none may be made, or its log is gone.
pub(crate) fn look(config: &Config, if_none: IfNone) -> Result<(), AppError> {
    let folder = &config.data;
    let shown = folder.display();
    if !config.log.is_empty() || SqliteLog::file(folder).exists() {
        return Ok(());
    }
    if let Some(known) = serves(folder)? {
        let what = if known.store == store(config) {
            "its log.db is gone: restore it".to_owned()
        } else {
            format!("its log is in {}: name it with --log or MINUTEBOOK_LOG", known.store)
        };
        return Err(AppError::other(format!(
            "the data folder {shown} served a log before, and {what}; or choose another folder \
             with --data"
        )));
    }
    if let Some(trace) = TRACES.iter().find(|name| folder.join(name).exists()) {
        return Err(AppError::other(format!(
            "the data folder {shown} has {trace} and no log.db: restore the log beside it, or \
             choose an empty folder with --data"
        )));
    }
    match if_none {
        IfNone::Make => is_empty(folder),
        IfNone::Refuse => Err(none(&format!("in the data folder {shown}"))),
    }
}

/// Files that a folder may have before an installation is made there: what wraps keys, and what a
/// restore brings back.
const BEFOREHAND: [&str; 7] = [
    "keyring.key",
    "signing.key",
    "forgotten",
    "kurrentdb-cert.pem",
    "kurrentdb-key.pem",
    "lock",
    "lost+found",
];

/// Checks that a folder is empty enough for an installation, so that it mixes with no other files.
fn is_empty(folder: &Path) -> Result<(), AppError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !BEFOREHAND.contains(&name.as_str()) {
            return Err(AppError::other(format!(
                "the folder {} has `{name}` in it; an installation is made in an empty one: name \
                 another with --data",
                folder.display()
            )));
        }
    }
    Ok(())
}

fn none(place: &str) -> AppError {
    AppError::other(format!(
        "there is no installation {place}; `minutebook serve` or `minutebook import` makes one, \
         `minutebook copy` brings one here, and --data and --log name another"
    ))
}

/// Checks that the opened log is the one that the folder serves. Returns true if the log has no
/// event, so that keys may be made for it.
///
/// # Errors
/// If it is another log, or has no event and none may be made.
pub(crate) async fn is_new(
    config: &Config,
    log: &dyn EventLog,
    if_none: IfNone,
) -> Result<bool, AppError> {
    let (known, shown) = (serves(&config.data)?, config.data.display());
    match (log.identity().await?, known) {
        (Some(log), Some(known)) if log != known.log => Err(AppError::other(format!(
            "the data folder {shown} served another log, in {}; give this log a folder of its own \
             with --data",
            known.store
        ))),
        (Some(_), _) => Ok(false),
        (None, Some(known)) => Err(AppError::other(format!(
            "the data folder {shown} served a log in {}, and this one is empty: name the right one \
             with --log or MINUTEBOOK_LOG, or choose another folder with --data",
            known.store
        ))),
        (None, None) if if_none == IfNone::Refuse && config.log.is_empty() => {
            Err(none(&format!("in the data folder {shown}")))
        }
        (None, None) if if_none == IfNone::Refuse => Err(none(&format!("in {}", store(config)))),
        (None, None) => Ok(true),
    }
}

/// Checks that the keys belong to the log: they open its first event, or the log says that the
/// event's subject is forgotten.
///
/// # Errors
/// If the keys are another installation's.
pub(crate) async fn has_its_keys(
    log: &dyn EventLog,
    keyring: &dyn Keyring,
) -> Result<(), AppError> {
    let Some(first) = log.read_all(Position::START, 1).await?.pop() else { return Ok(()) };
    let stored = first.stored().map_err(AppError::other)?;
    let others = "the keys beside the log are another installation's: restore its own keyring \
        (keys.db, or the schema minutebook_keys)";
    for (_, field) in stored.personal_fields() {
        let forgotten = match unseal::<serde_json::Value>(keyring, &field).await {
            Ok(Unsealed::Value(_)) => return Ok(()),
            Ok(Unsealed::Forgotten) => true,
            Err(KeyringError::Broken(_)) => false,
            Err(e) => return Err(e.into()),
        };
        let erasure = ErasureId::of(stored.business, field.subject);
        let state = log.load(stored.business, erasure.into()).await?.state;
        let fenced =
            matches!(state, domain::State::Erasure(e) if e.fenced >= Some(field.generation));
        if !(forgotten && fenced) {
            return Err(AppError::other(others));
        }
    }
    Ok(())
}

/// Records in the folder which log it serves.
///
/// # Errors
/// If the file can't be written.
pub(crate) async fn remember(config: &Config, log: &dyn EventLog) -> Result<(), AppError> {
    let Some(log) = log.identity().await? else { return Ok(()) };
    if serves(&config.data)?.is_some_and(|known| known.log == log && known.store == store(config)) {
        return Ok(());
    }
    let text = serde_json::to_vec(&Serves { log, store: store(config).to_owned() })
        .map_err(AppError::other)?;
    let (file, new) = (config.data.join(SERVES), config.data.join("serves.json.new"));
    let write = || {
        std::fs::write(&new, text)
            .and_then(|()| std::fs::File::open(&new)?.sync_all())
            .and_then(|()| std::fs::rename(&new, &file))
    };
    write().map_err(|e| AppError::caused(format!("{} can't be written", file.display()), e))
}
