//! Turns events of the cluster into appends of the mirror.

use super::super::cluster::Found;
use super::super::form::{business, taken};
use super::Mirror;
use domain::BusinessId;
use event_log::sqlite::AssignedPositions;
use std::io::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use event_log::{Append, AppendError, Cause, LogError, Position, Seq};

impl Mirror {
    /// Stores events in order, except those that are there already. After a failure nothing more is
    /// stored: the subscription begins again at the end of the mirror.
    pub(super) async fn take_in(&self, events: Vec<Found>) -> Result<(), LogError> {
        let after = *self.position().borrow();
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        let mut pending = Vec::new();
        for (append, placed) in self.appends(events, after, batch) {
            let (business, seq) = (append.business, placed.first_seq);
            let queued = self.log.mirror(append, placed).await.map_err(LogError::storage)?;
            pending.push((business, seq, queued));
        }
        let mut result = Ok(());
        for (business, seq, queued) in pending {
            match queued.done().await {
                Ok(_) => {}
                Err(
                    e @ (AppendError::Conflict { .. }
                    | AppendError::IdTaken(_)
                    | AppendError::OutOfPlace { .. }),
                ) => self.stop(business, seq, &e.to_string()),
                Err(e) => {
                    result =
                        Err(LogError::Storage(Cause::new("the mirror could not be written", e)))
                }
            }
        }
        result
    }

    /// Groups events into the appends that they were stored with.
    pub(super) fn appends(
        &self,
        events: Vec<Found>,
        after: Position,
        batch: u64,
    ) -> Vec<(Append, AssignedPositions)> {
        let mut all: Vec<(Append, AssignedPositions)> = Vec::new();
        let mut open = false;
        for found in events.into_iter().filter(|f| f.position > after) {
            let Some(business) = business(&found.stream).filter(|b| self.broken(*b).is_none())
            else {
                continue;
            };
            let (new, more) = match taken(&found) {
                Ok(taken) => taken,
                Err(why) => {
                    self.stop(business, found.seq(), &why);
                    open = false;
                    continue;
                }
            };
            match all.last_mut() {
                Some((append, placed))
                    if open
                        && append.business == business
                        && placed.first_seq.plus(append.events.len() as u64) == found.seq() =>
                {
                    append.events.push(new);
                    placed.positions.push(found.position);
                }
                Some(_) | None => {
                    let append = Append {
                        business,
                        reads: Vec::new(),
                        events: vec![new],
                        chain: None,
                        key_epoch: None,
                    };
                    all.push((
                        append,
                        AssignedPositions {
                            first_seq: found.seq(),
                            positions: vec![found.position],
                            batch,
                        },
                    ));
                }
            }
            open = more > 0;
        }
        all
    }

    pub(super) fn stop(&self, business: BusinessId, seq: Seq, why: &str) {
        let sentence = format!(
            "the stream {} has an event at revision {} that this installation did not write \
             ({why})",
            business.stream_name(),
            seq.previous()
        );
        tracing::error!(business.id = %business, "{sentence}; the business is stopped");
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.insert(business, sentence);
        // The mirror has passed that event: after a restart nothing else would tell.
        let new = self.stopped_file.with_extension("new");
        let write = |text: Vec<u8>| {
            let mut file = std::fs::File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.stopped_file)
        };
        let written = serde_json::to_vec(&*broken).map_err(std::io::Error::from).and_then(write);
        if let Err(e) = written {
            tracing::error!(error = %e, "that a business is stopped could not be written down");
        }
    }
}
