//! Appends that a store writes together: those that wait in its queue, up to what one transaction
//! should hold.

use tokio::sync::mpsc;

use crate::append::Append;

/// Work for a store's appender.
pub enum AppenderWork<Q> {
    /// The appender writes an append and answers it.
    Append(Q),
    /// The appender takes nothing more, writes what is queued, and ends.
    Stop,
}

/// An append in the queue of a store's appender.
pub trait QueuedWork {
    /// The append to be written.
    fn append(&self) -> &Append;
}

/// The most that one batch holds; the last append may go beyond `bytes`.
#[derive(Debug, Clone, Copy)]
pub struct BatchCaps {
    /// Most appends in a batch.
    pub appends: usize,
    /// Most bytes of all events in a batch.
    pub bytes: usize,
}

/// Appends that are written together, in the order they were queued.
pub struct AppendBatch<Q> {
    /// The appends in the order they were queued.
    pub appends: Vec<Q>,
    bytes: usize,
    caps: BatchCaps,
}

impl<Q: QueuedWork> AppendBatch<Q> {
    /// Begins a batch with work that was taken out of the queue.
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
