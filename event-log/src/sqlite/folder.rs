//! The data folder, which one process at a time uses.

use super::own;
use crate::cause::Cause;
use crate::log::LogError;
use std::fs::File;
use std::path::Path;

/// An exclusive lock on a data folder; held until it is dropped.
#[derive(Debug)]
pub struct FolderLock(#[allow(dead_code, reason = "held, not read")] File);

impl FolderLock {
    /// Takes the folder for this process; makes it when it is not there. Nobody but its owner may
    /// look into it: keys, log and views lie there.
    ///
    /// # Errors
    /// [`LogError::Locked`] says what to do when another process has it.
    pub fn take(folder: &Path) -> Result<Self, LogError> {
        let storage = |e: std::io::Error| LogError::Storage(Cause::new(folder.display(), e));
        std::fs::create_dir_all(folder).map_err(storage)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .map_err(storage)?;
        match file.try_lock() {
            Ok(()) => {
                own(folder, false).map_err(storage)?;
                Ok(Self(file))
            }
            Err(std::fs::TryLockError::WouldBlock) => Err(LogError::Locked(format!(
                "the data folder {} is in use by another minutebook process; talk to that one with \
                 --server URL, or stop it first",
                folder.display()
            ))),
            Err(std::fs::TryLockError::Error(e)) => Err(storage(e)),
        }
    }
}
