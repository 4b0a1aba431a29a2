//! The main job: real transcripts in, the same numbers on every run.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use domain::values::Currency;
use importers::records::Records;
use importers::{Counts, Settings};
use importers::{Import, Transcripts};
use serde_json::{Value, json};
use server::app::operator;
use tests::installation::Installation;

fn slice() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tau-bench/airline-slice.json")
}

async fn import(installation: &Installation, input: &[u8]) -> (Counts, Vec<(u64, u64, String)>) {
    let settings =
        Settings { business: "airline".to_owned(), currency: Currency::USD, clear: Vec::new() };
    let importer = Import::begin(
        &installation.app.import_host().await.unwrap(),
        &Transcripts,
        &settings,
        operator(),
    )
    .await
    .unwrap();
    let (mut total, mut broken) = (Counts::default(), Vec::new());
    for record in Records::new(BufReader::new(input)) {
        let record = record.unwrap();
        let taken = match record.bytes {
            Ok(bytes) => importer.record(&bytes).await,
            Err(why) => Err(why),
        };
        match taken {
            Ok(counts) => total.add(&counts),
            Err(why) => broken.push((record.number, record.line, why)),
        }
    }
    (total, broken)
}

fn numbers(c: &Counts) -> [u64; 8] {
    [
        c.tasks,
        c.decisions,
        c.calls,
        c.calls_failed,
        c.escalated,
        c.passed,
        c.passed_escalated,
        c.customer_cost_unknown,
    ]
}

/// The same numbers, straight from the file, by other means.
fn expected(input: &[u8]) -> ([u64; 8], String) {
    let all: Vec<Value> = serde_json::from_slice(input).unwrap();
    let (mut n, mut cost) = ([0; 8], rust_decimal::Decimal::ZERO);
    for t in &all {
        let messages = t["traj"].as_array().unwrap();
        let calls: Vec<&str> = messages
            .iter()
            .filter_map(|m| m["tool_calls"].as_array())
            .flatten()
            .map(|c| c["function"]["name"].as_str().unwrap())
            .collect();
        let errors = messages
            .iter()
            .filter(|m| m["role"] == "tool" && m["content"].as_str().unwrap().starts_with("Error"))
            .count() as u64;
        let (escalated, passed) =
            (calls.last() == Some(&"transfer_to_human_agents"), t["reward"] == 1.0);
        n[0] += 1;
        n[1] += messages.iter().filter(|m| m["role"] == "assistant").count() as u64;
        n[2] += calls.len() as u64;
        n[3] += errors;
        n[4] += u64::from(escalated);
        n[5] += u64::from(passed);
        n[6] += u64::from(escalated && passed);
        n[7] += u64::from(t["info"]["user_cost"].is_null());
        cost +=
            rust_decimal::Decimal::from_f64_retain(t["info"]["user_cost"].as_f64().unwrap_or(0.0))
                .unwrap();
    }
    (n, cost.round_dp(5).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_slice_comes_in_whole_and_a_second_run_changes_nothing() {
    let installation = Installation::new().await;
    let input = std::fs::read(slice()).unwrap();
    let (first, broken) = import(&installation, &input).await;
    assert!(broken.is_empty(), "{broken:?}");
    let (wanted, cost) = expected(&input);
    assert_eq!(numbers(&first), wanted);
    assert_eq!(first.customer_cost_exact.get().round_dp(5).to_string(), cost);
    assert_eq!(
        (first.commands_repeated, first.passed_escalated > 0, first.calls_failed > 0),
        (0, true, true)
    );
    let heads = installation.app.log.heads().await.unwrap();
    let (second, _) = import(&installation, &input).await;
    assert_eq!(numbers(&second), wanted);
    assert_eq!(
        (second.events_written, second.customer_cost.as_str()),
        (0, first.customer_cost.as_str())
    );
    assert_eq!(installation.app.log.heads().await.unwrap(), heads);
    answers(&installation, &first).await;
    installation.views_are_rebuilt_alike().await;
    installation.verifies().await;
}

/// What GraphQL says is what was counted.
async fn answers(installation: &Installation, counts: &Counts) {
    let view = installation
        .query(
            "{ business(slug: \"airline\") { all: tasks { totalCount } done: tasks(filter: \
             {status: COMPLETED}) { totalCount } failed: tasks(filter: {status: FAILED}) { \
              totalCount }
              escalated: tasks(filter: {escalated: true}) { totalCount } decisions { totalCount }
              calls { totalCount } bad: calls(first: 1, filter: {status: FAILED}) { totalCount \
              nodes { error { \
              text } } }
              agents { nodes { name role team } } tasks(first: 1) { nodes { nextActor reviews { nodes { \
              verdict } } decisions(first: 1) { nodes { choice { text } calls { nodes { operation } \
              } } } } } \
              } }",
        )
        .await["business"]
        .clone();
    let total = |name: &str| view[name]["totalCount"].as_u64().unwrap();
    assert_eq!(
        [
            total("all"),
            total("decisions"),
            total("calls"),
            total("bad"),
            total("escalated"),
            total("done")
        ],
        [
            counts.tasks,
            counts.decisions,
            counts.calls,
            counts.calls_failed,
            counts.escalated,
            counts.passed
        ]
    );
    assert_eq!(total("failed"), counts.tasks - counts.passed);
    assert!(view["bad"]["nodes"][0]["error"]["text"].as_str().unwrap().starts_with("Error"));
    assert_eq!(
        view["agents"]["nodes"],
        json!([{"name": "assistant", "role": "PRODUCER", "team": "OPERATIONS"},
            {"name": "evaluator", "role": "QA", "team": "OPERATIONS"}])
    );
    assert_eq!(view["tasks"]["nodes"][0]["nextActor"], Value::Null);
    assert_eq!(view["tasks"]["nodes"][0]["reviews"]["nodes"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_file_gives_the_numbers_it_must() {
    let Some(data) = std::env::var_os("MINUTEBOOK_REAL_DATA") else {
        eprintln!(
            "not run: MINUTEBOOK_REAL_DATA does not name the folder with \
             1-agent-traces/tau-bench/gpt-4o-airline.json"
        );
        return;
    };
    let input =
        std::fs::read(Path::new(&data).join("1-agent-traces/tau-bench/gpt-4o-airline.json"))
            .unwrap();
    let installation = Installation::new().await;
    for run in 0..2 {
        let (counts, broken) = import(&installation, &input).await;
        assert!(broken.is_empty());
        assert_eq!(numbers(&counts), [100, 1_211, 554, 37, 29, 48, 23, 3], "run {run}");
        assert_eq!(counts.customer_cost, "0.246888");
    }
    installation.views_are_rebuilt_alike().await;
    installation.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_record_is_reported_with_its_place_and_the_rest_goes_on() {
    let installation = Installation::new().await;
    let mut all: Vec<Value> = serde_json::from_slice(&std::fs::read(slice()).unwrap()).unwrap();
    all[2]["traj"][3]["content"] = json!(42);
    all[4].as_object_mut().unwrap().remove("trial");
    let mut text: Vec<String> = all.iter().map(Value::to_string).collect();
    text[6] = text[6].replacen("\"reward\":", "\"reward\":1,\"reward\":", 1);
    let input = format!("[\n{}\n]", text.join(",\n"));
    let (counts, broken) = import(&installation, input.as_bytes()).await;
    assert_eq!(counts.tasks, 7);
    let places: Vec<_> = broken.iter().map(|(n, line, _)| (*n, *line)).collect();
    assert_eq!(places, [(3, 4), (5, 6), (7, 8)]);
    assert!(
        broken[0].2.contains("invalid type")
            && broken[1].2.contains("trial")
            && broken[2].2.contains("`reward` stands twice"),
        "{broken:?}"
    );
    // Mended, it goes on from there and doubles nothing.
    let (mended, broken) = import(&installation, &std::fs::read(slice()).unwrap()).await;
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(mended.tasks, 10);
    let view = installation.query("{ business(slug: \"airline\") { tasks { totalCount } } }").await;
    assert_eq!(view["business"]["tasks"]["totalCount"], json!(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_off_is_taken_up_to_the_cut_and_again_from_there() {
    let installation = Installation::new().await;
    let input = std::fs::read(slice()).unwrap();
    for part in [0, 1, 40, 73] {
        let cut = input.len() * part / 100;
        let (_, broken) = import(&installation, &input[..cut]).await;
        assert!(
            broken.len() <= 1
                && broken.iter().all(|(_, _, why)| why.contains("ends in the middle") || part == 0),
            "{broken:?}"
        );
    }
    let (whole, broken) = import(&installation, &input).await;
    assert!(broken.is_empty() && whole.commands_repeated > 0 && whole.events_written > 0);
    assert_eq!(numbers(&whole), expected(&input).0);
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changed_under_its_id_is_reported_and_the_first_stays() {
    let installation = Installation::new().await;
    let mut all: Vec<Value> = serde_json::from_slice(&std::fs::read(slice()).unwrap()).unwrap();
    all.truncate(1);
    import(&installation, Value::from(all.clone()).to_string().as_bytes()).await;
    let before = installation.app.log.heads().await.unwrap();
    all[0]["info"]["task"]["instruction"] = json!("something else");
    let (_, broken) = import(&installation, Value::from(all).to_string().as_bytes()).await;
    assert!(broken[0].2.contains("imported before with other content"), "{broken:?}");
    assert_eq!(installation.app.log.heads().await.unwrap(), before);
}

#[test]
fn records_are_found_in_arrays_and_in_json_lines() {
    let read = |text: &str| {
        Records::new(BufReader::new(text.as_bytes()))
            .map(|r| r.unwrap())
            .map(|r| (r.line, r.bytes.map(|b| String::from_utf8(b).unwrap())))
            .collect::<Vec<_>>()
    };
    let a = (1, Ok("{\"a\":\"]}\\\"\"}".to_owned()));
    assert_eq!(read("[{\"a\":\"]}\\\"\"}]"), std::slice::from_ref(&a));
    assert_eq!(read("{\"a\":\"]}\\\"\"}\n{\"b\":[{}]}\n"), [a, (2, Ok("{\"b\":[{}]}".to_owned()))]);
    for empty in ["", " \n", "[]"] {
        assert!(
            read(empty)[0].1.as_ref().unwrap_err().contains("no record in this file"),
            "{empty:?}"
        );
    }
    assert!(read("[7,\n{}]")[0].1.as_ref().unwrap_err().contains("must be an object"));
    assert_eq!(read("[7,\n{}]")[1], (2, Ok("{}".to_owned())));
    assert!(read("[{\"a\":")[0].1.as_ref().unwrap_err().contains("ends in the middle"));
}
