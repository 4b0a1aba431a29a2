//! Applies batches of events to the tables of a view file.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::ids::INSTALLATION;
use domain::operations::{Event as Operations, EventSkipped};
use domain::{BusinessId, Event};
use event_log::{Cause, Position, Recorded, Stored, chain};
use rusqlite::params;

use super::ViewFile;
use super::read_ahead::ReadEvent;
use crate::rows::{BusinessNumber, Place, Tables};
use crate::views::ViewsError;
use crate::{Applied, Apply, ApplyError, Projection};

/// An event of a batch, decoded at most once for all projections.
struct BatchEvent<'a> {
    recorded: &'a Recorded,
    /// The number of its business in the file.
    business: BusinessNumber,
    stored: Result<Stored<'a>, Cause>,
    /// The typed event; not decoded while nobody needs it.
    event: Option<Result<Event, Cause>>,
}

impl<'a> BatchEvent<'a> {
    fn new(
        recorded: &'a Recorded,
        business: BusinessNumber,
        event: Option<Result<Event, Cause>>,
    ) -> Self {
        let stored = recorded.stored().map_err(Cause::of);
        Self { recorded, business, stored, event }
    }

    fn stored(&self) -> Result<&Stored<'a>, ApplyError> {
        self.stored.as_ref().map_err(unreadable)
    }

    fn typed(&mut self) -> Result<Applied<'_>, ApplyError> {
        let Self { recorded, business, stored, event } = self;
        let stored = stored.as_ref().map_err(unreadable)?;
        let decode = || stored.event().map_err(Cause::of);
        let event = event.get_or_insert_with(decode).as_ref().map_err(unreadable)?;
        let place = Place::new(*business, recorded.seq)?;
        Ok(Applied { recorded, stored, event, business: *business, place })
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
                self.cached.borrow_mut().clear();
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
        let mut cached = self.cached.borrow_mut();
        let mut tables = Tables::new(&self.connection, &mut cached);
        for ReadEvent { recorded, event } in events {
            if let Some(skipped) = skipped(recorded) {
                self.note_skip(&skipped)?;
            }
            let business = recorded.business;
            let number = tables.business(business)?;
            let mut event = BatchEvent::new(recorded, number, event.take());
            for (i, slot) in self.slots.iter().enumerate() {
                if slot.position >= recorded.position
                    || slot.stale
                    || slot.stopped.contains(&business)
                    || failed.contains(&(i, business))
                {
                    continue;
                }
                if !careful {
                    self.apply(&mut tables, slot.projection, &mut event)?;
                } else if let Err(e) =
                    self.apply_behind_savepoint(&mut tables, slot.projection, &mut event)?
                {
                    self.note_failure(slot.projection, recorded, &e)?;
                    failed.insert((i, business));
                }
            }
        }
        tables.flush()?;
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

    /// Applies an event and writes what it changed, or does nothing of it. The outer error is the
    /// file's, the inner one the event's.
    fn apply_behind_savepoint(
        &self,
        tables: &mut Tables<'_>,
        projection: &Projection,
        event: &mut BatchEvent<'_>,
    ) -> Result<Result<(), ApplyError>, ApplyError> {
        self.connection.execute_batch("SAVEPOINT one")?;
        let applied = self.apply(tables, projection, event).and_then(|()| tables.flush());
        if let Err(e) = applied {
            tables.forget();
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
        let mut cached = self.cached.borrow_mut();
        let mut tables = Tables::new(&self.connection, &mut cached);
        let business = tables.business(recorded.business)?;
        let mut event = BatchEvent::new(recorded, business, None);
        self.apply_behind_savepoint(&mut tables, projection, &mut event)
    }

    fn apply(
        &self,
        tables: &mut Tables<'_>,
        projection: &Projection,
        event: &mut BatchEvent<'_>,
    ) -> Result<(), ApplyError> {
        let apply = AssertUnwindSafe(|| {
            fail::fail_point!("apply");
            match projection.apply {
                Apply::Sealed(apply) => apply(tables, &event.typed()?),
                Apply::Searchable(apply) => {
                    let seq = event.recorded.seq;
                    apply(tables, event.stored()?, seq, &self.sources.unsealer)
                }
            }
        });
        // Like any event that can't be applied, it stops its business and no other.
        catch_unwind(apply).unwrap_or_else(|_| Err(ApplyError::value("applying it panicked")))
    }
}
