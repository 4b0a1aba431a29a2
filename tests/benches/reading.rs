//! How fast a business is read: events, lists, answers.

use super::{Bench, per_second, raw};
use event_log::Position;
use futures_util::future::join_all;
use serde_json::json;
use server::app::operator;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) async fn reading(bench: &Bench) {
    bench.app.caught_up(Duration::from_secs(600)).await.unwrap();
    let end = *bench.app.log.position().borrow();
    let scan = async |typed: bool| {
        let (began, mut after, mut n) = (Instant::now(), 0, 0);
        loop {
            let page = bench.app.log.read_all(Position(after), 1_000).await.unwrap();
            let Some(last) = page.last() else { return per_second(n, began.elapsed()) };
            after = last.position.0;
            n += page.len();
            if typed {
                for recorded in &page {
                    std::hint::black_box(recorded.stored().unwrap().event().unwrap());
                }
            }
        }
    };
    let (raw, typed) = (scan(false).await, scan(true).await);
    println!(
        "\nreplay of {end} events: {typed:.0}/s decoded to types, {raw:.0}/s scanned, ratio {:.2}",
        typed / raw
    );
    let began = Instant::now();
    bench.app.views.rebuild(None).await.unwrap();
    bench.app.views.settled(Duration::from_secs(600)).await.unwrap();
    let rate = per_second(usize::try_from(end.0).unwrap(), began.elapsed());
    println!(
        "all projections built beside and compared: {rate:.0} events/s, {:.2} of the scan",
        rate / raw
    );
    lists(bench).await;
}

/// Ten rows, asked for over HTTP by callers that keep their connections, of our door and of a
/// handler written for just this.
pub(super) async fn lists(bench: &Bench) {
    let query = "{ business(slug: \"b1\") { tasks(first: 10) { nodes { id team status nextActor \
        priority revision plannedAt } } } }";
    let (_, secret) = bench.app.issue_key(operator()).await.unwrap();
    let ours = server::http::listen(
        Arc::clone(&bench.app),
        server::http::Entrance {
            address: "127.0.0.1:0".to_owned(),
            workers: 2,
            ..Default::default()
        },
    )
    .unwrap();
    let app = actix_web::web::Data::new(Arc::clone(&bench.app));
    let plain = actix_web::HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .route("/list", actix_web::web::post().to(raw::plain_handler))
    });
    let plain = plain.workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let (to_ours, to_plain) = (ours.address, plain.addrs()[0]);
    let stop = ours.stop();
    let handles = [tokio::spawn(ours.server), tokio::spawn(plain.run())];
    let body = json!({"query": query}).to_string();
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            secret.reveal(),
            body.len()
        )
    };
    for callers in [1, 16] {
        let (mut graphql, mut by_hand) = (0.0_f64, 0.0_f64);
        for _ in 0..3 {
            graphql = graphql.max(asked(to_ours, &request("/graphql"), callers).await);
            by_hand = by_hand.max(asked(to_plain, &request("/list"), callers).await);
        }
        println!(
            "list of 10 rows over HTTP, {callers} callers: GraphQL {graphql:.0}/s, plain handler \
             {by_hand:.0}/s, ratio {:.2}",
            graphql / by_hand
        );
    }
    stop.now();
    handles.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Answers per second to the same request, from so many connections.
pub(super) async fn asked(address: std::net::SocketAddr, request: &str, callers: usize) -> f64 {
    const EACH: usize = 4_000;
    let began = Instant::now();
    let work = (0..callers).map(|_| {
        let request = request.to_owned();
        tokio::spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut buffer = vec![0; 1 << 16];
            for _ in 0..EACH / callers {
                stream.write_all(request.as_bytes()).await.unwrap();
                let (mut have, mut wanted) = (0, usize::MAX);
                while have < wanted {
                    let n = stream.read(&mut buffer[have..]).await.unwrap();
                    assert!(n > 0, "the connection was closed");
                    have += n;
                    let text = std::str::from_utf8(&buffer[..have]).unwrap();
                    if let Some(end) = text.find("\r\n\r\n") {
                        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                        let length =
                            text.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
                        wanted = end + 4 + length.parse::<usize>().unwrap();
                    }
                }
            }
        })
    });
    for caller in join_all(work).await {
        caller.unwrap();
    }
    per_second(EACH / callers * callers, began.elapsed())
}
