//! What becomes of a command when its append is durable or refused, or its answer's turn has come.

use std::sync::Arc;

use domain::BusinessId;
use domain::limits::CONFLICT_TRIES_MAX;
use event_log::{AppendError, Committed};

use super::{Checked, Flight, Lane, Outcome, REPEATS_EXPECTED};
use crate::command::{CommandError, Receipt, ReceiptEvent};

/// How often an answer is made anew because another process was here.
const OLD_TRIES_MAX: u32 = 20;

impl Lane {
    pub(super) async fn finish(&mut self, flight: Flight) {
        let Flight { mut job, epoch, outcome } = flight;
        let current = epoch == self.epoch;
        match outcome {
            Outcome::Again => self.again.push_back(job),
            // Nobody waits for it: it is not worth a question to another program.
            Outcome::Answer(..) if job.answer.is_closed() => {}
            Outcome::Answer(result, loaded) if current => {
                if !self.shared.log.shared() || loaded.is_empty() {
                    return job.answer(result);
                }
                let shared = Arc::clone(&self.shared);
                self.checks.push(Box::pin(async move {
                    let old = shared.is_old(&job, &loaded).await;
                    Checked { job, result, old }
                }));
            }
            Outcome::Answer(..) => self.again.push_back(job),
            Outcome::Appended(events, result) => {
                self.keys.remove(&job.first_id);
                match result {
                    Ok(committed) => {
                        let receipt = receipt(job.submission.business, events, committed);
                        job.answer(Ok(receipt));
                    }
                    Err(AppendError::ChainBroken) => {
                        if current {
                            self.drop_state();
                        }
                        self.draining = true;
                        self.again.push_back(job);
                    }
                    // Nobody had looked: a repeat is recognised by its ids.
                    Err(AppendError::IdTaken(_)) if !job.look => {
                        job.look = true;
                        self.repeats = REPEATS_EXPECTED;
                        self.drop_state();
                        self.again.push_back(job);
                    }
                    Err(AppendError::KeysDestroyed) if job.old < OLD_TRIES_MAX => {
                        job.old += 1;
                        self.shared.keyring.invalidate_cache().await;
                        self.drop_state();
                        self.again.push_back(job);
                    }
                    Err(e @ (AppendError::Conflict { .. } | AppendError::IdTaken(_))) => {
                        // Only the first failure after a good state says that another process was
                        // here.
                        job.tries += u32::from(current);
                        // Somebody may have taken the id that is this command's own.
                        job.look = true;
                        self.drop_state();
                        if job.tries >= CONFLICT_TRIES_MAX {
                            job.answer(Err(e.into()))
                        } else {
                            self.again.push_back(job)
                        }
                    }
                    Err(e) => {
                        self.drop_state();
                        job.answer(Err(e.into()));
                    }
                }
            }
        }
    }
}

impl Lane {
    /// Gives an answer that stands; one that rests on what another process has changed is made
    /// anew.
    pub(super) fn checked(&mut self, Checked { mut job, result, old }: Checked) {
        match old {
            Ok(false) => job.answer(result),
            Ok(true) if job.old < OLD_TRIES_MAX => {
                job.old += 1;
                job.look = true;
                self.drop_state();
                self.again.push_back(job);
            }
            Ok(true) => job.answer(Err(CommandError::Unavailable(
                "others are changing the same all the time; send it again".to_owned(),
            ))),
            Err(e) => job.answer(Err(e.into())),
        }
    }
}

fn receipt(business: BusinessId, mut events: Vec<ReceiptEvent>, committed: Committed) -> Receipt {
    for (seq, event) in (committed.first_seq..).zip(&mut events) {
        event.seq = seq;
    }
    Receipt { business, events, position: Some(committed.position), repeated: committed.repeated }
}
