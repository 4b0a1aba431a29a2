//! Settings: compiled-in defaults, then a file, then the environment, then flags.

use std::path::PathBuf;
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use read_api::TrustedDocuments;
use serde::{Deserialize, Serialize};

use crate::http::{Entrance, Forwarders, Tls, is_loopback};

/// The default settings with their comments, compiled in.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The settings. Addresses may have passwords in them: they are never printed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the log, the keyring, the attempts and the views.
    pub data: PathBuf,
    /// Address that `serve` listens on.
    pub listen: String,
    /// Host names besides `localhost` that the HTTP listener answers to, separated by commas.
    pub hosts: String,
    /// Certificate of the HTTP listener with its chain (PEM); empty = no TLS.
    pub tls_cert: PathBuf,
    /// Key of that certificate, PEM.
    pub tls_key: PathBuf,
    /// Addresses and networks of proxies that may forward requests to the HTTP listener, separated
    /// by commas.
    pub behind_proxy: String,
    /// Worker threads of the HTTP listener; 0 = one per core.
    pub workers: usize,
    /// Address of the log, `postgres://…` or `esdb://…`; empty = in the data folder.
    pub log: String,
    /// Address of a keyring in PostgreSQL, `postgres://…`, for a log in KurrentDB; empty = beside
    /// the log.
    pub keys: String,
    /// Address of the RabbitMQ to which `serve` relays events, `amqp://…`; empty = none.
    pub amqp: String,
    /// Address on which KurrentDB clients may read businesses; empty = no such listener.
    pub kurrentdb_listen: String,
    /// Certificate of that address with its chain (PEM); empty = a self-signed one; `none` = no
    /// TLS.
    pub kurrentdb_certificate: PathBuf,
    /// Key of that certificate, PEM.
    pub kurrentdb_key: PathBuf,
    /// Host by which clients reach that address; empty = the host of the address itself.
    pub kurrentdb_host: String,
    /// How many businesses a principal that is no operator may register in 24 hours; 0 = none.
    pub registrations_per_day: u32,
    /// Filter of the log lines on standard error, such as `info`.
    pub logging: String,
    /// Whether GraphQL answers questions about its own schema.
    pub introspection: bool,
    /// File with the only GraphQL documents that `serve` answers; empty = all documents.
    pub trusted_documents: PathBuf,
    /// Whether `serve` logs each GraphQL query with its cost and time.
    pub query_log: bool,
    /// Folder that several servers of one log share for snapshots of their views; empty = none.
    pub snapshots: PathBuf,
    /// File with the key that wraps the keyring; empty = in the data folder.
    pub keyring_key_file: PathBuf,
    /// File with the key that signs checkpoints; empty = in the keyring's store.
    pub signing_key_file: PathBuf,
}

/// Names of the settings, as in the file and, in capitals after `MINUTEBOOK_`, the environment.
const SETTINGS: &[&str] = &[
    "data",
    "listen",
    "hosts",
    "tls_cert",
    "tls_key",
    "behind_proxy",
    "workers",
    "log",
    "keys",
    "amqp",
    "logging",
    "registrations_per_day",
    "introspection",
    "trusted_documents",
    "query_log",
    "snapshots",
    "keyring_key_file",
    "signing_key_file",
    "kurrentdb_listen",
    "kurrentdb_certificate",
    "kurrentdb_key",
    "kurrentdb_host",
];
/// Other variables that the environment may set: secrets, and options of tests.
const OTHERS: &[&str] =
    &["key", "keyring_passphrase", "real_data", "write_golden", "test_postgres", "test_amqp"];
/// Most worker threads of the HTTP door.
const WORKERS_MAX: usize = 1_024;

/// Refuses a `MINUTEBOOK_` variable that is no setting; otherwise it would have no effect.
fn unknown_in_environment() -> Result<(), String> {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("MINUTEBOOK_") else { continue };
        let setting = rest.to_lowercase();
        if SETTINGS.contains(&&*setting) || OTHERS.contains(&&*setting) {
            continue;
        }
        let near = SETTINGS
            .iter()
            .chain(OTHERS)
            .min_by_key(|known| strsim::damerau_levenshtein(known, &setting))
            .copied()
            .unwrap_or_default();
        return Err(format!(
            "there is no setting {name}; did you mean MINUTEBOOK_{}? config.default.toml in the \
             source shows all there is",
            near.to_uppercase()
        ));
    }
    Ok(())
}

/// Settings from the command line, which override all others.
#[derive(Clone, Default, Serialize)]
pub struct Overrides {
    /// Value of `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Value of `--log`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Value of `--keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Value of `--amqp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amqp: Option<String>,
    /// Value of `--kurrentdb-listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kurrentdb_listen: Option<String>,
    /// Value of `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Value of `--tls-cert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// Value of `--tls-key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Value of `--behind-proxy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_proxy: Option<String>,
    /// Value of `--trusted-documents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_documents: Option<PathBuf>,
    /// `true` if `--query-log` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_log: Option<bool>,
}

impl Config {
    /// Loads the settings: defaults, then the file, then the environment, then `overrides`.
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
        unknown_in_environment()?;
        figment
            .merge(Env::prefixed("MINUTEBOOK_").only(SETTINGS))
            .merge(Serialized::defaults(overrides))
            .extract()
            .map_err(|e| format!("settings: {e}"))
    }

    /// How the HTTP listener is opened. Without TLS only this machine and the forwarding proxies
    /// may reach it.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to do.
    pub fn entrance(&self) -> Result<Entrance, String> {
        let (certificate, key) = (&self.tls_cert, &self.tls_key);
        let tls = match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (false, false) => Some(Tls { certificate: certificate.clone(), key: key.clone() }),
            (true, true) => None,
            (true, false) | (false, true) => {
                return Err(
                    "settings: tls_cert and tls_key go together; name both, or neither".to_owned()
                );
            }
        };
        if tls.is_none() && self.behind_proxy.trim().is_empty() && !is_loopback(&self.listen)? {
            return Err(format!(
                "settings: {} is reached from other machines, and nothing would be encrypted \
                 there: give --tls-cert and --tls-key, or say with \
                 --behind-proxy which peers forward to it",
                self.listen
            ));
        }
        let forwarders = Forwarders::parse(&self.behind_proxy)?;
        Ok(Entrance {
            address: self.listen.clone(),
            hosts: self.hosts.clone(),
            workers: self.workers,
            tls,
            forwarders,
            trusted: self.trusted()?,
            query_log: self.query_log,
        })
    }

    /// Reads the trusted documents; `None` if there is no file of them.
    fn trusted(&self) -> Result<Option<Arc<TrustedDocuments>>, String> {
        let file = &self.trusted_documents;
        if file.as_os_str().is_empty() {
            return Ok(None);
        }
        let wrong = |why: String| format!("settings: trusted_documents: {}: {why}", file.display());
        let json = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
        Ok(Some(Arc::new(TrustedDocuments::parse(&json).map_err(wrong)?)))
    }

    /// Checks for values that are not allowed, and for settings that would have no effect.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to do.
    pub fn check(&self) -> Result<(), String> {
        self.check_kurrentdb()?;
        self.check_keyring()?;
        self.check_logging()?;
        if self.workers > WORKERS_MAX {
            return Err(format!("settings: workers must be at most {WORKERS_MAX}; 0 = one a core"));
        }
        if self.data.as_os_str().is_empty() {
            return Err("settings: data must name a folder".to_owned());
        }
        Ok(())
    }

    /// Checks the settings of a log in KurrentDB and of the listener for KurrentDB clients.
    fn check_kurrentdb(&self) -> Result<(), String> {
        let no_effect = |what: &str, without: &str| {
            Err(format!("settings: {what} has no effect without {without}; leave it out"))
        };
        let in_kurrent = self.log.starts_with("esdb");
        if !self.keys.is_empty() && !in_kurrent {
            return no_effect("keys", "a log in KurrentDB");
        }
        if !self.keys.is_empty() && !self.keys.starts_with("postgres") {
            return Err("settings: keys must be a postgres:// address".to_owned());
        }
        let (certificate, key) = (
            !self.kurrentdb_certificate.as_os_str().is_empty(),
            !self.kurrentdb_key.as_os_str().is_empty(),
        );
        if self.kurrentdb_listen.is_empty()
            && (certificate || key || !self.kurrentdb_host.is_empty())
        {
            return no_effect(
                "kurrentdb_certificate, kurrentdb_key or kurrentdb_host",
                "kurrentdb_listen",
            );
        }
        let plain = self.kurrentdb_certificate.as_os_str() == "none";
        if plain && !is_loopback(&self.kurrentdb_listen)? {
            return Err(format!(
                "settings: {} is reached from other machines, and nothing would be encrypted \
                 there: leave kurrentdb_certificate = \"none\" out",
                self.kurrentdb_listen
            ));
        }
        if key != (certificate && !plain) {
            return Err("settings: kurrentdb_certificate and kurrentdb_key go together; without \
                both the door makes a certificate of its own"
                .to_owned());
        }
        Ok(())
    }

    /// Checks the settings of the keys that seal and sign.
    fn check_keyring(&self) -> Result<(), String> {
        let signing = &self.signing_key_file;
        if !signing.as_os_str().is_empty() && !signing.exists() {
            return Err(format!(
                "settings: {} is to sign checkpoints and is not there; put 64 hexadecimal digits \
                 in it",
                signing.display()
            ));
        }
        if std::env::var_os("MINUTEBOOK_KEYRING_PASSPHRASE")
            .is_some_and(|passphrase| passphrase.is_empty())
        {
            return Err(
                "settings: MINUTEBOOK_KEYRING_PASSPHRASE is empty; set the passphrase, or \
                leave the variable out"
                    .to_owned(),
            );
        }
        if !self.keyring_key_file.as_os_str().is_empty()
            && std::env::var_os("MINUTEBOOK_KEYRING_PASSPHRASE").is_some()
        {
            return Err("settings: the keyring is wrapped by a file or by a passphrase: set \
                 keyring_key_file or MINUTEBOOK_KEYRING_PASSPHRASE, not both"
                .to_owned());
        }
        Ok(())
    }

    fn check_logging(&self) -> Result<(), String> {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        if let Some(odd) = self.logging.split(',').map(str::trim).find(|part| {
            part.ends_with('=') || !(part.contains(['=', '[']) || levels.contains(part))
        }) {
            return Err(format!(
                "settings: logging: `{odd}` is no level and no filter; use error, warn, info, \
                 debug or trace, or such as info,commands=debug"
            ));
        }
        Ok(())
    }
}
