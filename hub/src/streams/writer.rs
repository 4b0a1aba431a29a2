//! The only connection that writes; it stores all queued work in one transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurrent_protocol::{Appended, Expected, Proposed, Refusal};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use uuid::Uuid;

use super::reader::ticks;
use super::state::{DELETED, Stream, WritePosition, may_delete, place};
use super::storage;

/// Most jobs of one transaction.
const BATCH_MAX: usize = 1_000;
/// Longest time that a batch waits to become as large as the last one, and how often it checks.
const GROUP_COMMIT_LINGER_MAX: Duration = Duration::from_micros(250);
const GROUP_COMMIT_LINGER_POLL: Duration = Duration::from_micros(20);
/// How many streams have their state cached.
const REMEMBERED_MAX: usize = 100_000;
/// Size of a record besides its fields, in bytes, so that positions look like KurrentDB's.
const RECORD_BYTES: u64 = 100;

pub(super) enum StreamWork {
    Append {
        name: Arc<str>,
        expected: Expected,
        events: Vec<Proposed>,
        answer: oneshot::Sender<Result<Appended, Refusal>>,
        /// Permit that bounds how many appends wait; dropped with the job.
        _place: OwnedSemaphorePermit,
    },
    Delete {
        name: Arc<str>,
        expected: Expected,
        forever: bool,
        answer: oneshot::Sender<Result<Option<u64>, Refusal>>,
    },
}

/// An answer that is sent once what it says is durable.
enum Answer {
    Append(oneshot::Sender<Result<Appended, Refusal>>, Result<Appended, Refusal>),
    Delete(oneshot::Sender<Result<Option<u64>, Refusal>>, Result<Option<u64>, Refusal>),
}

impl Answer {
    fn give(self, failed: Option<&Refusal>) {
        let or = |e: &Refusal| e.clone();
        match self {
            Self::Append(to, result) => drop(to.send(failed.map_or(result, |e| Err(or(e))))),
            Self::Delete(to, result) => drop(to.send(failed.map_or(result, |e| Err(or(e))))),
        }
    }
}

pub(super) struct StreamWriter {
    connection: Connection,
    streams: HashMap<Arc<str>, Stream>,
    /// Position of the next record.
    end: u64,
    last: u64,
    moved: watch::Sender<u64>,
}

impl StreamWriter {
    pub(super) fn new(connection: Connection) -> rusqlite::Result<(Self, watch::Receiver<u64>)> {
        let sql = "SELECT position, length(metadata) + length(data) FROM events ORDER BY position \
            DESC LIMIT 1";
        let found: Option<(u64, u64)> =
            connection.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        // The first place is not 0: who follows "after 0" gets the first event too.
        let (last, end) =
            found.map_or((0, RECORD_BYTES), |(at, bytes)| (at, at + bytes + RECORD_BYTES * 2));
        let (moved, watched) = watch::channel(last);
        let mut writer = Self { connection, streams: HashMap::new(), end, last, moved };
        if last == 0 {
            writer.begin()?;
        }
        Ok((writer, watched))
    }

    /// Initializes a new file; as in KurrentDB, `$all` begins with an event of the system's.
    fn begin(&mut self) -> rusqlite::Result<()> {
        let event = Proposed {
            id: Uuid::now_v7(),
            event_type: "$created".to_owned(),
            content_type: "application/json".to_owned(),
            metadata: Default::default(),
            data: br#"{"by":"minutebook streams"}"#.to_vec().into(),
        };
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.insert(&"$minutebook".into(), &[event])?;
        self.connection.execute_batch("COMMIT")?;
        self.moved.send_replace(self.last);
        Ok(())
    }

    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<StreamWork>) {
        let mut expected = 1;
        while let Some(first) = jobs.blocking_recv() {
            let (mut batch, began) = (vec![first], Instant::now());
            // As many as came last time are on their way: one fsync for all of them is worth a
            // moment.
            while batch.len() < BATCH_MAX && (batch.len() < expected || !jobs.is_empty()) {
                match jobs.try_recv() {
                    Ok(job) => batch.push(job),
                    Err(_) if began.elapsed() < GROUP_COMMIT_LINGER_MAX => {
                        std::thread::sleep(GROUP_COMMIT_LINGER_POLL)
                    }
                    Err(_) => break,
                }
            }
            expected = batch.len();
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Vec<StreamWork>) {
        if self.streams.len() > REMEMBERED_MAX {
            self.streams.clear();
        }
        let before = (self.end, self.last);
        let mut answers = Vec::with_capacity(batch.len());
        let mut written = self.connection.execute_batch("BEGIN IMMEDIATE");
        for job in batch {
            match job {
                StreamWork::Append { name, expected, events, answer, .. } => {
                    let result = if written.is_ok() {
                        self.append(&name, expected, &events)
                    } else {
                        Ok(Err(Refusal::Unavailable(String::new())))
                    };
                    answers.push(Answer::Append(
                        answer,
                        result.unwrap_or_else(|e| failed(&mut written, e)),
                    ));
                }
                StreamWork::Delete { name, expected, forever, answer } => {
                    let result = if written.is_ok() {
                        self.delete(&name, expected, forever)
                    } else {
                        Ok(Err(Refusal::Unavailable(String::new())))
                    };
                    answers.push(Answer::Delete(
                        answer,
                        result.unwrap_or_else(|e| failed(&mut written, e)),
                    ));
                }
            }
        }
        let written = written.and_then(|()| self.connection.execute_batch("COMMIT"));
        if let Err(e) = written {
            let _ = self.connection.execute_batch("ROLLBACK");
            (self.end, self.last) = before;
            self.streams.clear();
            let refusal = storage(&e);
            answers.into_iter().for_each(|a| a.give(Some(&refusal)));
            return;
        }
        if self.last > before.1 {
            self.moved.send_replace(self.last);
        }
        answers.into_iter().for_each(|a| a.give(None));
    }

    fn state(&mut self, name: &Arc<str>) -> rusqlite::Result<Option<Stream>> {
        if let Some(stream) = self.streams.get(name) {
            return Ok(Some(stream.clone()));
        }
        let found = Stream::find(&self.connection, name)?;
        if let Some(stream) = &found {
            self.streams.insert(Arc::clone(name), stream.clone());
        }
        Ok(found)
    }

    fn state_or_new(&mut self, name: &Arc<str>) -> rusqlite::Result<Stream> {
        match self.state(name)? {
            Some(stream) => Ok(stream),
            None => Stream::make(&self.connection, name),
        }
    }

    fn keep(&mut self, name: &Arc<str>, stream: Stream) -> rusqlite::Result<()> {
        stream.store(&self.connection)?;
        self.streams.insert(Arc::clone(name), stream);
        Ok(())
    }

    fn append(
        &mut self,
        name: &Arc<str>,
        expected: Expected,
        events: &[Proposed],
    ) -> rusqlite::Result<Result<Appended, Refusal>> {
        if &**name == "$all" {
            return Ok(Err(Refusal::AccessDenied("nobody writes to $all".to_owned())));
        }
        let target: Option<Arc<str>> = name.strip_prefix("$$").map(Into::into);
        let stream = self.state(name)?;
        let place = match place(name, stream.as_ref(), expected) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let last = stream.as_ref().and_then(|s| s.last);
        let Some(first) = events.first() else {
            return Ok(Ok(Appended { revision: last, position: None }));
        };
        let before = match (place, &stream) {
            (WritePosition::Perhaps(revision), _) => Some(revision),
            (WritePosition::Anywhere, Some(stream)) => self.revision_of(stream.n, first.id)?,
            (WritePosition::Anywhere | WritePosition::New, _) => None,
        };
        if let (Some(revision), Some(stream)) = (before, &stream) {
            let wrong =
                Refusal::WrongVersion { stream: (**name).to_owned(), expected, actual: last };
            return Ok(self.again(stream.n, revision, events)?.ok_or(wrong));
        }
        let position = self.insert(name, events)?;
        if let Some(target) = target {
            self.configure(&target, events)?;
        }
        let revision = self.streams.get(name).and_then(|s| s.last);
        Ok(Ok(Appended { revision, position: Some(position) }))
    }

    fn revision_of(&self, stream: i64, id: Uuid) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT min(revision) FROM events WHERE stream = ? AND id = ?";
        self.connection.prepare_cached(sql)?.query_row(params![stream, id], |r| r.get(0))
    }

    /// The answer of the first append, if all of these events are there from a revision on.
    fn again(
        &self,
        stream: i64,
        from: u64,
        events: &[Proposed],
    ) -> rusqlite::Result<Option<Appended>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT id, position FROM events WHERE stream = ? AND revision = ?")?;
        let mut said = Appended { revision: None, position: None };
        for (revision, event) in (from..).zip(events) {
            let found: Option<(Uuid, u64)> = query
                .query_row(params![stream, revision], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()?;
            match found {
                Some((id, position)) if id == event.id => {
                    said = Appended { revision: Some(revision), position: Some(position) }
                }
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(said))
    }

    /// Inserts events; returns the position of the last.
    fn insert(&mut self, name: &Arc<str>, events: &[Proposed]) -> rusqlite::Result<u64> {
        let mut stream = self.state_or_new(name)?;
        let first = stream.last.map_or(0, |n| n + 1);
        let again = stream.deleted();
        for (revision, event) in (first..).zip(events) {
            self.record(stream.n, name, revision, event)?;
            stream.last = Some(revision);
        }
        let position = self.last;
        self.keep(name, stream)?;
        if again {
            self.set_truncate_before(name, first)?;
        }
        Ok(position)
    }

    fn record(
        &mut self,
        stream: i64,
        name: &str,
        revision: u64,
        event: &Proposed,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                self.end,
                stream,
                revision,
                event.id,
                ticks(),
                event.event_type,
                event.content_type,
                &*event.metadata,
                &*event.data
            ])?;
        self.last = self.end;
        self.end += (name.len() + event.event_type.len() + event.metadata.len() + event.data.len())
            as u64
            + RECORD_BYTES;
        Ok(())
    }

    fn configure(&mut self, target: &Arc<str>, events: &[Proposed]) -> rusqlite::Result<()> {
        let Some(event) = events.iter().rfind(|e| e.event_type == "$metadata") else {
            return Ok(());
        };
        let mut stream = self.state_or_new(target)?;
        let deleted = stream.deleted();
        stream.configure(&event.data);
        if deleted && stream.truncate_before == 0 {
            // Who says something new of a deleted stream has it begin again, not come back.
            stream.truncate_before = stream.last.map_or(0, |n| n + 1);
        }
        self.keep(target, stream)
    }

    /// Writes a stream's metadata again, with another `$tb`.
    fn set_truncate_before(&mut self, name: &Arc<str>, revision: u64) -> rusqlite::Result<()> {
        let metastream: Arc<str> = format!("$${name}").into();
        let known: Option<Vec<u8>> = match self.state(&metastream)? {
            Some(stream) => {
                let sql = "SELECT data FROM events WHERE stream = ? AND type = '$metadata' ORDER \
                    BY revision DESC LIMIT 1";
                self.connection
                    .prepare_cached(sql)?
                    .query_row([stream.n], |r| r.get(0))
                    .optional()?
            }
            None => None,
        };
        let mut members: Map<String, Value> =
            known.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        members.insert("$tb".to_owned(), revision.into());
        let event = Proposed {
            id: Uuid::now_v7(),
            event_type: "$metadata".to_owned(),
            content_type: "application/json".to_owned(),
            metadata: Default::default(),
            data: Value::Object(members).to_string().into_bytes().into(),
        };
        self.insert(&metastream, std::slice::from_ref(&event))?;
        self.configure(name, &[event])
    }

    fn delete(
        &mut self,
        name: &Arc<str>,
        expected: Expected,
        forever: bool,
    ) -> rusqlite::Result<Result<Option<u64>, Refusal>> {
        if name.starts_with('$') {
            return Ok(Err(Refusal::AccessDenied("a system's stream can't be deleted".to_owned())));
        }
        if let Err(refusal) = may_delete(name, self.state(name)?.as_ref(), expected, forever) {
            return Ok(Err(refusal));
        }
        if forever {
            let mut stream = self.state_or_new(name)?;
            let event = Proposed {
                id: Uuid::now_v7(),
                event_type: "$streamDeleted".to_owned(),
                content_type: "application/octet-stream".to_owned(),
                metadata: Default::default(),
                data: Default::default(),
            };
            self.record(stream.n, name, DELETED, &event)?;
            stream.tombstoned = true;
            self.keep(name, stream)?;
        } else {
            self.set_truncate_before(name, DELETED)?;
        }
        Ok(Ok(Some(self.last)))
    }
}

/// Notes an error of the file, which fails the whole transaction, and refuses the request.
fn failed<T>(written: &mut rusqlite::Result<()>, e: rusqlite::Error) -> Result<T, Refusal> {
    *written = Err(e);
    Err(Refusal::Unavailable(String::new()))
}
