//! Files of every format as records, one after another.

use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use domain::limits::IMPORT_RECORD_BYTES_MAX;
use serde_json::{Map, Value, json};

use super::Format;
use super::csv::Columns;
use super::records::{Record, Records, Shape, too_large};
use super::{csv, xes};

/// Records of a file, or of all files of a folder.
pub type Source = Box<dyn Iterator<Item = io::Result<Record>> + Send>;

/// The name that a file's records go by: without its folder and its endings.
fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    [".gz", ".xes", ".csv", ".traj", ".json", ".jsonl", ".md"].iter().fold(name, |name, ending| name.strip_suffix(ending).map_or(name.clone(), str::to_owned))
}

fn one(bytes: Result<Vec<u8>, String>) -> Source {
    Box::new(std::iter::once(Ok(Record { number: 1, line: 1, bytes, lane: None })))
}

/// Every record of a file with a member more.
fn each(path: &Path, change: impl Fn(Map<String, Value>) -> Value + Send + 'static) -> io::Result<Source> {
    let records = Records::new(BufReader::new(std::fs::File::open(path)?));
    Ok(Box::new(records.map(move |record| {
        record.map(|record| {
            let changed = record.bytes.as_deref().map_err(Clone::clone).and_then(|bytes| {
                let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
                serde_json::to_vec(&change(object)).map_err(|e| e.to_string())
            });
            Record { bytes: changed, ..record }
        })
    })))
}

fn openhands(path: &Path) -> io::Result<Source> {
    let name = stem(path);
    let mut begin = Vec::new();
    std::fs::File::open(path)?.take(4_096).read_to_end(&mut begin)?;
    if begin.trim_ascii_start().starts_with(b"[") {
        // A list of events: one run, which goes by its file.
        let parse = |whole: Vec<u8>| {
            Shape::check(&whole)?;
            serde_json::from_slice::<Value>(&whole).map_err(|e| format!("no JSON: {e}"))
        };
        let run = whole(path).and_then(parse);
        return Ok(one(run.and_then(|events| serde_json::to_vec(&json!({"name": name, "events": events})).map_err(|e| e.to_string()))));
    }
    each(path, move |mut run| {
        let instance = run.remove("instance_id").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_else(|| name.clone());
        json!({"name": instance, "events": run.remove("history"), "error": run.remove("error"), "metrics": run.remove("metrics")})
    })
}

/// A file that is one record.
fn whole(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).map_err(|e| e.to_string())?.take(IMPORT_RECORD_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > IMPORT_RECORD_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

fn document(path: &Path, folder: &Path) -> Result<Vec<u8>, String> {
    let text = String::from_utf8(whole(path)?).map_err(|e| e.to_string())?;
    let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
    let document = if path.extension().is_some_and(|e| e == "json") {
        Shape::check(text.as_bytes())?;
        let mut object: Map<String, Value> = serde_json::from_str(&text).map_err(|e| format!("no document {{id, title, content}}: {e}"))?;
        let id = object.remove("id").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or(name);
        json!({"name": id, "title": object.remove("title"), "content": object.remove("content")})
    } else {
        let heading = text.lines().find_map(|l| l.strip_prefix("# ")).map(str::trim).map(str::to_owned);
        json!({"name": name, "title": heading.unwrap_or_else(|| stem(path)), "content": text})
    };
    serde_json::to_vec(&document).map_err(|e| e.to_string())
}

fn documents(folder: &Path) -> io::Result<Source> {
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
        let bytes = document(&path, &folder).map_err(|why| format!("{}: {why}", path.display()));
        Ok(Record { number, line: 1, bytes, lane: None })
    })))
}

/// Opens a file of a format.
///
/// # Errors
/// A sentence that says what is wrong with the file as a whole.
pub fn open(format: Format, path: &Path, columns: &Columns) -> Result<Source, String> {
    let name = stem(path);
    let opened: io::Result<Source> = match format {
        Format::Transcript | Format::Langfuse => std::fs::File::open(path).map(|file| Box::new(Records::new(BufReader::new(file))) as Source),
        Format::Openhands => openhands(path),
        Format::SweAgent => each(path, move |mut object| {
            object.insert("name".to_owned(), name.clone().into());
            Value::Object(object)
        }),
        Format::Xes => xes::Pieces::open(path, name).map(|pieces| Box::new(pieces) as Source),
        Format::Csv => return csv::Pieces::open(path, name, columns).map(|pieces| Box::new(pieces) as Source),
        Format::Documents => documents(path),
    };
    opened.map_err(|e| e.to_string())
}
