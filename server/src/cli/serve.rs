//! `minutebook serve`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::{App, AppError, Handles, operator};
use crate::config::{Config, Overrides};
use crate::secret::{self, Secret};
use crate::{http, logging, output};

/// The flags of `serve`.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Address to listen on [default: 127.0.0.1:7117]. One that other machines reach needs
    /// --tls-cert or --behind-proxy.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Certificate with its chain for that address (PEM); read again when the file changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Proxies that may forward requests: addresses or networks, separated by commas, for example
    /// 10.0.0.7 or 10.1.0.0/16. Without TLS the server accepts connections only from these proxies
    /// and from this machine. It reads X-Forwarded-Host only from these proxies.
    #[arg(long, value_name = "PEERS")]
    behind_proxy: Option<String>,
    /// RabbitMQ to relay events to, such as amqp://guest:guest@127.0.0.1:5672/%2f; better in
    /// MINUTEBOOK_AMQP when it has a password.
    #[arg(long, value_name = "URL")]
    amqp: Option<String>,
    /// Address on which KurrentDB clients may read and follow businesses, such as 127.0.0.1:2113;
    /// their password is an API key [default: not at all]. From another machine, set
    /// MINUTEBOOK_KURRENTDB_HOST to the name that clients use.
    #[arg(long, value_name = "ADDRESS")]
    kurrentdb_listen: Option<String>,
    /// Answer only the GraphQL documents of this file: a JSON object of ids with documents, as code
    /// generators write it, or the manifest of Apollo's tools [default: answer every document].
    #[arg(long, value_name = "FILE")]
    trusted_documents: Option<PathBuf>,
    /// Log each GraphQL query with a name of its document, its cost and its time.
    #[arg(long)]
    query_log: bool,
}

impl Flags {
    /// Adds the flags to the overrides of the settings.
    pub(super) fn over(&self, overrides: Overrides) -> Overrides {
        let Self {
            listen,
            tls_cert,
            tls_key,
            behind_proxy,
            amqp,
            kurrentdb_listen,
            trusted_documents,
            query_log,
        } = self;
        Overrides {
            listen: listen.clone(),
            tls_cert: tls_cert.clone(),
            tls_key: tls_key.clone(),
            behind_proxy: behind_proxy.clone(),
            amqp: amqp.clone(),
            kurrentdb_listen: kurrentdb_listen.clone(),
            trusted_documents: trusted_documents.clone(),
            query_log: query_log.then_some(true),
            ..overrides
        }
    }
}

/// How long pending answers may take to go out when the process ends because a thread died.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_millis(500);
/// Exit code after a thread died: EX_SOFTWARE of sysexits.
const THREAD_DIED: i32 = 70;

/// Ends the process, so that a supervisor starts it again: nothing else would do the dead thread's
/// work.
fn end_the_process(_: &'static str) {
    let end = || {
        std::thread::sleep(LAST_ANSWERS);
        std::process::exit(THREAD_DIED);
    };
    if std::thread::Builder::new().name("the-end".to_owned()).spawn(end).is_err() {
        std::process::exit(THREAD_DIED);
    }
}

/// Starts the relay to RabbitMQ if the settings name a broker.
#[cfg(feature = "amqp")]
fn relay(
    config: &Config,
    app: &Arc<App>,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Result<Option<tokio::task::JoinHandle<()>>, AppError> {
    if config.amqp.is_empty() {
        return Ok(None);
    }
    if !config.amqp.starts_with("amqp://") && !config.amqp.starts_with("amqps://") {
        return Err(AppError::other("--amqp must be an amqp:// or amqps:// address"));
    }
    let runner = hub::consumer::Runner {
        name: "amqp",
        owner: uuid::Uuid::now_v7(),
        log: Arc::clone(&app.log),
        consumers: Arc::clone(&app.consumers),
    };
    Ok(Some(event_log::vital::task(
        "consumer",
        runner.run(hub::amqp::Relay::new(&config.amqp), stop),
    )))
}

#[cfg(not(feature = "amqp"))]
fn relay(
    config: &Config,
    _: &Arc<App>,
    _: tokio::sync::watch::Receiver<bool>,
) -> Result<Option<tokio::task::JoinHandle<()>>, AppError> {
    if config.amqp.is_empty() {
        return Ok(None);
    }
    Err(AppError::other(
        "not supported: this program was built without RabbitMQ; build it with `--features amqp`",
    ))
}

/// Opens the listener for KurrentDB clients if the settings name an address.
#[cfg(feature = "kurrentdb")]
async fn business_door(
    config: &Config,
    app: &Arc<App>,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Result<Option<kurrent_protocol::Listening>, AppError> {
    if config.kurrentdb_listen.is_empty() {
        return Ok(None);
    }
    let (listening, there) = crate::kurrentdb::listen(config, Arc::clone(app), stop).await?;
    output::announce(format!("KurrentDB clients read at kdb://key:<API key>@{there}"));
    Ok(Some(listening))
}

#[cfg(not(feature = "kurrentdb"))]
async fn business_door(
    config: &Config,
    _: &Arc<App>,
    _: tokio::sync::watch::Receiver<bool>,
) -> Result<Option<Never>, AppError> {
    if config.kurrentdb_listen.is_empty() {
        return Ok(None);
    }
    Err(AppError::other(
        "not supported: this program was built without KurrentDB's protocol; build it with \
         `--features kurrentdb`",
    ))
}

#[cfg(not(feature = "kurrentdb"))]
enum Never {}

#[cfg(not(feature = "kurrentdb"))]
impl Never {
    async fn stopped(self) -> Result<(), String> {
        match self {}
    }
}

/// How many files a server has open when all its connections are in use.
const OPEN_FILES_WANTED: u64 = 16_384;

/// Raises the limit of open files to what the process is allowed, and warns if that is too few for
/// the connections that the limits allow.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut allowed = getrlimit(Resource::Nofile);
    allowed.current = allowed.maximum;
    let raised = setrlimit(Resource::Nofile, allowed);
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if now < OPEN_FILES_WANTED {
        tracing::warn!(open_files = now, wanted = OPEN_FILES_WANTED,
            error = ?raised.err(), "the process may have few files open; raise its hard limit \
                (ulimit -Hn)");
    }
}

/// Makes the operator's first key in a file of its own, and shows it on a screen. The file exists
/// before the key works, so that a process that dies in between continues with it.
async fn operators_key(config: &Config, app: &App) -> Result<(), AppError> {
    let file = config.data.join("operator.key");
    let secret = if file.exists() { secret::read(&file)? } else { Secret::generate(&app.entropy) };
    if !file.exists() {
        secret::write(&file, &secret)?;
    }
    app.issue(operator(), &secret).await?;
    output::announce(format!("operator's key: in {}", file.display()));
    output::on_screen(|| format!("operator's key: {}", secret.reveal()));
    Ok(())
}

pub(crate) async fn serve(config: &Config) -> Result<(), AppError> {
    let entrance = config.entrance().map_err(AppError::other)?;
    let lines = logging::start(&config.logging)?;
    raise_open_files();
    event_log::vital::on_death(end_the_process);
    let app = Arc::new(App::open(config, Handles::default()).await?);
    let known = app.bus.directory().principal(operator()).await?.unwrap_or_default();
    if known.keys.is_empty() {
        operators_key(config, &app).await?;
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let relay = relay(config, &app, stopped.clone())?;
    let door = business_door(config, &app, stopped).await?;
    let scheme = if entrance.tls.is_some() { "https" } else { "http" };
    let listening = http::listen(Arc::clone(&app), entrance)?;
    output::announce(format!(
        "minutebook listens on {scheme}://{}/  (data in {})",
        listening.address,
        config.data.display()
    ));
    let (handle, mut server) = (listening.server.handle(), tokio::spawn(listening.server));
    let early = tokio::select! {
        () = super::stop::told_to_stop() => None,
        ended = &mut server => Some(ended),
    };
    // Those who follow are told first: they would be waited for.
    app.stopping.send_replace(true);
    let _ = stop.send(true);
    handle.stop(true).await;
    let ended = match early {
        Some(ended) => ended,
        None => server.await,
    };
    ended.map_err(AppError::other)?.map_err(AppError::other)?;
    if let Some(relay) = relay {
        let _ = relay.await;
    }
    if let Some(door) = door {
        door.stopped().await.map_err(AppError::other)?;
    }
    output::note("minutebook: shutting down; what was accepted is durable");
    match Arc::try_unwrap(app) {
        Ok(app) => app.close().await,
        Err(app) => app.log.close().await,
    }
    lines.flush();
    Ok(())
}
