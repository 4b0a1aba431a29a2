//! What a lane decides again, and when it gives up.
//!
//! Whatever the error, the lane drains and drops its state, except for `ChainBroken` of an earlier
//! epoch, whose state was dropped already. Of what was decided after the failed append, all that the
//! store refused because of it is decided again, in its order.
//!
//! | the append's error | what it means | this job |
//! |---|---|---|
//! | `ChainBroken` | another append of the lane and epoch failed | decided again |
//! | `IdTaken`, no duplicate was looked for | the command was carried out before, by any process | decided again, with a look |
//! | `KeysDestroyed` | keys were destroyed after the events were sealed | decided and sealed again, at most [`STALE_RETRIES_MAX`] times, then gets the error |
//! | `Conflict`, `IdTaken` after a look | another process changed what was read | decided again; gets the error at the [`CONFLICT_TRIES_MAX`]th conflict that was the first failure of its epoch |
//! | `OutcomeUnknown` | the store gave no answer; the append may be stored | gets `outcome_unknown` |
//! | any other | the store refused or failed; a batch on a full disk fails as a whole | gets the error |

use domain::limits::CONFLICT_TRIES_MAX;
use event_log::AppendError;

use super::queue::Staleness;
use super::{Job, Lane};
use crate::command::CommandError;

/// How often a job is decided again after a stale answer or after keys were destroyed, together.
const STALE_RETRIES_MAX: u32 = 20;
/// How many jobs after a duplicate are checked for duplicates before they are decided: a sender
/// that lost its connection sends many commands again.
pub(super) const DUPLICATES_EXPECTED: u32 = 1_000;

impl Lane {
    /// Decides a job again whose append failed, or gives it the error.
    pub(super) async fn append_failed(&mut self, mut job: Job, e: AppendError, is_current: bool) {
        match e {
            // Of an earlier epoch: the state was dropped already. Of this one: the store refused a
            // later append of the chain first, and this one because of it; the lane has not heard
            // of that failure yet.
            AppendError::ChainBroken => {
                if is_current {
                    self.drop_state();
                }
                self.retries.push_back(job);
            }
            AppendError::IdTaken(_) if !job.check_duplicate => {
                job.check_duplicate = true;
                self.duplicates_expected = DUPLICATES_EXPECTED;
                self.decide_again(job);
            }
            AppendError::KeysDestroyed if job.stale_retries < STALE_RETRIES_MAX => {
                job.stale_retries += 1;
                self.services.keyring.invalidate_cache().await;
                self.decide_again(job);
            }
            AppendError::Conflict { .. } | AppendError::IdTaken(_) => {
                // Only the first failure of an epoch is known to come from another process; those
                // after it may follow from the first.
                job.conflicts += u32::from(is_current);
                // Another process may have taken the very ids of this command.
                job.check_duplicate = true;
                if job.conflicts >= CONFLICT_TRIES_MAX {
                    self.drop_state();
                    job.answer(Err(e.into()));
                } else {
                    self.decide_again(job);
                }
            }
            e @ (AppendError::KeysDestroyed
            | AppendError::OutOfPlace { .. }
            | AppendError::TooLarge { .. }
            | AppendError::Empty
            | AppendError::DiskFull
            | AppendError::Closed(_)
            | AppendError::Storage(_)
            | AppendError::OutcomeUnknown(_)) => {
                self.drop_state();
                job.answer(Err(e.into()));
            }
        }
    }

    fn decide_again(&mut self, job: Job) {
        self.drop_state();
        self.retries.push_back(job);
    }

    /// Gives an answer that still stands; a stale one is decided again, at most
    /// [`STALE_RETRIES_MAX`] times.
    pub(super) fn answer_unless_stale(&mut self, staleness: Staleness) {
        let Staleness { mut job, result, epoch, is_stale } = staleness;
        match is_stale {
            Ok(false) => job.answer(result),
            // The lane dropped its state since this was decided.
            Ok(true) if epoch != self.epoch && job.stale_retries < STALE_RETRIES_MAX => {
                job.stale_retries += 1;
                job.check_duplicate = true;
                self.retries.push_back(job);
            }
            Ok(true) if job.stale_retries < STALE_RETRIES_MAX => {
                job.stale_retries += 1;
                job.check_duplicate = true;
                self.decide_again(job);
            }
            Ok(true) => job.answer(Err(CommandError::unavailable(
                "what this command reads keeps changing; send it again",
            ))),
            Err(e) => job.answer(Err(e.into())),
        }
    }
}
