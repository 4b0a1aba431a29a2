//! When an event was recorded: the later of the clock and of what its decision rests on.

use domain::{BusinessId, Timestamp};

use super::Lane;
use crate::command::CommandError;

impl Lane {
    /// Now, for a decision of a business: no earlier than its newest event that this process knows
    /// of, so that a clock that is put back puts no event before its cause.
    pub(super) async fn now(&mut self, business: BusinessId) -> Result<Timestamp, CommandError> {
        let newest = match self.cache.newest(business) {
            Some(newest) => newest,
            None => self.services.log.newest(business).await?,
        };
        self.cache.note_recorded_at(business, newest);
        Ok(self.services.clock.now().max(newest))
    }
}
