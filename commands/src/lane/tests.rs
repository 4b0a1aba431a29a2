#![allow(clippy::unwrap_used, reason = "test code may")]

use std::sync::Arc;

use domain::{AggregateRef, BusinessId, Kind, State, Timestamp};
use event_log::keyring::{IfMissing, LocalKeyring, Wrapping};
use event_log::sqlite::{Options, SqliteLog};
use event_log::{Entropy, EventLog, Version};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::cache::LaneCache;
use super::{Lane, LaneServices, Phase};
use crate::clock::Clock;
use crate::clock_watch::ClockWatch;
use crate::directory::Directory;
use crate::leases::NoLeases;

fn lane(folder: &std::path::Path, cache: LaneCache) -> Lane {
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(folder, &Options::default()).unwrap());
    let wrapping = Wrapping::from_file(&folder.join("keyring.key"), &Entropy::System).unwrap();
    let keyring =
        LocalKeyring::open(&folder.join("keys.db"), &wrapping, Entropy::System, IfMissing::Make);
    let services = LaneServices {
        log: Arc::clone(&log),
        keyring: Arc::new(keyring.unwrap()),
        clock: Arc::new(ClockWatch::new(Clock::System)),
        entropy: Entropy::System,
        directory: Arc::new(Directory::new(log)),
        leases: Arc::new(NoLeases),
    };
    let mut lane = Lane::new(Arc::new(services), mpsc::channel(1).1);
    lane.cache = cache;
    lane
}

#[tokio::test]
async fn a_lane_whose_cache_is_full_takes_no_job_until_everything_in_flight_is_durable() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut lane = lane(folder.path(), LaneCache::with_max(4));
    let business = BusinessId(Uuid::from_u128(1));
    let task = |n| AggregateRef::new(Kind::Task, Uuid::from_u128(n));
    for n in 0..4 {
        lane.cache.put(business, task(n), (Version(1), State::empty(Kind::Task)));
    }
    assert!(lane.takes_jobs());
    lane.cache.put(business, task(4), (Version(1), State::empty(Kind::Task)));
    assert!(!lane.takes_jobs(), "what is in flight may be nowhere else");
    lane.settle();
    assert!(lane.takes_jobs());
    assert!(lane.cache.take(business, task(1)).is_none(), "the oldest are forgotten");
    assert!(lane.cache.take(business, task(4)).is_some());
    lane.phase = Phase::Draining;
    assert!(!lane.takes_jobs());
}

#[tokio::test]
async fn a_time_that_was_not_recorded_after_all_is_forgotten() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut lane = lane(folder.path(), LaneCache::with_max(4));
    let business = BusinessId(Uuid::from_u128(1));
    let next_year = Timestamp::from_micros(4_000_000_000_000_000);
    lane.cache.note_recorded_at(business, next_year);
    assert_eq!(lane.now(business).await.unwrap(), next_year);
    lane.drop_state();
    assert!(lane.now(business).await.unwrap() < next_year);
}
