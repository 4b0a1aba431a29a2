//! Opens an installation: everything from its data folder to its running views.

use super::{App, AppError, Handles};
use crate::config::Config;
use crate::forgettings::{self, Forgettings};
use crate::health::Health;
use crate::open_leases::LeasesInViews;
use crate::presence::{self};
use crate::signing;
use crate::stores::{self, KeySource, Stores};
use commands::{CommandBus, CommandBusParts};
use domain::ids::INSTALLATION;
use event_log::sqlite::FolderLock;
use event_log::{EventLog, Keyring, chain};
use projections::{Runner, SharedFolder, Views};
use read_api::{Api, Sources};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What the log and the list say of the forgotten is applied to the keys before anything is served.
/// A key that opens nothing any more and whose bytes are held by a reader is left to those who try
/// again.
pub(super) async fn apply_before_serving(forgettings: &Forgettings) -> Result<(), AppError> {
    forgettings.destroy_listed().await?;
    match forgettings.apply(None).await {
        Ok(_) => forgettings.is_whole().await,
        Err(e @ AppError::Keyring(event_log::KeyringError::NotYetDestroyed)) => {
            tracing::error!(error = %chain(&e), "a subject that is forgotten on record");
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// Starts the views; files that can't be used are deleted and made anew, since views are
/// disposable.
pub(super) async fn start_views(
    folder: &Path,
    log: &Arc<dyn EventLog>,
    keyring: &Arc<dyn Keyring>,
    snapshots: SharedFolder,
    pages_max: u32,
) -> Result<(Views, Vec<JoinHandle<()>>), AppError> {
    let start = |snapshots| {
        Runner::start(folder, Arc::clone(log), Arc::clone(keyring), snapshots, pages_max)
    };
    match start(snapshots).await {
        Ok(started) => Ok(started),
        Err(first) => {
            tracing::warn!(error = %first, "the views could not be opened; building them anew");
            let _ = std::fs::remove_dir_all(folder);
            // Without a snapshot, if it was that one's fault.
            Ok(start(SharedFolder::default()).await?)
        }
    }
}

impl App {
    /// Opens the data folder, or makes it, and starts everything except the listeners.
    ///
    /// # Errors
    /// Says what could not be opened and what to do.
    pub async fn open(config: &Config, handles: Handles) -> Result<Self, AppError> {
        config.check().map_err(AppError::other)?;
        let Handles {
            clock,
            entropy,
            log: options,
            snapshots,
            views_pages_max,
            slow_reader_timeout,
            if_none,
        } = handles;
        presence::look(config, if_none)?;
        let lock = FolderLock::take(&config.data)?;
        let snapshots = SharedFolder { folder: config.snapshots.clone(), ..snapshots };
        let slow_reader_timeout = slow_reader_timeout.unwrap_or(Duration::from_secs(30));
        let keys = KeySource::Settings(config, if_none);
        let stores = stores::open(config, &options, &keys, entropy.clone()).await?;
        let (log, keyring) = (&stores.log, &stores.keyring);
        if let Err(e) = presence::has_its_keys(&**log, &**keyring).await {
            log.close().await;
            return Err(e);
        }
        let forgettings = open_forgettings(config, log, keyring).await?;
        let (views, runners) =
            start_views(&config.data.join("views"), log, keyring, snapshots, views_pages_max)
                .await?;
        let bus = start_bus(config, &stores, clock, &entropy, &views).await?;
        let Stores { log, keyring, attempts, consumers } = stores;
        let health =
            Arc::new(Health::new(Arc::clone(&log), Arc::clone(&keyring), Arc::clone(&bus)).await?);
        let signer = Arc::new(signing::signer(config, &*keyring).await?);
        let proofs = Arc::new(Semaphore::new(domain::limits::PROOFS_MAX));
        let sources = Sources {
            views: views.clone(),
            log: Arc::clone(&log),
            keyring: Arc::clone(&keyring),
            attempts: Arc::clone(&attempts),
            signer,
            rule_faults: commands::approvals::faults,
            proofs: Arc::clone(&proofs),
            allowance: read_api::Allowance::default(),
        };
        let app = Self {
            log,
            keyring,
            bus,
            views,
            api: Api::new(&sources, config.introspection),
            entropy,
            slow_reader_timeout,
            stopping: tokio::sync::watch::Sender::new(false),
            proofs,
            feeds: Arc::new(Semaphore::new(domain::limits::FEEDS_MAX)),
            feeds_dropped: std::sync::atomic::AtomicU64::default(),
            consumers,
            health,
            forgettings,
            attempts,
            runners,
            _lock: lock,
        };
        app.begin(config).await?;
        Ok(app)
    }

    /// Does what must happen before the listeners open, and starts the background tasks.
    async fn begin(&self, config: &Config) -> Result<(), AppError> {
        self.ensure_operator().await?;
        presence::remember(config, &*self.log).await?;
        self.forgettings.append_listed(&self.bus).await?;
        event_log::vital::task(
            "forgettings",
            Arc::clone(&self.forgettings).run(self.views.clone(), self.stopping.subscribe()),
        );
        event_log::vital::task("health", Arc::clone(&self.health).run(self.stopping.subscribe()));
        Ok(())
    }
}

/// Opens the list of forgettings, and applies what the list and the log say to the keys.
async fn open_forgettings(
    config: &Config,
    log: &Arc<dyn EventLog>,
    keyring: &Arc<dyn Keyring>,
) -> Result<Arc<Forgettings>, AppError> {
    let list = forgettings::list_file(&config.data, &config.keyring_key_file);
    let forgettings = Arc::new(Forgettings::open(list, Arc::clone(log), Arc::clone(keyring))?);
    apply_before_serving(&forgettings).await?;
    Ok(forgettings)
}

/// Makes the command bus, which reads from the views which tasks an agent holds.
async fn start_bus(
    config: &Config,
    stores: &Stores,
    clock: commands::Clock,
    entropy: &event_log::Entropy,
    views: &Views,
) -> Result<Arc<CommandBus>, AppError> {
    let attempts_secret = domain::privacy::attempts_secret();
    Ok(Arc::new(CommandBus::new(CommandBusParts {
        log: Arc::clone(&stores.log),
        keyring: Arc::clone(&stores.keyring),
        attempts: Arc::clone(&stores.attempts),
        clock,
        entropy: entropy.clone(),
        leases: Arc::new(LeasesInViews::new(views.clone(), stores.log.end())),
        attempts_secret: stores.keyring.secret(INSTALLATION, attempts_secret).await?,
        registrations_per_day: config.registrations_per_day,
    })))
}
