//! The command line, where cargo lets tests find it.

fn main() -> std::process::ExitCode {
    server::cli::run()
}
