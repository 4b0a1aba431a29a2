//! `minutebook`: parse the command line, run it, say what went wrong.

use std::process::ExitCode;

// Commands are made on one thread and written and dropped on others: the system's allocator is
// slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server::cli::run()
}
