//! An installation that is copied from or to: where it is stored, and its whole keyring.

use crate::app::AppError;
use crate::config::Config;
use crate::stores::{self, KeySource, Stores};
use event_log::Entropy;
use event_log::keyring::{Chest, Wrapping, local};
use event_log::sqlite::{FolderLock, Options, SqliteLog};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One side of a copy: a data folder, a database or a cluster.
#[derive(Clone, PartialEq, Eq)]
pub enum Installation {
    /// A data folder that no server is using.
    Folder(PathBuf),
    /// A database, by its `postgres://…` address.
    Postgres(String),
    /// A KurrentDB cluster.
    Kurrent {
        /// Address of the cluster, `esdb://…`.
        url: String,
        /// Folder of the cluster's mirror, its attempts and perhaps its keys.
        folder: PathBuf,
        /// Address of the PostgreSQL database with the keys; empty if the folder has them.
        keys: String,
    },
}

impl Installation {
    /// The installation that a text of the command line names.
    ///
    /// # Errors
    /// If the text looks like an address of an unknown sort.
    pub fn named(text: &str, config: &Config) -> Result<Self, AppError> {
        Ok(if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Self::Postgres(text.to_owned())
        } else if text.starts_with("esdb://") || text.starts_with("esdb+discover://") {
            Self::Kurrent {
                url: text.to_owned(),
                folder: config.data.clone(),
                keys: config.keys.clone(),
            }
        } else if let Some((scheme, _)) = text.split_once("://") {
            // The rest may have a password in it.
            return Err(AppError::other(format!(
                "`{scheme}://…` is no side of a copy: name a folder, postgres://… or esdb://… \
                 (that is also how KurrentDB's address is written)"
            )));
        } else {
            Self::Folder(text.into())
        })
    }

    /// The folder that the installation uses, whose lock it needs; `None` for a database.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) | Self::Kurrent { folder, .. } => Some(folder),
            Self::Postgres(_) => None,
        }
    }

    pub(super) async fn chest(&self) -> Result<Chest, AppError> {
        match self {
            Self::Kurrent { folder, keys, .. } if keys.is_empty() => {
                Ok(local::chest(&folder.join("keys.db"))?)
            }
            Self::Folder(folder) => Ok(local::chest(&folder.join("keys.db"))?),
            Self::Postgres(url) | Self::Kurrent { keys: url, .. } => {
                stores::postgres_chest(url).await
            }
        }
    }

    pub(super) async fn put_chest(&self, chest: &Chest) -> Result<(), AppError> {
        match self {
            Self::Kurrent { folder, keys, .. } if keys.is_empty() => {
                Ok(local::put_chest(&folder.join("keys.db"), chest)?)
            }
            Self::Folder(folder) => Ok(local::put_chest(&folder.join("keys.db"), chest)?),
            Self::Postgres(url) | Self::Kurrent { keys: url, .. } => {
                stores::put_postgres_chest(url, chest).await
            }
        }
    }

    pub(super) async fn open(&self, wrapping: &Wrapping) -> Result<Stores, AppError> {
        match self {
            Self::Folder(folder) => {
                stores::in_folder(
                    folder,
                    &Options::default(),
                    &KeySource::Given(wrapping),
                    Entropy::System,
                )
                .await
            }
            Self::Postgres(url) => {
                stores::in_postgres(url, &KeySource::Given(wrapping), Entropy::System).await
            }
            Self::Kurrent { url, folder, keys } => {
                stores::in_kurrent(url, folder, keys, &KeySource::Given(wrapping), Entropy::System)
                    .await
            }
        }
    }

    pub(super) fn lock(&self) -> Result<Option<FolderLock>, AppError> {
        Ok(self.folder().map(FolderLock::take).transpose()?)
    }
}

/// The end of one stream on one side of the copy.
#[derive(Debug, Serialize)]
pub struct Side {
    /// Number of events.
    pub events: u64,
    /// Root of the stream's Merkle tree.
    pub root: String,
}

/// The key that wraps the keys of both sides.
///
/// # Errors
/// If no key is found, or there is nothing to copy.
pub fn wrapping(
    from: &Installation,
    to: &Installation,
    key_file: &Path,
) -> Result<Wrapping, AppError> {
    if from == to {
        return Err(AppError::other("source and target are the same"));
    }
    if from.folder().is_some() && from.folder() == to.folder() {
        return Err(AppError::other(
            "source and target need a folder each; name that of the cluster's mirror and keys with \
             --data",
        ));
    }
    if let Installation::Folder(folder) = from
        && !SqliteLog::file(folder).exists()
    {
        return Err(AppError::other(format!("there is no log in {}", folder.display())));
    }
    if let Ok(passphrase) = std::env::var("MINUTEBOOK_KEYRING_PASSPHRASE") {
        return Ok(Wrapping::Passphrase(passphrase.into()));
    }
    let own = |house: &Installation| house.folder().map(|folder| folder.join("keyring.key"));
    let named = (!key_file.as_os_str().is_empty()).then(|| key_file.to_owned());
    let found = [named, own(from), own(to)].into_iter().flatten().find(|file| file.exists());
    let found = found.ok_or_else(|| {
        AppError::other(
            "the key that wraps the keyring is needed: \
        name its file in MINUTEBOOK_KEYRING_KEY_FILE",
        )
    })?;
    Ok(Wrapping::from_file(&found, &Entropy::System)?)
}
