//! The parts of an installation, put together over one data folder.

mod open;
mod submitting;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use commands::{Actor, Clock, CommandBus, CommandError, Submission};
use domain::ids::{ErasureId, INSTALLATION, KeyId};
use domain::{BusinessId, PrincipalId, SubjectId};
use event_log::attempts::Attempts;
use event_log::consumers::Consumers;
use event_log::sqlite::{FolderLock, Options};
use event_log::{Cause, Entropy, EventLog, Keyring};
use projections::{Runner, SharedFolder, Views};
use read_api::{Api, Viewer};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::forgettings::Forgettings;
use crate::health::Health;
use crate::presence::IfNone;
use crate::secret::Secret;

/// Why the parts could not be put together, or a command line could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] event_log::LogError),
    /// The keyring failed.
    #[error(transparent)]
    Keyring(#[from] event_log::KeyringError),
    /// The views failed.
    #[error(transparent)]
    Views(#[from] projections::ViewsError),
    /// The command bus refused a command or could not carry it out.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A server refused a request of the command line.
    #[error("{status} {name}: {detail}")]
    Refused {
        /// HTTP status of the answer.
        status: u16,
        /// Name of the problem, as in `urn:minutebook:problem:<name>`.
        name: String,
        /// What happened and what to do, in the server's words.
        detail: String,
    },
    /// Any other failure, in a sentence.
    #[error(transparent)]
    Other(Cause),
}

impl AppError {
    /// Makes the error of a sentence, or of an error that says everything itself.
    pub fn other(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(Cause::of(cause))
    }

    /// Makes the error of a sentence that says what was being done, and the error that stopped it.
    pub fn caused(
        text: impl std::fmt::Display,
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Other(Cause::new(text, reason))
    }
}

/// Settings that only tests change.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    /// Source of the time.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
    /// Options with which the log is opened.
    pub log: Options,
    /// How often a snapshot of the views is left; its folder is a setting.
    pub snapshots: SharedFolder,
    /// Pages that a file of the views may have; 0 = no limit. For tests of a full disk.
    pub views_pages_max: u32,
    /// How long a reader of a feed may leave a chunk unread; 30 s if `None`.
    pub slow_reader_timeout: Option<Duration>,
    /// What to do if there is no installation.
    pub if_none: IfNone,
}

/// Result of forgetting a data subject.
#[derive(Debug, serde::Serialize)]
pub struct Forgot {
    /// The receipt of `privacy.forget_subject`; without events if the subject was forgotten
    /// already.
    pub receipt: commands::Receipt,
    /// The aggregates that still name the person by id, their text unreadable; at most 200.
    pub named_in: Vec<projections::privacy::NamedIn>,
}

/// A running installation.
pub struct App {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The keys of data subjects.
    pub keyring: Arc<dyn Keyring>,
    /// The command bus: takes every command to its receipt.
    pub bus: Arc<CommandBus>,
    /// The views that queries read.
    pub views: Views,
    /// Executes GraphQL requests.
    pub api: Api,
    /// Source of randomness.
    pub entropy: Entropy,
    /// How long a reader of a feed may leave a chunk unread.
    pub(crate) slow_reader_timeout: Duration,
    /// True once the process is told to stop.
    pub(crate) stopping: tokio::sync::watch::Sender<bool>,
    /// Bounds the proofs and verifications in progress, which read a whole stream each.
    pub proofs: Arc<Semaphore>,
    /// Bounds the open feeds.
    pub(crate) feeds: Arc<Semaphore>,
    /// How many readers of feeds were dropped because they were too slow.
    pub(crate) feeds_dropped: std::sync::atomic::AtomicU64,
    /// The checkpoints of consumers.
    pub consumers: Arc<dyn Consumers>,
    pub(crate) health: Arc<Health>,
    forgettings: Arc<Forgettings>,
    attempts: Arc<Attempts>,
    runners: Vec<JoinHandle<()>>,
    _lock: FolderLock,
}

/// Derives the id of a principal's key from the hash of its secret.
pub(crate) fn key_id(principal: PrincipalId, secret: &Secret) -> KeyId {
    KeyId(uuid::Uuid::new_v5(&principal.0, secret.hash().to_string().as_bytes()))
}

/// The operator that every installation begins with: whoever can open the data folder.
#[must_use]
pub fn operator() -> PrincipalId {
    PrincipalId(INSTALLATION.derive_id("operator"))
}

impl App {
    /// Adds the principal [`operator()`] if the installation does not have it yet.
    async fn ensure_operator(&self) -> Result<(), AppError> {
        if self.bus.directory().principal(operator()).await?.is_some() {
            return Ok(());
        }
        let data = json!({"kind": "human", "display_name": "operator", "operator": true});
        self.as_operator(
            "installation:operator",
            "access.add_principal",
            Some(operator().0),
            &data,
            INSTALLATION,
        )
        .await?;
        Ok(())
    }

    /// The operator as an actor in a business, for commands of the command line.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn operator_in(&self, business: BusinessId) -> Result<Actor, AppError> {
        let known = self.bus.directory().actor(operator(), business).await?;
        Ok(known.unwrap_or(Actor {
            principal: operator(),
            kind: domain::access::PrincipalKind::Human,
            operator: true,
            historic: false,
            restores: false,
            rate_profile: domain::access::RateProfile::Bulk,
            roles: Default::default(),
        }))
    }

    /// The handles that importers need: command bus, keyring and operator.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn import_host(&self) -> Result<importers::Host, AppError> {
        let operator = self.operator_in(INSTALLATION).await?;
        Ok(importers::Host {
            bus: Arc::clone(&self.bus),
            keyring: Arc::clone(&self.keyring),
            operator,
        })
    }

    /// Submits a command as the operator.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn as_operator(
        &self,
        key: &str,
        command: &str,
        id: Option<uuid::Uuid>,
        data: &serde_json::Value,
        business: BusinessId,
    ) -> Result<commands::Receipt, AppError> {
        let actor = self.operator_in(business).await?;
        Ok(self.bus.submit(Submission::new(business, actor, key, command, id, data)).await?)
    }

    /// Makes an API key for a principal; its secret is shown only this once.
    ///
    /// # Errors
    /// The error of the command bus, for example that the principal has two keys already.
    pub async fn issue_key(&self, principal: PrincipalId) -> Result<(KeyId, Secret), AppError> {
        let secret = Secret::generate(&self.entropy);
        Ok((self.issue(principal, &secret).await?, secret))
    }

    /// Gives a principal an API key whose secret was made before.
    ///
    /// # Errors
    /// The error of the command bus, for example that the principal has two keys already.
    pub async fn issue(&self, principal: PrincipalId, secret: &Secret) -> Result<KeyId, AppError> {
        let key = key_id(principal, secret);
        let data = json!({"key": key, "hash": secret.hash()});
        self.as_operator(
            &format!("key:{key}"),
            "access.issue_key",
            Some(principal.0),
            &data,
            INSTALLATION,
        )
        .await?;
        Ok(key)
    }

    /// A principal with its roles, as the GraphQL API needs it.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn viewer(&self, principal: PrincipalId) -> Result<Viewer, AppError> {
        Ok(Viewer {
            principal,
            known: self.bus.directory().principal(principal).await?.unwrap_or_default(),
        })
    }

    /// The business with this slug or id; `None` if there is none.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn business(&self, name: &str) -> Result<Option<BusinessId>, AppError> {
        if let Ok(id) = name.parse() {
            return Ok(Some(id));
        }
        Ok(self.bus.directory().slug(name).await?)
    }

    /// Whether the log records a forgetting that is not fully applied, because the key's bytes
    /// could not be overwritten yet.
    #[must_use]
    pub fn forgetting_is_pending(&self) -> bool {
        self.forgettings.is_pending()
    }

    /// Waits until the views, with the searchable text, have applied everything that is durable
    /// now.
    ///
    /// # Errors
    /// If the views have not after `at_most`.
    pub async fn caught_up(&self, at_most: Duration) -> Result<(), AppError> {
        let end = self.log.end();
        self.views.wait_for(end, at_most).await?;
        Ok(self.views.wait_for_text(end, at_most).await?)
    }

    /// Forgets a data subject in a business on a principal's behalf, and lists the aggregates that
    /// still name the subject by id.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn forget_subject(
        &self,
        business: BusinessId,
        actor: Actor,
        subject: SubjectId,
        key: Option<String>,
    ) -> Result<Forgot, CommandError> {
        let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let id = Some(ErasureId::of(business, subject).0);
        let receipt = self
            .submit(Submission::new(
                business,
                actor,
                key,
                "privacy.forget_subject",
                id,
                &json!({"subject": subject}),
            ))
            .await?;
        let named_in = self.views.named_in(business, subject).map_err(CommandError::unavailable)?;
        Ok(Forgot { receipt, named_in })
    }

    /// Stops the installation: waits until everything accepted is durable, and closes the files.
    pub async fn close(mut self) {
        self.stopping.send_replace(true);
        Runner::stop(&self.views).await;
        let runners = std::mem::take(&mut self.runners);
        let ended = move || runners.into_iter().for_each(|runner| drop(runner.join()));
        let _ = tokio::task::spawn_blocking(ended).await;
        self.attempts.close().await;
        self.log.close().await;
    }
}

/// Makes a GraphQL request of a viewer.
#[must_use]
pub fn graphql_request(query: &str, viewer: Viewer) -> async_graphql::Request {
    async_graphql::Request::new(query).data(viewer)
}
