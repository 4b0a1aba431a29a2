//! Plans what a batch of appends writes, from cached versions and stream ends. The call sends the
//! cached values along, and the database decides: if a version differs, it stores nothing.

use std::collections::{HashMap, HashSet};

use domain::ids::EventId;
use domain::{AggregateRef, BusinessId};
use event_log::{Seq, Version};
use proof::tree::{Frontier, leaf_hash};
use uuid::Uuid;

use super::{QueuedAppend, number};
use event_log::append::{Append, AppendError, LaneEpoch};
use event_log::keyring::KeyEpoch;

type VersionKey = (BusinessId, AggregateRef);

/// The appender's cache of the database's state, valid until the database contradicts it.
#[derive(Default)]
pub(super) struct Believed {
    /// The ends of streams.
    pub(super) heads: HashMap<BusinessId, Frontier>,
    /// The businesses whose stream has no valid end of a Merkle tree: their appends are refused.
    pub(super) damaged: HashSet<BusinessId>,
    /// The epoch of the keys that the database named when it refused the last batch.
    pub(super) key_epoch: Option<KeyEpoch>,
    /// Versions that the database named when it refused the last batch …
    pub(super) versions: HashMap<VersionKey, Version>,
    /// The first event ids of the appends in that batch, none of which is stored. Only for these
    /// does a differing version mean a conflict: any other append may still be a duplicate.
    pub(super) asked: HashSet<EventId>,
    /// The last broken epoch of each lane.
    broken: HashMap<u64, LaneEpoch>,
}

impl Believed {
    fn is_broken(&self, append: &Append) -> bool {
        append.chain.is_some_and(|c| self.broken.get(&c.lane) == Some(&c.epoch))
    }

    /// Drops the versions and key epoch that the last refusal named, and the first event ids of its
    /// appends.
    pub(super) fn forget_refusal(&mut self) {
        self.key_epoch = None;
        self.versions.clear();
        self.asked.clear();
    }

    /// Marks the append's epoch of its lane as broken, so that appends decided on it are refused
    /// too.
    pub(super) fn refused(&mut self, append: &Append) {
        self.broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
    }
}

/// An append that has its place in the batch.
pub(super) struct PlannedAppend {
    /// The append's index in the queue.
    pub(super) queued: usize,
    /// The `seq` of its first event.
    pub(super) first_seq: Seq,
    /// How many events of the batch stand before it.
    pub(super) events_before: usize,
}

/// A planned batch, as columns for the database.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) placed: Vec<PlannedAppend>,
    pub(super) answered: Vec<(usize, AppendError)>,
    /// The epoch of the keys that all of it was sealed in.
    pub(super) key_epoch: Option<KeyEpoch>,
    pub(super) heads: Heads,
    pub(super) guards: Guards,
    pub(super) events: Events,
    /// The streams in the order of their first events.
    order: Vec<BusinessId>,
    /// The ends of the streams when it is stored.
    pub(super) next: HashMap<BusinessId, Frontier>,
}

#[derive(Default)]
pub(super) struct Heads {
    pub(super) business: Vec<Uuid>,
    pub(super) seq: Vec<i64>,
    pub(super) frontier: Vec<Vec<u8>>,
    pub(super) next_seq: Vec<i64>,
    pub(super) next_frontier: Vec<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct Guards {
    pub(super) place: Vec<VersionKey>,
    pub(super) business: Vec<Uuid>,
    pub(super) kind: Vec<String>,
    pub(super) id: Vec<Uuid>,
    pub(super) version: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Events {
    /// The number of the event's stream in the batch, from 1.
    pub(super) head: Vec<i64>,
    pub(super) seq: Vec<i64>,
    pub(super) kind: Vec<String>,
    pub(super) id: Vec<Uuid>,
    pub(super) version: Vec<i64>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) leaf: Vec<Vec<u8>>,
    pub(super) bytes: Vec<Vec<u8>>,
}

enum Admitted {
    /// The append fits, with the versions that the database must check and the versions after it.
    Yes(Vec<(VersionKey, Version)>, HashMap<VersionKey, Version>),
    No(AppendError),
    /// Its outcome depends on an earlier append of the batch, so it waits for the next call.
    Later,
}

/// Plans as much of a queue as can go in one call, in its order. The ends of all its streams must
/// be believed.
pub(super) fn plan(queue: &[QueuedAppend], believed: &Believed) -> Plan {
    let mut plan = Plan::default();
    let (mut now, mut ids) = (HashMap::new(), HashSet::new());
    // Breaks of this plan alone: only an answer that leaves breaks a chain for good.
    let mut broken: HashSet<(u64, LaneEpoch)> = HashSet::new();
    for (queued, QueuedAppend { append, .. }) in queue.iter().enumerate() {
        if believed.is_broken(append)
            || append.chain.is_some_and(|c| broken.contains(&(c.lane, c.epoch)))
        {
            plan.answered.push((queued, AppendError::ChainBroken));
            continue;
        }
        if believed.damaged.contains(&append.business) {
            let why = format!(
                "the end of the stream of business {} is damaged; run `minutebook verify`, then \
                 restore the last good backup",
                append.business
            );
            broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
            plan.answered.push((queued, AppendError::storage(why)));
            continue;
        }
        if let (Some(named), Some(own)) = (believed.key_epoch, append.key_epoch)
            && named != own
        {
            broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
            plan.answered.push((queued, AppendError::KeysDestroyed));
            continue;
        }
        // One call, one epoch; which of the two is the right one it will say.
        if plan.key_epoch.is_some()
            && append.key_epoch.is_some()
            && plan.key_epoch != append.key_epoch
        {
            break;
        }
        let own: HashSet<EventId> = append.events.iter().map(|e| e.event_id).collect();
        if own.len() < append.events.len() {
            let twice = append.events.first().map_or(EventId(Uuid::nil()), |e| e.event_id);
            plan.answered.push((queued, AppendError::IdTaken(twice)));
            continue;
        }
        if !ids.is_disjoint(&own) {
            break;
        }
        match admit(append, &now, believed) {
            Admitted::Yes(guards, after) => {
                now.extend(after);
                ids.extend(own);
                plan.place(queued, append, guards, believed);
            }
            Admitted::No(error) => {
                broken.extend(append.chain.map(|c| (c.lane, c.epoch)));
                plan.answered.push((queued, error));
            }
            Admitted::Later => break,
        }
    }
    for business in &plan.order {
        let Some(next) = plan.next.get(business) else { continue };
        let base = believed.heads.get(business).cloned().unwrap_or_default();
        plan.heads.business.push(business.0);
        plan.heads.seq.push(number(base.size()));
        plan.heads.frontier.push(base.to_bytes());
        plan.heads.next_seq.push(number(next.size()));
        plan.heads.next_frontier.push(next.to_bytes());
    }
    plan
}

/// The version that the aggregate must have for the event of this version to be its next. Version 0
/// is no version of an event: what is before it is a version that no aggregate has.
fn before(version: Version) -> Version {
    if version == Version::START { Version(u64::MAX >> 1) } else { version.previous() }
}

fn admit(append: &Append, now: &HashMap<VersionKey, Version>, believed: &Believed) -> Admitted {
    let (mut guards, mut after): (Vec<(VersionKey, Version)>, HashMap<VersionKey, Version>) =
        (Vec::new(), HashMap::new());
    let reads = append.reads.iter().map(|&(aggregate, version)| (aggregate, version, version));
    let writes = append.events.iter().map(|e| (e.aggregate, before(e.version), e.version));
    let asked = append.events.first().is_some_and(|e| believed.asked.contains(&e.event_id));
    for (aggregate, expected, next) in reads.chain(writes) {
        let place = (append.business, aggregate);
        let conflict = |actual| Admitted::No(AppendError::Conflict { aggregate, expected, actual });
        match (after.get(&place), now.get(&place), believed.versions.get(&place).filter(|_| asked))
        {
            (Some(own), _, _) if *own != expected => return conflict(*own),
            (None, Some(before), _) if *before != expected => return Admitted::Later,
            (None, None, Some(known)) if *known != expected => return conflict(*known),
            (None, None, _) => guards.push((place, expected)),
            (Some(_), _, _) | (None, Some(_), _) => {}
        }
        after.insert(place, next);
    }
    Admitted::Yes(guards, after)
}

impl Plan {
    fn place(
        &mut self,
        queued: usize,
        append: &Append,
        guards: Vec<(VersionKey, Version)>,
        believed: &Believed,
    ) {
        for (place, version) in guards {
            self.guards.business.push(place.0.0);
            self.guards.kind.push(place.1.kind.as_str().to_owned());
            self.guards.id.push(place.1.id);
            self.guards.version.push(number(version));
            self.guards.place.push(place);
        }
        self.key_epoch = self.key_epoch.or(append.key_epoch);
        let place = self.order.iter().position(|b| *b == append.business).unwrap_or_else(|| {
            self.order.push(append.business);
            self.order.len() - 1
        });
        let head = self
            .next
            .entry(append.business)
            .or_insert_with(|| believed.heads.get(&append.business).cloned().unwrap_or_default());
        self.placed.push(PlannedAppend {
            queued,
            first_seq: Seq(head.size()).next(),
            events_before: self.events.event_id.len(),
        });
        for event in &append.events {
            let leaf = leaf_hash(&event.bytes);
            head.push(leaf);
            self.events.head.push(number(place as u64 + 1));
            self.events.seq.push(number(head.size()));
            self.events.kind.push(event.aggregate.kind.as_str().to_owned());
            self.events.id.push(event.aggregate.id);
            self.events.version.push(number(event.version));
            self.events.event_id.push(event.event_id.0);
            self.events.leaf.push(leaf.to_vec());
            self.events.bytes.push(event.bytes.clone());
        }
    }
}
