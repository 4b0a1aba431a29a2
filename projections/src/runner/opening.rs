//! Opens the view files of a set: the current one, one that an earlier process began to fill or to
//! build, or a new one.

use std::path::Path;

use event_log::Position;
use tokio::sync::watch;

use super::Runner;
use super::shadow_build::Build;
use crate::ProjectionSet;
use crate::generations::Generations;
use crate::snapshots::Snapshots;
use crate::view_file::{Sources, ViewFile, Writing};
use crate::views::{PublishedState, Purpose, Served, ViewsError};

/// A new file is filled in bulk from a log that goes further than this.
const BULK_FROM: Position = Position(500);

/// Opens the current view file, or makes one.
fn open_current(
    generations: &mut Generations,
    set: ProjectionSet,
    sources: &Sources,
    snapshots: Option<&Snapshots>,
) -> Result<ViewFile, ViewsError> {
    if let Some(current) = generations.current() {
        return ViewFile::open(&generations.path(current), sources, set, Writing::Kept);
    }
    if let Some(number) = generations.building() {
        if generations.is_of_this_boot()
            && let Ok(file) = ViewFile::open(&generations.path(number), sources, set, Writing::Bulk)
            && file.is_of_this_version()
        {
            return Ok(file);
        }
        generations.give_up(number)?;
    }
    let number = generations.next();
    let path = generations.path(number);
    let adopted = snapshots.and_then(|s| s.adopt(&path, sources));
    if let Some(position) = adopted {
        tracing::info!(position = position.0, "the views begin with a snapshot");
    }
    if adopted.is_some() || sources.log.end() < BULK_FROM {
        let file = ViewFile::open(&path, sources, set, Writing::Kept)?;
        generations.flip(number)?;
        return Ok(file);
    }
    generations.begin(number)?;
    ViewFile::open(&path, sources, set, Writing::Bulk)
}

impl Runner {
    pub(super) fn open(
        folder: &Path,
        set: ProjectionSet,
        sources: Sources,
        snapshots: Option<Snapshots>,
        served: &Served,
    ) -> Result<Self, ViewsError> {
        let mut generations = Generations::open(&folder.join(set.folder))?;
        let mut live = open_current(&mut generations, set, &sources, snapshots.as_ref())?;
        if !live.is_of_this_version()
            && let Some(previous) = generations.previous()
        {
            // An earlier program is back: it goes on with what it made.
            let path = generations.path(previous);
            if let Ok(earlier) = ViewFile::open(&path, &sources, set, Writing::Kept)
                && earlier.is_of_this_version()
            {
                generations.flip(previous)?;
                live = earlier;
            }
        }
        let position = live.position();
        if !sources.unsealer.runtime.block_on(sources.log.is_place(position))? {
            return Err(ViewsError::storage(format!(
                "they are of position {position}, at which this log has no event: it was put back \
                 to an earlier day"
            )));
        }
        let published = PublishedState::new(served.clone(), set.is_searchable());
        published.serve(live.path());
        let (moved, building, trouble) =
            (watch::channel(position).0, watch::channel(None).0, watch::channel(None).0);
        let mut this = Self {
            sources,
            set,
            generations,
            live,
            snapshots,
            build: None,
            published,
            moved,
            building,
            trouble,
        };
        this.go_on_building()?;
        this.purge_previous();
        Ok(this)
    }

    /// Continues a build that an earlier process began, and rebuilds what another version made.
    fn go_on_building(&mut self) -> Result<(), ViewsError> {
        if let Some(number) = self.generations.building().filter(|_| !self.live.is_bulk()) {
            let opened = if self.generations.is_of_this_boot() {
                self.open_file(number, Writing::Bulk)
            } else {
                Err(ViewsError::storage("the machine may have torn it"))
            };
            match opened {
                Ok(file) if file.is_of_this_version() => {
                    self.build = Some(Build::new(number, file, Purpose::Rebuild, 0))
                }
                // Cut off while it was copied, torn, or of yet another version.
                Ok(_) | Err(_) => self.generations.give_up(number)?,
            }
        }
        if self.build.is_none() && !self.live.is_of_this_version() {
            self.begin_rebuild(|slot| slot.stale, 0)?;
        }
        if !self.live.is_readable()? {
            tracing::warn!(
                "this program can't read the tables that another version made; what is asked \
                 before they are built finds less"
            );
            self.read_what_is_built()?;
        }
        self.publish();
        Ok(())
    }

    /// Opens the view file of a generation.
    pub(super) fn open_file(&self, number: u64, writing: Writing) -> Result<ViewFile, ViewsError> {
        ViewFile::open(&self.generations.path(number), &self.sources, self.set, writing)
    }
}
