//! What the command line prints: the only module that does.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is the one that prints")]

use std::fmt::Display;

/// A line of the answer, on standard output.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// JSON, for people to read.
pub(crate) fn json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A remark beside the answer, on standard error.
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// A remark that the next one overwrites, where somebody is watching.
pub(crate) fn progress(text: impl Display) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        eprint!("\r{text}\x1b[K");
    }
}

/// Ends a line of progress.
pub(crate) fn progress_end() {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}
