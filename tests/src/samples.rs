//! Appends to try stores with: bytes a store does not look into, ids that are theirs.

use domain::ids::EventId;
use domain::{AggregateRef, BusinessId, Kind};
use event_log::{Append, NewEvent, Version};
use uuid::Uuid;

/// A business by number.
#[must_use]
pub fn business(n: u128) -> BusinessId {
    BusinessId(Uuid::from_u128(0xb000_0000_0000_0000_0000_0000_0000_0000 + n))
}

/// A task by number.
#[must_use]
pub fn task(n: u128) -> AggregateRef {
    AggregateRef::new(Kind::Task, Uuid::from_u128(n))
}

/// An event of an aggregate, its id derived from its place and a salt.
#[must_use]
pub fn event(business: BusinessId, aggregate: AggregateRef, version: u64, salt: &str) -> NewEvent {
    let id = Uuid::new_v5(&business.0, format!("{aggregate} {version} {salt}").as_bytes());
    // Keys out of order and a lone blank: a store that rewrites JSON would be found out.
    let bytes = format!("{{\"z\":{version},\"a\": \"{salt}\",\"id\":\"{id}\"}}").into_bytes();
    NewEvent { aggregate, version: Version(version), event_id: EventId(id), bytes }
}

/// An append of `count` events to one aggregate, after a version.
#[must_use]
pub fn append(
    business: BusinessId,
    aggregate: AggregateRef,
    after: u64,
    count: u64,
    salt: &str,
) -> Append {
    let events = (after + 1..=after + count).map(|v| event(business, aggregate, v, salt)).collect();
    Append { business, reads: Vec::new(), events, chain: None, key_epoch: None }
}
