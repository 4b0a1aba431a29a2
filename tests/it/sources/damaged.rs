//! Files that were cut, mended or nested.

use super::ALL;
use importers::Format;
use importers::Importer as _;
use importers::csv::Columns;
use importers::source::Reading;
use serde_json::json;
use tests::installation::Installation;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_mended_csv_brings_what_was_broken_and_closes_its_case() {
    let installation = Installation::new().await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("log.csv");
    let rows = |first: &str, third: &str| {
        format!(
            "ticket,step,when,who\nA,open,{first},\nA,x,2020-01-02T00:00:00Z,\n{third}\nB,only,2020-02-01T00:00:00Z,\n"
        )
    };
    let take = async || {
        let path = file.to_str().unwrap().to_owned();
        let settings = importers::Settings {
            business: "acme".to_owned(),
            currency: domain::values::Currency::USD,
            clear: Vec::new(),
        };
        let importer = importers::Import::begin(
            &installation.app.import_host().await.unwrap(),
            &importers::Csv,
            &settings,
            server::app::operator(),
        )
        .await
        .unwrap();
        let columns = Columns {
            case: "ticket".to_owned(),
            activity: "step".to_owned(),
            time: "when".to_owned(),
            ..Columns::default()
        };
        let reading = Reading { columns, ..Reading::default() };
        let mut broken = 0;
        for record in importers::Csv.open(std::path::Path::new(&path), &reading).unwrap() {
            match record.unwrap().bytes {
                Ok(bytes) => drop(importer.record(&bytes).await.unwrap()),
                Err(_) => broken += 1,
            }
        }
        broken
    };
    std::fs::write(&file, rows("yesterday", "A,close")).unwrap();
    assert_eq!(take().await, 2);
    let ask = "{ business(slug: \"acme\") { tasks(first: 5) { nodes { title { text } status \
        activityCount closedAt } } kpis(ids: [\"throughput\"]) { series(by: MONTH) { key exact } \
        } } \
        }";
    let seen = installation.query(ask).await["business"]["tasks"]["nodes"].clone();
    assert_eq!(
        (&seen[0]["status"], &seen[1]["status"]),
        (&json!("PLANNED"), &json!("COMPLETED")),
        "a case with a broken row stays open"
    );
    std::fs::write(&file, rows("2020-01-01T00:00:00Z", "A,close,2020-01-03T00:00:00Z,")).unwrap();
    assert_eq!(take().await, 0);
    let seen = installation.query(ask).await["business"].clone();
    let case = &seen["tasks"]["nodes"][0];
    assert_eq!(
        (&case["status"], &case["activityCount"], &case["closedAt"]),
        (&json!("COMPLETED"), &json!(3), &json!("2020-01-03T00:00:00.000000Z"))
    );
    let months = json!([{"key": "2020-01", "exact": "1"}, {"key": "2020-02", "exact": "1"}]);
    assert_eq!(
        seen["kpis"][0]["series"], months,
        "work is done when it was done, not when it came in"
    );
}

/// What of a file can be read is taken in; what can't is said, and costs nothing.
pub(super) async fn take_what_can_be_read(
    installation: &Installation,
    format: Format,
    path: &std::path::Path,
) -> usize {
    let settings = importers::Settings {
        business: "acme".to_owned(),
        currency: domain::values::Currency::USD,
        clear: Vec::new(),
    };
    let importer = importers::Import::begin(
        &installation.app.import_host().await.unwrap(),
        format,
        &settings,
        server::app::operator(),
    )
    .await
    .unwrap();
    let mut broken = 0;
    let Ok(records) = format.open(path, &Default::default()) else { return 1 };
    for record in records {
        let taken = match record.map(|r| r.bytes) {
            Ok(Ok(bytes)) => importer.record(&bytes).await.map(|_| ()),
            Ok(Err(why)) => Err(why),
            Err(e) => Err(event_log::chain(&e).to_string()),
        };
        if let Err(why) = taken {
            assert!(!why.is_empty() && why.len() < 1_000, "{why}");
            broken += 1;
        }
    }
    broken
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_file_that_was_cut_anywhere_says_so_and_the_whole_one_then_brings_the_same() {
    for (format, file) in [
        (&importers::Transcripts as importers::Format, "tau-bench/airline-slice.json"),
        (&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json"),
        (&importers::Openhands, "openhands/basic_gui_mode.json"),
        (&importers::SweAgent, "swe-agent/flash.traj"),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
        let clean = Installation::new().await;
        assert_eq!(take_what_can_be_read(&clean, format, &path).await, 0);
        let cut = Installation::new().await;
        let (whole, folder) = (std::fs::read(&path).unwrap(), tempfile::TempDir::new().unwrap());
        let part = folder.path().join(path.file_name().unwrap());
        for n in 0..10 {
            std::fs::write(&part, &whole[..whole.len() * n / 10 + n]).unwrap();
            assert!(
                n == 0 || take_what_can_be_read(&cut, format, &part).await > 0,
                "{file} cut at {n} tenths"
            );
        }
        assert_eq!(take_what_can_be_read(&cut, format, &path).await, 0);
        assert_eq!(cut.query(ALL).await, clean.query(ALL).await, "{file}");
        cut.views_are_rebuilt_alike().await;
        cut.verifies().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_trace_that_is_nested_too_deeply_costs_only_itself() {
    let installation = Installation::new().await;
    let good = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data/langfuse/microsoft-agent-2025-12-17.trace.json"),
    )
    .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    for depth in [200, 100_000] {
        let deep = format!(
            "{{\"trace\":{{\"id\":\"t\",\"name\":{}1{}}},\"observations\":[]}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        std::fs::write(file.path(), deep).unwrap();
        assert_eq!(
            take_what_can_be_read(&installation, &importers::Langfuse, file.path()).await,
            1,
            "{depth}"
        );
    }
    std::fs::write(file.path(), good).unwrap();
    assert_eq!(take_what_can_be_read(&installation, &importers::Langfuse, file.path()).await, 0);
}
