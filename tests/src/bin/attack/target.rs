//! The server that is attacked, and what is watched of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What was seen of the server while it was attacked.
pub(crate) struct Seen {
    pub(crate) health_p99: Duration,
    /// The most anonymous memory that it had, in bytes.
    pub(crate) anonymous: u64,
    /// Whether it answers afterwards.
    pub(crate) answered: bool,
}

/// A server of its own with a business `acme`.
pub(crate) struct Target {
    child: Child,
    _folder: TempDir,
    /// Host and port of the HTTP door.
    pub(crate) http: String,
    /// Host and port of the door for KurrentDB clients.
    pub(crate) kurrentdb: String,
    /// The operator's key.
    pub(crate) operator: String,
    /// Two agents with their keys.
    pub(crate) agents: [(String, String); 2],
    /// Somebody without a role.
    pub(crate) stranger: String,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Leaves the first core to the server.
pub(crate) fn pin_to_other_cores() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 {
        let pinned = Command::new("taskset")
            .args(["-pc", &format!("1-{}", cores - 1), &std::process::id().to_string()])
            .output();
        assert!(pinned.is_ok_and(|p| p.status.success()), "taskset (util-linux) is missing");
    }
}

/// Thousands of sockets are opened here.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut allowed = getrlimit(Resource::Nofile);
    allowed.current = allowed.maximum;
    let _ = setrlimit(Resource::Nofile, allowed);
}

/// Lets the others on this core go first: what is measured is how long the server takes, not who
/// attacks it.
pub(crate) fn give_way() {
    let _ = rustix::process::nice(19);
}

/// Anonymous memory of a process, in bytes; 0 when it is gone.
pub(crate) fn anonymous(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0)
        * 1_024
}

/// The time within which 99 of 100 are.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

impl Target {
    pub(crate) fn start(binary: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("taskset");
        command.args(["-c", "0", binary, "--data"]).arg(folder.path().join("data"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--kurrentdb-listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut http, mut kurrentdb) = (None, String::new());
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(at) = line.strip_prefix("KurrentDB clients read at ") {
                kurrentdb = at.rsplit('@').next().unwrap().split('?').next().unwrap().to_owned();
            }
            if let Some(at) = line.strip_prefix("minutebook listens on http://") {
                http = at.split('/').next().map(str::to_owned);
                break;
            }
        }
        let operator = std::fs::read_to_string(folder.path().join("data/operator.key"))
            .unwrap()
            .trim()
            .to_owned();
        let nobody = (String::new(), String::new());
        let mut target = Self {
            child,
            _folder: folder,
            http: http.expect("the server does not start"),
            kurrentdb,
            operator,
            agents: [nobody.clone(), nobody],
            stranger: String::new(),
        };
        target.people();
        target
    }

    /// A business with two agents, and somebody without a role.
    fn people(&mut self) {
        let business = self
            .must("", json!({"type": "businesses.register", "data": {"slug": "acme"}}))["business"]
            .as_str()
            .unwrap()
            .to_owned();
        let keyed = |name: &str, kind: &str| {
            let (id, secret) = (
                uuid::Uuid::now_v7(),
                format!("mb_{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()),
            );
            self.must(
                "",
                json!({"type": "access.add_principal", "id": id, "data": {"kind": kind,
                "display_name": name}}),
            );
            let hash = server::secret::Secret::from_text(&secret).hash();
            self.must(
                "",
                json!({"type": "access.issue_key", "id": id,
                "data": {"key": uuid::Uuid::now_v7(), "hash": hash}}),
            );
            (id, secret)
        };
        let producer = |name: &str| {
            let (id, secret) = keyed(name, "agent");
            self.must(
                "",
                json!({"type": "access.grant_role", "id": id,
                "data": {"business": business, "role": "agent"}}),
            );
            let runtime = json!({"model": "m"});
            let enrol = json!({"name": name, "team": "sales", "role": "producer",
                "runtime": runtime, "principal": id, "concurrency": 10});
            let receipt = self.must("acme", json!({"type": "agents.enrol", "data": enrol}));
            (receipt["events"][0]["id"].as_str().unwrap().to_owned(), secret)
        };
        let agents = [producer("busy"), producer("quiet")];
        let stranger = keyed("stranger", "human").1;
        (self.agents, self.stranger) = (agents, stranger);
    }

    /// Status and body of the answer to a request; 0 when there was none.
    pub(crate) fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.http));
        let request = request
            .header("Authorization", format!("Bearer {key}"))
            .header("Content-Type", "application/json");
        let request = request.header("Idempotency-Key", uuid::Uuid::now_v7().to_string());
        let Ok(mut answer) =
            agent(Duration::from_secs(60)).run(request.body(body.to_string()).unwrap())
        else {
            return (0, Value::Null);
        };
        let text =
            answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap_or_default();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Sends a command as the operator, of a business or of the installation.
    pub(crate) fn must(&self, business: &str, command: Value) -> Value {
        let path = if business.is_empty() {
            "/v1/commands".to_owned()
        } else {
            format!("/v1/businesses/{business}/commands")
        };
        let (status, body) = self.send("POST", &path, &self.operator, &command);
        assert_eq!(status, 200, "{command}: {body}");
        body
    }

    pub(crate) fn graphql(&self, key: &str, query: &str) -> (u16, Value) {
        self.send("POST", "/graphql", key, &json!({"query": query}))
    }

    /// A connection on which this was sent.
    pub(crate) fn opened(&self, text: &str) -> Option<TcpStream> {
        // From another address than the sign of life is asked from: one peer has so many
        // connections.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
        socket.bind(&"127.0.0.2:0".parse::<SocketAddr>().unwrap().into()).ok()?;
        socket.connect(&self.http.parse::<SocketAddr>().unwrap().into()).ok()?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(text.as_bytes()).ok()?;
        Some(stream)
    }

    /// The status of the answer on a connection.
    pub(crate) fn status(stream: &mut TcpStream) -> Option<u16> {
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
    }

    /// Watches the server while something is done.
    pub(crate) fn watched<T: Send>(&self, work: impl FnOnce() -> T + Send) -> (T, Seen) {
        let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
        let pid = self.server();
        let (done, times) = std::thread::scope(|scope| {
            let memory = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(anonymous(pid), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let health = scope.spawn(|| {
                let (agent, mut times) = (agent(Duration::from_secs(20)), Vec::new());
                while !over.load(Ordering::Relaxed) || times.len() < 100 {
                    let began = Instant::now();
                    let answer = agent.get(format!("http://{}/healthz", self.http)).call();
                    times.push(if answer.is_ok_and(|a| a.status() == 200) {
                        began.elapsed()
                    } else {
                        Duration::from_secs(20)
                    });
                    std::thread::sleep(Duration::from_millis(5));
                }
                times
            });
            let done = scope.spawn(|| {
                give_way();
                work()
            });
            let done = done.join().unwrap();
            over.store(true, Ordering::Relaxed);
            memory.join().unwrap();
            (done, health.join().unwrap())
        });
        let (status, _) = self.graphql(&self.operator, "{ businesses { nodes { slug } } }");
        (
            done,
            Seen { health_p99: p99(times), anonymous: most.into_inner(), answered: status == 200 },
        )
    }

    /// The server itself: `taskset` becomes it.
    fn server(&self) -> u32 {
        self.child.id()
    }
}
