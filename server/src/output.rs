//! What the command line prints: the only module that does. Nothing here can panic: `println!` and
//! its kin, which do when nobody reads, are refused by clippy everywhere.

use std::fmt::Display;
use std::io::Write as _;

/// A line of the answer, on standard output; whoever reads it may have had enough (`… | head`).
pub(crate) fn line(text: impl Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// A line of a server to whoever started it, who may be gone: the server goes on.
pub(crate) fn announce(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line for whoever sits at the screen: it goes into no file and no pipe.
pub(crate) fn on_screen(text: impl FnOnce() -> String) {
    use std::io::IsTerminal as _;
    if std::io::stdout().is_terminal() {
        announce(text());
    }
}

/// A secret, which must arrive.
///
/// # Errors
/// When nobody took it.
pub(crate) fn secret(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// JSON, for people to read.
pub(crate) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A remark beside the answer, on standard error.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A remark that the next one overwrites, where somebody is watching.
pub(crate) fn progress(text: impl Display) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
    }
}

/// Ends a line of progress.
pub(crate) fn progress_end() {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr());
    }
}
