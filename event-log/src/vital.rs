//! Threads and tasks that a process can't do without. When one of them panics, its work is not done
//! any more: the process reports it wherever its health is asked for, and ends, so that a
//! supervisor starts it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use futures_util::FutureExt as _;

/// Name of the first vital thread or task that panicked; `None` = none did.
static DEAD: Mutex<Option<&'static str>> = Mutex::new(None);
/// The function that is called when a vital thread or task panics; a server's ends the process.
static ON_DEATH: OnceLock<fn(&'static str)> = OnceLock::new();

/// Name of the first vital thread or task that panicked; `None` = none did.
#[must_use]
pub fn dead() -> Option<&'static str> {
    *DEAD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the function that is called when a vital thread or task panics; only the first call has an
/// effect.
pub fn on_death(act: fn(&'static str)) {
    let _ = ON_DEATH.set(act);
}

fn died(name: &'static str) {
    DEAD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(name);
    tracing::error!(thread.name = name, "a thread that this process can't do without panicked");
    if let Some(act) = ON_DEATH.get() {
        act(name);
    }
}

/// Starts a thread that must not panic.
///
/// # Errors
/// When the operating system can't start another thread.
pub fn thread(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(()) => {}
            // Whoever shut the runtime down needs nothing of its threads any more.
            Err(panic) if is_of_shutdown(&*panic) => {
                tracing::debug!(thread.name = name, "the runtime was shut down under a thread");
            }
            Err(_) => died(name),
        }
    })
}

/// True if tokio panicked because its runtime is being shut down, as it does under a thread that
/// waits on a timer of the runtime.
fn is_of_shutdown(panic: &(dyn std::any::Any + Send)) -> bool {
    const SAID: &str = "A Tokio 1.x context was found, but it is being shutdown.";
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)) == Some(SAID)
}

/// Starts a task that must not panic.
pub fn task(
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            died(name);
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]
mod tests {
    use super::*;

    /// Both in one test: what died is known to the whole process.
    #[test]
    fn a_panic_is_a_death_unless_the_runtime_was_shut_down() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let waits = thread("shut-down", move || {
            handle.block_on(async {
                loop {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            });
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        runtime.shutdown_background();
        waits.unwrap().join().unwrap();
        assert_eq!(dead(), None);
        thread("panics", || panic!("on purpose")).unwrap().join().unwrap();
        assert_eq!(dead(), Some("panics"));
    }
}
