//! Projections that stopped at an event: retrying, skipping and resuming.

use super::ViewFile;
use crate::views::{Failure, ViewsError, failures};
use domain::BusinessId;
use domain::limits::PROJECTION_BATCH_MAX;
use domain::operations::EventSkipped;
use event_log::{Seq, chain};
use rusqlite::params;

impl ViewFile {
    /// The number of the slot in which a failure is; `None` if its rows are of another version.
    fn slot_of(&self, failure: &Failure) -> Option<usize> {
        self.slots.iter().position(|s| s.projection.name == failure.projection && !s.stale)
    }

    /// Retries every stopped business, each from the event at which it stopped.
    pub(crate) fn retry(&mut self) -> Result<(), ViewsError> {
        for failure in failures(&self.connection)? {
            if let Some(i) = self.slot_of(&failure) {
                self.resume(i, &failure.business, failure.seq.previous())?;
            }
        }
        Ok(())
    }

    /// Skips the event at which a projection stopped, if it is the event that `skipped` names.
    pub(super) fn skip(&mut self, skipped: &EventSkipped) -> Result<(), ViewsError> {
        let business = skipped.business.to_string();
        for failure in failures(&self.connection)? {
            let named = failure.projection == skipped.projection.as_str()
                && failure.business == business
                && failure.seq == Seq(skipped.seq);
            if let Some(i) = self.slot_of(&failure).filter(|_| named) {
                tracing::warn!(projection.name = failure.projection, business.id = %business,
                    event.seq = failure.seq.0, "an event is passed over, as an operator said");
                self.resume(i, &business, failure.seq)?;
            }
        }
        Ok(())
    }

    /// Applies the events that a stopped business has waited for; stops again at the first one that
    /// can't be applied.
    fn resume(&mut self, i: usize, business: &str, after: Seq) -> Result<(), ViewsError> {
        let resumed = self.resume_inside(i, business, after);
        // If the transaction was rolled back, memory holds rows that no file has.
        self.cached.borrow_mut().clear();
        resumed
    }

    fn resume_inside(
        &mut self,
        i: usize,
        business: &str,
        mut after: Seq,
    ) -> Result<(), ViewsError> {
        let Some(slot) = self.slots.get(i) else { return Ok(()) };
        let (projection, up_to) = (slot.projection, slot.position);
        let id: BusinessId = business
            .parse()
            .map_err(|_| ViewsError::storage(format!("`{business}` is no business")))?;
        let tx = self.connection.unchecked_transaction()?;
        let mut stuck = None;
        'stream: loop {
            let events = self.sources.unsealer.runtime.block_on(self.sources.log.read_business(
                id,
                after,
                PROJECTION_BATCH_MAX,
            ))?;
            let Some(last) = events.last().map(|e| e.seq) else { break };
            for recorded in &events {
                if recorded.position > up_to {
                    break 'stream;
                }
                let Err(e) = self.apply_one(projection, recorded).map_err(ViewsError::storage)?
                else {
                    continue;
                };
                let skipped = "SELECT EXISTS (SELECT 1 FROM skips WHERE projection = ? AND \
                    business = ? AND seq = ?)";
                let args = params![projection.name, business, recorded.seq];
                if !tx.query_row(skipped, args, |r| r.get(0))? {
                    stuck = Some((recorded.seq, recorded.position, chain(&e).to_string()));
                    break 'stream;
                }
            }
            after = last;
        }
        match &stuck {
            Some((seq, position, error)) => tx.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
                params![projection.name, business, seq, position, error],
            )?,
            None => tx.execute(
                "DELETE FROM failures WHERE projection = ? AND business = ?",
                params![projection.name, business],
            )?,
        };
        tx.commit()?;
        if let Some(slot) = self.slots.get_mut(i) {
            if stuck.is_some() {
                slot.stopped.insert(id);
            } else {
                slot.stopped.remove(&id);
            }
        }
        Ok(())
    }
}
