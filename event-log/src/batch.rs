//! Appends that a store writes together: those that wait in its queue, up to what one transaction
//! should hold.

use tokio::sync::mpsc;

use crate::append::Append;

/// What a store's appender is given to do.
pub enum AppenderWork<Q> {
    /// Write an append and answer it.
    Append(Q),
    /// Take nothing more, write what is queued, and end.
    Stop,
}

/// An append in the queue of a store's appender.
pub trait QueuedWork {
    /// The append.
    fn append(&self) -> &Append;
}

/// The most that one batch holds; the last append may go beyond `bytes`.
#[derive(Debug, Clone, Copy)]
pub struct BatchCaps {
    /// Number of appends.
    pub appends: usize,
    /// Bytes of their events.
    pub bytes: usize,
}

/// Appends that are written together, in the order they were queued.
pub struct AppendBatch<Q> {
    /// The appends.
    pub appends: Vec<Q>,
    bytes: usize,
    caps: BatchCaps,
}

impl<Q: QueuedWork> AppendBatch<Q> {
    /// Begins with work that was taken out of the queue.
    pub fn begin(
        first: AppenderWork<Q>,
        queue: &mut mpsc::Receiver<AppenderWork<Q>>,
        caps: BatchCaps,
    ) -> Self {
        let mut batch = Self { appends: Vec::new(), bytes: 0, caps };
        batch.add(first, queue);
        batch
    }

    /// True if another append may be added.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.appends.len() < self.caps.appends && self.bytes < self.caps.bytes
    }

    /// Takes the next work out of the queue, if there is room for it; false if nothing was taken.
    pub fn take_next(&mut self, queue: &mut mpsc::Receiver<AppenderWork<Q>>) -> bool {
        let next = if self.has_room() { queue.try_recv().ok() } else { None };
        next.map(|work| self.add(work, queue)).is_some()
    }

    fn add(&mut self, work: AppenderWork<Q>, queue: &mut mpsc::Receiver<AppenderWork<Q>>) {
        match work {
            // A closed queue still gives what is in it.
            AppenderWork::Stop => queue.close(),
            AppenderWork::Append(queued) => {
                self.bytes += queued.append().events.iter().map(|e| e.bytes.len()).sum::<usize>();
                self.appends.push(queued);
            }
        }
    }
}
