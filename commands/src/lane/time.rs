//! When an event was recorded: the later of the clock and of what its decision rests on.

use domain::limits::LANE_AGGREGATES_MAX;
use domain::{BusinessId, Timestamp};

use super::Lane;
use crate::command::CommandError;

impl Lane {
    /// Now, for a decision of a business: no earlier than its newest event that this process knows
    /// of, so that a clock that is put back puts no event before its cause.
    pub(super) async fn now(&mut self, business: BusinessId) -> Result<Timestamp, CommandError> {
        let newest = match self.newest.get(&business) {
            Some(newest) => *newest,
            None => self.services.log.newest(business).await?,
        };
        self.note_recorded_at(business, newest);
        Ok(self.services.clock.now().max(newest))
    }

    /// Remembers that a decision of a business rests on an event recorded then.
    pub(super) fn note_recorded_at(&mut self, business: BusinessId, recorded_at: Timestamp) {
        let newest = self.newest.get_or_insert_mut(business, Timestamp::default);
        *newest = (*newest).max(recorded_at);
    }

    /// Forgets what has not been used for longest. Only while nothing is in flight: what is in
    /// flight is nowhere but here.
    pub(super) fn trim(&mut self) {
        while self.cache.len() > LANE_AGGREGATES_MAX {
            self.cache.pop_lru();
        }
        while self.newest.len() > LANE_AGGREGATES_MAX {
            self.newest.pop_lru();
        }
    }
}
