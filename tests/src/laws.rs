//! The eight laws of the log, as one suite that any store can be put through.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::limits::{APPEND_BYTES_MAX, EVENT_BYTES_MAX};
use event_log::{
    Append, AppendError, Chain, EventLog, LaneEpoch, Position, Recorded, Seq, Subscription, Update,
    Version,
};
use futures_util::future::join_all;
use proof::tree::{Frontier, leaf_hash};

use crate::samples::{append, business, event, task};

/// A store under test.
pub type Store = Arc<dyn EventLog>;

async fn everything(log: &Store) -> Vec<Recorded> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read_all(Position(after), 700).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.position.0;
        all.extend(page);
    }
}

/// Laws 1, 2, 3, 6 and 7, with writers and readers at once.
pub async fn order_under_load(log: Store) {
    let (writers, appends) = (16_u64, 60_u64);
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(Arc::clone(&log), Arc::clone(&done)));
    let follower = tokio::spawn(subscribe(Arc::clone(&log), writers * appends * 2));
    let work = (0..writers).map(|w| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for i in 0..appends {
                let b = business(u128::from(w % 4));
                log.append(append(b, task(u128::from(w)), i * 2, 2, "load")).await.unwrap();
            }
        })
    });
    for worker in join_all(work).await {
        worker.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    let followed = follower.await.unwrap();
    let all = everything(&log).await;
    assert_eq!(seen, all, "a reader that follows positions misses nothing and sees nothing late");
    assert_eq!(followed, all, "a subscription gives the same, in the same order");
    let mut next: HashMap<_, u64> = HashMap::new();
    for pair in all.chunks(2) {
        let [a, b] = pair else { panic!("an append of two is there whole") };
        assert_eq!(
            (a.business, a.seq.next()),
            (b.business, b.seq),
            "an append is contiguous in seq"
        );
        let seq = next.entry(a.business).or_default();
        assert_eq!(a.seq, Seq(*seq + 1), "seq is dense");
        *seq += 2;
    }
    assert_eq!(all.len() as u64, writers * appends * 2);
    let sent: Vec<u8> = event(business(0), task(0), 1, "load").bytes;
    let kept = log.read_aggregate(business(0), task(0), Version::START, 1).await.unwrap();
    assert_eq!(kept[0].bytes, sent, "bytes out = bytes in");
    roots_are_right(&log, &all).await;
}

async fn roots_are_right(log: &Store, all: &[Recorded]) {
    let mut trees: HashMap<_, Frontier> = HashMap::new();
    for recorded in all {
        trees.entry(recorded.business).or_default().push(leaf_hash(&recorded.bytes));
    }
    let heads = log.heads().await.unwrap();
    assert_eq!(heads.len(), trees.len());
    for head in heads {
        assert_eq!(
            (head.seq, head.root),
            (Seq(trees[&head.business].size()), trees[&head.business].root()),
            "the stored end is the tree of the bytes"
        );
    }
}

/// Polls `position > last` as fast as it can while others write: what law 2 is about.
async fn follow(log: Store, done: Arc<AtomicBool>) -> Vec<Recorded> {
    let mut seen: Vec<Recorded> = Vec::new();
    loop {
        let finished = done.load(Ordering::SeqCst);
        let page =
            log.read_all(seen.last().map_or(Position::START, |r| r.position), 50).await.unwrap();
        assert_eq!(page.len() % 2, 0, "an append of two is seen whole or not at all");
        if page.is_empty() && finished {
            return seen;
        }
        seen.extend(page);
        tokio::task::yield_now().await;
    }
}

async fn subscribe(log: Store, expected: u64) -> Vec<Recorded> {
    let mut subscription = Subscription::new(log, Position::START, 33);
    let (mut seen, mut caught_up) = (Vec::new(), 0);
    while (seen.len() as u64) < expected || caught_up == 0 {
        match subscription.next().await.unwrap() {
            Update::Events(events) => seen.extend(events),
            Update::CaughtUp(_) => caught_up += 1,
        }
    }
    seen
}

/// Appends are conditional on what was read, and on nothing else.
pub async fn conditions(log: Store) {
    let (b, read, written) = (business(50), task(1), task(2));
    log.append(append(b, read, 0, 3, "a")).await.unwrap();
    let mut stale = append(b, written, 0, 1, "b");
    stale.reads = vec![(read, Version(2))];
    let conflict = log.append(stale.clone()).await.unwrap_err();
    assert_eq!(
        conflict,
        AppendError::Conflict { aggregate: read, expected: Version(2), actual: Version(3) }
    );
    stale.reads = vec![(read, Version(3)), (task(99), Version::START)];
    log.append(stale).await.unwrap();
    let wrong_version = append(b, written, 4, 1, "c");
    assert_eq!(
        log.append(wrong_version).await.unwrap_err(),
        AppendError::Conflict { aggregate: written, expected: Version(4), actual: Version(1) }
    );
    let mut absent = append(b, task(3), 0, 1, "d");
    absent.reads = vec![(task(99), Version(1))];
    assert!(matches!(
        log.append(absent).await,
        Err(AppendError::Conflict { actual: Version::START, .. })
    ));
    assert_eq!(
        log.head(b).await.unwrap().unwrap().seq,
        Seq(4),
        "nothing of a refused append is there"
    );
    assert!(log.read_aggregate(b, task(3), Version::START, 10).await.unwrap().is_empty());
    assert!(
        log.read_business(business(51), Seq::START, 10).await.unwrap().is_empty(),
        "another business is not touched"
    );
}

/// Law 3: what is refused in its second event leaves no first.
pub async fn all_or_nothing(log: Store) {
    let b = business(60);
    let mut broken = append(b, task(1), 0, 2, "a");
    broken.events.push(event(b, task(2), 7, "a"));
    assert!(matches!(log.append(broken).await, Err(AppendError::Conflict { .. })));
    assert_eq!(log.head(b).await.unwrap(), None);
    assert_eq!(
        log.append(Append {
            business: b,
            reads: Vec::new(),
            events: Vec::new(),
            chain: None,
            key_epoch: None
        })
        .await,
        Err(AppendError::Empty)
    );
}

/// Law 8: a page has a limit in bytes too, and reading goes on after it.
pub async fn pages(log: Store) {
    let b = business(85);
    let big = "x".repeat(EVENT_BYTES_MAX - 1_000);
    for n in 0..18 {
        log.append(append(b, task(9), n, 1, &big)).await.unwrap();
    }
    let (mut seq, mut sizes) = (0, Vec::new());
    loop {
        let page = log.read_business(b, Seq(seq), 100).await.unwrap();
        let Some(last) = page.last() else { break };
        seq = last.seq.0;
        sizes.push(page.len());
    }
    assert_eq!(sizes, [17, 1]);
    let from = log.read_business(b, Seq::START, 1).await.unwrap().remove(0).position.previous();
    assert_eq!(log.read_all(from, 100).await.unwrap().len(), 17);
    assert_eq!(log.raw_rows(from, 100).await.unwrap().len(), 17);
    assert_eq!(log.read_aggregate(b, task(9), Version::START, 100).await.unwrap().len(), 17);
    let all: Vec<Seq> = (1..=18).map(Seq).collect();
    assert_eq!(log.read_events(b, &all).await.unwrap().len(), 17);
}

/// Events are found by their `seq`s, in order, within their business; others are left out.
pub async fn events_by_seq(log: Store) {
    let (b, other, wanted) = (business(86), business(87), [Seq(1), Seq(3), Seq(4), Seq(9)]);
    for n in 0..5 {
        log.append(append(b, task(9), n, 1, "x")).await.unwrap();
    }
    log.append(append(other, task(9), 0, 1, "theirs")).await.unwrap();
    let found = log.read_events(b, &wanted).await.unwrap();
    assert_eq!(found.iter().map(|r| r.seq).collect::<Vec<_>>(), wanted[..3]);
    assert_eq!(log.read_events(other, &wanted).await.unwrap().len(), 1);
}

/// What is read backwards is what is read forwards, and places are those of events.
pub async fn backwards(log: Store) {
    let mut newest_first = everything(&log).await;
    newest_first.reverse();
    let end = newest_first[0].position;
    // What others wrote is told a moment later.
    log.position().wait_for(|position| *position >= end).await.unwrap();
    assert_eq!(log.lag(end).await.unwrap(), 0);
    assert_eq!(log.lag(Position::START).await.unwrap(), newest_first.len() as u64);
    let (mut before, mut read) = (u64::MAX, Vec::new());
    loop {
        let page = log.read_back(Position(before), 30).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 30);
        before = last.position.0;
        read.extend(page);
    }
    assert_eq!(read, newest_first, "page by page, nothing left out, nothing twice");
    for recorded in newest_first.iter().take(20) {
        assert!(log.is_place(recorded.position).await.unwrap());
    }
    assert!(
        log.is_place(Position::START).await.unwrap() && !log.is_place(end.next()).await.unwrap()
    );
}

/// Erasures are found among everything else, in order, page by page, wherever in the log they are.
pub async fn erasures(log: Store) {
    let before =
        log.read_erasures(Position::START, 1_000).await.unwrap().last().map_or(0, |r| r.position.0);
    let erasure =
        |n: u128| domain::AggregateRef::new(domain::Kind::Erasure, uuid::Uuid::from_u128(n));
    let mut expected = Vec::new();
    for n in 0..5_u128 {
        log.append(append(business(900 + n), task(1), 0, 20, "a")).await.unwrap();
        expected.push(
            log.append(append(business(900 + n), erasure(n), 0, 1, "a")).await.unwrap().position,
        );
    }
    // What others wrote is told a moment later.
    let end = *expected.last().unwrap();
    log.position().wait_for(|position| *position >= end).await.unwrap();
    let (mut after, mut found) = (before, Vec::new());
    loop {
        let page = log.read_erasures(Position(after), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.position.0;
        found.extend(page.into_iter().map(|r| r.position));
    }
    assert_eq!(found, expected);
    let identity = log.identity().await.unwrap().unwrap();
    let first = log.read_all(Position::START, 1).await.unwrap().remove(0);
    assert_eq!(identity.0, proof::tree::leaf_hash(&first.bytes));
}

/// Law 4: the same ids again.
pub async fn idempotency(log: Store) {
    let b = business(70);
    let first = append(b, task(1), 0, 3, "a");
    let committed = log.append(first.clone()).await.unwrap();
    assert!(!committed.repeated);
    log.append(append(b, task(1), 3, 1, "later")).await.unwrap();
    let again = log.append(first.clone()).await.unwrap();
    assert_eq!(
        (again.first_seq, again.position, again.repeated),
        (committed.first_seq, committed.position, true)
    );
    let mut other = first.clone();
    other.events[0].bytes = b"{}".to_vec();
    assert_eq!(log.append(other).await, Err(AppendError::IdTaken(first.events[0].event_id)));
    assert_eq!(log.head(b).await.unwrap().unwrap().seq, Seq(4));
    let found = log.find(b, first.events[1].event_id).await.unwrap().unwrap();
    assert_eq!((found.seq, found.bytes), (Seq(2), first.events[1].bytes.clone()));
    assert_eq!(
        log.find(business(71), first.events[1].event_id).await.unwrap(),
        None,
        "an event is found in its own business only"
    );
    // The same append from many callers at once is stored once.
    let many = append(b, task(2), 0, 2, "many");
    let all = join_all((0..20).map(|_| log.append(many.clone()))).await;
    assert_eq!(all.iter().filter(|r| !r.as_ref().unwrap().repeated).count(), 1);
    assert_eq!(log.head(b).await.unwrap().unwrap().seq, Seq(6));
}

/// Law 8.
pub async fn caps(log: Store) {
    let b = business(80);
    let mut large = append(b, task(1), 0, 1, "a");
    large.events[0].bytes = vec![b' '; EVENT_BYTES_MAX];
    log.append(large.clone()).await.unwrap();
    large = append(b, task(1), 1, 1, "b");
    large.events[0].bytes = vec![b' '; EVENT_BYTES_MAX + 1];
    let error = log.append(large).await.unwrap_err();
    assert!(
        matches!(error, AppendError::TooLarge { what: "an event", .. })
            && error.to_string().contains("1048576"),
        "{error}"
    );
    let mut many = append(b, task(2), 0, 5, "c");
    for event in &mut many.events {
        event.bytes = vec![b' '; APPEND_BYTES_MAX / 4];
    }
    assert!(matches!(log.append(many).await, Err(AppendError::TooLarge { what: "an append", .. })));
    assert_eq!(log.head(b).await.unwrap().unwrap().seq, Seq(1));
}

/// Only one of many that decided on the same version gets through; nothing is lost or doubled.
pub async fn contention(log: Store) {
    let (b, hot) = (business(90), task(1));
    let won = Arc::new(AtomicU64::new(0));
    let callers = (0..8).map(|caller| {
        let (log, won) = (Arc::clone(&log), Arc::clone(&won));
        tokio::spawn(async move {
            for turn in 0..20 {
                loop {
                    let at = log.read_aggregate(b, hot, Version::START, 10_000).await.unwrap().len()
                        as u64;
                    match log.append(append(b, hot, at, 1, &format!("{caller}/{turn}"))).await {
                        Ok(_) => break,
                        Err(AppendError::Conflict { .. }) => {
                            tokio::time::sleep(Duration::from_millis(1)).await
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
                won.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    assert_eq!(won.load(Ordering::SeqCst), 160);
    assert_eq!(log.read_aggregate(b, hot, Version::START, 10_000).await.unwrap().len(), 160);
}

/// Appends that were decided one on another: when one is refused, all that stand behind it in its
/// chain are, however sound they are by themselves; other chains and the lane's next one go on.
pub async fn chains(log: Store) {
    let b = business(100);
    log.append(append(b, task(1), 0, 1, "first")).await.unwrap();
    let chained = |aggregate, after, epoch, salt: &str| Append {
        chain: Some(Chain { lane: 7_001, epoch }),
        ..append(b, aggregate, after, 1, salt)
    };
    let stale = log.enqueue(chained(task(1), 0, LaneEpoch(1), "stale")).await.unwrap();
    let behind = log.enqueue(chained(task(2), 0, LaneEpoch(1), "behind")).await.unwrap();
    let other = log
        .enqueue(Append {
            chain: Some(Chain { lane: 7_002, epoch: LaneEpoch(1) }),
            ..append(b, task(3), 0, 1, "other")
        })
        .await
        .unwrap();
    assert!(matches!(
        stale.done().await,
        Err(AppendError::Conflict { expected: Version::START, actual: Version(1), .. })
    ));
    assert_eq!(
        behind.done().await,
        Err(AppendError::ChainBroken),
        "what it was decided on was refused"
    );
    other.done().await.unwrap();
    let late = log.enqueue(chained(task(4), 0, LaneEpoch(1), "late")).await.unwrap();
    assert_eq!(
        late.done().await,
        Err(AppendError::ChainBroken),
        "the chain stays broken for what was decided before that was known"
    );
    let anew = log.enqueue(chained(task(2), 0, LaneEpoch(2), "anew")).await.unwrap();
    anew.done().await.unwrap();
    let seqs: Vec<_> =
        log.read_business(b, Seq::START, 10).await.unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(seqs, [1, 2, 3].map(Seq), "nothing of the refused ones is there");
}

/// Every law, one after another, on one store.
pub async fn all(log: Store) {
    chains(Arc::clone(&log)).await;
    conditions(Arc::clone(&log)).await;
    all_or_nothing(Arc::clone(&log)).await;
    idempotency(Arc::clone(&log)).await;
    caps(Arc::clone(&log)).await;
    pages(Arc::clone(&log)).await;
    events_by_seq(Arc::clone(&log)).await;
    contention(Arc::clone(&log)).await;
    erasures(Arc::clone(&log)).await;
    backwards(log).await;
}
