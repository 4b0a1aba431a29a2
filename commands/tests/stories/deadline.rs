//! A command has a deadline, whatever it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commands::OpenLeases;
use domain::BusinessId;
use domain::access::PrincipalKind;
use domain::ids::{AgentId, TaskId};
use domain::limits::COMMAND_MS_MAX;
use serde_json::json;
use tokio::time::Instant;

use crate::bus::Bus;

/// Says nothing once it is told to be silent.
#[derive(Default)]
struct Silent(AtomicBool);

#[async_trait]
impl OpenLeases for Silent {
    async fn of(&self, _: BusinessId, _: AgentId) -> Result<Vec<TaskId>, event_log::Cause> {
        if self.0.load(Ordering::Relaxed) { std::future::pending().await } else { Ok(Vec::new()) }
    }
}

#[tokio::test]
async fn a_command_is_answered_at_its_deadline_and_not_before() {
    let silent = Arc::new(Silent::default());
    let bus = Bus::with(Arc::clone(&silent) as Arc<dyn OpenLeases>).await;
    let business = bus.business("acme").await;
    let principal = bus.principal(business, PrincipalKind::Agent, Some("agent")).await.principal;
    let enrol = json!({"name": "a", "team": "sales", "role": "producer", "runtime": {"model": "m"},
        "principal": principal, "concurrency": 1});
    let agent = bus.must(business, "agents.enrol", None, enrol).await.events[0].id;
    let task =
        bus.must(business, "tasks.plan", None, json!({"title": "t", "team": "sales"})).await.events
            [0]
        .id;
    bus.must(business, "tasks.offer", Some(task), json!({})).await;
    let owner = bus.operator_in(business).await;
    silent.0.store(true, Ordering::Relaxed);
    // From here on time goes by when nothing else is left to do.
    tokio::time::pause();
    let asked = Instant::now();
    let answer =
        bus.submit(&owner, business, "tasks.lease", Some(task), json!({"agent": agent})).await;
    assert_eq!(answer.unwrap_err().name(), "outcome_unknown");
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_millis(COMMAND_MS_MAX)
            && took < Duration::from_millis(COMMAND_MS_MAX + 100),
        "{took:?}"
    );
}
