//! Log lines on standard error, as JSON, one a line. Whoever reads them may be slow, dead, or on a
//! full disk: nothing that works ever waits for a line, and none of them can make it panic.
//!
//! A line goes into a queue that is emptied by a thread of its own. What finds no room, or can't be
//! written, is dropped and counted (`minutebook_log_lines_dropped_total` in `/metrics`).
//! tracing-appender does the same, but prints, and so panics, when its last lines can't be written.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::app::AppError;

/// Most lines that wait to be written.
const LINES_MAX: usize = 10_000;
/// How long the process waits at its end for the last lines.
const LAST_LINES_WAIT: Duration = Duration::from_millis(200);

/// How many lines of this process were dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum Line {
    Text(Vec<u8>),
    /// Answered once all lines before it are written or dropped.
    Flush(SyncSender<()>),
}

/// The queue of lines to write.
#[derive(Clone)]
pub(crate) struct Lines(SyncSender<Line>);

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.0.try_send(Line::Text(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;
    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Lines {
    /// Waits for the last lines, for a limited time.
    pub(crate) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.0.try_send(Line::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES_WAIT);
        }
    }
}

fn write(lines: &Receiver<Line>, mut to: impl Write) {
    for line in lines {
        match line {
            Line::Text(text) if to.write_all(&text).is_err() => {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
            Line::Text(_) => {}
            Line::Flush(done) => drop(done.send(())),
        }
    }
}

/// Begins to log to standard error. A panic becomes a line that says where it happened, without its
/// message, which may hold a caller's text.
///
/// # Errors
/// If the filter can't be parsed.
pub(crate) fn start(filter: &str) -> Result<Lines, AppError> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|e| AppError::caused("settings: logging", e))?;
    let (queue, waiting) = mpsc::sync_channel(LINES_MAX);
    let lines = Lines(queue);
    std::thread::Builder::new()
        .name("log-lines".to_owned())
        .spawn(move || write(&waiting, std::io::stderr()))
        .map_err(AppError::other)?;
    let layer = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(lines.clone());
    layer.log_internal_errors(false).init();
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(String::new, |l| format!("{}:{}", l.file(), l.line()));
        let thread = std::thread::current();
        tracing::error!(panic.at = %place,
            thread.name = thread.name().unwrap_or_default(), "a panic");
    }));
    Ok(lines)
}
