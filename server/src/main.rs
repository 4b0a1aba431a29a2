//! `minutebook`: parse the command line, run it, say what went wrong.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::run()
}
