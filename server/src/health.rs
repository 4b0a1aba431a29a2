//! Whether the process can work. A task checks once a second, so that a request for `/readyz` only
//! reads the result.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use commands::{Clock, CommandBus};
use domain::State;
use domain::ids::{ClockId, INSTALLATION};
use domain::limits::{STORE_ANSWER_MS_MAX, STORE_SILENT_MS_MAX};
use event_log::{EventLog, Keyring, LogError, Position, chain};
use tokio::time::timeout;

/// Time from one check to the next.
const EVERY: Duration = Duration::from_secs(1);

/// The results of the last checks.
pub(crate) struct Health {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    bus: Arc<CommandBus>,
    /// When the store of the keys last answered without an error.
    keys_well: Mutex<Instant>,
    /// The last error of the store of the keys; `None` after an answer without one.
    keys_trouble: Mutex<Option<String>>,
}

impl Health {
    /// Makes the state before the first check; what operators accepted of the clocks is known.
    ///
    /// # Errors
    /// When the log can't be read.
    pub(crate) async fn new(
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
        bus: Arc<CommandBus>,
    ) -> Result<Self, LogError> {
        if let State::Clock(known) = log.load(INSTALLATION, ClockId::only().into()).await?.state {
            bus.clock().was_accepted(known.accepted_newest);
        }
        Ok(Self {
            log,
            keyring,
            bus,
            keys_well: Mutex::new(Instant::now()),
            keys_trouble: Mutex::default(),
        })
    }

    /// Why the process can't do its work at the moment; `None` when it can.
    pub(crate) fn unavailable_reason(&self) -> Option<String> {
        let silent = self.keys_well.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let keys = || self.keys_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keys_silent = || {
            (silent > Duration::from_millis(STORE_SILENT_MS_MAX)).then(|| {
                format!("the store of the keys has not answered for {} ms", silent.as_millis())
            })
        };
        self.log
            .unavailable_reason()
            .or_else(keys)
            .or_else(keys_silent)
            .or_else(|| self.bus.clock().doubt().map(|doubt| doubt.to_string()))
    }

    /// Repeats the checks until the process is told to stop.
    pub(crate) async fn run(self: Arc<Self>, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut seen = Position::START;
        loop {
            fail::fail_point!("health");
            tokio::join!(
                self.look_at_keys(),
                self.look_at_clock(&mut seen),
                self.look_at_principals()
            );
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                stopped = stop.wait_for(|stopping| *stopping) => {
                    drop(stopped);
                    return;
                }
            }
        }
    }

    async fn look_at_keys(&self) {
        // No answer is no answer: then `keys_well` grows old.
        let Ok(answer) =
            timeout(Duration::from_millis(STORE_SILENT_MS_MAX), self.keyring.check()).await
        else {
            return;
        };
        if answer.is_ok() {
            *self.keys_well.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        *self.keys_trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            answer.err().map(|e| chain(&e).to_string());
    }

    async fn look_at_clock(&self, seen: &mut Position) {
        let (clock, answer) = (self.bus.clock(), Duration::from_millis(STORE_ANSWER_MS_MAX));
        let end = self.log.end();
        if end > *seen
            && let Ok(Ok(newest)) = timeout(answer, self.log.read_back(end.next(), 1)).await
        {
            *seen = end;
            newest
                .iter()
                .filter_map(|recorded| recorded.stored().ok().map(|s| s.recorded_at))
                .for_each(|at| clock.saw(at));
        }
        // A clock that tests move by hand is not the store's.
        if !matches!(clock.clock(), Clock::System) {
            return;
        }
        let asked = Instant::now();
        if let Ok(Ok(Some(store))) = timeout(answer, self.log.store_time()).await {
            clock.compare_with(store, asked.elapsed());
        }
    }

    /// Refreshes what is cached of API keys and roles, even while only readers send requests.
    async fn look_at_principals(&self) {
        // What it says else is said to the next who asks.
        let _ = self.bus.directory().fresh().await;
    }
}
