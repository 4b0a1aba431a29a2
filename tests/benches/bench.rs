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
mod million;
mod outside;
#[cfg(feature = "postgres")]
mod postgres;
mod raw;
mod reading;
mod views;
use reading::reading;

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
        "\ncommands, one event each, over {BUSINESSES} businesses (command bus, sealing, canonical \
         bytes, \
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
            let alone = Bench::new().await.without_views().await;
            let alone = alone.run(64, 20_000, plan).await.rate;
            let bench = Bench::new().await;
            let with_views = bench.run(64, 20_000, plan).await.rate;
            println!(
                "\nwith every view kept up on the same {} cores: {with_views:.0}/s at 64 callers, \
                 {:.2} of {alone:.0}/s without views",
                std::thread::available_parallelism().unwrap(),
                with_views / alone
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
            views::views().await;
        }
        if wanted("dashboards") {
            dashboards::dashboards().await;
        }
        if wanted("million") {
            million::million().await;
        }
        println!("\npeak memory {} MiB, of benchmark and product together", usage().1 / 1024);
    });
}
