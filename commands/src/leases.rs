//! Which tasks an agent may hold: found by whoever keeps views, checked on the tasks themselves.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::ids::{AgentId, TaskId};
use domain::{BusinessId, Kind};
use event_log::Cause;
use lru::LruCache;

use crate::registry::AnyCommand;
use crate::root::LoadedAggregates;

/// Agents whose tasks one lane remembers.
const AGENTS_MAX: usize = 10_000;

/// Whoever can look up which tasks an agent holds. The answer may be a moment old: it says where to
/// look, and the state of each task decides.
#[async_trait]
pub trait OpenLeases: Send + Sync {
    /// Tasks that the agent seems to hold.
    ///
    /// # Errors
    /// Why nobody can tell.
    async fn of(&self, business: BusinessId, agent: AgentId) -> Result<Vec<TaskId>, Cause>;
}

/// Nobody holds anything: for programs without views.
pub struct NoLeases;

#[async_trait]
impl OpenLeases for NoLeases {
    async fn of(&self, _: BusinessId, _: AgentId) -> Result<Vec<TaskId>, Cause> {
        Ok(Vec::new())
    }
}

/// For each agent that leased a task through this lane, the tasks it may hold, including leases
/// that the views do not show yet.
pub(crate) struct Leases(LruCache<(BusinessId, AgentId), BTreeSet<TaskId>>);

impl Leases {
    pub(crate) fn new() -> Self {
        Self(LruCache::new(
            std::num::NonZeroUsize::new(AGENTS_MAX).unwrap_or(std::num::NonZeroUsize::MIN),
        ))
    }

    /// The tasks that the agent of a lease may hold; nothing for other commands.
    pub(crate) async fn of(
        &mut self,
        command: &AnyCommand,
        business: BusinessId,
        views: &dyn OpenLeases,
        shared: bool,
    ) -> Result<BTreeSet<TaskId>, Cause> {
        let AnyCommand::Tasks(crate::tasks::Command::Lease(lease)) = command else {
            return Ok(BTreeSet::new());
        };
        let key = (business, lease.agent);
        // Other processes take tasks too: theirs are only seen in the views.
        if shared || !self.0.contains(&key) {
            let shown = views.of(business, lease.agent).await?;
            self.0.get_or_insert_mut(key, BTreeSet::new).extend(shown);
        }
        Ok(self.0.get(&key).cloned().unwrap_or_default())
    }

    /// Updates the agent's tasks after a decision: removes those that the loaded aggregates show as
    /// no longer held, then adds those that they show as held.
    pub(crate) fn note(
        &mut self,
        command: &AnyCommand,
        business: BusinessId,
        loaded: &LoadedAggregates,
    ) {
        let AnyCommand::Tasks(crate::tasks::Command::Lease(lease)) = command else { return };
        let is_held = |task: TaskId| {
            loaded.if_loaded(task).map(|t| t.lease.is_some_and(|l| l.agent == lease.agent))
        };
        let held = self.0.get_or_insert_mut((business, lease.agent), BTreeSet::new);
        held.retain(|task| is_held(*task).unwrap_or(true));
        let read = loaded
            .0
            .keys()
            .filter(|aggregate| aggregate.kind == Kind::Task)
            .map(|aggregate| TaskId(aggregate.id));
        held.extend(read.filter(|task| is_held(*task).unwrap_or(false)));
    }
}
