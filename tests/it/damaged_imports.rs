//! Files that are damaged as real ones are: what is wrong is told with its place, what can be read
//! comes in, and the mended file brings the rest. Into a folder and through a server alike.

mod cases;
mod killed;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::faults::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");
const CSV: [&str; 6] = ["--case", "ticket", "--activity", "step", "--time", "when"];

/// What came of one import.
#[derive(Debug, PartialEq)]
struct Taken {
    code: Option<i32>,
    counts: Value,
    /// What is said to people.
    said: String,
}

impl Taken {
    /// Why records could not be taken, one after another.
    fn broken(&self) -> Vec<String> {
        let told = |b: &Value| {
            format!("{}:{} {}", b["record"], b["line"], b["why"].as_str().unwrap_or_default())
        };
        self.counts["broken"].as_array().into_iter().flatten().map(told).collect()
    }

    fn is_whole(&self) -> bool {
        self.code == Some(0) && self.broken().is_empty()
    }

    fn new_events(&self) -> u64 {
        self.counts["events_written"].as_u64().unwrap_or_default()
    }
}

fn data(file: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let damaged = data.join("damaged").join(file);
    if damaged.exists() { damaged } else { data.join(file) }
}

fn run(command: &mut Command) -> Taken {
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    Taken {
        code: ended.status.code(),
        counts: serde_json::from_slice(&ended.stdout).unwrap_or_default(),
        said,
    }
}

/// What the import of a file says in its arguments.
fn arguments(command: &mut Command, format: &str, file: &Path, more: &[&str]) {
    let csv = if format == "csv" { &CSV[..] } else { &[] };
    command
        .args(["import", format])
        .arg(file)
        .args(["--business", "acme", "--json"])
        .args(csv)
        .args(more);
}

/// What is on record: cases and runs with their state and number of activities, decisions and
/// calls.
fn on_record(server: &Server) -> Value {
    let ask = |query: &str| -> Value {
        let (status, text) =
            server.send("POST", "/graphql", &server.key, &json!({"query": query})).unwrap();
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
    };
    if ask("{ businesses { nodes { slug } } }")["businesses"]["nodes"] == json!([]) {
        return Value::Null;
    }
    let seen =
        ask("{ business(slug: \"acme\") { tasks(first: 50) { nodes { title { text } status \
        activityCount } }
        decisions(first: 1) { totalCount } calls(first: 1) { totalCount } } }");
    let mut tasks: Vec<(String, String, u64)> = Vec::new();
    for task in seen["business"]["tasks"]["nodes"].as_array().unwrap() {
        tasks.push((
            task["title"]["text"].as_str().unwrap().to_owned(),
            task["status"].as_str().unwrap().to_owned(),
            task["activityCount"].as_u64().unwrap(),
        ));
    }
    tasks.sort();
    json!({"tasks": tasks, "decisions": seen["business"]["decisions"]["totalCount"],
        "calls": seen["business"]["calls"]["totalCount"]})
}

/// Imports files one after another, into a folder and through a server; both must say and record
/// the same.
fn import(format: &str, files: &[(&Path, &[&str])]) -> (Vec<Taken>, Value) {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (into, through) = (here.path().join("data"), there.path().join("data"));
    let mut local = Vec::new();
    for (file, more) in files {
        let mut command = Command::new(PROGRAM);
        command.arg("--data").arg(&into);
        arguments(&mut command, format, file, more);
        local.push(run(&mut command));
    }
    let server = Server::start(&into, &[], "", Stdio::null());
    let recorded = on_record(&server);
    drop(server);
    let server = Server::start(&through, &[], "", Stdio::null());
    for ((file, more), local) in files.iter().zip(&local) {
        let mut command = Command::new(PROGRAM);
        command.args(["--server", server.url()]).env("MINUTEBOOK_KEY", &server.key);
        arguments(&mut command, format, file, more);
        let remote = run(&mut command);
        assert_eq!(
            (remote.code, &remote.counts),
            (local.code, &local.counts),
            "{}: {} against {}",
            file.display(),
            remote.said,
            local.said
        );
    }
    assert_eq!(on_record(&server), recorded, "a server records the same");
    (local, recorded)
}

fn one(format: &str, file: &str) -> (Taken, Value) {
    with(format, file, &[])
}

fn with(format: &str, file: &str, more: &[&str]) -> (Taken, Value) {
    let (mut taken, recorded) = import(format, &[(&data(file), more)]);
    (taken.remove(0), recorded)
}

/// One of its cases has no name.
const NAMELESS: &[&str] = &["--allow-missing"];

fn orders() -> Value {
    with("xes", "process-logs/orders.xes", NAMELESS).1
}

#[test]
fn a_file_is_read_in_the_encoding_that_it_declares_or_that_is_named() {
    let orders = orders();
    for file in ["latin1.xes", "utf16.xes"] {
        let (taken, recorded) = with("xes", file, NAMELESS);
        assert!(taken.is_whole(), "{file}: {taken:?}");
        assert_eq!(recorded, orders, "{file}");
    }
    let (refused, nothing) = one("xes", "windows.xes");
    assert_eq!((refused.code, &nothing), (Some(1), &Value::Null));
    assert!(
        refused.said.contains("not supported: the encoding windows-1252")
            && refused.said.contains("iconv -f"),
        "{}",
        refused.said
    );
    let (refused, _) = one("xes", "undeclared.xes");
    assert!(
        refused.broken().iter().any(|why| why.contains("no UTF-8") && why.contains("--encoding")),
        "{refused:?}"
    );
    let (taken, recorded) =
        with("xes", "undeclared.xes", &["--allow-missing", "--encoding", "iso-8859-1"]);
    assert!(taken.is_whole(), "{taken:?}");
    assert_eq!(recorded, orders);
    let (rows, _) = one("csv", "latin1.csv");
    assert!(rows.broken().iter().any(|why| why.contains("--encoding")), "{rows:?}");
    assert!(with("csv", "latin1.csv", &["--encoding", "iso-8859-1"]).0.is_whole());
}

#[test]
fn a_gzip_that_is_damaged_is_told_and_leaves_its_cases_open() {
    let orders = orders();
    for file in [
        "crc.xes.gz",
        "length.xes.gz",
        "cut.xes.gz",
        "no-trailer.xes.gz",
        "members.xes.gz",
        "trailing.xes.gz",
    ] {
        let whole = TempDir::new().unwrap();
        let (damaged, mended) =
            (whole.path().join("orders.xes.gz"), whole.path().join("orders.xes"));
        std::fs::copy(data(file), &damaged).unwrap();
        std::fs::copy(data("process-logs/orders.xes"), &mended).unwrap();
        let (taken, _) = import("xes", &[(&damaged, NAMELESS)]);
        let why = taken[0].broken();
        assert!(
            taken[0].code == Some(1)
                && why.iter().any(|why| why.contains("the gzip file is damaged")),
            "{file}: {taken:?}"
        );
        let (both, recorded) = import("xes", &[(&damaged, NAMELESS), (&mended, NAMELESS)]);
        assert!(both[1].is_whole(), "{file}: {both:?}");
        assert_eq!(recorded, orders, "{file}, then the whole one");
    }
    let open = import("xes", &[(&data("crc.xes.gz"), NAMELESS)]).1;
    assert!(open["tasks"].as_array().unwrap().iter().all(|task| task[1] == "PLANNED"), "{open}");
    assert!(one("csv", "tickets.csv.gz").0.is_whole(), "gzip is recognised, whatever the format");
}

#[test]
fn a_broken_line_costs_itself_alone() {
    let (taken, recorded) = import(
        "transcript",
        &[(&data("broken-lines.jsonl"), &[]), (&data("mended-lines.jsonl"), &[])],
    );
    assert_eq!(taken[0].broken().len(), 2, "{taken:?}");
    assert!(
        taken[0].broken()[0].starts_with("2:2 ") && taken[0].broken()[1].starts_with("4:4 "),
        "{taken:?}"
    );
    assert_eq!((&taken[0].counts["tasks"], &taken[1].counts["tasks"]), (&json!(4), &json!(6)));
    assert!(taken[1].is_whole(), "{taken:?}");
    assert_eq!(recorded["tasks"].as_array().unwrap().len(), 6);
    let (array, _) = one("transcript", "broken-array.json");
    assert_eq!((array.broken().len(), &array.counts["tasks"]), (2, &json!(4)), "{array:?}");
    assert!(
        one("transcript", "two-lists.json").0.broken()[0].contains("after the end of the list")
    );
    assert!(one("transcript", "list-cut.json").0.broken()[0].contains("ends before its list does"));
}

#[test]
fn what_holds_no_record_says_so_and_registers_nothing() {
    for (format, file, why) in [
        ("transcript", "only-broken.jsonl", "no transcript"),
        ("transcript", "empty.jsonl", "no record in this file"),
        ("openhands", "empty.jsonl", "no record in this file"),
        ("csv", "headers.csv", "no row"),
        ("xes", "empty.jsonl", "no <log>"),
    ] {
        let (taken, recorded) = one(format, file);
        assert!(
            taken.code == Some(1) && taken.broken()[0].contains(why),
            "{file} as {format}: {taken:?}"
        );
        assert_eq!(recorded, Value::Null, "{file} as {format}: no business is registered");
    }
}

#[test]
fn runs_without_ids_and_names_are_read_and_kept_apart() {
    let (taken, recorded) = one("openhands", "resolver.jsonl");
    assert!(taken.is_whole(), "{taken:?}");
    let names: Vec<&str> = recorded["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task[0].as_str().unwrap())
        .collect();
    assert_eq!(names, ["acme/shop#7", "resolver", "resolver#2"]);
    assert_eq!((&recorded["decisions"], &recorded["calls"]), (&json!(6), &json!(3)));
}

#[test]
fn a_record_is_looked_at_whole_before_its_first_command() {
    let folder = TempDir::new().unwrap();
    let entry = |id: u32, at: &str| {
        json!({"id": id, "timestamp": at, "source": "user",
        "action": "message", "args": {"content": "x"}})
    };
    let observation = |id: &str, at: &str| json!({"id": id, "type": "SPAN", "startTime": at});
    let good = "2026-03-01T09:00:00Z";
    for (format, why, record) in [
        ("openhands", "`noon` is no time", json!([entry(1, good), entry(2, "noon")])),
        ("openhands", "the same id", json!([entry(1, good), entry(1, good)])),
        (
            "langfuse",
            "`noon` is no time",
            json!({"trace": {"id": "t"}, "observations": [observation("a", good),
                observation("b", "noon")]}),
        ),
        (
            "langfuse",
            "the same id",
            json!({"trace": {"id": "t"}, "observations": [observation("a", good), observation("a",
                good)]}),
        ),
    ] {
        let file = folder.path().join("record.json");
        std::fs::write(&file, record.to_string()).unwrap();
        let (taken, recorded) = import(format, &[(&file, &[])]);
        assert!(taken[0].broken()[0].contains(why), "{format}: {taken:?}");
        assert_eq!(recorded, Value::Null, "{format}: nothing of it is on record");
    }
}

#[test]
fn what_a_command_of_a_record_can_not_say_is_found_before_its_first_command() {
    let folder = TempDir::new().unwrap();
    let good = "2026-03-01T09:00:00Z";
    let first = json!({"id": "a", "type": "SPAN", "startTime": good});
    for (why, second) in [
        ("cost must be a decimal number", json!({"totalCost": "a lot"})),
        ("beyond the limit", json!({"output": "x".repeat(800_000)})),
    ] {
        let mut bad = json!({"id": "b", "type": "GENERATION", "startTime": good});
        bad.as_object_mut().unwrap().extend(second.as_object().unwrap().clone());
        let record = json!({"trace": {"id": "t"}, "observations": [first, bad]});
        let file = folder.path().join("record.json");
        std::fs::write(&file, record.to_string()).unwrap();
        let (taken, recorded) = import("langfuse", &[(&file, &[])]);
        assert!(taken[0].broken()[0].contains(why), "{taken:?}");
        assert_eq!(recorded["tasks"], json!([]), "nothing of the record is in the log");
    }
}

#[test]
fn conversations_of_mini_swe_agent_are_trajectories() {
    let (taken, recorded) = one("swe-agent", "swe-agent/mini.traj.json");
    assert!(taken.is_whole(), "{taken:?}");
    assert_eq!(
        (&taken.counts["steps"], &recorded["decisions"], &recorded["calls"]),
        (&json!(2), &json!(2), &json!(2))
    );
}

#[test]
fn what_is_missing_is_told_and_costs_its_row_or_case() {
    let folder = TempDir::new().unwrap();
    let (missing, mended) = (folder.path().join("a/log.xes"), folder.path().join("b/log.xes"));
    for (from, to) in [("missing.xes", &missing), ("mended.xes", &mended)] {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(data(from), to).unwrap();
    }
    let (taken, recorded) = import("xes", &[(&missing, &[]), (&mended, &[])]);
    let told = taken[0].broken();
    for why in [
        "event 2 of case 1: it has no activity",
        "event 3 of case 1: it has no time",
        "no concept:name",
        "event 2 of case 3: `yesterday` is no time",
    ] {
        assert!(told.iter().any(|told| told.contains(why)), "{why}: {told:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(taken[1].is_whole(), "{taken:?}");
    assert_eq!(
        recorded["tasks"],
        json!([
            ["a", "COMPLETED", 4],
            ["b", "COMPLETED", 2],
            ["c", "COMPLETED", 1],
            ["d", "COMPLETED", 1]
        ])
    );
    let alone = import("xes", &[(&missing, &[])]).1;
    assert_eq!(
        alone["tasks"],
        json!([["a", "PLANNED", 2], ["b", "PLANNED", 1], ["c", "COMPLETED", 1]]),
        "a case that lacks an event stays open"
    );
    let (all, recorded) = import("xes", &[(&missing, &["--allow-missing"])]);
    assert_eq!(all[0].broken().len(), 1, "only the time that is none: {all:?}");
    assert_eq!(recorded["tasks"].as_array().unwrap().len(), 4);
    let (rows, recorded) = one("csv", "missing.csv");
    assert_eq!(rows.broken().len(), 3, "{rows:?}");
    assert_eq!(
        recorded["tasks"],
        json!([["T-1", "PLANNED", 2]]),
        "any case may lack the row that names none"
    );
    assert!(with("csv", "missing.csv", &["--allow-missing"]).0.is_whole());
}
