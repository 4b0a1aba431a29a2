//! Real server processes on one log in PostgreSQL, to be killed and stopped.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A `minutebook serve` of its own; killed with this.
pub struct Server {
    process: Child,
    /// Where it listens, `http://…`.
    pub url: String,
    /// The operator's key, when this server made it.
    pub key: Option<String>,
    _folder: TempDir,
}

/// What a client of the door got.
#[derive(Debug)]
pub enum Answer {
    /// Status and body.
    Said(u16, Value),
    /// Nothing that says whether it happened.
    Nothing(String),
}

impl Server {
    /// Starts one with these arguments besides; all wrap keys with the same key.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(program: &str, log: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
        let mut command = Command::new(program);
        command
            .arg("--data")
            .arg(folder.path())
            .args(["--log", log, "serve", "--listen", "127.0.0.1:0"])
            .args(arguments);
        let mut process =
            command.env("MINUTEBOOK_LOGGING", "error").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut key = None;
        let url = loop {
            let line = lines.next().expect("the server ended before it listened").unwrap();
            if let Some(file) = line.strip_prefix("operator's key: in ") {
                key = Some(std::fs::read_to_string(file).unwrap().trim().to_owned());
            }
            if let Some(at) = line.find("http://") {
                break line[at..].split('/').take(3).collect::<Vec<_>>().join("/");
            }
        };
        Self { process, url, key, _folder: folder }
    }

    fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// `SIGSTOP`: it does nothing more and knows nothing of it.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// `SIGCONT`.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// `SIGKILL`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Posts to a door, and waits no longer than that for its answer.
///
/// # Panics
/// When the request can't be made.
#[must_use]
pub fn post(
    url: &str,
    key: &str,
    idempotency: Option<&str>,
    body: &Value,
    slow_reader_timeout: Duration,
) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(slow_reader_timeout))
        .build()
        .into();
    let mut request = agent
        .post(url)
        .header("Authorization", format!("Bearer {key}"))
        .header("Content-Type", "application/json");
    if let Some(idempotency) = idempotency {
        request = request.header("Idempotency-Key", idempotency);
    }
    match request.send(body.to_string()) {
        Ok(mut response) => {
            let status = response.status().as_u16();
            match response.body_mut().read_to_string() {
                Ok(text) => {
                    Answer::Said(status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
                }
                Err(e) => Answer::Nothing(e.to_string()),
            }
        }
        Err(e) => Answer::Nothing(e.to_string()),
    }
}

/// Plans a task through any of these doors, with one idempotency key until one of them answers.
///
/// # Panics
/// When none does within a minute, or one refuses.
#[must_use]
pub fn plan(doors: &[String], key: &str, business: &str, idempotency: &str) -> Value {
    let began = Instant::now();
    let body = json!({"type": "tasks.plan", "data": {"title": idempotency, "team": "hr"}});
    for turn in 0.. {
        let door = &doors[turn % doors.len()];
        match post(
            &format!("{door}/v1/businesses/{business}/commands"),
            key,
            Some(idempotency),
            &body,
            Duration::from_secs(3),
        ) {
            Answer::Said(200 | 201, receipt) => return receipt,
            // Not now (the store is away, a role is not known here yet): the same again, elsewhere.
            Answer::Said(403 | 404 | 408 | 409 | 429 | 503, _) | Answer::Nothing(_)
                if began.elapsed() < Duration::from_secs(60) =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            other @ (Answer::Said(..) | Answer::Nothing(_)) => panic!("{other:?}"),
        }
    }
    unreachable!()
}

/// The program's command line, with its exit code and what it said.
///
/// # Panics
/// When it can't be run.
#[must_use]
pub fn run(program: &str, folder: &Path, log: &str, arguments: &[&str]) -> (i32, String) {
    let out = Command::new(program)
        .arg("--data")
        .arg(folder)
        .args(["--log", log])
        .args(arguments)
        .output()
        .unwrap();
    (
        out.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
    )
}
