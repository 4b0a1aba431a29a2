//! The order in which the commands of a batch reach their lane.

use tokio::sync::oneshot;

/// A command's turn: it begins once the command before it has reached its lane, or was refused on
/// the way, and ends when this one has.
pub(super) struct Turn {
    /// Closed when the turn begins; `None` for the first.
    before: Option<oneshot::Receiver<()>>,
    /// Dropped when the turn ends.
    after: Option<oneshot::Sender<()>>,
}

impl Turn {
    /// The turns of `n` commands, in order.
    pub(super) fn of(n: usize) -> impl Iterator<Item = Self> {
        let mut before = None;
        (0..n).map(move |_| {
            let (after, next) = oneshot::channel();
            Self { before: before.replace(next), after: Some(after) }
        })
    }

    /// The turn of a command that waits for no other.
    pub(super) fn at_once() -> Self {
        Self { before: None, after: None }
    }

    /// Waits until the turn begins.
    pub(super) async fn begin(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is sent: the other side is dropped.
            let _ = before.await;
        }
    }

    /// Lets the next command go on.
    pub(super) fn end(&mut self) {
        self.after = None;
    }
}
