//! The source of the current time: the system's clock, or one that tests move by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// A clock that is moved by hand, in microseconds.
#[derive(Debug, Default)]
pub struct ManualClock {
    shows: AtomicI64,
    stepped: AtomicI64,
}

/// The source of the current time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clock of the operating system.
    #[default]
    System,
    /// A clock that tests move by hand.
    Manual(Arc<ManualClock>),
}

fn to_micros(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

impl Clock {
    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(ManualClock {
            shows: AtomicI64::new(at.as_micros()),
            stepped: AtomicI64::new(0),
        }))
    }

    /// The moment that the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Self::Manual(clock) => Timestamp::from_micros(clock.shows.load(Ordering::Relaxed)),
        }
    }

    /// The moment that the clock shows, minus the time since the machine was started, in
    /// microseconds: it changes only when somebody sets the clock. Time in which the machine sleeps
    /// counts too (`CLOCK_BOOTTIME`).
    pub(crate) fn offset(&self) -> i64 {
        match self {
            Self::System => {
                #[cfg(target_os = "linux")]
                let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                #[cfg(not(target_os = "linux"))]
                let passed = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                self.now().as_micros() - to_micros(passed.tv_sec, passed.tv_nsec)
            }
            Self::Manual(clock) => clock.stepped.load(Ordering::Relaxed),
        }
    }

    /// The time that has passed since the first call, whatever the clock was set to.
    pub(crate) fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::System => BEGAN.get_or_init(Instant::now).elapsed(),
            Self::Manual(clock) => {
                let passed =
                    clock.shows.load(Ordering::Relaxed) - clock.stepped.load(Ordering::Relaxed);
                Duration::from_micros(passed.unsigned_abs())
            }
        }
    }

    /// Lets time go by on a manual clock; the system's clock can't be moved.
    pub fn advance_seconds(&self, seconds: u32) {
        if let Self::Manual(clock) = self {
            clock.shows.fetch_add(to_micros(i64::from(seconds), 0), Ordering::Relaxed);
        }
    }

    /// Sets a manual clock forward or back, without time going by; the system's clock can't be
    /// moved.
    pub fn step_seconds(&self, seconds: i64) {
        if let Self::Manual(clock) = self {
            clock.shows.fetch_add(to_micros(seconds, 0), Ordering::Relaxed);
            clock.stepped.fetch_add(to_micros(seconds, 0), Ordering::Relaxed);
        }
    }
}
