//! Settings: compiled-in defaults, then a file, then the environment, then flags.

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// The commented defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The settings. Addresses may have passwords in them: they are never printed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the log, the keyring, the attempts and the views.
    pub data: PathBuf,
    /// Address that `serve` listens on.
    pub listen: String,
    /// Worker threads of the HTTP door; 0 = one a core.
    pub workers: usize,
    /// Address of the log, `postgres://…` or `esdb://…`; empty = in the data folder.
    pub log: String,
    /// Address of a keyring in PostgreSQL, `postgres://…`, for a log in KurrentDB; empty = beside the log.
    pub keys: String,
    /// Address of RabbitMQ, `amqp://…`, that `serve` relays events to; empty = none.
    pub amqp: String,
    /// Address on which KurrentDB clients may read businesses; empty = not at all.
    pub kurrentdb_listen: String,
    /// Certificate of that address with its chain, PEM; empty = one of its own; `none` = nothing is encrypted.
    pub kurrentdb_certificate: PathBuf,
    /// Key of that certificate, PEM.
    pub kurrentdb_key: PathBuf,
    /// Host by which clients reach that address; empty = the address itself.
    pub kurrentdb_host: String,
    /// Businesses that somebody who does not run the installation may register in 24 hours; 0 = none.
    pub registrations_per_day: u32,
    /// What is written to standard error.
    pub logging: String,
    /// Whether GraphQL answers questions about its own schema.
    pub introspection: bool,
    /// Folder that several servers of one log share for snapshots of their views; empty = none.
    pub snapshots: PathBuf,
    /// File that wraps the keyring; empty = in the data folder.
    pub keyring_key_file: PathBuf,
}

/// What flags override.
#[derive(Clone, Default, Serialize)]
pub struct Overrides {
    /// `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// `--log`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// `--keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// `--amqp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amqp: Option<String>,
    /// `--kurrentdb-listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kurrentdb_listen: Option<String>,
    /// `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

impl Config {
    /// The settings in force.
    ///
    /// # Errors
    /// A sentence that names the setting and what is wrong with it.
    pub fn load(file: Option<PathBuf>, overrides: Overrides) -> Result<Self, String> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            if !file.exists() {
                return Err(format!("there is no settings file {}", file.display()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let env = Env::prefixed("MINUTEBOOK_").only(&[
            "data",
            "listen",
            "workers",
            "log",
            "keys",
            "amqp",
            "logging",
            "registrations_per_day",
            "introspection",
            "snapshots",
            "keyring_key_file",
            "kurrentdb_listen",
            "kurrentdb_certificate",
            "kurrentdb_key",
            "kurrentdb_host",
        ]);
        figment.merge(env).merge(Serialized::defaults(overrides)).extract().map_err(|e| format!("settings: {e}"))
    }
}
