//! Generic streams behind KurrentDB's protocol, in this process or in one that can be killed: what
//! stands for a cluster here.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use event_log::Entropy;
use event_log::keyring::{LocalKeyring, Wrapping};
use hub::streams::Streams;
use kurrent_protocol::Listening;
use log_kurrentdb::KurrentLog;
use tempfile::TempDir;
use tokio::sync::watch;

/// A store of streams that listens; gone with this.
pub struct Cluster {
    /// The port it listens on.
    pub port: u16,
    stop: watch::Sender<bool>,
    listening: Option<Listening>,
    /// What it serves.
    pub streams: Arc<Streams>,
    _folder: TempDir,
}

impl Cluster {
    /// A new one, without TLS.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    /// One in a folder.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn start_in(folder: TempDir) -> Self {
        let streams = Arc::new(Streams::open(&folder.path().join("streams.db")).unwrap());
        let (stop, stopped) = watch::channel(false);
        let listening =
            kurrent_protocol::listen(Arc::clone(&streams), "127.0.0.1:0", "", None, stopped)
                .await
                .unwrap();
        Self {
            port: listening.address.port(),
            stop,
            listening: Some(listening),
            streams,
            _folder: folder,
        }
    }

    /// How the store in KurrentDB is told of it.
    #[must_use]
    pub fn address(&self) -> String {
        address(self.port)
    }

    /// Stops it as an operator would.
    ///
    /// # Panics
    /// When it was stopped before.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        self.listening.take().unwrap().stopped().await.unwrap();
        self.streams.close().await;
    }
}

/// The address of a cluster of one node without TLS.
#[must_use]
pub fn address(port: u16) -> String {
    format!("esdb://127.0.0.1:{port}?tls=false")
}

/// A process of `minutebook streams`; killed with this.
pub struct Process {
    /// The port it listens on.
    pub port: u16,
    file: PathBuf,
    program: PathBuf,
    child: Child,
}

impl Process {
    /// Starts one on a file, on a free port.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(program: &str, file: PathBuf) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = run(program.as_ref(), &file, port);
        Self { port, file, program: program.into(), child }
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When there is nothing to kill.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, on the same file and port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn again(&mut self) {
        self.child = run(&self.program, &self.file, self.port);
    }

    /// Stops its work without ending it (`SIGSTOP`), or lets it go on (`SIGCONT`).
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill")
                .args([signal, &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
}

fn run(program: &std::path::Path, file: &std::path::Path, port: u16) -> Child {
    let listen = format!("127.0.0.1:{port}");
    let mut command = Command::new(program);
    command
        .args(["streams", "--data"])
        .arg(file)
        .args(["--listen", &listen])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    for _ in 0..500 {
        if std::net::TcpStream::connect(&listen).is_ok() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = (child.kill(), child.wait());
    panic!("streams do not listen on {listen}");
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a log in a cluster; its mirror and its keys are in the folder.
///
/// # Panics
/// When it can't be opened.
pub async fn open(address: &str, folder: &TempDir) -> Arc<KurrentLog> {
    try_open(address, folder).await.unwrap()
}

/// As [`open`].
///
/// # Errors
/// What the log says.
///
/// # Panics
/// When the keyring can't be opened.
pub async fn try_open(
    address: &str,
    folder: &TempDir,
) -> Result<Arc<KurrentLog>, event_log::LogError> {
    let wrapping =
        Wrapping::from_file(&folder.path().join("keyring.key"), &Entropy::System).unwrap();
    let keyring = Arc::new(
        LocalKeyring::open(
            &folder.path().join("keys.db"),
            &wrapping,
            Entropy::System,
            event_log::keyring::IfMissing::Make,
        )
        .unwrap(),
    );
    KurrentLog::prepare(address)?.open(folder.path(), keyring).await.map(Arc::new)
}

/// Has the client of the store in KurrentDB put the process's TLS provider there, before other
/// clients do: it panics when it finds one.
///
/// # Panics
/// When it is too late.
pub fn tls_provider() {
    drop(KurrentLog::prepare("esdb://127.0.0.1:1?tls=false").unwrap());
}
