//! What is sent through the doors.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::target::{self, Target, p99};

/// An attack by its name; what it does says what it was told.
type Attack = fn(&Target) -> String;

pub(crate) const ALL: &[(&str, Attack)] = &[
    ("fragment bombs", fragment_bombs),
    ("websocket frames of 2^40", huge_frames),
    ("bodies without a key", bodies_without_a_key),
    ("bodies that never end", bodies_that_never_end),
    ("heads that never end", heads_that_never_end),
    ("websockets without a key", websockets_without_a_key),
    ("feeds of one key", feeds_of_one_key),
    ("searches, clients gone", searches_whose_clients_are_gone),
    ("answers of a gigabyte", large_answers),
    ("proofs at once", proofs),
    ("half handshakes", half_handshakes),
];

/// Does something on so many threads; counts what each was told.
fn all_at_once(threads: usize, work: impl Fn(usize) -> String + Sync) -> String {
    let told: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn({
                    let work = &work;
                    move || {
                        target::give_way();
                        work(n)
                    }
                })
            })
            .collect();
        running
            .into_iter()
            .map(|r| r.join().unwrap_or_else(|_| "the attacker panicked".to_owned()))
            .collect()
    });
    counted(told)
}

fn counted(told: impl IntoIterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    told.into_iter().for_each(|t| *counts.entry(t).or_default() += 1);
    counts.iter().map(|(told, n)| format!("{n} x {told}")).collect::<Vec<_>>().join(", ")
}

fn told(status: Option<u16>) -> String {
    status.map_or_else(|| "cut off".to_owned(), |s| s.to_string())
}

fn fragment_bombs(target: &Target) -> String {
    let spread = |n: usize| {
        if n == 27 { "__typename".to_owned() } else { format!("...F{0} ...F{0} ...F{0}", n + 1) }
    };
    let fragments: String =
        (0..28).map(|n| format!(" fragment F{n} on Portfolio {{ {} }}", spread(n))).collect();
    let query = format!("query {{ portfolio {{ ...F0 }} }}{fragments}");
    all_at_once(16, |_| {
        let (status, body) = target.graphql(&target.stranger, &query);
        format!("{status} {}", body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default())
    })
}

fn upgrade(target: &Target) -> String {
    format!(
        "GET /graphql HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: \
         graphql-transport-ws\r\n\r\n",
        target.http
    )
}

fn huge_frames(target: &Target) -> String {
    let frame = [&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    all_at_once(32, |_| {
        let Some(mut stream) = target.opened(&upgrade(target)) else {
            return "not connected".to_owned();
        };
        Target::status(&mut stream);
        let (mut sent, chunk) = (0_usize, vec![0; 1 << 16]);
        let mut go_on = stream.write_all(&frame).is_ok();
        while go_on && sent < 64 << 20 {
            go_on = stream.write_all(&chunk).is_ok();
            sent += chunk.len();
        }
        if go_on { "64 MiB taken".to_owned() } else { "cut off".to_owned() }
    })
}

fn post(target: &Target, key: &str, bytes: usize) -> String {
    format!(
        "POST /v1/businesses/acme/commands HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer \
         {key}\r\nIdempotency-Key: k\r\nContent-Length: {bytes}\r\n\r\n",
        target.http
    )
}

fn bodies_without_a_key(target: &Target) -> String {
    all_at_once(120, |_| {
        let Some(mut stream) = target.opened(&post(target, "nobody", 16 << 20)) else {
            return "not connected".to_owned();
        };
        let chunk = vec![b' '; 1 << 16];
        for _ in 0..256 {
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        told(Target::status(&mut stream))
    })
}

fn bodies_that_never_end(target: &Target) -> String {
    let (_, key) = &target.agents[0];
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        if let Some(mut stream) = target.opened(&post(target, key, 1 << 20)) {
            let _ = stream.write_all(&vec![b' '; (1 << 20) - 1]);
            held.push(stream);
        }
    }
    held.iter().for_each(|stream| drop(stream.set_read_timeout(Some(Duration::from_millis(20)))));
    counted(
        held.iter_mut().map(|stream| {
            Target::status(stream).map_or_else(|| "waits".to_owned(), |s| s.to_string())
        }),
    )
}

fn heads_that_never_end(target: &Target) -> String {
    let held: Vec<TcpStream> =
        (0..3_000).filter_map(|_| target.opened("GET / HTTP/1.1\r\nHost: loc")).collect();
    std::thread::sleep(Duration::from_secs(1));
    format!("{} connections", held.len())
}

fn websockets_without_a_key(target: &Target) -> String {
    let mut held: Vec<TcpStream> =
        (0..1_500).filter_map(|_| target.opened(&upgrade(target))).collect();
    counted(held.iter_mut().map(|stream| told(Target::status(stream))))
}

fn feeds_of_one_key(target: &Target) -> String {
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        target.http, target.operator
    );
    let mut held: Vec<TcpStream> = (0..200).filter_map(|_| target.opened(&head)).collect();
    counted(held.iter_mut().map(|stream| told(Target::status(stream))))
}

fn searches_whose_clients_are_gone(target: &Target) -> String {
    let words = "a b c d e f g h ".repeat(1_000);
    let query = json!({"query": format!("{{ business(slug: \"acme\") {{ search(text: \"{words}\") \
        {{ seq }} }} }}")})
    .to_string();
    let (_, key) = &target.agents[0];
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n",
        target.http,
        query.len()
    );
    let sent = (0..60).filter_map(|_| target.opened(&format!("{head}{query}"))).count();
    std::thread::sleep(Duration::from_secs(2));
    format!("{sent} sent and left")
}

fn large_answers(target: &Target) -> String {
    for n in 0..100 {
        let fact = json!({"fact_kind": "process_memory", "statement": format!("{n}{}",
            "x".repeat(700_000))});
        target.must("acme", json!({"type": "memory.record_fact", "data": fact}));
    }
    let alias = |n: usize| format!("a{n}: memory(first: 100) {{ nodes {{ text {{ text }} }} }} ");
    let query =
        format!("{{ business(slug: \"acme\") {{ {} }} }}", (0..10).map(alias).collect::<String>());
    all_at_once(4, |_| {
        let (status, body) = target.graphql(&target.operator, &query);
        format!("{status} {}", body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default())
    })
}

fn proofs(target: &Target) -> String {
    all_at_once(40, |_| {
        let (status, body) = target.send("POST", "/v1/verification", &target.operator, &json!({}));
        format!("{status} {}", body["title"].as_str().unwrap_or_default())
    })
}

fn half_handshakes(target: &Target) -> String {
    let address: SocketAddr = target.kurrentdb.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..1_100 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            held.extend(socket.connect(address).await);
        }
        let began = Instant::now();
        let live = tokio::task::spawn_blocking(move || {
            let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .tls_config(tls)
                .timeout_global(Some(Duration::from_secs(20)))
                .build()
                .into();
            agent.get(format!("https://{address}/health/live")).call().map(|a| a.status().as_u16())
        });
        let live = live.await.unwrap().map_or_else(|e| e.to_string(), |status| status.to_string());
        format!("{} held; another peer was told {live} after {:.1?}", held.len(), began.elapsed())
    })
}

/// How long the quiet agent waits for the answer to a command, while something goes on.
fn quiet_agent(target: &Target, lasts: Duration) -> Duration {
    let (agent, key) = &target.agents[1];
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < lasts {
        let fact = json!({"type": "memory.record_fact", "data": {"fact_kind": "process_memory",
            "statement": "x", "agent": agent}});
        let asked = Instant::now();
        let (status, body) = target.send("POST", "/v1/businesses/acme/commands", key, &fact);
        assert_eq!(status, 200, "the quiet agent: {body}");
        times.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(40));
    }
    p99(times)
}

/// One agent sends as much as it can; gives how long another one waits in peace, and meanwhile.
pub(crate) fn flood(target: &Target) -> (Duration, Duration, String) {
    let lasts = Duration::from_secs(20);
    // The burst is over by then: what goes on is what one agent may do all day.
    let in_peace = quiet_agent(target, lasts);
    let (agent, key) = &target.agents[0];
    let fact = json!({"type": "memory.record_fact", "data": {"fact_kind": "process_memory",
        "statement": "x", "agent": agent}});
    let began = Instant::now();
    let (under_attack, said) = std::thread::scope(|scope| {
        let noisy = scope.spawn(|| {
            all_at_once(8, |_| {
                let (mut accepted, mut refused) = (0, 0);
                while began.elapsed() < lasts {
                    match target.send("POST", "/v1/businesses/acme/commands", key, &fact).0 {
                        200 => accepted += 1,
                        _ => refused += 1,
                    }
                }
                format!("accepted {} refused {}", accepted / 100 * 100, refused / 1_000 * 1_000)
            })
        });
        let waited = quiet_agent(target, lasts);
        (waited, noisy.join().unwrap())
    });
    (in_peace, under_attack, said)
}
