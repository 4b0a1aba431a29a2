//! Projections that stopped at an event: retrying, skipping and resuming.

use super::ViewFile;
use crate::views::{ViewsError, failures};
use crate::{ALL, Applied, ApplyError, Projection};
use domain::BusinessId;
use domain::limits::PROJECTION_BATCH_MAX;
use domain::operations::EventSkipped;
use event_log::{Recorded, Seq, chain};
use rusqlite::params;

impl ViewFile {
    /// Retries every stopped business, each from the event at which it stopped.
    pub(crate) fn retry(&mut self) -> Result<(), ViewsError> {
        for failure in failures(&self.connection)? {
            let Some(i) = ALL
                .iter()
                .position(|p| p.name == failure.projection)
                .filter(|i| !self.stale.contains(i))
            else {
                continue;
            };
            self.resume(i, &failure.business, failure.seq.previous())?;
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
            if let Some(i) = ALL
                .iter()
                .position(|p| named && p.name == failure.projection)
                .filter(|i| !self.stale.contains(i))
            {
                tracing::warn!(projection.name = failure.projection, business.id = %business,
                    event.seq = failure.seq.0, "an event is passed over, as an operator said");
                self.resume(i, &business, failure.seq)?;
            }
        }
        Ok(())
    }

    /// Applies the events that a stopped business has waited for; stops again at the first one that
    /// can't be applied.
    pub(super) fn resume(
        &mut self,
        i: usize,
        business: &str,
        mut after: Seq,
    ) -> Result<(), ViewsError> {
        let (Some(projection), Some(up_to)) = (ALL.get(i), self.positions.get(i)) else {
            return Ok(());
        };
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
                if recorded.position > *up_to {
                    break 'stream;
                }
                tx.execute_batch("SAVEPOINT one")?;
                if let Err(e) = self.apply_stored(projection, recorded) {
                    if e.is_of_the_file() {
                        return Err(ViewsError::storage(e));
                    }
                    tx.execute_batch("ROLLBACK TO one; RELEASE one")?;
                    let skipped = "SELECT EXISTS (SELECT 1 FROM skips WHERE projection = ? AND \
                        business = ? AND seq = ?)";
                    if tx.query_row(
                        skipped,
                        params![projection.name, business, recorded.seq],
                        |r| r.get(0),
                    )? {
                        continue;
                    }
                    stuck = Some((recorded.seq, recorded.position, chain(&e).to_string()));
                    break 'stream;
                }
                tx.execute_batch("RELEASE one")?;
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
        let place = (i, business.to_owned());
        if stuck.is_some() {
            self.stopped.insert(place);
        } else {
            self.stopped.remove(&place);
        }
        Ok(())
    }

    pub(super) fn apply_stored(
        &self,
        projection: &Projection,
        recorded: &Recorded,
    ) -> Result<(), ApplyError> {
        let stored = recorded.stored()?;
        let event = stored.event().map_err(ApplyError::value)?;
        self.apply(projection, &Applied { recorded, stored: &stored, event: &event })
    }
}
