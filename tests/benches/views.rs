//! How fast the views follow a log of imports: rebuilt beside those that are read, and live; and
//! how large their files are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::Position;
use futures_util::StreamExt as _;
use importers::{Format, Import, Settings};
use server::app::{App, Handles, operator};
use tests::installation::config;

use super::{folder, per_second};

/// Least events of the log.
const EVENTS_MIN: u64 = 125_000;
/// How often a rebuild is measured, each next to a projection that only counts.
const PAIRS: usize = 3;
const LONG: Duration = Duration::from_secs(900);

const COMMITTED: &[(Format, &str)] = &[
    (&importers::Xes as Format, "process-logs/orders.xes"),
    (&importers::Transcripts, "tau-bench/airline-slice.json"),
    (&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json"),
    (&importers::Openhands, "openhands/basic_gui_mode.json"),
    (&importers::SweAgent, "swe-agent/flash.traj"),
    (&importers::Csv, "process-logs/tickets.csv"),
];

const REAL: &[(Format, &str)] = &[
    (&importers::Xes as Format, "2-process-logs/pm4py/helpdesk.xes.gz"),
    (&importers::Transcripts, "1-agent-traces/tau-bench/gpt-4o-airline.json"),
];

/// The sources to import: those of the folder of real data where it is, else the committed ones.
fn sources() -> Vec<(Format, PathBuf)> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let (root, of) = match std::env::var("MINUTEBOOK_REAL_DATA") {
        Ok(root) => (PathBuf::from(root), REAL),
        Err(_) => (committed, COMMITTED),
    };
    let there = of.iter().map(|(format, file)| (*format, root.join(file)));
    there.filter(|(_, path)| path.exists()).collect()
}

/// Imports a source into a business; returns how many events that wrote.
pub(crate) async fn import(app: &Arc<App>, format: Format, path: &Path, business: &str) -> u64 {
    let settings = Settings {
        business: business.to_owned(),
        currency: domain::values::Currency::USD,
        clear: Vec::new(),
    };
    let host = app.import_host().await.unwrap();
    let importer = Import::begin(&host, format, &settings, operator()).await.unwrap();
    let records = format.open(path, &Default::default()).unwrap();
    let take = async |record: std::io::Result<importers::records::Record>| {
        let Ok(bytes) = record.unwrap().bytes else { return 0 };
        importer.record(&bytes).await.map_or(0, |counts| counts.events_written)
    };
    let mut under_way = futures_util::stream::iter(records).map(take).buffered(64);
    let mut events = 0;
    while let Some(n) = under_way.next().await {
        events += n;
    }
    events
}

/// A projection that does nothing but count, in the same batches on the same kind of file.
async fn only_counting(app: &App) -> f64 {
    let place = folder();
    let connection = rusqlite::Connection::open(place.path().join("count.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE \
            counts(business TEXT PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, \
            WITHOUT ROWID",
        )
        .unwrap();
    let (began, mut after, mut n) = (Instant::now(), 0, 0);
    loop {
        let page =
            app.log.read_all(Position(after), domain::limits::PROJECTION_BATCH_MAX).await.unwrap();
        let Some(last) = page.last() else { return per_second(n, began.elapsed()) };
        after = last.position.0;
        n += page.len();
        let tx = connection.unchecked_transaction().unwrap();
        for recorded in &page {
            std::hint::black_box(recorded.stored().unwrap().event().unwrap());
            let sql = "INSERT INTO counts VALUES (?, 1, ?) ON CONFLICT (business) DO UPDATE SET n \
                = n + 1, at = excluded.at";
            tx.prepare_cached(sql)
                .unwrap()
                .execute((recorded.business.to_string(), recorded.position))
                .unwrap();
        }
        tx.commit().unwrap();
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Bytes of the files in a folder and the folders in it.
fn bytes(folder: &Path) -> u64 {
    let each = std::fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { bytes(&path) } else { path.metadata().unwrap().len() }
    });
    each.sum()
}

/// Rebuilds everything next to counting everything, and prints the medians of the pairs.
pub(crate) async fn rebuilt(app: &App) {
    let n = usize::try_from(app.views.position().0).unwrap();
    let (mut ratios, mut rates, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let counted = only_counting(app).await;
        let began = Instant::now();
        app.views.rebuild(None).await.unwrap();
        let outcome = app.views.settled(LONG).await.unwrap().unwrap();
        assert!(outcome.differed.is_empty(), "{outcome:?}");
        let built = per_second(n, began.elapsed());
        ratios.push(built / counted);
        rates.push(built);
        counts.push(counted);
    }
    println!(
        "all views with search built beside, compared and flipped: {:.0} events/s; one that only \
         counts {:.0}/s; ratio {:.2} (medians of {PAIRS} adjacent pairs)",
        median(rates),
        median(counts),
        median(ratios)
    );
}

pub(crate) async fn views() {
    let place = folder();
    let open =
        async || Arc::new(App::open(&config(place.path()), Handles::default()).await.unwrap());
    let app = open().await;
    let (began, mut events, mut turn) = (Instant::now(), 0, 0);
    while events < EVENTS_MIN {
        for (n, (format, path)) in sources().iter().enumerate() {
            events += import(&app, *format, path, &format!("b{turn}-{n}")).await;
            // From here on the views stand still, to be seen catching up.
            projections::Runner::stop(&app.views).await;
        }
        turn += 1;
    }
    println!(
        "\n{events} events of {turn} × {} imports, imported at {:.0}/s with the views at rest",
        sources().len(),
        per_second(usize::try_from(events).unwrap(), began.elapsed())
    );
    Arc::into_inner(app).unwrap().close().await;
    let app = open().await;
    let (began, behind) = (Instant::now(), app.log.end().0 - app.views.position().0);
    app.caught_up(LONG).await.unwrap();
    println!(
        "views caught up live, with search: {:.0} events/s",
        per_second(usize::try_from(behind).unwrap(), began.elapsed())
    );
    rebuilt(&app).await;
    Arc::into_inner(app).unwrap().close().await;
    std::fs::remove_dir_all(place.path().join("views")).unwrap();
    let app = open().await;
    let began = Instant::now();
    app.caught_up(LONG).await.unwrap();
    app.views.settled(LONG).await.unwrap();
    println!(
        "views filled anew, with search: {:.0} events/s",
        per_second(usize::try_from(app.log.end().0).unwrap(), began.elapsed())
    );
    Arc::into_inner(app).unwrap().close().await;
    let (tables, search) =
        (bytes(&place.path().join("views")), bytes(&place.path().join("views/search")));
    let log = place.path().join("log.db").metadata().unwrap().len();
    println!(
        "files: log {} MB, views {} MB, of which search {} MB",
        log / 1_000_000,
        tables / 1_000_000,
        search / 1_000_000
    );
}
