//! Forgetting that holds: on record before the key goes, and whatever is restored afterwards.

mod restored;

use std::path::Path;

use commands::Submission;
use domain::ids::ErasureId;
use domain::personal::Generation;
use domain::{AggregateRef, BusinessId, Kind, SubjectId};
use event_log::envelope::event_id;
use event_log::keyring::{IfMissing, LocalKeyring, Wrapping};
use event_log::{Entropy, Keyring, KeyringError, Position, Version};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::Said as _;
use tests::installation::Installation;
use uuid::Uuid;

/// What is said of Ada: found again wherever it is.
const CANARY: &str = "canary-of-ada";

/// Every file below a folder, with what is in it.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            all.push((path.display().to_string(), bytes));
        }
    }
    all
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|w| w == text)
}

async fn serves(installation: &Installation, business: BusinessId, who: Uuid) -> Uuid {
    let plan = json!({"title": format!("{CANARY}-title"), "team": "sales", "serves": who});
    installation.must(business, "tasks.plan", None, plan).await.events[0].id
}

async fn titles(installation: &Installation) -> Value {
    let answer = installation
        .query(
            "{ business(slug: \"acme\") { tasks { nodes { title { text \
        state } } } search(text: \"canary\") { snippet } } }",
        )
        .await;
    answer["business"].clone()
}

async fn forgettings(installation: &Installation) -> Vec<(SubjectId, u32)> {
    let events = installation.app.log.read_erasures(Position::START, 100).await.unwrap();
    let one = |r: &event_log::Recorded| {
        let data: Value = serde_json::from_slice(&r.bytes).unwrap();
        (
            data["data"]["subject"].as_str().unwrap().parse().unwrap(),
            u32::try_from(data["data"]["generation"].as_u64().unwrap()).unwrap(),
        )
    };
    events.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_destroyed_while_a_reader_keeps_its_bytes_in_the_wal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.db");
    let own = Wrapping::from_file(&folder.path().join("k"), &Entropy::System).unwrap();
    let (business, subject) = (tests::samples::business(1), SubjectId(Uuid::from_u128(5)));
    let keyring = LocalKeyring::open(&path, &own, Entropy::System, IfMissing::Make).unwrap();
    keyring.sealing_key(business, subject).await.unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    let wrapped: Vec<u8> = reader.query_row("SELECT wrapped FROM keys", [], |r| r.get(0)).unwrap();
    let in_wal = || {
        contains(&std::fs::read(folder.path().join("keys.db-wal")).unwrap_or_default(), &wrapped)
    };
    reader.execute_batch("BEGIN; SELECT count(*) FROM keys").unwrap();
    let held = keyring.destroy(business, subject, Generation(1)).await;
    assert!(matches!(held, Err(KeyringError::NotYetDestroyed)), "{held:?}");
    assert!(
        keyring.opening_key(business, subject, Generation(1)).await.unwrap().is_none(),
        "it opens nothing any more"
    );
    assert!(in_wal(), "the test would find it");
    let again = keyring.destroy(business, subject, Generation(1)).await;
    assert!(
        matches!(again, Err(KeyringError::NotYetDestroyed)),
        "not said to be destroyed because the row is: {again:?}"
    );
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(keyring.destroy(business, subject, Generation(1)).await.unwrap(), 0);
    assert!(!in_wal());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgetting_that_is_held_up_is_answered_503_and_goes_on_by_itself() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let ada = business.derive_id("ada");
    serves(&installation, business, ada).await;
    let keys = installation.folder.path().join("keys.db");
    let reader = rusqlite::Connection::open(&keys).unwrap();
    let wrapped: Vec<u8> = reader
        .query_row("SELECT wrapped FROM keys WHERE subject = ?", [ada], |r| r.get(0))
        .unwrap();
    let in_wal = || {
        contains(&std::fs::read(keys.with_file_name("keys.db-wal")).unwrap_or_default(), &wrapped)
    };
    reader.execute_batch("BEGIN; SELECT count(*) FROM keys").unwrap();
    let operator = installation.app.operator_in(business).await.unwrap();
    let held = installation
        .app
        .forget_subject(business, operator.clone(), SubjectId(ada), Some("k".to_owned()))
        .await
        .unwrap_err();
    assert!(held.name() == "unavailable" && held.said().contains("not yet overwritten"), "{held}");
    assert_eq!(
        titles(&installation).await["tasks"]["nodes"][0]["title"]["text"],
        "forgotten",
        "nobody reads it meanwhile"
    );
    assert!(in_wal(), "the test would find it");
    assert!(installation.app.forgetting_is_pending());
    reader.execute_batch("COMMIT").unwrap();
    let began = std::time::Instant::now();
    while in_wal() || installation.app.forgetting_is_pending() {
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "nobody tried again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let again = installation
        .app
        .forget_subject(business, operator, SubjectId(ada), Some("k".to_owned()))
        .await
        .unwrap();
    assert!(again.receipt.repeated);
}

/// The id of an event follows from its sender and key. Who named it before it is there would have
/// what is said of Ada sealed for the business, where forgetting Ada does not reach it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_rests_on_an_event_that_is_not_stored() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let later = event_id(business, operator.principal, "later", 0);
    let decision = json!({"choice": CANARY, "evidence": [later]});
    let fact = json!({"fact_kind": "process_memory", "statement": CANARY, "value": 1,
        "sources": [later]});
    let sent = [("decisions.record", &decision), ("memory.record_fact", &fact)];
    for (command, data) in sent {
        let refused = installation
            .submit(&operator, business, command, None, data.clone())
            .await
            .unwrap_err();
        assert_eq!(refused.name(), "evidence_unknown", "{command}");
    }
    // More events than are looked up would hide the one about Ada behind the others.
    let many: Vec<_> = (0..101).map(|_| Uuid::now_v7()).collect();
    let command = json!({"type": "memory.record_fact", "id": Uuid::now_v7(), "data": fact});
    let request = json!({"command": command, "evidence": many});
    let refused = installation
        .submit(&operator, business, "approvals.request", None, request)
        .await
        .unwrap_err();
    assert_eq!(refused.name(), "out_of_range", "{}", refused.said());
    let plan = json!({"title": "x", "team": "sales", "serves": business.derive_id("ada")});
    let plan =
        Submission::new(business, operator.clone(), "later".to_owned(), "tasks.plan", None, &plan);
    assert_eq!(installation.app.submit(plan).await.unwrap().events[0].event_id, later);
    for (command, data) in sent {
        installation.submit(&operator, business, command, None, data.clone()).await.unwrap();
    }
    let mixed = json!({"choice": CANARY, "evidence": [later, Uuid::now_v7()]});
    let refused = installation
        .submit(&operator, business, "decisions.record", None, mixed)
        .await
        .unwrap_err();
    assert_eq!(refused.name(), "evidence_unknown", "also behind one that tells the person");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_something_about_the_forgotten_is_refused_and_what_closes_is_taken_withheld() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let ada = business.derive_id("ada");
    let task = serves(&installation, business, ada).await;
    let agent = installation.agent(business, "producer").await;
    installation.must(business, "tasks.offer", Some(task), json!({})).await;
    let lease = json!({"agent": agent, "lease_seconds": 900});
    installation.must(business, "tasks.lease", Some(task), lease).await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let nobody = installation
        .app
        .forget_subject(business, operator.clone(), SubjectId(Uuid::now_v7()), None)
        .await
        .unwrap_err();
    assert_eq!(nobody.name(), "nothing_to_forget");
    let forgot = installation
        .app
        .forget_subject(business, operator.clone(), SubjectId(ada), None)
        .await
        .unwrap();
    assert_eq!(
        forgot.named_in,
        [projections::privacy::NamedIn { kind: "task".to_owned(), id: task.to_string() }]
    );
    assert_eq!(forgettings(&installation).await, [(SubjectId(ada), 1)]);
    let plan = json!({"title": "another", "team": "sales", "serves": ada});
    let refused =
        installation.submit(&operator, business, "tasks.plan", None, plan).await.unwrap_err();
    assert_eq!(refused.name(), "subject_fenced");
    let about = json!({"fact_kind": "process_memory", "statement": "Ada likes tea", "task": task});
    assert_eq!(
        installation
            .submit(&operator, business, "memory.record_fact", None, about)
            .await
            .unwrap_err()
            .name(),
        "subject_fenced"
    );
    let result = json!({"agent": agent, "fencing_token": 1, "result": "canary-after"});
    installation.must(business, "tasks.submit", Some(task), result).await;
    let ask = "{ business(slug: \"acme\") { events { nodes { type data } } search(text: \
        \"canary\") { snippet }
        dataSubjects { nodes { subjectId aggregates forgottenAt namedIn { aggregateKind } } }
        tasks { nodes { \
        title { state } result { text state } } } } }";
    let answer = installation.query(ask).await["business"].clone();
    let task = &answer["tasks"]["nodes"][0];
    assert_eq!(task["title"]["state"], "FORGOTTEN", "it had a text once");
    assert_eq!(
        task["result"],
        json!({"text": null, "state": "WITHHELD"}),
        "nobody ever could read it"
    );
    let submitted = answer["events"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["type"] == "tasks.submitted")
        .unwrap();
    assert!(submitted["data"].to_string().contains("withheld"), "{submitted}");
    assert!(
        !answer.to_string().contains("canary-after")
            && !answer["search"].to_string().contains("canary-of-ada"),
        "{answer:#}"
    );
    assert_eq!(answer["dataSubjects"]["nodes"][0]["subjectId"], json!(ada));
    assert!(answer["dataSubjects"]["nodes"][0]["forgottenAt"].is_string());
    installation.views_are_rebuilt_alike().await;
    installation.verifies().await;
    let reopened = installation.reopen().await;
    assert_eq!(reopened.query(ask).await["business"]["tasks"], answer["tasks"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_business_is_never_fenced_and_what_it_writes_next_can_be_read() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation
        .must(business, "tasks.plan", None, json!({"title": "before", "team": "sales"}))
        .await;
    let receipt = installation.forgets(business, business.0).await;
    assert_eq!(
        receipt.events.iter().map(|e| e.r#type.as_str()).collect::<Vec<_>>(),
        ["privacy.subject_forgotten", "approvals.consumed"]
    );
    installation
        .must(business, "tasks.plan", None, json!({"title": "after", "team": "sales"}))
        .await;
    let reopened = installation.reopen().await;
    let states = titles(&reopened).await;
    let texts: Vec<&Value> =
        states["tasks"]["nodes"].as_array().unwrap().iter().map(|t| &t["title"]["text"]).collect();
    assert_eq!(texts, ["forgotten", "after"]);
    reopened.approved(business, "businesses.advance", business.0, json!({"to": "wound_up"})).await;
    reopened.forgets(business, business.0).await;
    assert_eq!(
        forgettings(&reopened).await,
        [(business.as_subject(), 1), (business.as_subject(), 2)]
    );
    reopened.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_line_of_the_list_is_overwritten_and_a_broken_one_is_named() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    serves(&installation, business, business.derive_id("ada")).await;
    installation.forgets(business, business.derive_id("ada")).await;
    let folder = installation.close().await;
    let list = folder.path().join("forgotten");
    let whole = std::fs::read_to_string(&list).unwrap();
    assert_eq!(whole.lines().count(), 1);
    // Killed while it wrote the line: the log has the forgetting, and the line is written again.
    for bytes in [1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&list, &whole[..bytes]).unwrap();
        let app = server::app::App::open(
            &tests::installation::config(folder.path()),
            server::app::Handles::default(),
        )
        .await
        .unwrap();
        app.close().await;
        assert_eq!(std::fs::read_to_string(&list).unwrap(), whole);
    }
    // A copy that was cut off: nothing that the log says is the rest of it.
    std::fs::write(&list, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
    let cut = server::app::App::open(
        &tests::installation::config(folder.path()),
        server::app::Handles::default(),
    )
    .await
    .err()
    .unwrap();
    assert!(cut.to_string().contains("is cut off in its last line"), "{cut}");
    assert!(
        std::fs::read_to_string(&list).unwrap().len() > whole.len(),
        "and nothing of it is thrown away"
    );
    std::fs::write(&list, format!("nonsense\n{whole}")).unwrap();
    let failed = server::app::App::open(
        &tests::installation::config(folder.path()),
        server::app::Handles::default(),
    )
    .await
    .err()
    .unwrap();
    assert!(failed.to_string().contains("line 1 of the list of forgettings"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_found_through_an_index() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    serves(&installation, business, business.derive_id("ada")).await;
    installation.forgets(business, business.derive_id("ada")).await;
    let aggregate = AggregateRef::new(
        Kind::Erasure,
        ErasureId::of(business, SubjectId(business.derive_id("ada"))).0,
    );
    assert_eq!(
        installation
            .app
            .log
            .read_aggregate(business, aggregate, Version::START, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    let folder = installation.close().await;
    let log = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    let plan: String = log
        .query_row(
            "EXPLAIN QUERY PLAN SELECT position FROM events WHERE kind = 'erasure' AND \
            position > 5 ORDER BY position LIMIT 9",
            [],
            |r| r.get(3),
        )
        .unwrap();
    assert!(plan.contains("events_of_erasures"), "{plan}");
}
