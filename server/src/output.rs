//! What the command line prints: the only module that does. Nothing here can panic: `println!` and
//! its kin, which do when nobody reads, are refused by clippy everywhere.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line of the answer to standard output; a closed pipe (`… | head`) is no error.
pub(crate) fn line(text: impl Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a line of a server for whoever started it; the server continues if nobody reads.
pub(crate) fn announce(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a line to the terminal; nothing goes into a file or a pipe.
pub(crate) fn on_screen(text: impl FnOnce() -> String) {
    use std::io::IsTerminal as _;
    if std::io::stdout().is_terminal() {
        announce(text());
    }
}

/// Prints a secret to standard output.
///
/// # Errors
/// If the secret could not be written.
pub(crate) fn secret(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Prints JSON, formatted for people.
pub(crate) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a remark to standard error.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a remark that the next one overwrites, if standard error is a terminal.
pub(crate) fn progress(text: impl Display) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
    }
}

/// Ends the line of progress.
pub(crate) fn progress_end() {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr());
    }
}
