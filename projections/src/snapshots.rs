//! Snapshots of the views in a folder that several servers share: a server that has come far enough
//! leaves one, and a new server begins with the newest instead of with the first event.
//!
//! A snapshot is one SQLite file, complete once it has its final name. It never holds searchable
//! text, which is in a file of its own and is filled from the log with the keys that still exist.
//! It names the event it ends with, so that no server takes one of another log.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use domain::values::Digest;
use event_log::{Position, chain};
use rusqlite::Connection;
use sha2::Digest as _;

use crate::TABLES;
use crate::view_file::{META, Sources};
use crate::views::ViewsError;

/// How many snapshots of one shape of tables are kept.
const KEPT: usize = 2;
/// Age at which an unfinished snapshot file is deleted.
const UNFINISHED_MAX: Duration = Duration::from_secs(3_600);

/// The folder of snapshots that servers share, and how often a server leaves one.
#[derive(Debug, Clone)]
pub struct SharedFolder {
    /// The folder; empty = no snapshots.
    pub folder: PathBuf,
    /// Number of events from one snapshot to the next.
    pub every: u64,
    /// Shortest time between two looks into the folder.
    pub look_every: Duration,
}

impl Default for SharedFolder {
    fn default() -> Self {
        Self { folder: PathBuf::new(), every: 10_000, look_every: Duration::from_secs(30) }
    }
}

/// The snapshots of one log, in the shape of tables that this program reads and writes.
pub(crate) struct Snapshots {
    shared: SharedFolder,
    looked: Option<Instant>,
    leaving: Option<JoinHandle<Result<Option<Position>, ViewsError>>>,
}

fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = sha2::Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    Digest(hash.finalize().into()).to_string().split(':').next_back().unwrap_or_default().to_owned()
}

/// A hash of the tables' SQL: another version's tables may differ.
fn shape() -> String {
    let tables =
        TABLES.projections.iter().map(|p| format!("{}\0{}\0{}\0", p.name, p.version, p.sql));
    let tables: String = std::iter::once(META.to_owned()).chain(tables).collect();
    sha256(&[tables.as_bytes()]).chars().take(16).collect()
}

/// The SHA-256 of the event at a position. Event ids are derived, so another log with the same
/// commands has the same ids; the bytes of its events differ in times and nonces.
fn event_at(position: Position, sources: &Sources) -> Result<String, ViewsError> {
    let rows = sources.unsealer.runtime.block_on(sources.log.raw_rows(position.previous(), 1))?;
    let row = rows.first().filter(|r| r.position == position);
    row.map(|r| sha256(&[&r.bytes]))
        .ok_or_else(|| ViewsError::storage(format!("the log has no event at position {position}")))
}

/// The beginning of the names of this log's snapshots: the shape of the tables and the first event.
fn prefix(sources: &Sources) -> Result<String, ViewsError> {
    let rows = sources.unsealer.runtime.block_on(sources.log.raw_rows(Position::START, 1))?;
    let first = rows.first().ok_or_else(|| ViewsError::storage("an empty log has no snapshots"))?;
    Ok(format!(
        "views-{}-{}-",
        shape(),
        sha256(&[&first.bytes]).chars().take(16).collect::<String>()
    ))
}

/// Snapshots with this prefix, newest first.
fn list(folder: &Path, prefix: &str) -> std::io::Result<Vec<(Position, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if let Some(position) = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(".db"))
            .and_then(|n| n.parse().ok().map(Position))
        {
            found.push((position, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

impl Snapshots {
    pub(crate) fn new(shared: SharedFolder) -> Option<Self> {
        (!shared.folder.as_os_str().is_empty()).then_some(Self {
            shared,
            looked: None,
            leaving: None,
        })
    }

    /// Copies the newest usable snapshot of this log to `to`; returns its position.
    pub(crate) fn adopt(&self, to: &Path, sources: &Sources) -> Option<Position> {
        // An empty log has no snapshots.
        let prefix = prefix(sources).ok()?;
        let all = list(&self.shared.folder, &prefix)
            .inspect_err(
                |e| tracing::warn!(error = %chain(e), "the folder of snapshots can't be read"),
            )
            .ok()?;
        for (position, path) in all {
            let taken = fs::copy(&path, to)
                .map_err(ViewsError::from)
                .and_then(|_| check(to, position, sources));
            match taken {
                Ok(()) => return Some(position),
                Err(e) => {
                    tracing::warn!(error = %chain(&e), snapshot = %path.display(), "a snapshot of the \
                        views can't be used")
                }
            }
            let _ = fs::remove_file(to);
        }
        None
    }

    /// Leaves a snapshot of a view file that stands at position `at`, unless somebody has left a
    /// recent one. A thread of its own touches the folder, which may be slow.
    pub(crate) fn leave(&mut self, live: &Path, at: Position, sources: &Sources) {
        if let Some(done) = self.leaving.take_if(|l| l.is_finished()) {
            match done.join() {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(position))) => {
                    tracing::info!(
                        position = position.0,
                        "a snapshot of the views was left for others"
                    )
                }
                Ok(Err(e)) => {
                    tracing::warn!(error = %chain(&e), "a snapshot of the views could not be left")
                }
                Err(_) => tracing::error!("leaving a snapshot of the views ended early"),
            }
        }
        if self.leaving.is_some()
            || at.0 < self.shared.every
            || self.looked.is_some_and(|l| l.elapsed() < self.shared.look_every)
        {
            return;
        }
        self.looked = Some(Instant::now());
        let (live, shared, sources) = (live.to_owned(), self.shared.clone(), sources.clone());
        let leave = move || leave(&live, at, &shared, &sources);
        self.leaving =
            std::thread::Builder::new().name("views-snapshot".to_owned()).spawn(leave).ok();
    }
}

fn leave(
    live: &Path,
    at: Position,
    shared: &SharedFolder,
    sources: &Sources,
) -> Result<Option<Position>, ViewsError> {
    let prefix = prefix(sources)?;
    let end = sources.log.end();
    // What is further than the log is of a time before the log was restored.
    let mut there = list(&shared.folder, &prefix)?;
    there.retain(|(position, _)| *position <= end);
    let newest = there.first().map_or(Position::START, |(newest, _)| *newest);
    let after = |position| sources.unsealer.runtime.block_on(sources.log.lag(position));
    if after(newest)?.saturating_sub(after(at)?) < shared.every {
        return Ok(None);
    }
    let unfinished = shared.folder.join(format!("{}.unfinished", uuid::Uuid::now_v7()));
    let written = write(live, &unfinished, sources).and_then(|position| {
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, shared.folder.join(format!("{prefix}{:020}.db", position.0)))?;
        Ok(Some(position))
    });
    let _ = fs::remove_file(&unfinished);
    // With the new one, so many are kept.
    let old = there.into_iter().skip(KEPT - 1).map(|(_, path)| path).filter(|_| written.is_ok());
    let others = fs::read_dir(&shared.folder)?.flatten().map(|e| e.path());
    let given_up = |path: &PathBuf| {
        let age = path
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        path.extension().is_some_and(|e| e == "unfinished")
            && age.is_some_and(|a| a > UNFINISHED_MAX)
    };
    for path in old.chain(others.filter(given_up)) {
        let _ = fs::remove_file(path);
    }
    written
}

/// Checks that a snapshot file is whole and is of this log.
fn check(path: &Path, position: Position, sources: &Sources) -> Result<(), ViewsError> {
    let connection = Connection::open(path)?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    let origin: (Position, String) =
        connection
            .query_row("SELECT position, event FROM origin", [], |r| Ok((r.get(0)?, r.get(1)?)))?;
    if sound != "ok" {
        return Err(ViewsError::storage(sound));
    }
    if origin != (position, event_at(position, sources)?) {
        return Err(ViewsError::storage("it is of another log"));
    }
    connection.execute_batch("DROP TABLE origin")?;
    Ok(())
}

/// Writes the tables of a view file, as they stand at one moment, to a new file.
fn write(live: &Path, to: &Path, sources: &Sources) -> Result<Position, ViewsError> {
    let connection = Connection::open(to)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    connection.execute("ATTACH ? AS live", [format!("file:{}?mode=ro", live.display())])?;
    let tx = connection.unchecked_transaction()?;
    let position: Position =
        tx.query_row("SELECT min(position) FROM live.projections", [], |r| r.get(0))?;
    type Object = (String, String, String);
    let objects: Vec<Object> = {
        let sql = "SELECT type, name, sql FROM live.sqlite_master WHERE sql IS NOT NULL \
            AND name NOT LIKE 'sqlite_%' ORDER BY type = 'table' DESC, rowid";
        let mut query = tx.prepare(sql)?;
        query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()?
    };
    for (kind, name, sql) in &objects {
        tx.execute_batch(sql)?;
        if kind == "table" {
            // Without columns that the file computes itself.
            let columns: String = tx.query_row(
                "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info(?)",
                [name],
                |r| r.get(0),
            )?;
            tx.execute_batch(&format!(
                "INSERT INTO main.\"{name}\" ({columns}) SELECT {columns} FROM live.\"{name}\""
            ))?;
        }
    }
    tx.commit()?;
    // The live file is let go of before the log is asked.
    connection.execute_batch(
        "DETACH live; CREATE TABLE origin(position INTEGER NOT NULL, event TEXT NOT NULL) STRICT",
    )?;
    connection
        .execute("INSERT INTO origin VALUES (?, ?)", (position, event_at(position, sources)?))?;
    Ok(position)
}
