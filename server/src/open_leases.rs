//! The tasks that an agent seems to hold, from the views, for the rule that bounds their number.

use std::time::Duration;

use async_trait::async_trait;
use commands::OpenLeases;
use domain::BusinessId;
use domain::ids::{AgentId, TaskId};
use event_log::{Cause, Position};
use projections::Views;
use tokio::sync::OnceCell;

/// Longest wait of the first call for views that are still reading the log's past.
const CAUGHT_UP_WAIT_MAX: Duration = Duration::from_secs(1);

/// The views, and the log's end when they were opened: before they reach it they may lack leases.
pub(crate) struct LeasesInViews {
    views: Views,
    began_at: Position,
    caught_up: OnceCell<()>,
}

impl LeasesInViews {
    pub(crate) fn new(views: Views, began_at: Position) -> Self {
        Self { views, began_at, caught_up: OnceCell::new() }
    }
}

#[async_trait]
impl OpenLeases for LeasesInViews {
    async fn of(&self, business: BusinessId, agent: AgentId) -> Result<Vec<TaskId>, Cause> {
        // Work goes on while views are built anew: then an agent may for once hold more than it
        // should.
        let wait = || async { drop(self.views.wait_for(self.began_at, CAUGHT_UP_WAIT_MAX).await) };
        self.caught_up.get_or_init(wait).await;
        let views = self.views.clone();
        let read = move || projections::tasks::held_by(&views, business, agent);
        let ids = tokio::task::spawn_blocking(read).await.map_err(Cause::of)?;
        ids.map_err(Cause::of)
    }
}
