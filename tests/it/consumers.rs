//! Those who act on events: one at a time, from a durable place, handed over when a process dies;
//! and the relay to RabbitMQ.

use event_log::Log as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_log::consumers::{Consumers, LocalConsumers};
use event_log::{EventLog, Position, Recorded};
use hub::consumer::{Effect, Runner};
use log_postgres::{PostgresConsumers, PostgresLog};
use serde_json::json;
use tests::installation::Installation;
use tests::postgres::database;
use tests::samples::{append, business, task};
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) async fn keeps_its_promises(consumers: Arc<dyn Consumers>) {
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let first = consumers.claim("x", a).await.unwrap().unwrap();
    assert_eq!(first.position, Position::START);
    assert_eq!(consumers.claim("x", b).await.unwrap(), None, "one at a time");
    assert!(consumers.advance("x", first.epoch, Position(7)).await.unwrap());
    assert!(consumers.renew("x", first.epoch).await.unwrap());
    assert!(consumers.rewind("x", Position(3)).await.unwrap());
    assert!(
        !consumers.advance("x", first.epoch, Position(9)).await.unwrap(),
        "who was rewound can't move the place"
    );
    let second = consumers.claim("x", b).await.unwrap().unwrap();
    assert!(second.epoch > first.epoch && second.position == Position(3));
    assert!(!consumers.renew("x", first.epoch).await.unwrap());
    assert!(consumers.pause("x", true).await.unwrap());
    assert!(!consumers.renew("x", second.epoch).await.unwrap(), "who is paused lets go");
    consumers.release("x", second.epoch).await.unwrap();
    assert_eq!(consumers.claim("x", a).await.unwrap(), None);
    assert!(
        consumers.pause("x", false).await.unwrap()
            && !consumers.pause("nobody", false).await.unwrap()
            && !consumers.rewind("nobody", Position::START).await.unwrap()
    );
    let third = consumers.claim("x", a).await.unwrap().unwrap();
    let began = Instant::now();
    let fourth = loop {
        if let Some(claim) = consumers.claim("x", b).await.unwrap() {
            break claim;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "a lease that is not renewed runs out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        fourth.epoch > third.epoch
            && !consumers.advance("x", third.epoch, Position(5)).await.unwrap()
    );
    let all = consumers.list().await.unwrap();
    assert_eq!(
        (all.len(), all[0].position, all[0].owner, all[0].paused),
        (1, Position(3), Some(b), false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_a_folder_and_of_postgres_keep_the_same_promises() {
    let folder = tempfile::TempDir::new().unwrap();
    let local = Arc::new(LocalConsumers::open(&folder.path().join("consumers.db")).unwrap());
    let log = PostgresLog::open(&database().await).await.unwrap();
    let postgres = Arc::new(PostgresConsumers::of(&log));
    tokio::join!(keeps_its_promises(local), keeps_its_promises(postgres));
}

/// Notes what it was given, and by which process.
struct Notes(&'static str, Arc<Mutex<Vec<(&'static str, Position)>>>);

#[async_trait]
impl Effect for Notes {
    async fn act(&mut self, events: &[Recorded]) -> Result<(), event_log::Cause> {
        self.1.lock().unwrap().extend(events.iter().map(|r| (self.0, r.position)));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_is_followed_and_nothing_is_left_out() {
    let url = database().await;
    let log: Arc<PostgresLog> = Arc::new(PostgresLog::open(&url).await.unwrap());
    let notes = Arc::new(Mutex::new(Vec::new()));
    let (_stop, stopped) = watch::channel(false);
    let start = |who: &'static str| {
        let consumers = Arc::new(PostgresConsumers::of(&log));
        let runner = Runner {
            name: "notes",
            owner: Uuid::now_v7(),
            log: Arc::clone(&log) as Arc<dyn EventLog>,
            consumers,
        };
        tokio::spawn(runner.run(Notes(who, Arc::clone(&notes)), stopped.clone()))
    };
    let wait_for = async |n: u64| {
        let began = Instant::now();
        while notes.lock().unwrap().iter().map(|(_, p)| *p).max() < Some(Position(n)) {
            assert!(began.elapsed() < Duration::from_secs(40), "{n} did not come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    };
    let first = start("first");
    log.append(append(business(1), task(1), 0, 5, "x")).await.unwrap();
    wait_for(5).await;
    let second = start("second");
    // It is gone without a word, as a killed process is.
    first.abort();
    let _ = first.await;
    log.append(append(business(1), task(1), 5, 5, "x")).await.unwrap();
    // The lease is four seconds; how busy this machine is decides the rest.
    let took = wait_for(10).await;
    eprintln!("followed after {took:?}");
    let seen = notes.lock().unwrap().clone();
    for who in ["first", "second"] {
        let own: Vec<u64> = seen.iter().filter(|(w, _)| *w == who).map(|(_, p)| p.0).collect();
        assert!(own.is_sorted(), "in order: {seen:?}");
    }
    let positions: std::collections::BTreeSet<u64> = seen.iter().map(|(_, p)| p.0).collect();
    assert!(positions.into_iter().eq(1..=10), "at least once: {seen:?}");
    assert_eq!(seen.last().unwrap().0, "second");
    second.abort();
}

#[cfg(feature = "amqp")]
pub(crate) mod relay {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    use futures_util::StreamExt as _;
    use lapin::options::{
        BasicAckOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    };
    use lapin::types::{AMQPValue, FieldTable};
    use tests::rabbitmq::Broker;

    use super::*;

    fn start(
        installation: &Installation,
        broker: &Broker,
    ) -> (tokio::task::JoinHandle<()>, watch::Sender<bool>) {
        start_to(installation, &broker.url)
    }

    fn start_to(
        installation: &Installation,
        url: &str,
    ) -> (tokio::task::JoinHandle<()>, watch::Sender<bool>) {
        let (stop, stopped) = watch::channel(false);
        let (log, consumers) =
            (Arc::clone(&installation.app.log), Arc::clone(&installation.app.consumers));
        let runner = Runner { name: "amqp", owner: Uuid::now_v7(), log, consumers };
        (tokio::spawn(runner.run(hub::amqp::Relay::new(url), stopped)), stop)
    }

    pub(crate) async fn bind(broker: &Broker) -> lapin::Channel {
        let channel = broker.connect().await.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(
                "minutebook".into(),
                lapin::ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel
            .queue_declare(
                "all".into(),
                QueueDeclareOptions { durable: true, ..Default::default() },
                quorum,
            )
            .await
            .unwrap();
        channel
            .queue_bind(
                "all".into(),
                "minutebook".into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        channel
    }

    /// Takes messages until all of these `mbposition`s were seen; gives those in the order they
    /// came first. Others may come again: what was not acknowledged is delivered anew.
    async fn take(channel: &lapin::Channel, wanted: &[u64]) -> Vec<u64> {
        let mut messages = channel
            .basic_consume(
                "all".into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let (mut ids, mut positions) = (std::collections::HashSet::new(), Vec::new());
        while positions.len() < wanted.len() {
            let message = tokio::time::timeout(Duration::from_secs(60), messages.next())
                .await
                .expect("a message")
                .unwrap()
                .unwrap();
            let event: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
            assert_eq!(
                message.properties.message_id().as_ref().unwrap().as_str(),
                event["id"].as_str().unwrap()
            );
            let position: u64 = event["mbposition"].as_str().unwrap().parse().unwrap();
            if wanted.contains(&position) && ids.insert(position) {
                positions.push(position);
            }
            message.ack(BasicAckOptions::default()).await.unwrap();
        }
        positions
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_public_event_gets_through_in_order_whatever_becomes_of_the_broker() {
        let mut broker = Broker::start();
        let installation = Installation::new().await;
        let business = installation.business("acme").await;
        // The relay is there first: the broker is still starting.
        let (relay, stop) = start(&installation, &broker);
        let channel = bind(&broker).await;
        let plan = async |n: u32| {
            for _ in 0..n {
                installation
                    .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
                    .await;
            }
        };
        plan(20).await;
        let public = async || {
            let all = installation.app.log.read_all(Position::START, 10_000).await.unwrap();
            all.iter()
                .filter(|r| hub::public::cloud_event(r).unwrap().is_some())
                .map(|r| r.position.0)
                .collect::<Vec<_>>()
        };
        // What was published before somebody bound a queue is gone: that is the exchange's way.
        installation.app.consumers.rewind("amqp", Position::START).await.unwrap();
        let mut again = take(&channel, &public().await).await;
        // Some came by before the rewind, in front of those that came for the first time after it.
        again.sort_unstable();
        assert_eq!(again, public().await);
        let before = public().await.len();
        if broker.tell("stop") {
            plan(20).await;
            broker.tell("start");
            let channel = bind(&broker).await;
            let wanted = public().await.split_off(before);
            assert_eq!(
                take(&channel, &wanted).await,
                wanted,
                "nothing is lost, and nothing out of order"
            );
        } else {
            eprintln!("the broker is not stopped: MINUTEBOOK_TEST_AMQP is somebody else's");
        }
        stop.send(true).unwrap();
        relay.await.unwrap();
        let consumer = installation.app.consumers.list().await.unwrap().remove(0);
        assert_eq!(
            (consumer.owner, consumer.position),
            (None, installation.app.log.position().borrow().to_owned())
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_public_event_gets_through_a_network_that_is_slow_resets_and_swallows() {
        use tests::proxy::{Proxy, Weather};
        let broker = Broker::start();
        let installation = Installation::new().await;
        let business = installation.business("acme").await;
        let channel = bind(&broker).await;
        let (proxy, through) = Proxy::of(&broker.url).await;
        let (relay, stop) = start_to(&installation, &through);
        for weather in [
            Weather::Fair,
            Weather::Slow(Duration::from_millis(50)),
            Weather::Reset,
            Weather::Fair,
            Weather::HalfOpen,
            Weather::Fair,
        ] {
            proxy.turns(weather);
            for _ in 0..10 {
                installation
                    .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
                    .await;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let all = installation.app.log.read_all(Position::START, 10_000).await.unwrap();
        let wanted: Vec<u64> = all
            .iter()
            .filter(|r| hub::public::cloud_event(r).unwrap().is_some())
            .map(|r| r.position.0)
            .collect();
        assert_eq!(
            take(&channel, &wanted).await,
            wanted,
            "nothing is lost, and nothing out of order"
        );
        stop.send(true).unwrap();
        relay.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pika_consumes_acknowledges_and_dead_letters() {
        let broker = Broker::start();
        drop(broker.connect().await);
        let installation = Installation::new().await;
        let business = installation.business("acme").await;
        let python = tokio::task::spawn_blocking(crate::drivers::python).await.unwrap();
        let script =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers/pika_consumer.py");
        let mut driver = Command::new("python3")
            .env("PYTHONPATH", python)
            .arg(script)
            .args([broker.url.as_str(), "12"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "bound");
        let (relay, stop) = start(&installation, &broker);
        for _ in 0..12 {
            installation
                .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
                .await;
        }
        let ended = tokio::task::spawn_blocking(move || {
            let mut rest = String::new();
            said.read_to_string(&mut rest).unwrap();
            (driver.wait().unwrap(), rest)
        });
        let (status, rest) = ended.await.unwrap();
        assert!(
            status.success() && rest.contains("12 events, one of them dead-lettered"),
            "{rest}"
        );
        stop.send(true).unwrap();
        relay.await.unwrap();
    }
}
