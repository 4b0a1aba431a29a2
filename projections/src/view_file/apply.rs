//! Applies batches of events to the tables of a view file.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::ids::INSTALLATION;
use domain::operations::{Event as Operations, EventSkipped};
use domain::{BusinessId, Event};
use event_log::{Cause, Position, Recorded, Stored, chain};
use rusqlite::params;

use super::ViewFile;
use super::read_ahead::ReadEvent;
use crate::metrics::Sums;
use crate::views::ViewsError;
use crate::{Applied, Apply, ApplyError, Columns, Projection};

/// An event of a batch, decoded at most once for all projections.
struct BatchEvent<'a> {
    recorded: &'a Recorded,
    stored: Result<Stored<'a>, Cause>,
    /// The typed event; not decoded while nobody needs it.
    event: Option<Result<Event, Cause>>,
    columns: Option<Columns>,
}

impl<'a> BatchEvent<'a> {
    fn new(recorded: &'a Recorded, event: Option<Result<Event, Cause>>) -> Self {
        let stored = recorded.stored().map_err(Cause::of);
        Self { recorded, stored, event, columns: None }
    }

    fn stored(&self) -> Result<&Stored<'a>, ApplyError> {
        self.stored.as_ref().map_err(unreadable)
    }

    fn typed<'b>(&'b mut self, sums: &'b RefCell<Sums>) -> Result<Applied<'b>, ApplyError> {
        let stored = self.stored.as_ref().map_err(unreadable)?;
        let decode = || stored.event().map_err(Cause::of);
        let event = self.event.get_or_insert_with(decode).as_ref().map_err(unreadable)?;
        let columns = self.columns.get_or_insert_with(|| Columns::of(stored));
        Ok(Applied { recorded: self.recorded, stored, event, columns, sums })
    }
}

fn unreadable(cause: &Cause) -> ApplyError {
    ApplyError::Value(Cause::new("the event can't be read", cause.clone()))
}

/// The word of an operator that an event is to be skipped, if the event is one.
fn skipped(recorded: &Recorded) -> Option<EventSkipped> {
    if recorded.business != INSTALLATION {
        return None;
    }
    let event = recorded.stored().ok()?.event().ok()?;
    if let Event::Operations(Operations::EventSkipped(skipped)) = event {
        Some(skipped)
    } else {
        None
    }
}

/// The businesses in which projections stopped during a batch, by the number of the slot.
type Failed = HashSet<(usize, BusinessId)>;

impl ViewFile {
    /// Applies the next batch of events; returns how many there were. A batch has what there is, up
    /// to [`domain::limits::PROJECTION_BATCH_MAX`] events: few near the end of the log, many far
    /// from it.
    pub(crate) fn step(&mut self, up_to: Position) -> Result<usize, ViewsError> {
        let after = self.next();
        if after >= up_to {
            return Ok(0);
        }
        let mut events = self.read_batch(after, up_to)?;
        let Some(last) = events.last().map(|e| e.recorded.position) else { return Ok(0) };
        if self.batch(&mut events, last, false).is_err() {
            // One of them can't be applied: once more, each behind a savepoint, to find out which.
            self.batch(&mut events, last, true)?;
        }
        for slot in self.slots.iter_mut().filter(|slot| !slot.stale) {
            slot.position = last.max(slot.position);
        }
        for skipped in events.iter().filter_map(|e| skipped(&e.recorded)) {
            self.skip(&skipped)?;
        }
        Ok(events.len())
    }

    fn batch(
        &mut self,
        events: &mut [ReadEvent],
        last: Position,
        careful: bool,
    ) -> Result<(), ViewsError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        // What was added outside a batch, and rolled back, is not in the tables.
        self.sums.borrow_mut().clear();
        let result = self.batch_inside(events, last, careful).and_then(|failed| {
            self.connection.execute_batch("COMMIT")?;
            Ok(failed)
        });
        match result {
            Ok(failed) => {
                for (i, business) in failed {
                    self.slots.get_mut(i).map(|slot| slot.stopped.insert(business));
                }
                Ok(())
            }
            Err(e) => {
                let _ = self.connection.execute_batch("ROLLBACK");
                self.sums.borrow_mut().clear();
                Err(e.into())
            }
        }
    }

    fn batch_inside(
        &self,
        events: &mut [ReadEvent],
        last: Position,
        careful: bool,
    ) -> Result<Failed, ApplyError> {
        let mut failed = Failed::new();
        for ReadEvent { recorded, event } in events {
            if let Some(skipped) = skipped(recorded) {
                self.note_skip(&skipped)?;
            }
            let (business, mut event) =
                (recorded.business, BatchEvent::new(recorded, event.take()));
            for (i, slot) in self.slots.iter().enumerate() {
                if slot.position >= recorded.position
                    || slot.stale
                    || slot.stopped.contains(&business)
                    || failed.contains(&(i, business))
                {
                    continue;
                }
                if !careful {
                    self.apply(slot.projection, &mut event)?;
                } else if let Err(e) = self.apply_behind_savepoint(slot.projection, &mut event)? {
                    self.note_failure(slot.projection, recorded, &e)?;
                    failed.insert((i, business));
                }
            }
        }
        self.sums.borrow_mut().write(&self.connection)?;
        for slot in self.slots.iter().filter(|slot| !slot.stale) {
            self.connection
                .prepare_cached(
                    "UPDATE projections SET position = max(position, ?) WHERE name = ?",
                )?
                .execute(params![last, slot.projection.name])?;
        }
        Ok(failed)
    }

    /// Records an operator's word in the transaction of the checkpoint: a crash does not lose it.
    fn note_skip(&self, skipped: &EventSkipped) -> Result<(), ApplyError> {
        self.connection.prepare_cached("INSERT OR IGNORE INTO skips VALUES (?, ?, ?)")?.execute(
            params![skipped.projection.as_str(), skipped.business.to_string(), skipped.seq],
        )?;
        Ok(())
    }

    fn note_failure(
        &self,
        projection: &Projection,
        recorded: &Recorded,
        e: &ApplyError,
    ) -> Result<(), ApplyError> {
        let business = recorded.business.to_string();
        tracing::error!(projection.name = projection.name, business.id = %business,
            event.seq = recorded.seq.0, error = %chain(e),
            "a projection stopped at an event of one business");
        self.connection.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
            params![
                projection.name,
                business,
                recorded.seq,
                recorded.position,
                chain(e).to_string()
            ],
        )?;
        Ok(())
    }

    /// Applies an event, or nothing of it. The outer error is the file's, the inner one the
    /// event's.
    fn apply_behind_savepoint(
        &self,
        projection: &Projection,
        event: &mut BatchEvent<'_>,
    ) -> Result<Result<(), ApplyError>, ApplyError> {
        self.connection.execute_batch("SAVEPOINT one")?;
        let applied = self.apply(projection, event);
        if let Err(e) = applied {
            if e.is_of_the_file() {
                return Err(e);
            }
            self.connection.execute_batch("ROLLBACK TO one; RELEASE one")?;
            return Ok(Err(e));
        }
        self.connection.execute_batch("RELEASE one")?;
        Ok(Ok(()))
    }

    /// Applies an event on its own, or nothing of it; the two errors are those of
    /// [`Self::apply_behind_savepoint`].
    pub(super) fn apply_one(
        &self,
        projection: &Projection,
        recorded: &Recorded,
    ) -> Result<Result<(), ApplyError>, ApplyError> {
        self.apply_behind_savepoint(projection, &mut BatchEvent::new(recorded, None))
    }

    fn apply(&self, projection: &Projection, event: &mut BatchEvent<'_>) -> Result<(), ApplyError> {
        let apply = AssertUnwindSafe(|| {
            fail::fail_point!("apply");
            let recorded = event.recorded;
            match projection.apply {
                Apply::Sealed(apply) => apply(&self.connection, &event.typed(&self.sums)?),
                Apply::Searchable(apply) => {
                    let stored = event.stored()?;
                    apply(&self.connection, stored, recorded.seq, &self.sources.unsealer)
                }
            }
        });
        // Like any event that can't be applied, it stops its business and no other.
        let applied =
            catch_unwind(apply).unwrap_or_else(|_| Err(ApplyError::value("applying it panicked")));
        self.sums.borrow_mut().end_event(applied.is_ok());
        applied
    }
}
