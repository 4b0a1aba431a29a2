//! What is surely not in the log: a Bloom filter over event ids and aggregates.
//!
//! Nearly every command comes under a key that was never used, and many open an aggregate that does
//! not exist. A reader's page cache is void after each commit, so to be told "no" by SQLite costs
//! reading pages again each time. The filter says "surely not" without that; "maybe" asks SQLite.
//! It is filled from the file in the background when the log is opened, and says "maybe" to
//! everything until then; appends are put in before they are queued.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::ids::EventId;
use domain::{AggregateRef, BusinessId};
use rusqlite::Connection;
use uuid::Uuid;

use crate::append::Append;
use crate::place::Version;

/// Bits for each entry there is room for: with [`PROBES`] about one "maybe" in 2,000 is wrong.
const BITS_PER_ENTRY: u64 = 16;
/// Bits that are set for an entry.
const PROBES: u64 = 6;
/// Entries that the filter has room for, beyond twice those in the file when it is opened.
const ROOM: u64 = 1 << 20;

pub(super) struct BloomFilter {
    words: Vec<AtomicU64>,
    filled: AtomicBool,
}

/// Two independent halves of an entry's hash (the finaliser of splitmix64).
fn halves(parts: [Uuid; 2], salt: u64) -> (u64, u64) {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let [(a, b), (c, d)] = parts.map(|p| p.as_u64_pair());
    let first = mix(a ^ mix(b ^ mix(c ^ mix(d ^ salt))));
    (first, mix(first ^ 0x9e37_79b9_7f4a_7c15) | 1)
}

impl BloomFilter {
    /// A filter with room for what is in the file and more.
    pub(super) fn with_room_for(entries: u64) -> Self {
        let bits = ((entries * 2 + ROOM) * BITS_PER_ENTRY).next_power_of_two();
        let words = usize::try_from(bits / 64).unwrap_or(1 << 15);
        Self {
            words: std::iter::repeat_with(AtomicU64::default).take(words).collect(),
            filled: AtomicBool::new(false),
        }
    }

    fn bits(&self, (first, step): (u64, u64)) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let mask = self.words.len() as u64 * 64 - 1;
        (0..PROBES).filter_map(move |i| {
            let bit = first.wrapping_add(step.wrapping_mul(i)) & mask;
            Some((self.words.get(usize::try_from(bit / 64).ok()?)?, 1 << (bit % 64)))
        })
    }

    /// Puts an entry in; true when it surely was not there.
    fn add(&self, hash: (u64, u64)) -> bool {
        self.bits(hash).fold(false, |new, (word, bit)| {
            new | (word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
        })
    }

    fn maybe(&self, hash: (u64, u64)) -> bool {
        !self.filled.load(Ordering::Acquire)
            || self.bits(hash).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Puts in what is about to be queued; true when neither its events nor the aggregates that it
    /// opens can be in the log. (Two threads that put in the same at once may both be told so: the
    /// writer's unique indexes settle that.)
    pub(super) fn add_append(&self, append: &Append) -> bool {
        let mut new = self.filled.load(Ordering::Acquire);
        for event in &append.events {
            new &= self.add(halves([append.business.0, event.event_id.0], 1));
            new &= self.add(halves([append.business.0, event.aggregate.id], 2))
                || event.version > Version::FIRST;
        }
        new
    }

    /// Whether an event of that id may be there.
    pub(super) fn maybe_event(&self, business: BusinessId, id: EventId) -> bool {
        self.maybe(halves([business.0, id.0], 1))
    }

    /// Whether an aggregate may have events.
    pub(super) fn maybe_aggregate(&self, business: BusinessId, aggregate: AggregateRef) -> bool {
        self.maybe(halves([business.0, aggregate.id], 2))
    }

    /// Puts in everything that is in the file; from then on the filter's "surely not" counts.
    pub(super) fn fill(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut query = connection.prepare("SELECT business, event_id, id FROM events")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let business: Uuid = row.get(0)?;
            self.add(halves([business, row.get(1)?], 1));
            self.add(halves([business, row.get(2)?], 2));
        }
        self.filled.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may")]
    use super::*;

    #[test]
    fn what_was_put_in_is_never_denied_and_little_else_is_affirmed() {
        let known = BloomFilter::with_room_for(0);
        let business = BusinessId(Uuid::from_u128(1));
        let id = |n: u128| EventId(Uuid::new_v5(&business.0, &n.to_be_bytes()));
        assert!(known.maybe_event(business, id(0)), "before it is filled it denies nothing");
        for n in 0..100_000 {
            known.add(halves([business.0, id(n).0], 1));
        }
        known.filled.store(true, Ordering::Release);
        assert!((0..100_000).all(|n| known.maybe_event(business, id(n))));
        let wrong = (100_000..200_000).filter(|n| known.maybe_event(business, id(*n))).count();
        assert!(wrong < 100, "{wrong} of 100,000 wrong");
        assert!(
            !known.maybe_aggregate(business, AggregateRef::new(domain::Kind::Task, id(5).0)),
            "events and aggregates are kept apart"
        );
    }
}
