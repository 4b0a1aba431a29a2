//! KurrentDB's protocol: how fast the stock Rust client reads a business door and writes generic
//! streams, the whole command path with the log in a cluster, and 200 who follow.

use event_log::Log as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_log::sqlite::{Options, SqliteLog};
use futures_util::future::join_all;
use kurrentdb::{
    AppendToStreamOptions, Client, EventData, ReadAllOptions, StreamPosition, StreamState,
    SubscribeToAllOptions, SubscriptionEvent,
};
use serde_json::json;
use server::app::{App, operator};
use server::config::Config;
use tests::samples::{append, business, task};
use tests::streams::{Cluster, tls_provider};
use tokio::sync::watch;

use super::{Bench, folder, per_second, plan};

const EVENTS: usize = 100_000;
const FOLLOWERS: usize = 200;
/// Letters of the data of an event, beside what is around it.
const TEXT: usize = 600;

pub(crate) async fn kurrentdb() {
    tls_provider();
    println!();
    let bench = Bench::new().await.without_views().await;
    bench.run(256, EVENTS, plan).await;
    let keys = keys(&bench).await;
    door(&bench, &keys).await;
    followers(&bench, &keys[0]).await;
    streams().await;
    commands(&bench).await;
}

fn client(there: &str) -> Client {
    Client::new(there.parse().unwrap()).unwrap()
}

/// Opens a door; gives what comes after the key in a client's address.
async fn open(app: &Arc<App>, tls: bool) -> (String, watch::Sender<bool>) {
    let folder = folder();
    let mut config: Config = tests::installation::config(folder.path());
    config.kurrentdb_listen = "127.0.0.1:0".to_owned();
    if !tls {
        config.kurrentdb_certificate = "none".into();
    }
    let (stop, stopped) = watch::channel(false);
    let (_, there) = server::kurrentdb::listen(&config, Arc::clone(app), stopped).await.unwrap();
    // The certificate is read by clients that come later.
    std::mem::forget(folder);
    (there, stop)
}

/// Keys of one who verifies every business, and of one who is a member of each.
async fn keys(bench: &Bench) -> [String; 2] {
    let member = domain::PrincipalId(uuid::Uuid::now_v7());
    let as_operator = async |key: String, command, data| {
        bench
            .app
            .as_operator(&key, command, Some(member.0), &data, domain::ids::INSTALLATION)
            .await
            .unwrap();
    };
    as_operator(
        "member".to_owned(),
        "access.add_principal",
        json!({"kind": "human", "display_name": "m"}),
    )
    .await;
    for (n, (business, _)) in bench.businesses.iter().enumerate() {
        as_operator(
            format!("role {n}"),
            "access.grant_role",
            json!({"business": business, "role": "member"}),
        )
        .await;
    }
    let key = async |of| bench.app.issue_key(of).await.unwrap().1.reveal().to_owned();
    [key(operator()).await, key(member).await]
}

/// The best of three reads of everything, as stored and in the public form.
async fn door(bench: &Bench, keys: &[String; 2]) {
    for (key, form, tls) in [
        (&keys[0], "stored bytes", false),
        (&keys[0], "stored bytes, TLS", true),
        (&keys[1], "public form, TLS", true),
    ] {
        let (there, _stop) = open(&bench.app, tls).await;
        let client = client(&format!("kdb://key:{key}@{there}"));
        let mut best = 0.0_f64;
        for _ in 0..3 {
            let began = Instant::now();
            let mut all =
                client.read_all(&ReadAllOptions::default().max_count(usize::MAX)).await.unwrap();
            let mut n = 0;
            while all.next().await.unwrap().is_some() {
                n += 1;
            }
            assert!(n >= EVENTS);
            best = best.max(per_second(n, began.elapsed()));
        }
        println!("business door, one stock client reads $all ({form}): {best:.0} events/s");
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

/// 200 subscriptions, over 20 clients, while 100 events happen a second.
async fn followers(bench: &Bench, key: &str) {
    let (there, stop) = open(&bench.app, false).await;
    let there = format!("kdb://key:{key}@{there}");
    let (seen, ready) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<Client> = (0..20).map(|_| client(&there)).collect();
    let before = resident_mib();
    let mut tasks = Vec::new();
    for n in 0..FOLLOWERS {
        let (client, seen, ready) =
            (clients[n % clients.len()].clone(), Arc::clone(&seen), Arc::clone(&ready));
        tasks.push(tokio::spawn(async move {
            let mut following = client
                .subscribe_to_all(&SubscribeToAllOptions::default().position(StreamPosition::End))
                .await;
            loop {
                match following.next_subscription_event().await {
                    Ok(SubscriptionEvent::EventAppeared(_)) => {
                        _ = seen.fetch_add(1, Ordering::Relaxed)
                    }
                    Ok(SubscriptionEvent::CaughtUp(_)) => _ = ready.fetch_add(1, Ordering::Relaxed),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        }));
    }
    while ready.load(Ordering::Relaxed) < FOLLOWERS as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for i in 0..1_000 {
        ticks.tick().await;
        bench.run(1, 1, move |_| plan(1_000_000 + i)).await;
    }
    let began = Instant::now();
    while seen.load(Ordering::Relaxed) < 1_000 * FOLLOWERS as u64
        && began.elapsed() < Duration::from_secs(30)
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (late, most) = (began.elapsed(), resident_mib());
    println!(
        "{FOLLOWERS} followers at 100 events/s: {} of {} delivered, the last {:.0} ms after it was \
         there; {} MiB more than before (followers and door in one process)",
        seen.load(Ordering::Relaxed),
        1_000 * FOLLOWERS,
        late.as_secs_f64() * 1e3,
        most.saturating_sub(before)
    );
    stop.send_replace(true);
    for task in tasks {
        task.abort();
    }
}

/// The whole command path with its log in a cluster that is generic streams on the same disk,
/// beside the same path with the other stores.
async fn commands(sqlite: &Bench) {
    let cluster = Cluster::start_in(folder()).await;
    let kurrent = Bench::on(&cluster.address()).await.without_views().await;
    #[cfg(feature = "postgres")]
    #[cfg(feature = "postgres")]
    let place = folder();
    #[cfg(feature = "postgres")]
    let own = tests::postgres::own(Some(place.path()), true).await;
    #[cfg(feature = "postgres")]
    let postgres = Bench::on(&own.database().await).await.without_views().await;
    for (callers, n) in [(1, 500), (16, 4_000), (64, 16_000), (256, 16_000)] {
        let (ours, other) =
            (kurrent.run(callers, n, plan).await, sqlite.run(callers, n, plan).await);
        let p99 = ours.p99.as_secs_f64() * 1e3;
        print!(
            "commands, log in KurrentDB (generic streams), {callers} callers: {:.0}/s, p99 \
             {p99:.0} ms; {:.2} of SQLite's {:.0}/s",
            ours.rate,
            ours.rate / other.rate,
            other.rate
        );
        #[cfg(feature = "postgres")]
        {
            let other = postgres.run(callers, n, plan).await;
            print!(", {:.2} of PostgreSQL's {:.0}/s", ours.rate / other.rate, other.rate);
        }
        println!();
    }
}

/// Appends of one event: through a stock client, and to our SQLite log directly.
async fn streams() {
    let cluster = Cluster::start_in(folder()).await;
    let client = client(&format!("kdb://127.0.0.1:{}?tls=false", cluster.port));
    let sqlite_folder = folder();
    let log = Arc::new(SqliteLog::open(sqlite_folder.path(), &Options::default()).unwrap());
    for (callers, n) in [(1_usize, 1_000_usize), (64, 40_000)] {
        let began = Instant::now();
        let each = join_all((0..callers).map(|caller| {
            let client = client.clone();
            tokio::spawn(async move {
                let options = AppendToStreamOptions::default().stream_state(StreamState::Any);
                for i in 0..n / callers {
                    let event =
                        EventData::json("Planned", &json!({"n": i, "text": "x".repeat(TEXT)}))
                            .unwrap();
                    client
                        .append_to_stream(
                            format!("bench-{callers}-{caller}-{}", i % 8),
                            &options,
                            event,
                        )
                        .await
                        .unwrap();
                }
            })
        }));
        each.await.into_iter().for_each(Result::unwrap);
        let ours = per_second(n, began.elapsed());
        let began = Instant::now();
        let each = join_all((0..callers as u128).map(|caller| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for i in 0..(n / callers) as u64 {
                    log.append(append(business(caller), task(n as u128), i, 1, &"x".repeat(TEXT)))
                        .await
                        .unwrap();
                }
            })
        }));
        each.await.into_iter().for_each(Result::unwrap);
        let base = per_second(n, began.elapsed());
        println!(
            "generic streams, one event an append, stock client, {callers} callers: {ours:.0}/s, \
             {:.2} of appends to our SQLite log ({base:.0}/s)",
            ours / base
        );
    }
}
