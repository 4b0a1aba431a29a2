//! An import that is killed in the middle of a record.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PROGRAM, arguments, data, on_record, run};
use crate::faults::Server;

const FILE: &str = "tau-bench/airline-slice.json";

#[test]
fn a_killed_import_is_completed_by_the_next_one_and_the_counts_are_those_of_the_log() {
    let folder = TempDir::new().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let import = |into: &std::path::Path| {
        let mut command = Command::new(PROGRAM);
        command.arg("--data").arg(into);
        arguments(&mut command, "transcript", &data(FILE), &[]);
        command
    };
    let at_once = run(&mut import(&whole));
    let all = at_once.new_events();
    assert!(at_once.is_whole() && all > 200, "{}", at_once.said);

    // Killed once there is something in the log, and long before the end.
    let mut child = import(&killed)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = killed.join("log.db");
    let events = || -> u64 {
        let open = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        rusqlite::Connection::open_with_flags(&log, open)
            .and_then(|c| c.query_row("SELECT count(*) FROM events", [], |r| r.get(0)))
            .unwrap_or(0)
    };
    let began = Instant::now();
    while events() < 40 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = events();

    let completed = run(&mut import(&killed));
    assert!(completed.is_whole(), "{}", completed.said);
    let work = ["tasks", "decisions", "calls", "calls_failed", "escalated", "passed"];
    for count in work {
        assert_eq!(completed.counts[count], at_once.counts[count], "{count}");
    }
    // What the first try wrote of the business is not written again; the installation's own events
    // (principals, the slug) are in the log beside it.
    let beside = events() - before - completed.new_events();
    assert!(beside <= 20, "{beside} events more in the log than were counted");
    let again = run(&mut import(&killed));
    assert_eq!(again.new_events(), 0, "the third import changes nothing");

    let recorded = |into: &std::path::Path| {
        let server = Server::start(into, &[], "", Stdio::null());
        on_record(&server)
    };
    let there = recorded(&killed);
    assert_eq!(there, recorded(&whole), "on record is what an import at once records");
    for count in ["decisions", "calls"] {
        assert_eq!(there[count], completed.counts[count], "{count} in the log");
    }
}
