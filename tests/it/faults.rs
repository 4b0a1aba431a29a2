//! What fails around a server, or in it: nobody reads its log lines, a thread of it dies.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");
/// What the process exits with when a thread died that it can't do without.
const THREAD_DIED: i32 = 70;

/// A server as a process of its own; it ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// Where it listens; `None` when it ended before it did.
    url: Option<String>,
    /// The operator's.
    pub(crate) key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(
        folder: &Path,
        settings: &[(&str, &str)],
        planted: &str,
        stderr: Stdio,
    ) -> Self {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--data")
            .arg(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .envs(settings.iter().copied());
        Self::listening(command.env("FAILPOINTS", planted).stderr(stderr), folder)
    }

    /// A server that is told to listen: it does, or has ended.
    fn listening(command: &mut Command, folder: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let listens = lines
            .filter_map(|line| {
                Some(line.strip_prefix("minutebook listens on ")?.split('/').nth(2)?.to_owned())
            })
            .next();
        let key = std::fs::read_to_string(folder.join("operator.key")).unwrap_or_default();
        Self { child, url: listens.map(|at| format!("http://{at}")), key: key.trim().to_owned() }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        self.url.as_deref().unwrap()
    }

    /// Status and body of an answer; an error when there was none.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<(u16, String), String> {
        self.send_under(&uuid::Uuid::now_v7().to_string(), method, path, key, body)
    }

    /// The same under an idempotency key of one's own.
    pub(crate) fn send_under(
        &self,
        idempotency_key: &str,
        method: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<(u16, String), String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .into();
        let url = self.url.as_ref().ok_or("it does not listen")?;
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{url}{path}"))
            .header("Authorization", format!("Bearer {key}"));
        let request = request
            .header("Idempotency-Key", idempotency_key)
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .unwrap();
        let mut answer = agent.run(request).map_err(|e| e.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
        Ok((answer.status().as_u16(), text))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.send("GET", path, &self.key, &Value::Null).unwrap()
    }

    pub(crate) fn register(&self, slug: &str) -> Result<(u16, String), String> {
        self.send(
            "POST",
            "/v1/commands",
            &self.key,
            &json!({"type": "businesses.register", "data": {"slug": slug}}),
        )
    }

    /// How it ended by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }
}

/// An installation that was served once.
fn served_once(folder: &Path, settings: &[(&str, &str)]) {
    let server = Server::start(folder, settings, "", Stdio::null());
    assert_eq!(server.register("before").unwrap().0, 200);
}

/// Planted to panic, a thread takes the process with it, and nobody waits for ever.
fn dies(name: &str, settings: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    served_once(folder.path(), settings);
    let mut server =
        Server::start(folder.path(), settings, &format!("{name}=panic"), Stdio::null());
    let answer = server.register("acme");
    assert_eq!(server.ended().and_then(|s| s.code()), Some(THREAD_DIED), "{name}: {answer:?}");
    let again = Server::start(folder.path(), settings, "", Stdio::null());
    assert_eq!(again.get("/readyz").0, 200, "{name}: a supervisor starts it again");
    assert!(
        again.get("/graphql?query=%7Bbusinesses%7Bnodes%7Bslug%7D%7D%7D").1.contains("before"),
        "{name}"
    );
}

#[test]
fn a_thread_that_dies_takes_its_process_with_it() {
    ["log-writer", "attempts", "lane", "projections", "forgettings", "health"]
        .into_iter()
        .for_each(|name| dies(name, &[]));
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_of_a_log_in_postgresql() {
    for name in ["log-appender", "log-follower", "attempts"] {
        let log = tests::postgres::database().await;
        tokio::task::spawn_blocking(move || dies(name, &[("MINUTEBOOK_LOG", &log)])).await.unwrap();
    }
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_of_a_log_in_kurrentdb() {
    for name in ["kurrent-committer", "kurrent-mirror", "keyring-lease"] {
        let cluster = tests::streams::Cluster::start().await;
        let log = cluster.address();
        tokio::task::spawn_blocking(move || dies(name, &[("MINUTEBOOK_LOG", &log)])).await.unwrap();
    }
}

#[cfg(feature = "amqp")]
#[test]
fn so_does_the_relay() {
    // Nobody listens there: it dies before it asks.
    dies("consumer", &[("MINUTEBOOK_AMQP", "amqp://guest:guest@127.0.0.1:1/%2f")]);
}

#[test]
fn while_a_process_ends_it_says_that_it_is_not_well() {
    let folder = tempfile::tempdir().unwrap();
    served_once(folder.path(), &[]);
    let mut server = Server::start(folder.path(), &[], "attempts=panic", Stdio::null());
    let _ = server.register("acme");
    let mut told = false;
    while let Ok((status, why)) = server.send("GET", "/readyz", "", &Value::Null) {
        if status == 503 {
            assert!(why.contains("its thread `attempts` died"), "{why}");
            assert_eq!(
                server.send("GET", "/healthz", "", &Value::Null).map_or(503, |(status, _)| status),
                503
            );
            told = true;
            break;
        }
    }
    assert!(told, "there is half a second for the last answers");
    assert_eq!(server.ended().and_then(|s| s.code()), Some(THREAD_DIED));
}

#[test]
fn what_can_be_decided_again_does_not_end_the_process() {
    let folder = tempfile::tempdir().unwrap();
    served_once(folder.path(), &[]);
    let server = Server::start(folder.path(), &[], "door=1*panic;decide=1*panic", Stdio::null());
    let (status, problem) = server.register("acme").unwrap();
    assert!(
        status == 500 && problem.contains("urn:minutebook:problem:panicked"),
        "{status} {problem}"
    );
    let (status, problem) = server.register("acme").unwrap();
    assert!(status == 503 && problem.contains("a rule panicked"), "{status} {problem}");
    assert_eq!(server.register("acme").unwrap().0, 200);
    assert_eq!((server.get("/healthz").0, server.get("/readyz").0), (200, 200));
}

#[test]
fn an_event_over_which_a_projection_panics_stops_its_business_and_not_the_process() {
    let folder = tempfile::tempdir().unwrap();
    served_once(folder.path(), &[]);
    let server = Server::start(folder.path(), &[], "apply=panic", Stdio::null());
    assert_eq!(
        (server.register("acme").unwrap().0, server.register("other").unwrap().0),
        (200, 200)
    );
    let failures = "/graphql?query=%7Bprojections%7Bname%20failures%7Berror%7D%7D%7D";
    let mut found = false;
    for _ in 0..100 {
        found = server.get(failures).1.contains("applying it panicked");
        if found {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(found, "{}", server.get(failures).1);
    assert_eq!(server.get("/readyz").0, 200);
}

/// Every line more that is logged is one of a caller who was not let in.
fn answers_and_counts(server: &Server, lines: usize) {
    for n in 0..lines {
        assert_eq!(
            server.send("POST", "/v1/commands", "mb_nobody", &json!({})).unwrap().0,
            401,
            "request {n}"
        );
    }
    assert_eq!(server.register("acme").unwrap().0, 200);
    assert_eq!((server.get("/healthz").0, server.get("/readyz").0), (200, 200));
}

fn dropped(server: &Server) -> u64 {
    let metrics = server.get("/metrics").1;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("minutebook_log_lines_dropped_total "))
        .unwrap()
        .to_owned();
    line.parse().unwrap()
}

#[test]
fn a_log_that_nobody_can_read_stops_no_work() {
    let folder = tempfile::tempdir().unwrap();
    // On a full disk.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let server = Server::start(folder.path(), &[], "", full.into());
    answers_and_counts(&server, 20);
    assert!(dropped(&server) >= 20, "what can't be written is counted");
    drop(server);
    // Whoever read it is dead.
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[], "", Stdio::piped());
    drop(server.child.stderr.take());
    answers_and_counts(&server, 20);
    assert!(dropped(&server) >= 20);
    drop(server);
    // Whoever reads it sleeps: a pipe holds 64 KiB.
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[], "", Stdio::piped());
    answers_and_counts(&server, 600);
    let mut lines = [0; 16_000];
    server.child.stderr.take().unwrap().read_exact(&mut lines).unwrap();
    assert!(String::from_utf8_lossy(&lines).contains("a caller was not let in"));
}

#[test]
fn a_server_whose_output_nobody_reads_serves_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data")
        .arg(folder.path())
        .args(["serve", "--listen", &free.to_string()])
        .stdout(full)
        .stderr(Stdio::null());
    let server = Server {
        child: command.spawn().unwrap(),
        url: Some(format!("http://{free}")),
        key: String::new(),
    };
    let mut healthy = false;
    for _ in 0..300 {
        healthy =
            server.send("GET", "/healthz", "", &Value::Null).is_ok_and(|(status, _)| status == 200);
        if healthy {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(healthy);
}

/// What the system lets a process have of open files: the soft limit and the hard one.
fn open_files(process: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn a_server_may_open_as_many_files_as_it_is_allowed_and_says_so_when_these_are_few() {
    let allowed = open_files(std::process::id()).1;
    for (soft, hard, few) in [(256, 16_383, true), (256, 16_384, false)] {
        if allowed.parse().is_ok_and(|allowed: u64| allowed < hard) {
            eprintln!("this machine allows {allowed} open files: {hard} are not tried");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\""),
                "sh",
                PROGRAM,
                "--data",
            ])
            .arg(folder.path());
        let mut server = Server::listening(
            command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()),
            folder.path(),
        );
        assert_eq!(open_files(server.child.id()), (hard.to_string(), hard.to_string()));
        let mut lines = server.child.stderr.take().unwrap();
        drop(server);
        let mut said = String::new();
        lines.read_to_string(&mut said).unwrap();
        assert_eq!(said.contains("few files open"), few, "{hard}: {said}");
    }
}
