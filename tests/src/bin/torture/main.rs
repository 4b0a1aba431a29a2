//! `make torture`: power cuts. The log lies on an ext4 image of its own; the writer is stopped, the
//! image is copied as it is on "the disk" at that moment, mounted elsewhere, and compared with an
//! outside ledger of what had been acknowledged. Needs root and loop devices.
//!
//! The same for a log in PostgreSQL whose files lie on such an image; and one round with a full
//! disk.
//!
//! The same harness must catch `synchronous=NORMAL` and `fsync=off`: one that finds nothing proves
//! nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program may")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tempfile::TempDir;
use tests::ledger;

/// Power cuts with `synchronous=FULL`, all of which must be survived.
const ROUNDS: u64 = 20;
/// Power cuts with `synchronous=NORMAL`, one of which at least must be caught.
const ROUNDS_NORMAL: u64 = 8;

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{program} {args:?}: {status:?}"
    );
}

/// A mounted image; unmounted when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        run("mount", &["-o", "loop", image.to_str().unwrap(), at.to_str().unwrap()]);
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever worked there may take a moment to end: out of sight at once, gone when they are.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// One power cut: what the copy of the disk lacks, if anything.
fn power_cut(round: u64, normal: bool) -> Result<u64, String> {
    let beside = std::env::current_exe().unwrap();
    let folder = TempDir::new_in(beside.parent().unwrap()).unwrap();
    let path = |name: &str| folder.path().join(name);
    let (image, copy, book) = (path("disk.img"), path("copy.img"), path("ledger"));
    std::fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
    let disk = Mounted::new(&image, &path("disk"));
    let data = disk.0.join("data");
    let mut writer = Command::new(std::env::current_exe().unwrap().with_file_name("crash-writer"));
    writer.arg(&data).arg(&book);
    if normal {
        writer.arg("normal");
    }
    let mut writer = writer.spawn().unwrap();
    while ledger::acknowledged(&book).len() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200 + round * 37 % 400));
    // The writer stops between two instructions; what it has acknowledged is in the ledger.
    run("kill", &["-STOP", &writer.id().to_string()]);
    std::thread::sleep(Duration::from_millis(20));
    std::fs::copy(&image, &copy).unwrap();
    let after_cut = Mounted::new(&copy, &path("after"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = runtime.block_on(ledger::check(&after_cut.0.join("data"), &book));
    drop(after_cut);
    writer.kill().unwrap();
    writer.wait().unwrap();
    drop(disk);
    result
}

#[cfg(feature = "postgres")]
mod postgres;

/// The embedded log.
fn sqlite() -> Result<(), String> {
    for round in 0..ROUNDS {
        let events =
            power_cut(round, false).map_err(|e| format!("power cut {}: LOST: {e}", round + 1))?;
        println!("power cut {:>2}: every acknowledged event is there, {events} in all", round + 1);
    }
    let caught = (0..ROUNDS_NORMAL)
        .filter_map(|round| power_cut(round, true).err())
        .inspect(|why| println!("synchronous=NORMAL caught: {why}"))
        .count();
    if caught == 0 {
        return Err(format!(
            "synchronous=NORMAL lost nothing in {ROUNDS_NORMAL} power cuts: the harness proves \
             nothing here"
        ));
    }
    println!(
        "{ROUNDS} of {ROUNDS} power cuts survived; synchronous=NORMAL caught in {caught} of \
         {ROUNDS_NORMAL}"
    );
    Ok(())
}

/// Both; a word runs that part alone: `sqlite`, `postgres`.
fn main() -> ExitCode {
    let only = std::env::args().nth(1);
    let wanted = |part: &str| only.as_deref().is_none_or(|o| o == part);
    let mut result = Ok(());
    if wanted("sqlite") {
        result = sqlite();
    }
    #[cfg(feature = "postgres")]
    if result.is_ok() && wanted("postgres") {
        result = postgres::torture();
    }
    if let Err(why) = result {
        println!("{why}");
        return ExitCode::from(1);
    }
    ExitCode::SUCCESS
}
