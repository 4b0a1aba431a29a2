//! Purges the text of forgotten subjects from a view file and its WAL.

use super::ViewFile;
use crate::search;
use crate::tables::drop_made;
use crate::views::ViewsError;
use domain::personal::Generation;
use domain::{BusinessId, SubjectId};
use rusqlite::Connection;

/// How often readers are waited for before emptying the WAL fails.
const WAL_TRIES_MAX: u32 = 100;

/// Copies the whole WAL into its file and empties it; waits for readers of older pages.
pub(super) fn checkpoint(connection: &Connection) -> Result<(), ViewsError> {
    for _ in 0..WAL_TRIES_MAX {
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
        if busy == 0 {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(ViewsError::storage("a reader holds the WAL, which should be emptied; try again"))
}

impl ViewFile {
    /// Deletes the text of subjects whose keys are destroyed, from the WAL too.
    pub(crate) fn purge_forgotten(&self) -> Result<(), ViewsError> {
        let tx = self.connection.unchecked_transaction()?;
        let gone = search::purge_forgotten(&tx, &self.sources.unsealer)?;
        tx.commit()?;
        if gone || self.wal_dirty.get() { self.empty_wal() } else { Ok(()) }
    }

    /// Deletes the text of one subject, from the WAL too.
    pub(crate) fn purge(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<(), ViewsError> {
        let tx = self.connection.unchecked_transaction()?;
        if self.purges() {
            search::purge(&tx, business, subject, up_to)?;
        } else {
            // In a form that this program does not know.
            for slot in self.slots.iter().filter(|slot| slot.projection.is_searchable()) {
                drop_made(&tx, slot.projection.name)?;
                tx.execute("DELETE FROM projections WHERE name = ?", [slot.projection.name])?;
            }
        }
        tx.commit()?;
        self.empty_wal()
    }

    /// Empties the WAL, where deleted text would live on; waits for readers of older pages.
    pub(crate) fn empty_wal(&self) -> Result<(), ViewsError> {
        self.wal_dirty.set(true);
        checkpoint(&self.connection)?;
        self.wal_dirty.set(false);
        Ok(())
    }
}
