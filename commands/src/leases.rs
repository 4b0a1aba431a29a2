//! Tasks that an agent may hold: looked up in the views, and checked on the tasks themselves.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::ids::{AgentId, TaskId};
use domain::{BusinessId, Kind};
use event_log::Cause;
use lru::LruCache;

use crate::registry::AnyCommand;
use crate::root::LoadedAggregates;

/// Most agents whose tasks one lane remembers, and most ended leases before it must settle.
const AGENTS_MAX: usize = 10_000;

/// A look-up of the tasks that an agent holds. The answer may be a moment old: it only says which
/// tasks to read, and the state of each task decides.
#[async_trait]
pub trait OpenLeases: Send + Sync {
    /// Tasks that the agent seems to hold.
    ///
    /// # Errors
    /// Why the look-up failed.
    async fn of(&self, business: BusinessId, agent: AgentId) -> Result<Vec<TaskId>, Cause>;
}

/// A look-up that finds no tasks, for programs without views.
pub struct NoLeases;

#[async_trait]
impl OpenLeases for NoLeases {
    async fn of(&self, _: BusinessId, _: AgentId) -> Result<Vec<TaskId>, Cause> {
        Ok(Vec::new())
    }
}

/// For each agent that leased a task through this lane, the tasks it may hold, including leases
/// that the views do not show yet.
pub(crate) struct Leases {
    held: LruCache<(BusinessId, AgentId), BTreeSet<TaskId>>,
    /// Tasks that agents no longer hold once all appends in flight are durable.
    ended: Vec<((BusinessId, AgentId), TaskId)>,
}

impl Leases {
    pub(crate) fn new() -> Self {
        let agents = std::num::NonZeroUsize::new(AGENTS_MAX).unwrap_or(std::num::NonZeroUsize::MIN);
        Self { held: LruCache::new(agents), ended: Vec::new() }
    }

    /// True if the ended leases must be settled before the lane takes a new job.
    pub(crate) fn is_full(&self) -> bool {
        self.ended.len() > AGENTS_MAX
    }

    /// Forgets the ended leases; called when every append so far is durable.
    pub(crate) fn settle(&mut self) {
        self.ended.clear();
    }

    /// Restores the ended leases after a failed append: the agents may still hold those tasks.
    pub(crate) fn take_back(&mut self) {
        for (agent, task) in self.ended.drain(..) {
            if let Some(held) = self.held.peek_mut(&agent) {
                held.insert(task);
            }
        }
    }

    /// The tasks that the agent of a `tasks.lease` command may hold; empty for other commands.
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
        if shared || !self.held.contains(&key) {
            let shown = views.of(business, lease.agent).await?;
            self.held.get_or_insert_mut(key, BTreeSet::new).extend(shown);
        }
        Ok(self.held.get(&key).cloned().unwrap_or_default())
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
        let agent = (business, lease.agent);
        let held = self.held.get_or_insert_mut(agent, BTreeSet::new);
        let ended = held.iter().filter(|task| !is_held(**task).unwrap_or(true));
        self.ended.extend(ended.map(|task| (agent, *task)));
        held.retain(|task| is_held(*task).unwrap_or(true));
        let read = loaded
            .0
            .keys()
            .filter(|aggregate| aggregate.kind == Kind::Task)
            .map(|aggregate| TaskId(aggregate.id));
        held.extend(read.filter(|task| is_held(*task).unwrap_or(false)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code may")]
mod tests {
    use domain::ids::{AgentId, TaskId};
    use domain::{AggregateRef, BusinessId, Kind, State};
    use event_log::Version;
    use uuid::Uuid;

    use super::{Leases, NoLeases};
    use crate::registry::AnyCommand;
    use crate::root::LoadedAggregates;

    #[tokio::test]
    async fn a_task_whose_end_was_not_stored_still_counts() {
        let (business, held) = (BusinessId(Uuid::from_u128(1)), TaskId(Uuid::from_u128(2)));
        let agent = AgentId(Uuid::from_u128(3));
        let data = format!(r#"{{"agent": "{}"}}"#, agent.0);
        let data = serde_json::value::RawValue::from_string(data).unwrap();
        let lease = AnyCommand::parse("tasks.lease", &data).unwrap();
        let mut leases = Leases::new();
        leases.held.put((business, agent), [held].into());
        let mut loaded = LoadedAggregates::default();
        // A decision in flight ended the lease.
        loaded.0.insert(AggregateRef::from(held), (Version(2), State::empty(Kind::Task)));
        leases.note(&lease, business, &loaded);
        assert!(leases.of(&lease, business, &NoLeases, false).await.unwrap().is_empty());
        leases.take_back();
        assert_eq!(leases.of(&lease, business, &NoLeases, false).await.unwrap(), [held].into());
        leases.note(&lease, business, &loaded);
        leases.settle();
        leases.take_back();
        assert!(leases.of(&lease, business, &NoLeases, false).await.unwrap().is_empty());
    }
}
