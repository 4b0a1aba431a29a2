//! Files of every format as streams of records.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use domain::limits::IMPORT_RECORD_BYTES_MAX;
use serde_json::{Map, Value, json};

use crate::csv::Columns;
use crate::input::{Encoding, Input};
use crate::records::{Record, Records, Shape, not_utf8, too_large};

/// How the files of an import are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Names of the columns of a CSV file.
    pub columns: Columns,
    /// Encoding of files without a byte order mark; `None` = as an XML declaration says, else
    /// UTF-8.
    pub encoding: Option<Encoding>,
    /// True if events without a case, an activity or a time are imported too.
    pub allow_missing: bool,
}

/// The records of a file, or of all files of a folder.
pub type Source = Box<dyn Iterator<Item = io::Result<Record>> + Send>;

/// The endings of a file's name: everything after its first dot, in lower case.
pub(crate) fn endings(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_lowercase());
    name.find('.').map_or_else(String::new, |dot| name[dot..].to_owned())
}

/// The name under which a file's records are imported: without folder and endings.
pub(crate) fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    [".gz", ".xes", ".csv", ".traj", ".json", ".jsonl", ".md"]
        .iter()
        .fold(name, |name, ending| name.strip_suffix(ending).map_or(name.clone(), str::to_owned))
}

fn one(bytes: Result<Vec<u8>, String>) -> Source {
    Box::new(std::iter::once(Ok(Record { number: 1, line: 1, bytes, lane: None })))
}

/// The records of a file, each replaced by what `change` makes of its number and content.
fn each(
    input: Input,
    change: impl Fn(u64, Map<String, Value>) -> Value + Send + 'static,
) -> Source {
    Box::new(Records::new(input.text).map(move |record| {
        record.map(|record| {
            let changed = record.bytes.as_deref().map_err(Clone::clone).and_then(|bytes| {
                let object: Map<String, Value> =
                    serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
                serde_json::to_vec(&change(record.number, object)).map_err(|e| e.to_string())
            });
            Record { bytes: changed, ..record }
        })
    }))
}

/// A file with a single JSON array, which is one run with the file's name.
fn list(input: Input, run: impl Fn(Value) -> Value) -> Source {
    let parse = |whole: Vec<u8>| {
        Shape::check(&whole)?;
        serde_json::from_slice::<Value>(&whole).map_err(|e| format!("no JSON: {e}"))
    };
    one(whole(input)
        .and_then(parse)
        .and_then(|list| serde_json::to_vec(&run(list)).map_err(|e| e.to_string())))
}

fn is_list(input: &mut Input) -> bool {
    input.text.fill_buf().is_ok_and(|begin| begin.trim_ascii_start().starts_with(b"["))
}

/// The name of an OpenHands run: its instance id, the issue that it resolved, or its file and its
/// number there.
fn run_name(run: &mut Map<String, Value>, file: &str, number: u64) -> String {
    let instance = run.remove("instance_id").and_then(|v| v.as_str().map(str::to_owned));
    let issue = || {
        let part = |key: &str| run.get("issue")?.get(key);
        Some(format!(
            "{}/{}#{}",
            part("owner")?.as_str()?,
            part("repo")?.as_str()?,
            part("number")?.as_u64()?
        ))
    };
    // The first one of a file has always gone by the file alone.
    instance
        .or_else(issue)
        .unwrap_or_else(|| if number == 1 { file.to_owned() } else { format!("{file}#{number}") })
}

pub(crate) fn openhands(mut input: Input, name: String) -> Source {
    if is_list(&mut input) {
        return list(input, |events| json!({"name": name, "events": events}));
    }
    each(input, move |number, mut run| {
        let name = run_name(&mut run, &name, number);
        json!({"name": name, "events": run.remove("history"), "error": run.remove("error"),
            "metrics": run.remove("metrics")})
    })
}

pub(crate) fn swe_agent(mut input: Input, name: String) -> Source {
    if is_list(&mut input) {
        return list(input, |messages| json!({"name": name, "messages": messages}));
    }
    each(input, move |number, mut run| {
        let name = if number == 1 { name.clone() } else { format!("{name}#{number}") };
        run.insert("name".to_owned(), name.into());
        Value::Object(run)
    })
}

/// The bytes of a file that is a single record.
fn whole(input: Input) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input
        .text
        .take(IMPORT_RECORD_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    match bytes.len() {
        0 => Err("there is nothing in this file".to_owned()),
        n if n > IMPORT_RECORD_BYTES_MAX => Err(too_large()),
        _ => String::from_utf8(bytes).map(String::into_bytes).map_err(|e| not_utf8(e.utf8_error())),
    }
}

fn document(path: &Path, folder: &Path, encoding: Option<Encoding>) -> Result<Vec<u8>, String> {
    let input = Input::open(path, encoding).map_err(|e| e.to_string())?;
    let text = String::from_utf8(whole(input)?).map_err(|e| e.to_string())?;
    let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
    let document = if path.extension().is_some_and(|e| e == "json") {
        Shape::check(text.as_bytes())?;
        let mut object: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|e| format!("no document {{id, title, content}}: {e}"))?;
        let id = object.remove("id").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or(name);
        json!({"name": id, "title": object.remove("title"), "content": object.remove("content")})
    } else {
        let heading =
            text.lines().find_map(|l| l.strip_prefix("# ")).map(str::trim).map(str::to_owned);
        json!({"name": name, "title": heading.unwrap_or_else(|| stem(path)), "content": text})
    };
    serde_json::to_vec(&document).map_err(|e| e.to_string())
}

pub(crate) fn documents(folder: &Path, encoding: Option<Encoding>) -> io::Result<Source> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let entry = entry?;
            let path = entry.path();
            // A link to a folder is not followed: it may lead back.
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md" || e == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    let folder = folder.to_owned();
    Ok(Box::new((1..).zip(files).map(move |(number, path)| {
        let bytes =
            document(&path, &folder, encoding).map_err(|why| format!("{}: {why}", path.display()));
        Ok(Record { number, line: 1, bytes, lane: None })
    })))
}
