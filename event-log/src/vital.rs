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
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            died(name);
        }
    })
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
