//! Appends until it is killed: `crash-writer FOLDER LEDGER [normal]`.

use std::path::PathBuf;

use event_log::sqlite::Durability;

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(ledger)) = (args.next(), args.next()) else { return };
    let durability = if args.next().is_some() { Durability::Normal } else { Durability::Full };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(tests::ledger::write_for_ever(&folder, &ledger, durability));
    }
}
