//! The aggregates that a lane remembers, so that a decision need not read them from the log again.

use domain::limits::LANE_AGGREGATES_MAX;
use domain::{AggregateRef, BusinessId, State, Timestamp};
use event_log::Version;
use lru::LruCache;

/// The aggregates and businesses of a lane. While an append is in flight its state is nowhere but
/// here: only a lane with nothing in flight trims its cache, and one whose cache is full takes no
/// jobs until then.
pub(super) struct LaneCache {
    /// Folded aggregates with their versions, appends in flight included.
    aggregates: LruCache<(BusinessId, AggregateRef), (Version, State)>,
    /// When the newest event of each business was recorded.
    newest: LruCache<BusinessId, Timestamp>,
    /// How many aggregates, and how many businesses, a lane with nothing in flight may remember.
    max: usize,
}

impl Default for LaneCache {
    fn default() -> Self {
        Self::with_max(LANE_AGGREGATES_MAX)
    }
}

impl LaneCache {
    pub(super) fn with_max(max: usize) -> Self {
        Self { aggregates: LruCache::unbounded(), newest: LruCache::unbounded(), max }
    }

    /// Takes an aggregate with its version out; whoever decides on it puts it back.
    pub(super) fn take(
        &mut self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> Option<(Version, State)> {
        self.aggregates.pop(&(business, aggregate))
    }

    pub(super) fn put(
        &mut self,
        business: BusinessId,
        aggregate: AggregateRef,
        state: (Version, State),
    ) {
        self.aggregates.put((business, aggregate), state);
    }

    /// Forgets everything: what is in flight was decided on state that does not hold, and was
    /// noted as recorded before it was.
    pub(super) fn clear(&mut self) {
        self.aggregates.clear();
        self.newest.clear();
    }

    /// When the newest event of a business was recorded, as far as this process knows.
    pub(super) fn newest(&mut self, business: BusinessId) -> Option<Timestamp> {
        self.newest.get(&business).copied()
    }

    /// Remembers when an event was recorded that a decision of the business rests on.
    pub(super) fn note_recorded_at(&mut self, business: BusinessId, recorded_at: Timestamp) {
        let newest = self.newest.get_or_insert_mut(business, Timestamp::default);
        *newest = (*newest).max(recorded_at);
    }

    /// True if the cache must be trimmed before the lane takes a new job.
    pub(super) fn is_full(&self) -> bool {
        self.aggregates.len().max(self.newest.len()) > self.max
    }

    /// Drops the least recently used entries, down to three quarters of the limit: a lane whose
    /// work goes beyond the limit does not stop at every job.
    pub(super) fn trim(&mut self) {
        if !self.is_full() {
            return;
        }
        let keep = self.max - self.max / 4;
        while self.aggregates.len() > keep {
            self.aggregates.pop_lru();
        }
        while self.newest.len() > keep {
            self.newest.pop_lru();
        }
    }
}
