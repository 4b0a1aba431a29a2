//! How fast events leave the house: the feed to one reader, the relay to RabbitMQ.

use std::sync::Arc;
use std::time::Instant;

use server::app::operator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Bench, per_second, plan};

const EVENTS: usize = 100_000;

pub(crate) async fn outside() {
    let bench = Bench::new().await.without_views().await;
    bench.run(256, EVENTS, plan).await;
    println!();
    feed(&bench).await;
    #[cfg(feature = "amqp")]
    relay(&bench).await;
}

async fn feed(bench: &Bench) {
    let (_, secret) = bench.app.issue_key(operator()).await.unwrap();
    let door = server::http::listen(
        Arc::clone(&bench.app),
        server::http::Entrance {
            address: "127.0.0.1:0".to_owned(),
            workers: 2,
            ..Default::default()
        },
    )
    .unwrap();
    let (address, stop) = (door.address, door.stop());
    let server = tokio::spawn(door.server);
    for (kind, end) in [("application/x-ndjson", &b"}\n"[..]), ("text/event-stream", b"}\n\n")] {
        let mut best = 0.0_f64;
        for _ in 0..3 {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!(
                "GET /v1/events?follow=false HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \
                 {}\r\nAccept: {kind}\r\nConnection: close\r\n\r\n",
                secret.reveal()
            );
            let began = Instant::now();
            stream.write_all(request.as_bytes()).await.unwrap();
            let (mut buffer, mut bytes, mut all) = (vec![0; 1 << 18], 0, Vec::new());
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    n => {
                        bytes += n;
                        all.extend_from_slice(&buffer[..n]);
                    }
                }
            }
            let took = began.elapsed();
            let n = all.windows(end.len()).filter(|w| *w == end).count();
            assert!(n >= EVENTS, "{n} events came: {}", String::from_utf8_lossy(&all[..300]));
            best = best.max(per_second(n, took));
            std::hint::black_box(bytes);
        }
        println!("feed to one reader, {kind}: {best:.0} events/s");
    }
    stop.now();
    server.abort();
}

#[cfg(feature = "amqp")]
async fn relay(bench: &Bench) {
    use hub::consumer::Runner;
    let broker = tests::rabbitmq::Broker::start();
    let connection = broker.connect().await;
    let end = *bench.app.log.position().borrow();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let runner = Runner {
        name: "relay",
        owner: uuid::Uuid::now_v7(),
        log: Arc::clone(&bench.app.log),
        consumers: Arc::clone(&bench.app.consumers),
    };
    // A queue that takes all of it, as somebody who listens would have.
    let channel = connection.create_channel().await.unwrap();
    let durable = lapin::options::ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(
            hub::amqp::EXCHANGE.into(),
            lapin::ExchangeKind::Topic,
            durable,
            Default::default(),
        )
        .await
        .unwrap();
    let mut arguments = lapin::types::FieldTable::default();
    arguments.insert("x-queue-type".into(), lapin::types::AMQPValue::LongString("quorum".into()));
    let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("all".into(), options, arguments).await.unwrap();
    channel
        .queue_bind(
            "all".into(),
            hub::amqp::EXCHANGE.into(),
            "#".into(),
            Default::default(),
            Default::default(),
        )
        .await
        .unwrap();
    let began = Instant::now();
    let running = tokio::spawn(runner.run(hub::amqp::Relay::new(&broker.url), stopped));
    while bench.app.consumers.list().await.unwrap().first().is_none_or(|c| c.position < end) {
        assert!(began.elapsed().as_secs() < 300, "the relay does not come to the end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let rate = per_second(usize::try_from(end.0).unwrap(), began.elapsed());
    println!("relay to a quorum queue, each message confirmed: {rate:.0} events/s");
    stop.send(true).unwrap();
    running.await.unwrap();
}
