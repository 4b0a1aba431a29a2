//! Compares the rows of a shadow build with those of the current views, and reports differences.

use crate::view_file::ViewFile;
use crate::views::{ViewsError, read_only};
use crate::{ALL, digest};
use rusqlite::InterruptHandle;
use std::thread::JoinHandle;

/// A comparison of rows on a thread of its own: both files are read as they stood at one position,
/// while both go on.
pub(super) struct Comparison {
    pub(super) thread: JoinHandle<Result<Vec<String>, ViewsError>>,
    pub(super) interrupts: [InterruptHandle; 2],
}

impl ViewFile {
    /// Begins to compare the rows of some projections, as both files stand now.
    pub(super) fn compare(
        &self,
        other: &Self,
        which: Vec<usize>,
    ) -> Result<Comparison, ViewsError> {
        let snapshot = |fold: &Self| -> Result<rusqlite::Connection, ViewsError> {
            let path = fold.connection.path().unwrap_or_default();
            let connection = read_only(path.as_ref())?;
            connection.execute_batch("BEGIN; SELECT count(*) FROM projections")?;
            Ok(connection)
        };
        let (mine, theirs) = (snapshot(self)?, snapshot(other)?);
        let interrupts = [mine.get_interrupt_handle(), theirs.get_interrupt_handle()];
        let compare = move || {
            let mut differed = Vec::new();
            for projection in which.into_iter().filter_map(|i| ALL.get(i)) {
                if digest(&mine, projection)? != digest(&theirs, projection)? {
                    differed.push(projection.name.to_owned());
                }
            }
            Ok(differed)
        };
        let thread =
            std::thread::Builder::new().name("views-compared".to_owned()).spawn(compare)?;
        Ok(Comparison { thread, interrupts })
    }
}
