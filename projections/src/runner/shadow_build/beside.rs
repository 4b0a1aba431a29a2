//! What a thread of its own does for a build: comparing its rows with those of the current views,
//! and making its indexes. Both can be interrupted, because a purge must not wait for them.

use std::thread::JoinHandle;

use rusqlite::{Connection, InterruptHandle};

use crate::view_file::{Slot, ViewFile, finish};
use crate::views::{ViewsError, read_only};
use crate::{Projection, ProjectionSet, digest};

/// Work on a thread of its own.
pub(super) struct Beside<T> {
    thread: JoinHandle<Result<T, ViewsError>>,
    interrupts: Vec<InterruptHandle>,
}

/// A comparison of rows, which gives the names of the projections that differ: both files are read
/// as they stood at one position, while both go on.
pub(super) type Comparison = Beside<Vec<String>>;

/// The end of a build in bulk, by [`finish`].
pub(super) type Indexing = Beside<()>;

impl<T: Send + 'static> Beside<T> {
    fn begin(
        name: &str,
        interrupts: Vec<InterruptHandle>,
        work: impl FnOnce() -> Result<T, ViewsError> + Send + 'static,
    ) -> Result<Self, ViewsError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { thread, interrupts })
    }

    /// The result of the work, or the work itself if it is not done.
    pub(super) fn result(self) -> Result<Result<T, ViewsError>, Self> {
        if !self.thread.is_finished() {
            return Err(self);
        }
        let ended_early = |_| Err(ViewsError::storage("a thread of a build ended early"));
        Ok(self.thread.join().unwrap_or_else(ended_early))
    }

    pub(super) fn interrupt(&self) {
        self.interrupts.iter().for_each(InterruptHandle::interrupt);
    }
}

impl Indexing {
    pub(super) fn of(file: &ViewFile, set: ProjectionSet) -> Result<Self, ViewsError> {
        let connection = file.connect_again()?;
        let interrupts = vec![connection.get_interrupt_handle()];
        Self::begin("views-indexing", interrupts, move || finish(&connection, set))
    }
}

impl ViewFile {
    /// Begins to compare the rows of some projections, as both files stand now.
    pub(super) fn compare(
        &self,
        other: &Self,
        which: impl Fn(&Slot) -> bool,
    ) -> Result<Comparison, ViewsError> {
        let snapshot = |file: &Self| -> Result<Connection, ViewsError> {
            let connection = read_only(&file.path())?;
            connection.execute_batch("BEGIN; SELECT count(*) FROM projections")?;
            Ok(connection)
        };
        let (mine, theirs) = (snapshot(self)?, snapshot(other)?);
        let interrupts = vec![mine.get_interrupt_handle(), theirs.get_interrupt_handle()];
        let which: Vec<&'static Projection> =
            self.slots.iter().filter(|slot| which(slot)).map(|slot| slot.projection).collect();
        Comparison::begin("views-compared", interrupts, move || {
            let mut differed = Vec::new();
            for projection in which {
                if digest(&mine, projection)? != digest(&theirs, projection)? {
                    differed.push(projection.name.to_owned());
                }
            }
            Ok(differed)
        })
    }
}
