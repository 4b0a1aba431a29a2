//! One server whose surroundings fail one after another: its standard error, its disk, its clock,
//! its database. It answers every caller, says the truth in `/readyz`, loses nothing, and is never
//! started again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::Server;

/// Longest that a caller waits: the deadline of a command, and some time for a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(19);

/// What `tests/drivers/surroundings.c` reads.
struct Surroundings {
    file: File,
    library: PathBuf,
    path: PathBuf,
}

impl Surroundings {
    fn make(folder: &Path) -> Self {
        let (library, path) = (folder.join("surroundings.so"), folder.join("surroundings"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers/surroundings.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let file = File::options().create(true).truncate(true).write(true).open(&path).unwrap();
        file.write_all_at(&[0; 16], 0).unwrap();
        Self { file, library, path }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("SURROUNDINGS_OF_TEST", self.path.to_str().unwrap()),
        ]
    }

    fn clock_is_ahead(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    fn disk_is_full(&self, full: bool) {
        self.file.write_all_at(&i64::from(full).to_ne_bytes(), 8).unwrap();
    }
}

/// What the caller was told, by idempotency key: status and body.
type PublishedState = BTreeMap<String, (u16, Value)>;

fn plan(server: &Server, key: &str) -> (u16, Value) {
    let command = json!({"type": "tasks.plan", "data": {"title": key, "team": "hr"}});
    let asked = Instant::now();
    let (status, text) = server
        .send_under(key, "POST", "/v1/businesses/acme/commands", &server.key, &command)
        .unwrap();
    assert!(asked.elapsed() < ANSWER_MAX, "{key}: {status} after {:?}", asked.elapsed());
    (status, serde_json::from_str(&text).unwrap())
}

/// Asks for the same until the server says what is expected; gives what it says.
fn until_ready_is(server: &Server, expected: u16, word: &str) {
    let mut said = (0, String::new());
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(60) {
        said = server.get("/readyz");
        if said.0 == expected && said.1.contains(word) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("/readyz never says {expected} with {word:?}, but {said:?}");
}

fn asked(server: &Server, query: &str) -> Value {
    let (status, text) =
        server.send("POST", "/graphql", &server.key, &json!({"query": query})).unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A caller that never stops sending, whatever it is told.
fn calls(server: &Server, over: &AtomicBool, name: &str) -> PublishedState {
    let mut told = PublishedState::new();
    while !over.load(Ordering::Relaxed) {
        let key = format!("{name} {}", told.len());
        let (status, body) = plan(server, &key);
        assert!([200, 503].contains(&status), "{key}: {status} {body}");
        told.insert(key, (status, body));
        std::thread::sleep(Duration::from_millis(10));
    }
    told
}

/// What fails, in turn, and gets well again.
fn one_after_another(
    server: &Server,
    lines: ChildStderr,
    around: &Surroundings,
    database: Option<&(dyn Fn(bool) + Sync)>,
) {
    // Whoever reads its lines dies; it says something with every request of somebody it doesn't
    // know.
    drop(lines);
    (0..20).for_each(|_| {
        assert_eq!(server.send("POST", "/v1/commands", "mb_nobody", &json!({})).unwrap().0, 401)
    });
    until_ready_is(server, 200, "");
    // The disk.
    around.disk_is_full(true);
    // Of a log in PostgreSQL only the views lie on it.
    let unwritable = if database.is_some() {
        "the views can't follow the log"
    } else {
        "the log can't be written"
    };
    until_ready_is(server, 503, unwritable);
    asked(server, "{ business(slug: \"acme\") { tasks(first: 1) { totalCount } } }");
    std::thread::sleep(Duration::from_secs(2));
    until_ready_is(server, 503, unwritable);
    around.disk_is_full(false);
    until_ready_is(server, 200, "");
    // The clock.
    around.clock_is_ahead(-86_400);
    until_ready_is(server, 503, "clock");
    around.clock_is_ahead(0);
    until_ready_is(server, 200, "");
    // The database.
    if let Some(stands_still) = database {
        stands_still(true);
        until_ready_is(server, 503, "has not answered");
        stands_still(false);
        until_ready_is(server, 200, "");
    }
}

/// Everything that was accepted is there, everything else may be sent again, and nothing is there
/// twice.
fn nothing_is_lost(server: &Server, told: &PublishedState) {
    assert!(told.values().any(|(status, _)| *status == 200), "nothing was accepted");
    for (key, (status, body)) in told {
        let (now, again) = plan(server, key);
        assert_eq!(now, 200, "{key}: {again}");
        if *status == 200 {
            assert_eq!(
                (&again["events"], &again["repeated"]),
                (&body["events"], &json!(true)),
                "{key}"
            );
        }
    }
    let tasks = format!(
        "{{ business(slug: \"acme\", minPosition: {}) {{ tasks(first: 1) {{ totalCount }} }} }}",
        plan(server, told.keys().next().unwrap()).1["position"]
    );
    assert_eq!(asked(server, &tasks)["data"]["business"]["tasks"]["totalCount"], json!(told.len()));
    let (status, verified) =
        server.send("POST", "/v1/businesses/acme/verification", &server.key, &json!({})).unwrap();
    assert_eq!(status, 200, "{verified}");
}

fn survives(log: Option<&str>, database: Option<&(dyn Fn(bool) + Sync)>) {
    let folder = tempfile::tempdir().unwrap();
    let around = Surroundings::make(folder.path());
    let settings: Vec<(&str, &str)> =
        around.settings().into_iter().chain(log.map(|log| ("MINUTEBOOK_LOG", log))).collect();
    let mut server = Server::start(&folder.path().join("data"), &settings, "", Stdio::piped());
    assert_eq!(server.register("acme").unwrap().0, 200);
    let (over, lines) = (AtomicBool::new(false), server.child.stderr.take().unwrap());
    let told = std::thread::scope(|scope| {
        let callers = ["one", "two"].map(|name| {
            scope.spawn({
                let (server, over) = (&server, &over);
                move || calls(server, over, name)
            })
        });
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            one_after_another(&server, lines, &around, database)
        }));
        over.store(true, Ordering::Relaxed);
        let told =
            callers.into_iter().flat_map(|calls| calls.join().unwrap()).collect::<PublishedState>();
        failed.unwrap();
        told
    });
    assert!(server.child.try_wait().unwrap().is_none(), "it is still the same process");
    nothing_is_lost(&server, &told);
}

#[test]
fn standard_error_disk_and_clock_fail_one_after_another() {
    survives(None, None);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_a_database_after_them() {
    use tests::proxy::{Proxy, Weather};
    let (proxy, through) = Proxy::of(&tests::postgres::database().await).await;
    let stands_still =
        move |still: bool| proxy.turns(if still { Weather::HalfOpen } else { Weather::Fair });
    tokio::task::spawn_blocking(move || survives(Some(&through), Some(&stands_still)))
        .await
        .unwrap();
}
