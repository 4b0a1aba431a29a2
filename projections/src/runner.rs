//! The runner: reads the log from the least advanced projection on, applies bounded batches, and
//! writes rows and checkpoints of all projections in one transaction. The appender wakes it.
//!
//! An event that can't be applied stops only its business in that projection: the failure is kept
//! and reported, later events of that business wait, everybody else goes on. At every start, when
//! the projection is rebuilt, and when an operator says so, it is tried again. An operator can have
//! it passed over: that is an event of the installation, so a rebuild passes over it too.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use domain::ids::INSTALLATION;
use domain::limits::PROJECTION_BATCH_MAX;
use domain::operations::{self, EventSkipped};
use domain::values::Digest;
use domain::{BusinessId, Event};
use event_log::{EventLog, Keyring, Recorded};
use rusqlite::{Connection, params};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::views::{Request, Views, ViewsError, digests, failures};
use crate::{ALL, Applied, Apply, ApplyError, Projection, Unsealer, search};

/// Times that readers are waited for before the WAL is emptied.
const WAL_TRIES_MAX: u32 = 100;

const META: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;
CREATE TABLE IF NOT EXISTS projections(name TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS failures(
  projection TEXT NOT NULL, business TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (projection, business)) STRICT, WITHOUT ROWID;";

/// The runner of one `views.db`.
pub struct Runner {
    connection: Connection,
    log: Arc<dyn EventLog>,
    unsealer: Unsealer,
    /// Last applied position, in the order of [`ALL`].
    positions: Vec<u64>,
    stopped: HashSet<(usize, String)>,
    moved: watch::Sender<u64>,
}

impl Runner {
    /// Opens the views, makes what is missing or of another version, and runs on a thread of its own.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub async fn start(path: &Path, log: Arc<dyn EventLog>, keyring: Arc<dyn Keyring>) -> Result<(Views, JoinHandle<()>), ViewsError> {
        let own = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open(&own, log, keyring)).await;
        let mut runner = opened.map_err(|e| ViewsError::Storage(e.to_string()))??;
        let (requests, inbox) = mpsc::channel(16);
        let views = Views::new(path, runner.moved.subscribe(), requests);
        let thread =
            std::thread::Builder::new().name("projections".to_owned()).spawn(move || runner.run(inbox)).map_err(|e| ViewsError::Storage(e.to_string()))?;
        Ok((views, thread))
    }

    /// Asks a running runner to finish its batch and end.
    pub async fn stop(views: &Views) {
        let _ = views.requests.send(Request::Stop).await;
    }

    /// The digests that a rebuild from the log alone gives, up to a position: in a database of its
    /// own, that is thrown away. It blocks: call it where that is allowed.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn rebuilt_digests(log: Arc<dyn EventLog>, keyring: Arc<dyn Keyring>, up_to: u64) -> Result<Vec<(String, Digest)>, ViewsError> {
        let mut runner = Self::open(Path::new(""), log, keyring)?;
        while runner.lowest() < up_to {
            if runner.step(up_to)? == 0 {
                break;
            }
        }
        digests(&runner.connection)
    }

    fn open(path: &Path, log: Arc<dyn EventLog>, keyring: Arc<dyn Keyring>) -> Result<Self, ViewsError> {
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch(META)?;
        let mut positions = Vec::new();
        for projection in ALL {
            let known: Option<(u32, u64)> = connection
                .query_row("SELECT version, position FROM projections WHERE name = ?", [projection.name], |r| Ok((r.get(0)?, r.get(1)?)))
                .map(Some)
                .or_else(|e| if e == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(e) })?;
            match known {
                Some((version, position)) if version == projection.version => positions.push(position),
                Some(_) | None => {
                    make_anew(&connection, projection)?;
                    positions.push(0);
                }
            }
        }
        let lowest = positions.iter().copied().min().unwrap_or(0);
        let unsealer = Unsealer { keyring, runtime: Handle::current() };
        let mut runner = Self { connection, log, unsealer, positions, stopped: HashSet::new(), moved: watch::channel(lowest).0 };
        search::purge_forgotten(&runner.connection, &runner.unsealer).map_err(|e| ViewsError::Storage(e.to_string()))?;
        runner.retry()?;
        Ok(runner)
    }

    fn lowest(&self) -> u64 {
        self.positions.iter().copied().min().unwrap_or(0)
    }

    fn run(&mut self, mut inbox: mpsc::Receiver<Request>) {
        let runtime = self.unsealer.runtime.clone();
        let mut appended = self.log.position();
        loop {
            appended.mark_unchanged();
            match self.step(u64::MAX) {
                Ok(0) => {}
                Ok(_) => {
                    // Requests wait for a batch, not for the end of the log.
                    if inbox.try_recv().is_ok_and(|request| !self.answer(request)) {
                        return;
                    }
                    continue;
                }
                Err(e) => {
                    tracing::error!(error = %e, "projections could not go on; trying again in a second");
                    runtime.block_on(tokio::time::sleep(std::time::Duration::from_secs(1)));
                    if inbox.try_recv().is_ok_and(|request| !self.answer(request)) {
                        return;
                    }
                    continue;
                }
            }
            let request = runtime.block_on(async {
                tokio::select! {
                    request = inbox.recv() => Some(request.unwrap_or(Request::Stop)),
                    changed = appended.changed() => if changed.is_err() { Some(Request::Stop) } else { None },
                }
            });
            if request.is_some_and(|request| !self.answer(request)) {
                return;
            }
        }
    }

    /// Does what is asked; false when that is to stop.
    fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Stop => return false,
            Request::Rebuild(name, answer) => {
                let _ = answer.send(self.rebuild(name.as_deref()));
            }
            Request::Retry(answer) => {
                let _ = answer.send(self.retry());
            }
            Request::Purge(business, subject, answer) => {
                let purged = search::purge(&self.connection, business, subject).map_err(|e| ViewsError::Storage(e.to_string()));
                let _ = answer.send(purged.and_then(|()| self.empty_wal()));
            }
        }
        true
    }

    /// What was deleted must not live on in the WAL; readers of older pages are waited for.
    fn empty_wal(&self) -> Result<(), ViewsError> {
        for _ in 0..WAL_TRIES_MAX {
            let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
            if busy == 0 {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(ViewsError::Storage("deleted text is still in the WAL, because a reader holds it; shred again".to_owned()))
    }

    fn rebuild(&mut self, name: Option<&str>) -> Result<(), ViewsError> {
        let mut found = false;
        for (i, projection) in ALL.iter().enumerate().filter(|(_, p)| name.is_none_or(|n| n == p.name)) {
            found = true;
            make_anew(&self.connection, projection)?;
            if let Some(position) = self.positions.get_mut(i) {
                *position = 0;
            }
            self.stopped.retain(|(n, _)| *n != i);
        }
        self.moved.send_replace(self.lowest());
        if found { Ok(()) } else { Err(ViewsError::Unknown(name.unwrap_or_default().to_owned())) }
    }

    /// Applies the next batch; says how many events it had.
    fn step(&mut self, up_to: u64) -> Result<usize, ViewsError> {
        let after = self.lowest();
        let mut events = self.unsealer.runtime.block_on(self.log.read_all(after, PROJECTION_BATCH_MAX)).map_err(|e| ViewsError::Storage(e.to_string()))?;
        events.retain(|e| e.position <= up_to);
        let Some(last) = events.last().map(|e| e.position) else { return Ok(0) };
        if self.batch(&events, last, false).is_err() {
            // One of them can't be applied: once more, each behind a savepoint, to find out which.
            self.batch(&events, last, true)?;
        }
        for position in &mut self.positions {
            *position = last.max(*position);
        }
        for recorded in &events {
            if recorded.business == INSTALLATION
                && let Ok(Event::Operations(operations::Event::EventSkipped(skipped))) =
                    recorded.stored().map_err(|_| ()).and_then(|s| s.event().map_err(|_| ()))
            {
                self.skip(&skipped)?;
            }
        }
        self.moved.send_replace(last);
        Ok(events.len())
    }

    fn batch(&mut self, events: &[Recorded], last: u64, careful: bool) -> Result<(), ViewsError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = self.batch_inside(events, last, careful).and_then(|failed| {
            self.connection.execute_batch("COMMIT")?;
            Ok(failed)
        });
        match result {
            Ok(failed) => {
                self.stopped.extend(failed);
                Ok(())
            }
            Err(e) => {
                let _ = self.connection.execute_batch("ROLLBACK");
                Err(ViewsError::Storage(e.to_string()))
            }
        }
    }

    fn batch_inside(&self, events: &[Recorded], last: u64, careful: bool) -> Result<HashSet<(usize, String)>, ApplyError> {
        let mut failed = HashSet::new();
        for recorded in events {
            let stored = recorded.stored();
            let unreadable = |why: &dyn std::fmt::Display| ApplyError::Value(format!("the event can't be read: {why}"));
            let event = stored.as_ref().map_err(|e| unreadable(e)).and_then(|s| Ok((s, s.event().map_err(|e| unreadable(&e))?)));
            let business = recorded.business.to_string();
            for (i, projection) in ALL.iter().enumerate() {
                let place = (i, business.clone());
                let seen = self.positions.get(i).is_some_and(|p| *p >= recorded.position);
                if seen || self.stopped.contains(&place) || failed.contains(&place) {
                    continue;
                }
                let apply = || match &event {
                    Ok((stored, event)) => self.apply(projection, &Applied { recorded, stored, event }),
                    Err(e) => Err(ApplyError::Value(e.to_string())),
                };
                if !careful {
                    apply()?;
                    continue;
                }
                self.connection.execute_batch("SAVEPOINT one")?;
                if let Err(e) = apply() {
                    self.connection.execute_batch("ROLLBACK TO one")?;
                    tracing::error!(projection.name = projection.name, business.id = %business, event.seq = recorded.seq, error = %e, "a projection stopped at an event of one business");
                    self.connection.execute(
                        "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
                        params![projection.name, business, recorded.seq, recorded.position, e.to_string()],
                    )?;
                    failed.insert(place);
                }
                self.connection.execute_batch("RELEASE one")?;
            }
        }
        self.connection.prepare_cached("UPDATE projections SET position = max(position, ?)")?.execute([last])?;
        Ok(failed)
    }

    fn apply(&self, projection: &Projection, applied: &Applied<'_>) -> Result<(), ApplyError> {
        match projection.apply {
            Apply::Sealed(apply) => apply(&self.connection, applied),
            Apply::Searchable(apply) => apply(&self.connection, applied, &self.unsealer),
        }
    }

    /// Tries the businesses that were stopped once more, each from the event it was stopped at.
    fn retry(&mut self) -> Result<(), ViewsError> {
        for failure in failures(&self.connection)? {
            let Some(i) = ALL.iter().position(|p| p.name == failure.projection) else { continue };
            self.resume(i, &failure.business, failure.seq.saturating_sub(1))?;
        }
        Ok(())
    }

    /// Goes on without the event that a projection stopped at, when it is the one that was named.
    fn skip(&mut self, skipped: &EventSkipped) -> Result<(), ViewsError> {
        let business = skipped.business.to_string();
        for failure in failures(&self.connection)? {
            let named = failure.projection == skipped.projection.as_str() && failure.business == business && failure.seq == skipped.seq;
            if let Some(i) = ALL.iter().position(|p| named && p.name == failure.projection) {
                tracing::warn!(projection.name = failure.projection, business.id = %business, event.seq = failure.seq, "an event is passed over, as an operator said");
                self.resume(i, &business, failure.seq)?;
            }
        }
        Ok(())
    }

    /// Applies what a stopped business has waited for; stops again at the first event that still
    /// can't be applied.
    fn resume(&mut self, i: usize, business: &str, mut after: u64) -> Result<(), ViewsError> {
        let storage = |e: String| ViewsError::Storage(e);
        let (Some(projection), Some(up_to)) = (ALL.get(i), self.positions.get(i)) else { return Ok(()) };
        let id: BusinessId = business.parse().map_err(|_| storage(format!("`{business}` is no business")))?;
        let tx = self.connection.unchecked_transaction()?;
        let mut stuck = None;
        'stream: loop {
            let events = self.unsealer.runtime.block_on(self.log.read_business(id, after, PROJECTION_BATCH_MAX)).map_err(|e| storage(e.to_string()))?;
            let Some(last) = events.last().map(|e| e.seq) else { break };
            for recorded in &events {
                if recorded.position > *up_to {
                    break 'stream;
                }
                tx.execute_batch("SAVEPOINT one")?;
                if let Err(e) = self.apply_stored(projection, recorded) {
                    tx.execute_batch("ROLLBACK TO one; RELEASE one")?;
                    stuck = Some((recorded.seq, recorded.position, e.to_string()));
                    break 'stream;
                }
                tx.execute_batch("RELEASE one")?;
            }
            after = last;
        }
        match &stuck {
            Some((seq, position, error)) => {
                tx.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)", params![projection.name, business, seq, position, error])?
            }
            None => tx.execute("DELETE FROM failures WHERE projection = ? AND business = ?", params![projection.name, business])?,
        };
        tx.commit()?;
        let place = (i, business.to_owned());
        if stuck.is_some() {
            self.stopped.insert(place);
        } else {
            self.stopped.remove(&place);
        }
        Ok(())
    }

    fn apply_stored(&self, projection: &Projection, recorded: &Recorded) -> Result<(), ApplyError> {
        let stored = recorded.stored()?;
        let event = stored.event().map_err(|e| ApplyError::Value(e.to_string()))?;
        self.apply(projection, &Applied { recorded, stored: &stored, event: &event })
    }
}

/// Drops a projection's tables and makes them empty.
fn make_anew(connection: &Connection, projection: &Projection) -> Result<(), ViewsError> {
    let tx = connection.unchecked_transaction()?;
    for (table, _) in projection.tables {
        tx.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    tx.execute_batch(projection.sql)?;
    tx.execute("DELETE FROM failures WHERE projection = ?", [projection.name])?;
    tx.execute("INSERT OR REPLACE INTO projections VALUES (?, ?, 0)", params![projection.name, projection.version])?;
    tx.commit()?;
    Ok(())
}
