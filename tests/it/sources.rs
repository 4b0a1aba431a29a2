//! Every source comes in whole, twice: the same counts, no new event, digests as rebuilt; and a
//! broken file says where and why.

mod damaged;

use event_log::Seq;
use importers::Importer as _;
use importers::csv::Columns;
use importers::source::Reading;
use importers::{Counts, Format};
use serde_json::{Value, json};
use tests::installation::Installation;

use crate::metrics::import;

fn of(counts: &Counts, words: &[&str]) -> Vec<u64> {
    words.iter().map(|w| counts.source.get(*w).copied().unwrap_or(0)).collect()
}

async fn twice(format: Format, file: &str) -> (Installation, Counts) {
    let installation = Installation::new().await;
    let first = import(&installation, format, file, "acme").await;
    let heads = installation.app.log.heads().await.unwrap();
    let second = import(&installation, format, file, "acme").await;
    assert_eq!((second.events_written, &second.source), (0, &first.source));
    assert_eq!(second.cost, first.cost);
    assert_eq!(installation.app.log.heads().await.unwrap(), heads);
    installation.views_are_rebuilt_alike().await;
    installation.verifies().await;
    (installation, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn langfuse_traces_keep_kind_parent_and_cost() {
    let (installation, counts) =
        twice(&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json").await;
    assert_eq!(
        of(&counts, &["observations", "agent", "generation", "tool", "orphans"]),
        [4, 1, 2, 1, 0]
    );
    assert_eq!((counts.decisions, counts.calls, counts.cost.as_str()), (2, 1, "0.000656"));
    // The tool is caused by the agent, not by whatever came before it in the file.
    let query = "{ business(slug: \"acme\") { events(first: 50) { nodes { id type causationId \
        data } } } }";
    let events =
        installation.query(query).await["business"]["events"]["nodes"].as_array().unwrap().clone();
    let agent = events.iter().find(|e| e["data"]["lifecycle"] == "agent").unwrap();
    let tool = events.iter().find(|e| e["type"] == "integrations.call_intended").unwrap();
    assert_eq!(tool["causationId"], agent["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_committed_traces_give_their_numbers() {
    let installation = Installation::new().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/langfuse");
    let mut total = Counts::default();
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        total.add(
            &import(&installation, &importers::Langfuse, &format!("langfuse/{name}"), "acme").await,
        );
    }
    assert_eq!(
        of(&total, &["observations", "generation", "tool", "span", "agent"]),
        [28, 10, 2, 15, 1]
    );
    assert_eq!((total.tasks, total.cost.as_str()), (7, "0.005122"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_outside_the_trace_is_kept_and_flagged() {
    let installation = Installation::new().await;
    let trace = json!({"trace": {"id": "t"}, "observations": [
        {"id": "child", "type": "SPAN", "parentObservationId": "later"},
            {"id": "later", "type": "SPAN", "parentObservationId": "elsewhere"}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), trace.to_string()).unwrap();
    let counts =
        import(&installation, &importers::Langfuse, file.path().to_str().unwrap(), "acme").await;
    assert_eq!(of(&counts, &["observations", "orphans"]), [2, 1]);
    let query = "{ business(slug: \"acme\") { tasks(first: 3) { nodes { activities(first: \
        9) { nodes { activity note { text } } } } } } }";
    let activities = installation.query(query).await["business"]["tasks"]["nodes"][0]["activities"]
        ["nodes"]
        .clone();
    let flag = activities
        .as_array()
        .unwrap()
        .iter()
        .find(|a| a["activity"] == "parent_not_in_trace")
        .unwrap()
        .clone();
    assert!(flag["note"]["text"].as_str().unwrap().contains("elsewhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openhands_runs_keep_order_and_cause() {
    let (_, counts) = twice(&importers::Openhands, "openhands/basic_gui_mode.json").await;
    assert_eq!(
        of(&counts, &["runs", "events", "with_cause", "results", "human_inputs"]),
        [1, 18, 7, 4, 1]
    );
    assert_eq!((counts.decisions, counts.calls, counts.calls_failed), (5, 4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn swe_agent_trajectories_are_decisions_and_calls() {
    let (_, counts) = twice(&importers::SweAgent, "swe-agent/flash.traj").await;
    assert_eq!(
        (of(&counts, &["trajectories", "steps"]), counts.decisions, counts.calls),
        (vec![1, 4], 4, 4)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_come_in_as_domain_expertise() {
    let (installation, counts) = twice(&importers::Documents, "documents").await;
    assert_eq!(of(&counts, &["documents"]), [6]);
    let found = installation
        .query(
            "{ business(slug: \"acme\") { memory(filter: {kind: \
        DOMAIN_EXPERTISE}, first: 200) { totalCount } } }",
        )
        .await;
    assert!(found["business"]["memory"]["totalCount"].as_u64().unwrap() >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_log_comes_in_without_loss() {
    let (installation, counts) = twice(&importers::Xes, "process-logs/orders.xes").await;
    assert_eq!(of(&counts, &["cases", "events", "activities"]), [3, 4, 2]);
    let query = "{ business(slug: \"acme\") { tasks(first: 5) { nodes { title { text } status \
        historyPlace attributes { text }
        activities(first: 9) { nodes { activity lifecycle resourceId sourceTime at \
        attributes { text } } } } } } }";
    let tasks =
        installation.query(query).await["business"]["tasks"]["nodes"].as_array().unwrap().clone();
    assert_eq!(tasks.len(), 3);
    let order = &tasks[0];
    assert_eq!(
        (order["title"]["text"].as_str(), order["status"].as_str(), order["historyPlace"].as_i64()),
        (Some("order-1"), Some("COMPLETED"), Some(1))
    );
    let worth: Value = serde_json::from_str(order["attributes"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        worth[1],
        json!({"key": "worth", "type": "float", "value": "1.50e2"}),
        "the lexical value, not a number of ours"
    );
    let done = order["activities"]["nodes"].as_array().unwrap();
    assert_eq!(done[0]["sourceTime"], "2026-03-01T09:00:00.000+01:00");
    assert_eq!(done[0]["at"], "2026-03-01T08:00:00.000000Z");
    assert_eq!((done[0]["resourceId"].is_string(), done[2]["resourceId"].is_null()), (true, true));
    let attributes: Value =
        serde_json::from_str(done[1]["attributes"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        attributes[4]["children"][0],
        json!({"key": "finding", "type": "string", "value": "address & name differ"})
    );
    let opened = installation
        .query(
            "{ business(slug: \"acme\") { events(filter: {type: \
        \"tasks.history_opened\"}) { nodes { data } } } }",
        )
        .await;
    let header: Value = serde_json::from_str(
        opened["business"]["events"]["nodes"][0]["data"]["header"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(header["attributes"][0]["children"][0]["value"], "3");
    assert_eq!(
        (header["extensions"].as_array().unwrap().len(), header["classifiers"][0][0][1].as_str()),
        (2, Some("Activity"))
    );
    let raw = installation
        .app
        .log
        .read_business(installation.app.business("acme").await.unwrap().unwrap(), Seq::START, 1_000)
        .await
        .unwrap();
    assert!(
        !raw.iter().any(|r| String::from_utf8_lossy(&r.bytes).contains("Weiß")),
        "a person's name is sealed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_csv_are_cases_and_activities() {
    let (_, counts) = twice(&importers::Csv, "process-logs/tickets.csv").await;
    assert_eq!(of(&counts, &["cases", "events", "activities"]), [2, 6, 4]);
}

fn columns(case: &str) -> Reading {
    let columns = Columns {
        case: case.to_owned(),
        activity: "a".to_owned(),
        time: "t".to_owned(),
        ..Columns::default()
    };
    Reading { columns, allow_missing: true, ..Reading::default() }
}

#[test]
fn a_missing_column_is_named_and_a_mad_date_costs_one_row() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "c,a,t\n1,x,2026-01-01\n1,y,2026-01-01T00:00:00Z\n1,z\n2,x,2026-01-02 10:00:00\n",
    )
    .unwrap();
    let Err(missing) = importers::Csv.open(file.path(), &columns("case")) else { panic!() };
    assert!(missing.contains("no column `case`") && missing.contains("c, a, t"), "{missing}");
    let records: Vec<_> =
        importers::Csv.open(file.path(), &columns("c")).unwrap().map(Result::unwrap).collect();
    let broken: Vec<(u64, &str)> =
        records.iter().filter_map(|r| Some((r.line, r.bytes.as_ref().err()?.as_str()))).collect();
    assert_eq!(broken.iter().map(|b| b.0).collect::<Vec<_>>(), [2, 4]);
    assert!(broken[0].1.contains("`2026-01-01` is no time"), "{broken:?}");
}

#[test]
fn a_log_that_is_cut_or_has_only_headers_is_told_apart() {
    let read = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        importers::Xes
            .open(file.path(), &columns("c"))
            .unwrap()
            .map(|r| r.unwrap().bytes.map(|b| b.len()))
            .collect::<Vec<_>>()
    };
    let headers = read(
        "<log><extension name=\"Concept\" prefix=\"concept\" uri=\"x\"/><string key=\"a\" \
         value=\"b\"/></log>",
    );
    assert_eq!(headers, [Err("the log has no case".to_owned())]);
    let whole = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/data/process-logs/orders.xes"
    ))
    .unwrap();
    for cut in (0..whole.len()).step_by(37).filter(|at| whole.is_char_boundary(*at)) {
        let records = read(&whole[..cut]);
        assert!(records.iter().any(Result::is_err), "cut at byte {cut}");
    }
    assert!(read(&whole).iter().all(Result::is_ok));
    assert!(read("no xml at all")[0].is_err());
}

/// The files that may not be committed, where they are at hand: `MINUTEBOOK_REAL_DATA`.
#[tokio::test(flavor = "multi_thread")]
async fn whole_logs_and_libraries_come_in_twice_with_the_same_numbers() {
    let Some(root) = std::env::var_os("MINUTEBOOK_REAL_DATA").map(std::path::PathBuf::from) else {
        eprintln!(
            "MINUTEBOOK_REAL_DATA is not set: the whole process logs and documents were not \
             imported"
        );
        return;
    };
    let at = |path: &str| root.join(path).to_str().unwrap().to_owned();
    type Wanted = &'static [(&'static str, u64)];
    let cases: [(Format, String, Wanted); 5] = [
        (
            &importers::Openhands,
            at("1-agent-traces/openhands/multi_swe_output.jsonl"),
            &[("runs", 3), ("events", 49 + 70 + 103)],
        ),
        (
            &importers::Xes,
            at("2-process-logs/pm4py/running-example.xes"),
            &[("events", 42), ("cases", 6)],
        ),
        (
            &importers::Documents,
            at("1-agent-traces/tau2-bench/banking_knowledge/documents"),
            &[("documents", 358)],
        ),
        (
            &importers::Csv,
            at("2-process-logs/pm4py/receipt.csv"),
            &[("events", 8_577), ("cases", 1_434), ("activities", 27)],
        ),
        (
            &importers::Xes,
            at("2-process-logs/pm4py/helpdesk.xes.gz"),
            &[("events", 21_348), ("cases", 4_580)],
        ),
    ];
    for (format, file, wanted) in cases {
        let (_, counts) = twice(format, &file).await;
        for (word, n) in wanted {
            assert_eq!(counts.source[*word], *n, "{word} of {file}");
        }
    }
}

/// Everything that can be counted in a business.
const ALL: &str =
    "{ business(slug: \"acme\") { tasks(first: 1) { totalCount } decisions(first: 1) \
    { totalCount } calls(first: 1) { totalCount }
    activities: events(first: 1, filter: {type: \"tasks.activity_recorded\"}) { totalCount } } }";
