//! A RabbitMQ of our own for tests: in a temporary folder on free ports, gone with this process,
//! however it ends. `MINUTEBOOK_TEST_AMQP` names another one, that can't be stopped and started.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// Runs a node, stops and starts it as it is told, and takes it away when its input closes.
const KEEPER: &str = r#"
dir="$1" port="$2" dist="$3"
export HOME="$dir" RABBITMQ_NODENAME="mb$port@localhost" RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$dist" RABBITMQ_MNESIA_BASE="$dir/data"
export RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$dir/none"
start() { setsid /usr/lib/rabbitmq/bin/rabbitmq-server >>"$dir/out" 2>&1 & node=$!; }
stop() { kill -9 "-$node" 2>/dev/null; wait "$node" 2>/dev/null; }
start
while read -r word; do
  case "$word" in stop) stop ;; start) start ;; esac
  echo "$word"
done
stop
rm -rf "$dir"
"#;

/// A node that runs.
pub struct Broker {
    /// Its address.
    pub url: String,
    keeper: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
    _folder: Option<TempDir>,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Broker {
    /// Starts one; it takes some seconds until it answers.
    ///
    /// # Panics
    /// When there is no RabbitMQ to be had.
    #[must_use]
    pub fn start() -> Self {
        if let Ok(url) = std::env::var("MINUTEBOOK_TEST_AMQP") {
            return Self { url, keeper: None, _folder: None };
        }
        let there = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists();
        assert!(
            there,
            "RabbitMQ is not here: install Debian's package `rabbitmq-server`, or set \
             MINUTEBOOK_TEST_AMQP"
        );
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let mut command = Command::new("sh");
        command
            .current_dir(folder.path())
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .args([port.to_string(), free_port().to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) =
            (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self {
            url: format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
            keeper: Some((child, input, output)),
            _folder: Some(folder),
        }
    }

    /// Kills the node (`stop`), or has it start again (`start`); false when it is not ours.
    ///
    /// # Panics
    /// When its keeper is gone.
    pub fn tell(&mut self, word: &str) -> bool {
        let Some((_, input, output)) = &mut self.keeper else { return false };
        writeln!(input, "{word}").unwrap();
        let mut said = String::new();
        output.read_line(&mut said).unwrap();
        assert_eq!(said.trim(), word);
        true
    }

    /// Connects, once it answers.
    ///
    /// # Panics
    /// When it does not answer within three minutes: it starts slowly beside other tests.
    pub async fn connect(&self) -> lapin::Connection {
        let began = std::time::Instant::now();
        loop {
            match lapin::Connection::connect(&self.url, lapin::ConnectionProperties::default())
                .await
            {
                Ok(connection) => return connection,
                Err(e) if began.elapsed().as_secs() > 180 => {
                    panic!("RabbitMQ does not answer: {e}")
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            }
        }
    }
}
