//! Deletes the text of forgotten subjects from every view file: the current one, the one that is
//! being built, and the previous one.

use domain::personal::Generation;
use domain::{BusinessId, SubjectId};
use event_log::chain;

use super::Runner;
use crate::view_file::Writing;
use crate::views::ViewsError;

impl Runner {
    /// Deletes a subject's text from every view file.
    pub(super) fn purge(
        &mut self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<(), ViewsError> {
        let beside = self.build.as_mut().map_or(Ok(()), |build| {
            build.interrupt();
            build.file.purge(business, subject, up_to)
        });
        let live = self.live.purge(business, subject, up_to);
        self.purge_previous();
        live.and(beside)
    }

    /// Deletes the text of subjects whose keys another process destroyed from every view file;
    /// returns false if some text could not be deleted.
    pub(super) fn purge_forgotten(&mut self) -> bool {
        let beside = self.build.as_mut().map_or(Ok(()), |build| {
            build.interrupt();
            build.file.purge_forgotten()
        });
        let live = if self.live.purges() { self.live.purge_forgotten() } else { Ok(()) };
        self.purge_previous();
        if let Err(e) = live.and(beside) {
            tracing::error!(error = %chain(&e), "text of forgotten subjects could not be \
            deleted; it is \
                tried again");
            return false;
        }
        true
    }

    /// Opens the previous views once, which deletes text that nobody has a key for; if that fails,
    /// they are not kept.
    pub(super) fn purge_previous(&mut self) {
        let in_the_making = self.build.as_ref().map(|b| b.number);
        let Some(previous) = self.generations.previous().filter(|p| in_the_making != Some(*p))
        else {
            return;
        };
        let purged = self.open_file(previous, Writing::Kept).and_then(|file| {
            if file.purges() { file.empty_wal() } else { Err(ViewsError::Stopped) }
        });
        if purged.is_err()
            && let Err(e) = self.generations.forget_previous()
        {
            tracing::error!(error = %chain(&e), "earlier views could not be deleted");
        }
        self.publish();
    }
}
