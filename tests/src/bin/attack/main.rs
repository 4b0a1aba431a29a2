//! Attacks a server of its own on this machine, with real sockets and files, and says what became
//! of it: how slow its sign of life got, how much memory it took, and whether another caller was
//! held up.
//!
//! The server runs on one core and everything that attacks it on another. It ends with 1 when an
//! answer to `/healthz` took longer than 100 ms for one in a hundred, when the server had more than
//! 1 GiB of anonymous memory or an importer more than 256 MiB, or when another caller waited twice
//! as long as in peace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test by hand"
)]

mod doors;
mod imports;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use target::{Seen, Target};

/// Longest that one in a hundred answers to `/healthz` takes.
const HEALTH_MAX: Duration = Duration::from_millis(100);
/// Most anonymous memory of the server.
const SERVER_BYTES_MAX: u64 = 1 << 30;
/// Most anonymous memory of an importer.
const IMPORTER_BYTES_MAX: u64 = 256 << 20;
/// How much longer another caller may wait than in peace.
const RATIO_MAX: f64 = 2.0;

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Says what was seen; gives whether that will do.
fn report(name: &str, said: &str, seen: &Seen) -> bool {
    let will_do =
        seen.health_p99 < HEALTH_MAX && seen.anonymous < SERVER_BYTES_MAX && seen.answered;
    let verdict = if will_do { "held" } else { "BROKE" };
    println!(
        "{verdict:<6} {name:<28} healthz p99 {:>6.1} ms, {:>4} MiB | {said}",
        seen.health_p99.as_secs_f64() * 1e3,
        mib(seen.anonymous)
    );
    will_do
}

fn main() -> ExitCode {
    let Some(binary) = std::env::args().nth(1) else {
        eprintln!("usage: attack PATH-OF-MINUTEBOOK [words of the attacks to make]");
        return ExitCode::from(2);
    };
    let words: Vec<String> = std::env::args().skip(2).collect();
    let asked =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    target::pin_to_other_cores();
    target::raise_open_files();
    let mut all_held = true;
    println!("through the doors");
    let target = Target::start(&binary);
    for (name, attack) in doors::ALL {
        if asked(name) {
            let (said, seen) = target.watched(|| attack(&target));
            all_held &= report(name, &said, &seen);
        }
    }
    if asked("one agent floods") {
        let (in_peace, under_attack, said) = doors::flood(&target);
        let ratio = under_attack.as_secs_f64() / in_peace.as_secs_f64();
        let held = ratio < RATIO_MAX;
        all_held &= held;
        let verdict = if held { "held" } else { "BROKE" };
        println!(
            "{verdict:<6} {:<28} another's p99 {in_peace:.1?} in peace, {under_attack:.1?} under \
             attack: {ratio:.2} x | {said}",
            "one agent floods"
        );
    }
    drop(target);
    println!("through the importers");
    for (name, make) in imports::ALL {
        if asked(name) {
            let taken = imports::import(&binary, *make);
            let held = taken.anonymous < IMPORTER_BYTES_MAX && taken.ended_by_itself;
            all_held &= held;
            let verdict = if held { "held" } else { "BROKE" };
            println!(
                "{verdict:<6} {name:<28} {:>4} MiB of input, {:>4} MiB of memory | {}",
                mib(taken.input),
                mib(taken.anonymous),
                taken.said
            );
        }
    }
    ExitCode::from(u8::from(!all_held))
}
