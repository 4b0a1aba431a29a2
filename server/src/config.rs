//! Settings: compiled-in defaults, then a file, then the environment, then flags.

use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// The commented defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the log, the keyring, the attempts and the views.
    pub data: PathBuf,
    /// Address that `serve` listens on.
    pub listen: String,
    /// Worker threads of the HTTP door; 0 = one a core.
    pub workers: usize,
    /// Address of the log in PostgreSQL, `postgres://…`; empty = in the data folder.
    pub log: String,
    /// Address of RabbitMQ, `amqp://…`, that `serve` relays events to; empty = none.
    pub amqp: String,
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
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// `--log`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// `--amqp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amqp: Option<String>,
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
        let env = Env::prefixed("MINUTEBOOK_").only(&["data", "listen", "workers", "log", "amqp", "logging", "introspection", "snapshots", "keyring_key_file"]);
        figment.merge(env).merge(Serialized::defaults(overrides)).extract().map_err(|e| format!("settings: {e}"))
    }
}
