//! Reads and decodes the next batch of events while the one before it is applied.

use domain::Event;
use domain::limits::PROJECTION_BATCH_MAX;
use event_log::{Cause, LogError, Position, Recorded};
use tokio::task::JoinHandle;

use super::{Sources, ViewFile};
use crate::views::ViewsError;

/// From so many events on a batch is decoded on another thread, and the next one is read ahead.
const READ_AHEAD_FROM: usize = 500;

/// An event as it was read; not decoded if the batch is small or nobody needs the typed event.
pub(super) struct ReadEvent {
    pub(super) recorded: Recorded,
    pub(super) event: Option<Result<Event, Cause>>,
}

/// The batch that is being read, with the position that it follows.
pub(super) struct ReadAhead {
    after: Position,
    batch: JoinHandle<Result<Vec<ReadEvent>, LogError>>,
}

/// Reads the events after a position, and decodes them if they are many.
async fn read(sources: Sources, after: Position, typed: bool) -> Result<Vec<ReadEvent>, LogError> {
    let events = sources.log.read_all(after, PROJECTION_BATCH_MAX).await?;
    let decode = typed && events.len() >= READ_AHEAD_FROM;
    let decoded = move |recorded: Recorded| {
        let typed = |recorded: &Recorded| {
            let stored = recorded.stored().map_err(Cause::of)?;
            stored.event().map_err(Cause::of)
        };
        let event = decode.then(|| typed(&recorded));
        ReadEvent { recorded, event }
    };
    if !decode {
        return Ok(events.into_iter().map(decoded).collect());
    }
    let decoding = tokio::task::spawn_blocking(move || events.into_iter().map(decoded).collect());
    decoding.await.map_err(LogError::storage)
}

impl ViewFile {
    /// The events after a position, up to another one. While many come, those after them are read
    /// in the meantime.
    pub(super) fn read_batch(
        &mut self,
        after: Position,
        up_to: Position,
    ) -> Result<Vec<ReadEvent>, ViewsError> {
        let typed = self.slots.iter().any(|s| !s.projection.is_searchable());
        let runtime = self.sources.unsealer.runtime.clone();
        let ahead = self.ahead.take().filter(|ahead| ahead.after == after);
        let mut events = match ahead {
            Some(ahead) => runtime.block_on(ahead.batch).map_err(ViewsError::storage)??,
            None => Vec::new(),
        };
        // What was read ahead may have been the end of the log then, and is not now.
        if events.is_empty() {
            events = runtime.block_on(read(self.sources.clone(), after, typed))?;
        }
        if let Some(last) = events.last().filter(|_| events.len() >= READ_AHEAD_FROM) {
            let after = last.recorded.position;
            let batch = runtime.spawn(read(self.sources.clone(), after, typed));
            self.ahead = Some(ReadAhead { after, batch });
        }
        events.retain(|e| e.recorded.position <= up_to);
        Ok(events)
    }
}
