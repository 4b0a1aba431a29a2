//! Several real processes on one log: killed, stopped and gone on, with PostgreSQL restarted under
//! them and the network between failing. Afterwards everything acknowledged is there once, the laws
//! hold, and live views are those rebuilt.

mod takeover;

use event_log::Log as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_log::{Position, Seq};
use serde_json::{Value, json};
use tests::fleet::{Answer, Server, plan, post};
use tests::installation::Installation;
use tests::postgres::{database, own};
use tests::proxy::{Proxy, Weather};

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");

/// Callers that plan tasks one after another, through any of the doors.
struct Work {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    receipts: Arc<Mutex<HashMap<String, Value>>>,
    callers: Vec<std::thread::JoinHandle<()>>,
}

impl Work {
    fn begin(doors: &[String], key: &str, business: &str, callers: usize) -> Self {
        let (stop, acknowledged, receipts) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
            Arc::<Mutex<HashMap<_, _>>>::default(),
        );
        let callers = (0..callers).map(|caller| {
            let (stop, acknowledged, receipts) =
                (Arc::clone(&stop), Arc::clone(&acknowledged), Arc::clone(&receipts));
            let (mut doors, key, business) = (doors.to_vec(), key.to_owned(), business.to_owned());
            let others = caller % doors.len();
            doors.rotate_left(others);
            std::thread::spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    let idempotency = format!("caller {caller} task {n}");
                    let receipt = plan(&doors, &key, &business, &idempotency);
                    receipts.lock().unwrap().insert(idempotency, receipt);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
            })
        });
        Self { callers: callers.collect(), stop, acknowledged, receipts }
    }

    /// Waits until so many more were acknowledged.
    async fn goes_on(&self, more: usize) {
        let (began, from) = (std::time::Instant::now(), self.acknowledged.load(Ordering::Relaxed));
        while self.acknowledged.load(Ordering::Relaxed) < from + more {
            assert!(began.elapsed() < Duration::from_secs(90), "the work does not go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it; gives what was acknowledged.
    async fn end(self) -> HashMap<String, Value> {
        self.stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            self.callers.into_iter().for_each(|c| c.join().unwrap())
        })
        .await
        .unwrap();
        Arc::into_inner(self.receipts).unwrap().into_inner().unwrap()
    }
}

async fn start(log: &str, arguments: &'static [&'static str]) -> Server {
    let log = log.to_owned();
    tokio::task::spawn_blocking(move || Server::start(PROGRAM, &log, arguments)).await.unwrap()
}

/// A first server with a business in it.
async fn first(log: &str, arguments: &'static [&'static str]) -> (Server, String, String) {
    let server = start(log, arguments).await;
    let key = server.key.clone().expect("the first server makes the operator's key");
    let (url, with) = (format!("{}/v1/commands", server.url), key.clone());
    let registered = tokio::task::spawn_blocking(move || {
        let body = json!({"type": "businesses.register", "data": {"slug": "acme"}});
        post(&url, &with, Some("register"), &body, Duration::from_secs(20))
    });
    let Answer::Said(_, receipt) = registered.await.unwrap() else { panic!("no answer") };
    let business = receipt["business"].as_str().unwrap_or_else(|| panic!("{receipt}")).to_owned();
    (server, key, business)
}

/// Everything acknowledged is in the log, once, where its receipt says; the log verifies; views
/// live are views rebuilt.
async fn all_is_well(auditor: &Installation, receipts: &HashMap<String, Value>) {
    auditor.verifies().await;
    auditor.views_are_rebuilt_alike().await;
    let (mut stored, mut after) = (HashMap::new(), 0);
    loop {
        let page = auditor.app.log.read_all(Position(after), 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position.0;
        for recorded in page {
            let event = recorded.stored().unwrap();
            if event.r#type == "tasks.planned" {
                let before = stored.insert(
                    event.command_id.to_string(),
                    (event.event_id.to_string(), recorded.seq),
                );
                assert!(before.is_none(), "{} is there twice", event.command_id);
            }
        }
    }
    assert!(!receipts.is_empty());
    for (key, receipt) in receipts {
        let (id, seq) =
            stored.get(key).unwrap_or_else(|| panic!("{key} was acknowledged and is not there"));
        assert_eq!(
            (receipt["events"][0]["event_id"].as_str(), receipt["events"][0]["seq"].as_u64()),
            (Some(id.as_str()), Some(seq.0)),
            "{key}: {receipt}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_of_which_one_is_killed_and_one_is_stopped_lose_and_double_nothing() {
    let log = database().await;
    let (mut killed, key, business) = first(&log, &[]).await;
    let (stopped, third) = (start(&log, &[]).await, start(&log, &[]).await);
    let doors = [killed.url.clone(), stopped.url.clone(), third.url.clone()];
    let work = Work::begin(&doors, &key, &business, 6);
    work.goes_on(60).await;
    killed.kill();
    work.goes_on(60).await;
    // Stopped somewhere in the middle of appends, again and again: it never holds up the others.
    for millis in [1_300, 5_000, 1_300] {
        stopped.stop();
        work.goes_on(40).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        stopped.go_on();
        work.goes_on(20).await;
    }
    all_is_well(&Installation::at(&log).await, &work.end().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_crashes_and_comes_back_is_worked_with_again() {
    let mut cluster = own(None, false).await;
    let log = cluster.database().await;
    let (one, key, business) = first(&log, &[]).await;
    let two = start(&log, &[]).await;
    let work = Work::begin(&[one.url.clone(), two.url.clone()], &key, &business, 4);
    for _ in 0..3 {
        work.goes_on(40).await;
        cluster = tokio::task::spawn_blocking(move || {
            cluster.tell("stop");
            cluster.tell("start");
            cluster
        })
        .await
        .unwrap();
    }
    work.goes_on(40).await;
    all_is_well(&Installation::at(&log).await, &work.end().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_slow_resets_and_swallows_loses_and_doubles_nothing() {
    let log = database().await;
    let (proxy, through) = Proxy::of(&log).await;
    let (one, key, business) = first(&through, &[]).await;
    let direct = start(&log, &[]).await;
    let work = Work::begin(&[one.url.clone(), direct.url.clone()], &key, &business, 4);
    work.goes_on(30).await;
    proxy.turns(Weather::Slow(Duration::from_millis(30)));
    work.goes_on(30).await;
    for _ in 0..3 {
        proxy.turns(Weather::Reset);
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.turns(Weather::Fair);
        work.goes_on(30).await;
    }
    // Bytes vanish, the connections stay: only who waits no longer than it must gets away.
    proxy.turns(Weather::HalfOpen);
    work.goes_on(30).await;
    proxy.turns(Weather::Fair);
    let (url, with) = (one.url.clone(), key.clone());
    let business_of = business.clone();
    let came_back = tokio::task::spawn_blocking(move || {
        plan(&[url], &with, &business_of, "through the one that was cut off")
    });
    let receipt = came_back.await.unwrap();
    let mut receipts = work.end().await;
    receipts.insert("through the one that was cut off".to_owned(), receipt);
    all_is_well(&Installation::at(&log).await, &receipts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_were_all_cut_off_in_the_middle_of_a_question_read_again() {
    let url = database().await;
    let (proxy, through) = Proxy::of(&url).await;
    let log = Arc::new(log_postgres::PostgresLog::open(&through).await.unwrap());
    let business = tests::samples::business(1);
    log.append(tests::samples::append(business, tests::samples::task(1), 0, 5, "x")).await.unwrap();
    let readers = (0..24).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(
            async move { while log.read_business(business, Seq::START, 10).await.is_ok() {} },
        )
    });
    let readers: Vec<_> = readers.collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.turns(Weather::HalfOpen);
    for reader in readers {
        tokio::time::timeout(Duration::from_secs(60), reader)
            .await
            .expect("no reader waits for ever")
            .unwrap();
    }
    proxy.turns(Weather::Fair);
    let began = std::time::Instant::now();
    while log.read_business(business, Seq::START, 10).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the connections that went silent are held for ever"
        );
    }
}

/// The broker's messages in the order they came: business, `seq`, id.
#[cfg(feature = "amqp")]
type Came = Arc<Mutex<Vec<(String, u64, String)>>>;

#[cfg(feature = "amqp")]
async fn collect(channel: &lapin::Channel) -> (Came, tokio::task::JoinHandle<()>) {
    use futures_util::StreamExt as _;
    let came = Came::default();
    let mut messages = channel
        .basic_consume("all".into(), "".into(), Default::default(), Default::default())
        .await
        .unwrap();
    let reader = tokio::spawn({
        let came = Arc::clone(&came);
        async move {
            while let Some(Ok(message)) = messages.next().await {
                let event: Value = serde_json::from_slice(&message.data).unwrap();
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                came.lock().unwrap().push((
                    text("mbbusiness"),
                    text("mbseq").parse().unwrap(),
                    text("id"),
                ));
                message.ack(Default::default()).await.unwrap();
            }
        }
    });
    (came, reader)
}

/// Every public event of the log came, each for the first time in the order of the log.
#[cfg(feature = "amqp")]
async fn everything_came_in_order(seen: &log_postgres::PostgresLog, came: &Came) {
    let end = *seen.position().borrow();
    let mut wanted = Vec::new();
    for recorded in seen.read_all(Position::START, 100_000).await.unwrap() {
        if hub::public::cloud_event(&recorded).unwrap().is_some() {
            wanted.push((recorded.business.to_string(), recorded.seq.0));
        }
    }
    let began = std::time::Instant::now();
    loop {
        let firsts = {
            let mut ids = std::collections::HashSet::new();
            came.lock()
                .unwrap()
                .iter()
                .filter(|(_, _, id)| ids.insert(id.clone()))
                .map(|(b, seq, _)| (b.clone(), *seq))
                .collect::<Vec<_>>()
        };
        if firsts.len() == wanted.len() {
            assert_eq!(firsts, wanted, "each for the first time in the order of the log");
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} of {} came, up to position {end}",
            firsts.len(),
            wanted.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The relay is in one process at a time, and goes over when that one is killed, or stopped and
/// comes back without knowing.
#[cfg(feature = "amqp")]
#[tokio::test(flavor = "multi_thread")]
async fn the_relay_goes_over_from_a_killed_server_and_from_a_stopped_one() {
    use event_log::consumers::Consumers as _;

    let mut broker = tests::rabbitmq::Broker::start();
    let channel = crate::consumers::relay::bind(&broker).await;
    let log = database().await;
    let seen = log_postgres::PostgresLog::open(&log).await.unwrap();
    let consumers = log_postgres::PostgresConsumers::of(&seen);
    let (came, reader) = collect(&channel).await;
    let amqp: &'static [&'static str] = vec!["--amqp", &*broker.url.clone().leak()].leak();
    let (mut relaying, key, business) = first(&log, amqp).await;
    let owner = async |not: Option<uuid::Uuid>| {
        let began = std::time::Instant::now();
        loop {
            let now = consumers.list().await.unwrap().first().and_then(|c| c.owner);
            if now.is_some() && now != not {
                break (now, began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nobody takes over the relay");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (first_owner, _) = owner(None).await;
    let (second, third) = (start(&log, amqp).await, start(&log, amqp).await);
    let doors = [second.url.clone(), third.url.clone()];
    let work = Work::begin(&doors, &key, &business, 2);
    work.goes_on(30).await;
    relaying.kill();
    let (second_owner, took) = owner(first_owner).await;
    eprintln!("the relay went over from a killed server after {took:?}");
    work.goes_on(30).await;
    // One of the two has it now; with both stopped in turn, it was certainly the one that had it.
    let (mut last, mut over) = (second_owner, 0);
    for server in [&second, &third] {
        server.stop();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            let now = consumers.list().await.unwrap()[0].owner;
            if now.is_some() && now != last {
                (last, over) = (now, over + 1);
                eprintln!(
                    "the relay went over from a stopped server, {:?} after five seconds",
                    began.elapsed()
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.go_on();
        work.goes_on(30).await;
    }
    assert!(over >= 1, "a stopped server keeps the relay for ever");
    let receipts = work.end().await;
    all_is_well(&Installation::at(&log).await, &receipts).await;
    everything_came_in_order(&seen, &came).await;
    reader.abort();
    broker.tell("stop");
}
