//! Files that are made to stop an importer.

use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::target::anonymous;

/// Writes a file into a folder; gives it with the arguments of the import.
type Make = fn(&Path) -> (PathBuf, &'static [&'static str]);

pub(crate) const ALL: &[(&str, Make)] = &[
    ("xes nested 20,000 deep", xes_deep),
    ("xes of 1 GiB in one trace", xes_one_trace),
    ("xes zipped to a thousandth", xes_bomb),
    ("xes with elements without end", xes_open_elements),
    ("csv with an open quote", csv_open_quote),
    ("csv of a million cases", csv_cases),
    ("csv of broken rows", csv_broken),
    ("json of 1 GiB in one record", json_one_record),
    ("json nested without end", json_deep),
    ("json of numbers", json_numbers),
    ("json of broken records", json_broken),
];

const GIB: u64 = 1 << 30;

/// What became of an import.
pub(crate) struct Taken {
    /// Bytes of the file.
    pub(crate) input: u64,
    /// Most anonymous memory, in bytes.
    pub(crate) anonymous: u64,
    /// Whether it ended with an exit code, and was not killed.
    pub(crate) ended_by_itself: bool,
    /// Its last line.
    pub(crate) said: String,
}

pub(crate) fn import(binary: &str, make: Make) -> Taken {
    let folder = TempDir::new().unwrap();
    let (file, arguments) = make(folder.path());
    let input = std::fs::metadata(&file).unwrap().len();
    let mut command = Command::new(binary);
    command
        .arg("--data")
        .arg(folder.path().join("data"))
        .arg("import")
        .arg(arguments[0])
        .arg(&file)
        .args(["--business", "acme"])
        .args(&arguments[1..]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        // Nothing but the end is of interest, and there may be much before it.
        let (mut last, mut buffer) = (Vec::new(), [0; 4_096]);
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            last.extend_from_slice(&buffer[..read]);
            let surplus = last.len().saturating_sub(4_096);
            last.drain(..surplus);
        }
        String::from_utf8_lossy(&last)
            .trim()
            .lines()
            .last()
            .unwrap_or_default()
            .chars()
            .take(110)
            .collect::<String>()
    });
    let mut most = 0;
    let status = loop {
        most = most.max(anonymous(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Taken {
        input,
        anonymous: most,
        ended_by_itself: status.code().is_some(),
        said: said.join().unwrap(),
    }
}

fn written(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> PathBuf {
    let path = folder.join(name);
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    write(&mut file).unwrap();
    file.flush().unwrap();
    path
}

/// Writes a text over and over, up to so many bytes.
fn again(file: &mut dyn Write, text: &str, bytes: u64) -> std::io::Result<()> {
    let block = text.repeat((1 << 16) / text.len() + 1);
    for _ in 0..bytes / block.len() as u64 {
        file.write_all(block.as_bytes())?;
    }
    Ok(())
}

const XES: &[&str] = &["xes"];
const CSV: &[&str] = &["csv", "--case", "c", "--activity", "a", "--time", "t"];
const JSON: &[&str] = &["langfuse"];
const EVENT: &str =
    "<event><string key=\"concept:name\" value=\"a\"/><string key=\"x\" value=\"\"/></event>";

fn xes_deep(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let deep = format!("{}{}", "<list key=\"k\">".repeat(20_000), "</list>".repeat(20_000));
    let file = written(folder, "x.xes", |f| write!(f, "<log><trace>{deep}</trace></log>"));
    (file, XES)
}

fn xes_trace(f: &mut dyn Write) -> std::io::Result<()> {
    write!(f, "<log><trace>")?;
    again(f, EVENT, GIB)?;
    write!(f, "</trace></log>")
}

fn xes_one_trace(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    (written(folder, "x.xes", xes_trace), XES)
}

fn xes_bomb(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.xes.gz", |f| {
        let mut zipped = flate2::write::GzEncoder::new(f, flate2::Compression::fast());
        xes_trace(&mut zipped)?;
        zipped.finish().map(|_| ())
    });
    (file, XES)
}

fn xes_open_elements(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.xes", |f| {
        write!(f, "<log><trace>")?;
        again(f, "<x>", GIB)
    });
    (file, XES)
}

fn csv_open_quote(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.csv", |f| {
        write!(f, "c,a,t\n1,\"")?;
        again(f, "y", 390 << 20)
    });
    (file, CSV)
}

fn csv_cases(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.csv", |f| {
        writeln!(f, "c,a,t")?;
        // Rows without a time: cases are counted, and none of them makes an event.
        (0..1_000_000).try_for_each(|n| writeln!(f, "{n:050},a,no time"))
    });
    (file, CSV)
}

fn csv_broken(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.csv", |f| {
        writeln!(f, "c,a,t")?;
        again(f, "1,2,3,4\n", GIB / 256)
    });
    (file, CSV)
}

fn json_one_record(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.json", |f| {
        write!(f, "[{{\"trace\":\"")?;
        again(f, "y", GIB)?;
        write!(f, "\"}}]")
    });
    (file, JSON)
}

fn json_deep(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.json", |f| {
        write!(f, "[{{\"trace\":")?;
        again(f, "[", GIB)
    });
    (file, JSON)
}

fn json_numbers(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.json", |f| {
        write!(f, "[")?;
        for _ in 0..64 {
            write!(f, "{{\"trace\":{{\"id\":\"x\",\"n\":[0")?;
            again(f, ",0", 1_900_000)?;
            write!(f, "]}},\"observations\":[]}},")?;
        }
        write!(f, "]")
    });
    (file, JSON)
}

fn json_broken(folder: &Path) -> (PathBuf, &'static [&'static str]) {
    let file = written(folder, "x.json", |f| again(f, "{\"x\":1}\n", GIB / 256));
    (file, JSON)
}
