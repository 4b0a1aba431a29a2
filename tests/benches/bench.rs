//! `make bench`: our whole command path beside a raw group commit of the same rows in the same
//! schema on the same disk, in one run; ratios, with the absolute figures beside.
//!
//! Figures of one run are comparable with each other and with nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark may"
)]

mod dashboards;
#[cfg(feature = "kurrentdb")]
mod kurrentdb;
mod outside;
#[cfg(feature = "postgres")]
mod postgres;
mod raw;

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commands::{Actor, Submission};
use domain::BusinessId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use server::app::{App, Handles, operator};
use tempfile::TempDir;
use tests::installation::config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLERS: [usize; 4] = [1, 16, 64, 256];
const BUSINESSES: usize = 100;

struct Bench {
    app: Arc<App>,
    businesses: Vec<(BusinessId, Actor)>,
    _folder: TempDir,
}

fn per_second(n: usize, took: Duration) -> f64 {
    n as f64 / took.as_secs_f64()
}

/// A folder on the disk that the build lies on: /tmp may be memory.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Bench {
    async fn new() -> Self {
        Self::on("").await
    }

    /// One whose log is at that address, or in its folder.
    async fn on(log: &str) -> Self {
        let folder = folder();
        // Several processes on one log must wrap keys alike.
        std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
        let config = server::config::Config { log: log.to_owned(), ..config(folder.path()) };
        let app = Arc::new(App::open(&config, Handles::default()).await.unwrap());
        let mut businesses = Vec::new();
        for n in 0..BUSINESSES {
            let data = json!({"slug": format!("b{n}")});
            let key = format!("register {n}");
            let business = app
                .as_operator(&key, "businesses.register", None, &data, domain::ids::INSTALLATION)
                .await
                .unwrap()
                .business;
            businesses.push((business, app.operator_in(business).await.unwrap()));
        }
        Self { app, businesses, _folder: folder }
    }

    /// The same installation with its views at rest: what is measured is the path of commands.
    async fn without_views(self) -> Self {
        projections::Runner::stop(&self.app.views).await;
        self
    }

    /// `n` commands from so many callers; `make` says what the i-th is.
    async fn run(
        &self,
        callers: usize,
        n: usize,
        make: impl Fn(usize) -> (usize, &'static str, Option<Uuid>, Value) + Clone + Send + 'static,
    ) -> Latencies {
        let began = Instant::now();
        let work = (0..callers).map(|caller| {
            let (app, businesses, make) =
                (Arc::clone(&self.app), self.businesses.clone(), make.clone());
            tokio::spawn(async move {
                let mut took = Vec::with_capacity(n / callers);
                for i in (caller..n).step_by(callers) {
                    let (b, command, id, data) = make(i);
                    let (business, actor) = &businesses[b % BUSINESSES];
                    let submission = Submission::new(
                        *business,
                        actor.clone(),
                        Uuid::now_v7().to_string(),
                        command,
                        id,
                        &data,
                    );
                    let one = Instant::now();
                    app.bus.submit(submission).await.unwrap();
                    took.push(one.elapsed());
                }
                took
            })
        });
        let each: Vec<Duration> =
            join_all(work).await.into_iter().flat_map(Result::unwrap).collect();
        Latencies::new(each, began.elapsed())
    }
}

struct Latencies {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl Latencies {
    fn new(mut each: Vec<Duration>, took: Duration) -> Self {
        each.sort_unstable();
        let at = |q: usize| each[(each.len() - 1) * q / 100];
        Self { rate: per_second(each.len(), took), p50: at(50), p99: at(99) }
    }
}

fn plan(i: usize) -> (usize, &'static str, Option<Uuid>, Value) {
    (
        i,
        "tasks.plan",
        None,
        json!({"title": "Write to the customer whose order was late", "team": "sales"}),
    )
}

fn count(callers: usize) -> usize {
    match callers {
        1 => 1_000,
        16 => 8_000,
        _ => 20_000,
    }
}

fn disk() {
    let folder = folder();
    let mut file = File::create(folder.path().join("f")).unwrap();
    let began = Instant::now();
    for _ in 0..500 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    println!("disk: {:.0} fsyncs/s of 4 KiB appends", per_second(500, began.elapsed()));
}

fn usage() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    (ticks / 100.0, peak)
}

async fn spread(bench: &Bench) -> f64 {
    println!(
        "\ncommands, one event each, over {BUSINESSES} businesses (command bus, sealing, canonical bytes, \
         Merkle, durable) beside raw group commit"
    );
    println!(
        "{:>8} {:>12} {:>12} {:>7} {:>9} {:>9} {:>6}",
        "callers", "ours/s", "raw/s", "ratio", "p50 ms", "p99 ms", "cores"
    );
    let rows = raw::rows(&*bench.app.log, &bench.businesses, || async {
        bench.run(64, 2_000, plan).await;
    })
    .await;
    let (mut at_64, mut before) = (0.0, 0);
    // One file for all turns, as ours is one: trees of the same size.
    let folder = folder();
    for callers in CALLERS {
        // Three turns each, ours and raw by turns, the best of each: the disk has moods.
        let (mut ours, mut base, mut cores) = (None::<Latencies>, 0.0_f64, 0.0);
        for _ in 0..3 {
            let (cpu, clock) = (usage().0, Instant::now());
            let one = bench.run(callers, count(callers), plan).await;
            if ours.as_ref().is_none_or(|o| o.rate < one.rate) {
                cores = (usage().0 - cpu) / clock.elapsed().as_secs_f64();
                ours = Some(one);
            }
            base = base.max(
                raw::group_commit(folder.path(), &rows, callers, before, count(callers)).await,
            );
            before += count(callers);
        }
        let ours = ours.unwrap();
        if callers == 64 {
            at_64 = ours.rate;
        }
        let ms = |d: Duration| d.as_secs_f64() * 1_000.0;
        println!(
            "{callers:>8} {:>12.0} {base:>12.0} {:>7.2} {:>9.2} {:>9.2} {cores:>6.2}",
            ours.rate,
            ours.rate / base,
            ms(ours.p50),
            ms(ours.p99)
        );
    }
    at_64
}

async fn one_aggregate(bench: &Bench, spread: f64) {
    let (business, actor) = &bench.businesses[0];
    let plan = Submission::new(
        *business,
        actor.clone(),
        Uuid::now_v7().to_string(),
        "tasks.plan",
        None,
        &json!({"title": "t", "team": "hr"}),
    );
    let task = bench.app.bus.submit(plan).await.unwrap().events[0].id;
    let activity = move |_: usize| {
        (
            0,
            "tasks.record_activity",
            Some(task),
            json!({"activity": "step", "note": "Write to the customer whose order was late"}),
        )
    };
    let mut rates = Vec::new();
    for _ in 0..10 {
        rates.push(bench.run(64, 2_000, activity).await.rate);
    }
    let best = rates.iter().copied().fold(0.0, f64::max);
    println!(
        "\n64 callers on one aggregate: {best:.0}/s, {:.2} of the spread figure",
        best / spread
    );
    println!(
        "while it grows to 20,000 events, each 2,000: {}",
        rates.iter().map(|r| format!("{r:.0}")).collect::<Vec<_>>().join(" ")
    );
    let (first, last) = (rates[..3].iter().sum::<f64>(), rates[7..].iter().sum::<f64>());
    println!("last three over first three: {:.2}", last / first);
}

async fn reading(bench: &Bench) {
    bench.app.caught_up(Duration::from_secs(600)).await.unwrap();
    let end = *bench.app.log.position().borrow();
    let scan = async |typed: bool| {
        let (began, mut after, mut n) = (Instant::now(), 0, 0);
        loop {
            let page = bench.app.log.read_all(after, 1_000).await.unwrap();
            let Some(last) = page.last() else { return per_second(n, began.elapsed()) };
            after = last.position;
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
    let rate = per_second(usize::try_from(end).unwrap(), began.elapsed());
    println!(
        "all projections built beside and compared: {rate:.0} events/s, {:.2} of the scan",
        rate / raw
    );
    lists(bench).await;
}

/// Ten rows, asked for over HTTP by callers that keep their connections, of our door and of a
/// handler written for just this.
async fn lists(bench: &Bench) {
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
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: \
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
async fn asked(address: std::net::SocketAddr, request: &str, callers: usize) -> f64 {
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

async fn import() {
    use importers::records::Records;
    use importers::{Counts, Import, Settings, Transcripts};
    let slice =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tau-bench/airline-slice.json"))
            .unwrap();
    let folder = folder();
    let app = App::open(&config(folder.path()), Handles::default()).await.unwrap();
    let (began, mut counts) = (Instant::now(), Counts::default());
    for n in 0..20 {
        let settings = Settings {
            business: format!("copy{n}"),
            currency: domain::values::Currency::USD,
            clear: Vec::new(),
        };
        let importer =
            Import::begin(&app.import_host().await.unwrap(), &Transcripts, &settings, operator())
                .await
                .unwrap();
        let records = Records::new(slice.as_slice()).map(|r| r.unwrap().bytes.unwrap());
        for taken in join_all(records.map(|bytes| {
            let importer = &importer;
            async move { importer.record(&bytes).await }
        }))
        .await
        {
            counts.add(&taken.unwrap());
        }
    }
    let rate = per_second(usize::try_from(counts.events_written).unwrap(), began.elapsed());
    let rows = raw::all_rows(&*app.log).await;
    let other = self::folder();
    let base = raw::group_commit(other.path(), &rows, 16, 0, rows.len()).await;
    println!(
        "\nimport: {rate:.0} events/s, {:.2} of the raw insert of the same rows from 16 callers \
         ({base:.0}/s)",
        rate / base
    );
    app.close().await;
}

/// `make bench` runs everything; a word after `--` runs that part alone.
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let only = std::env::args().nth(1).filter(|a| !a.starts_with("--"));
        let wanted = |part: &str| only.as_deref().is_none_or(|o| o == part);
        #[cfg(feature = "postgres")]
        if std::env::args().nth(1).is_some_and(|a| a == "one-of-several") {
            return postgres::one_of_several(std::env::args().nth(2).unwrap_or_default()).await;
        }
        disk();
        if wanted("commands") {
            let bench = Bench::new().await.without_views().await;
            let at_64 = spread(&bench).await;
            one_aggregate(&bench, at_64).await;
        }
        if wanted("reading") {
            let bench = Bench::new().await;
            let with_views = bench.run(64, 20_000, plan).await.rate;
            println!(
                "\nwith every view kept up on the same {} cores: {with_views:.0}/s at 64 callers",
                std::thread::available_parallelism().unwrap()
            );
            reading(&bench).await;
        }
        if wanted("import") {
            import().await;
        }
        #[cfg(feature = "postgres")]
        if wanted("postgres") {
            postgres::postgres().await;
        }
        if wanted("outside") {
            outside::outside().await;
        }
        #[cfg(feature = "kurrentdb")]
        if wanted("kurrentdb") {
            kurrentdb::kurrentdb().await;
        }
        if wanted("views") {
            dashboards::dashboards().await;
        }
        println!("\npeak memory {} MiB, of benchmark and product together", usage().1 / 1024);
    });
}
