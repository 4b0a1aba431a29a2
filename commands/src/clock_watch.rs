//! Watches the server's clock. While the clock is in doubt, a command whose outcome depends on time
//! alone (an expiry, an owner's right to approve alone after an hour) is refused, until the clock
//! is right again or an operator accepts it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use domain::limits::{CLOCK_BEHIND_MS_MAX, CLOCK_DIFFERS_MS_MAX, CLOCK_JUMP_MS_MAX};

use crate::clock::Clock;

/// Microseconds of a named limit in milliseconds.
const fn micros(ms: u64) -> i64 {
    ms.cast_signed() * 1_000
}

/// A fault of the server's clock, with its size in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockDoubt {
    /// The clock is behind the newest event of the log.
    Behind(i64),
    /// The clock is ahead of the store's clock; behind it if negative.
    Differs(i64),
    /// The clock moved further than the time that passed; back if negative.
    Jumped(i64),
}

impl ClockDoubt {
    /// How far the clock may be behind the real time, in milliseconds; 0 when it is ahead.
    pub(crate) fn behind_ms(self) -> u64 {
        let behind = match self {
            Self::Behind(ms) => ms,
            Self::Differs(ms) | Self::Jumped(ms) => ms.saturating_neg(),
        };
        u64::try_from(behind).unwrap_or(0)
    }
}

impl fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(ms) => {
                write!(f, "the clock is {ms} ms behind the newest event of the log")
            }
            Self::Differs(ms) => write!(f, "the clock is {ms} ms ahead of the store's"),
            Self::Jumped(ms) => write!(f, "the clock jumped by {ms} ms"),
        }?;
        f.write_str("; set it right, or have an operator accept it with operations.accept_clock")
    }
}

/// A clock that can't be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInDoubt {
    /// The clock's fault.
    pub doubt: ClockDoubt,
    /// When the newest event that is known was recorded.
    pub newest: Timestamp,
}

/// Measurements that show whether the clock is right.
#[derive(Debug, Default)]
struct Measures {
    /// The clock's offset when the clock was last believed to be right, in microseconds.
    offset: i64,
    /// When the newest event that is known was recorded.
    newest: Timestamp,
    /// How far the clock is ahead of the store's, where the store has one, in microseconds.
    difference: Option<i64>,
    /// Time of the newest event up to which an operator accepted a log that is ahead of the clock.
    accepted_newest: Timestamp,
    /// The difference from the store's clock that an operator accepted, in microseconds.
    accepted_difference: i64,
}

/// The server's clock, with the measurements that show whether it is right.
#[derive(Debug)]
pub struct ClockWatch {
    clock: Clock,
    measures: Mutex<Measures>,
}

impl ClockWatch {
    /// A watch over a clock that is believed to be right now.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let measures = Measures { offset: clock.offset(), ..Measures::default() };
        Self { clock, measures: Mutex::new(measures) }
    }

    /// The clock that it watches.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The moment that the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn measures(&self) -> MutexGuard<'_, Measures> {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns when an event of the log was recorded.
    pub fn saw(&self, recorded_at: Timestamp) {
        let mut measures = self.measures();
        measures.newest = measures.newest.max(recorded_at);
    }

    /// Learns what the store's clock showed some time in the last `took`. A clock that agrees with
    /// the store's is right, whatever it did before.
    pub fn compare_with(&self, store: Timestamp, took: Duration) {
        let mut measures = self.measures();
        let half = i64::try_from(took.as_micros() / 2).unwrap_or(i64::MAX);
        let difference = self.now().as_micros() - half - store.as_micros();
        // The least by which they can differ.
        let difference = difference.signum() * (difference.abs() - half).max(0);
        measures.difference = Some(difference);
        if difference.abs() <= micros(CLOCK_DIFFERS_MS_MAX) {
            measures.offset = self.clock.offset();
        }
    }

    /// The clock's fault; `None` when it has none, or an operator accepted the one that it has.
    #[must_use]
    pub fn doubt(&self) -> Option<ClockDoubt> {
        let measures = self.measures();
        let differs = measures
            .difference
            .filter(|d| (d - measures.accepted_difference).abs() > micros(CLOCK_DIFFERS_MS_MAX));
        if let Some(difference) = differs {
            return Some(ClockDoubt::Differs(difference / 1_000));
        }
        let behind = measures.newest.as_micros() - self.now().as_micros();
        if behind > micros(CLOCK_BEHIND_MS_MAX) && measures.newest > measures.accepted_newest {
            return Some(ClockDoubt::Behind(behind / 1_000));
        }
        let jumped = self.clock.offset() - measures.offset;
        (jumped.abs() > micros(CLOCK_JUMP_MS_MAX)).then_some(ClockDoubt::Jumped(jumped / 1_000))
    }

    /// The clock's fault with the newest event's time of recording, both of which are recorded when
    /// an operator accepts the clock.
    #[must_use]
    pub fn in_doubt(&self) -> Option<ClockInDoubt> {
        self.doubt().map(|doubt| ClockInDoubt { doubt, newest: self.measures().newest })
    }

    /// Takes over what an operator accepted before this process began: events up to `newest` may be
    /// ahead of the clock.
    pub fn was_accepted(&self, newest: Timestamp) {
        self.measures().accepted_newest = newest;
    }

    /// Accepts the clock as it is, on an operator's command.
    pub fn accept(&self) {
        let mut measures = self.measures();
        measures.offset = self.clock.offset();
        measures.accepted_newest = measures.newest;
        measures.accepted_difference = measures.difference.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{ClockDoubt, ClockWatch};
    use std::time::Duration;

    use crate::clock::Clock;
    use domain::Timestamp;

    fn watch() -> ClockWatch {
        ClockWatch::new(Clock::manual(Timestamp::from_micros(1_000_000_000_000_000)))
    }

    #[test]
    fn a_clock_may_be_two_seconds_behind_the_log_and_no_more() {
        let watch = watch();
        watch.saw(watch.clock().now().plus_seconds(2));
        assert_eq!(watch.doubt(), None);
        watch.saw(watch.clock().now().plus_seconds(3));
        assert_eq!(watch.doubt(), Some(ClockDoubt::Behind(3_000)));
        watch.clock().advance_seconds(1);
        assert_eq!(watch.doubt(), None, "time goes on");
    }

    #[test]
    fn a_clock_that_jumps_is_in_doubt_until_it_is_right_again() {
        let watch = watch();
        watch.clock().advance_seconds(86_400);
        assert_eq!(watch.doubt(), None, "time went by");
        watch.clock().step_seconds(-2);
        assert_eq!(watch.doubt(), None);
        watch.clock().step_seconds(-1);
        assert_eq!(watch.doubt(), Some(ClockDoubt::Jumped(-3_000)));
        watch.clock().step_seconds(3);
        assert_eq!(watch.doubt(), None);
        watch.clock().step_seconds(3);
        assert_eq!(watch.doubt(), Some(ClockDoubt::Jumped(3_000)));
        watch.compare_with(watch.now(), Duration::ZERO);
        assert_eq!(watch.doubt(), None, "the store's clock says that it is right now");
    }

    #[test]
    fn a_clock_may_differ_by_a_quarter_of_a_second_from_the_stores() {
        let watch = watch();
        let store = |micros: i64| Timestamp::from_micros(watch.clock().now().as_micros() - micros);
        watch.compare_with(store(250_000), Duration::ZERO);
        assert_eq!(watch.doubt(), None);
        watch.compare_with(store(251_000), Duration::ZERO);
        assert_eq!(watch.doubt(), Some(ClockDoubt::Differs(251)));
        watch.compare_with(store(-251_000), Duration::ZERO);
        assert_eq!(watch.doubt(), Some(ClockDoubt::Differs(-251)));
        watch.compare_with(store(251_000), Duration::from_millis(2));
        assert_eq!(watch.doubt(), None, "the answer may have been on its way for longer than that");
    }

    #[test]
    fn what_was_accepted_is_no_doubt_and_what_comes_after_is() {
        let watch = watch();
        watch.saw(watch.clock().now().plus_seconds(86_400));
        watch.clock().step_seconds(-60);
        assert!(watch.doubt().is_some());
        watch.accept();
        assert_eq!(watch.doubt(), None);
        watch.clock().step_seconds(-60);
        assert_eq!(watch.doubt(), Some(ClockDoubt::Jumped(-60_000)));
    }
}
