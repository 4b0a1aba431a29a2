//! A person named in a task's whole life, with an approved call, is forgotten in every door and
//! file: and stays so when log and keys of the day before are restored.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::BusinessId;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::installation::Installation;
use uuid::Uuid;

use crate::privacy::files;

/// Canaries in each text.
const IN_EACH: usize = 5;

/// Texts about somebody, each with canaries of its own.
#[derive(Default)]
struct Canaries(Mutex<Vec<String>>);

impl Canaries {
    fn text(&self, about: &str) -> String {
        let mut all = self.0.lock().unwrap();
        let new: Vec<String> =
            (0..IN_EACH).map(|i| format!("canary{:04}of{about}", all.len() + i)).collect();
        all.extend(new.clone());
        new.join(" ")
    }

    /// How each of them may lie somewhere: as it is, and in base64 at each of the three offsets.
    fn forms(&self) -> Vec<Vec<u8>> {
        let encoded = |text: &str, offset: usize| {
            let bytes = [&b"xx"[..offset], text.as_bytes()].concat();
            let all = STANDARD_NO_PAD.encode(bytes);
            // The ends depend on what stands beside.
            all.as_bytes()[4..all.len() - 4].to_vec()
        };
        let all = self.0.lock().unwrap();
        all.iter()
            .flat_map(|c| [c.as_bytes().to_vec(), encoded(c, 0), encoded(c, 1), encoded(c, 2)])
            .collect()
    }

    fn found_in(&self, bytes: &[u8]) -> usize {
        // Each form begins as one of four do: only where one of these stands is there more to look
        // for.
        let beginnings: BTreeSet<Vec<u8>> =
            self.forms().iter().map(|form| form[..4].to_vec()).collect();
        let places: Vec<usize> = (0..bytes.len().saturating_sub(4))
            .filter(|at| beginnings.contains(&bytes[*at..*at + 4]))
            .collect();
        self.forms()
            .iter()
            .filter(|form| places.iter().any(|at| bytes[*at..].starts_with(form)))
            .count()
    }
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

/// A task that serves Ada, from its plan to what is remembered of it.
async fn whole_life(i: &Installation, business: BusinessId, ada: Uuid, c: &Canaries) {
    let (a, q) = (i.agent(business, "producer").await, i.agent(business, "qa").await);
    i.lets_crm_be_asked(business, &["look_up"]).await;
    let plan = json!({"title": c.text("title"), "instructions": c.text("instructions"),
        "team": "sales", "serves": ada});
    let task = i.must(business, "tasks.plan", None, plan).await.events[0].id;
    let must = async |command: &str, id: Uuid, data: Value| {
        i.must(business, command, Some(id), data).await
    };
    must("tasks.offer", task, json!({})).await;
    must("tasks.lease", task, json!({"agent": a})).await;
    let attributes = json!([{"key": "k", "type": "string", "value": c.text("attribute")}]);
    must(
        "tasks.record_activity",
        task,
        json!({"activity": "talk", "note": c.text("note"), "attributes": attributes}),
    )
    .await;
    let decision = json!({"task": task, "question": c.text("question"),
        "options": [c.text("option")], "choice": c.text("choice"),
        "rationale": c.text("rationale")});
    let decided = i.must(business, "decisions.record", None, decision).await.events[0].clone();
    must("decisions.observe_outcome", decided.id, json!({"outcome": c.text("outcome")})).await;
    // A call that wants approval; the request names nobody.
    i.must(
        business,
        "budgets.set",
        None,
        json!({"scope": {"business": {}}, "limit": eur("100"), "window": "month"}),
    )
    .await;
    let call = Uuid::now_v7();
    let pay = json!({"connector": "crm", "operation": "pay", "class": "spending", "task": task,
        "arguments": {"to": c.text("arguments")}, "cost_max": eur("2")});
    let request = json!({"command": {"type": "integrations.intend_call", "id": call, "data": pay}});
    let approval = i.must(business, "approvals.request", None, request).await.events[0].id;
    must("approvals.comment", approval, json!({"comment": c.text("comment")})).await;
    let approver = i.approver(business).await;
    i.submit(
        &approver,
        business,
        "approvals.vote",
        Some(approval),
        json!({"choice": "approve", "comment": c.text("vote")}),
    )
    .await
    .unwrap();
    let mut sent = commands::Submission::new(
        business,
        i.app.operator_in(business).await.unwrap(),
        "pay",
        "integrations.intend_call",
        Some(call),
        &pay,
    );
    sent.approval_id = Some(domain::ids::ApprovalId(approval));
    i.app.submit(sent).await.unwrap();
    must("integrations.succeed_call", call, json!({"result": c.text("result"), "cost": eur("1")}))
        .await;
    // A call that only names the decision it carries out.
    let named = json!({"connector": "crm", "operation": "look_up", "class": "read",
        "decision": decided.id, "arguments": {"who": c.text("lookup")}, "cost_max": eur("1")});
    let looked = i.must(business, "integrations.intend_call", None, named).await.events[0].id;
    must("integrations.fail_call", looked, json!({"error": c.text("error")})).await;
    let submit = json!({"agent": a, "fencing_token": 1, "result": c.text("submitted")});
    let receipt = must("tasks.submit", task, submit).await;
    let stored = i.app.log.find(business, receipt.events[0].event_id).await.unwrap().unwrap();
    let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
    let digest = &stored["data"]["artifact"]["digest"];
    let review = json!({"reviewer": q, "artifact_digest": digest, "verdict": "changes_requested",
        "findings": c.text("findings")});
    must("tasks.review", task, review).await;
    must("tasks.escalate", task, json!({"to_role": "member", "note": c.text("escalation")})).await;
    must("tasks.resolve", task, json!({"resolution": "offered", "note": c.text("resolution")}))
        .await;
    // What is remembered of it: by its events, by its task, and by name.
    let fact = |more: Value| {
        let mut fact = json!({"fact_kind": "process_memory", "statement": c.text("statement"),
            "value": {"v": c.text("value")}});
        fact.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fact
    };
    let known = i
        .must(business, "memory.record_fact", None, fact(json!({"sources": [decided.event_id]})))
        .await
        .events[0]
        .id;
    i.must(business, "memory.record_fact", None, fact(json!({"task": task}))).await;
    must("memory.revise_fact", known, json!({"statement": c.text("revised")})).await;
    must("memory.retract_fact", known, json!({"reason": c.text("retraction")})).await;
    let evidence = json!({"evidence": [receipt.events[0].event_id], "choice": c.text("evidence")});
    i.must(business, "decisions.record", None, evidence).await;
    // Work for the business itself that rests on what is about Ada is about her.
    let general = i
        .must(business, "tasks.plan", None, json!({"title": "improve", "team": "sales"}))
        .await
        .events[0]
        .id;
    let rests =
        json!({"task": general, "evidence": [decided.event_id], "choice": c.text("general")});
    let learnt = i.must(business, "decisions.record", None, rests).await.events[0].clone();
    let call = json!({"connector": "crm", "operation": "look_up", "class": "read", "task": general,
        "decision": learnt.id,
        "arguments": {"who": c.text("carried")}, "cost_max": eur("1")});
    i.must(business, "integrations.intend_call", None, call).await;
    i.must(business, "memory.record_fact", None, fact(json!({"about": business, "task": task})))
        .await;
    let neutral = json!({"fact_kind": "process_memory", "statement": "nobody is in this"});
    let neutral = i.must(business, "memory.record_fact", None, neutral).await.events[0].id;
    must(
        "memory.revise_fact",
        neutral,
        json!({"statement": c.text("personal"), "sources": [decided.event_id]}),
    )
    .await;
    must("tasks.cancel", task, json!({"reason": c.text("cancelled")})).await;
}

const ASK: &str = "{ business(slug: \"acme\") { events(first: 200) { nodes { type data } } \
    search(text: \"canary0000oftitle\") { snippet }
    tasks { nodes { title { text } instructions { text } result { text } } } decisions { nodes { \
    choice { text } rationale { text } } }
    approvals { nodes { preview { text } } } calls { nodes { arguments { text } result { text } \
    error { text } } }
    memory(history: true) { nodes { text { text } value { text } } } } }";

fn nothing_left(folder: &Path, c: &Canaries) {
    for (name, bytes) in files(folder) {
        assert_eq!(c.found_in(&bytes), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_named_in_a_whole_life_of_work_is_forgotten_in_every_door_and_file() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let (ada, canaries) = (business.derive_id("ada"), Canaries::default());
    whole_life(&installation, business, ada, &canaries).await;
    let count = canaries.0.lock().unwrap().len();
    assert!(count >= 100, "{count} canaries");
    let before = installation.query(ASK).await.to_string();
    assert_eq!(
        canaries.found_in(before.as_bytes()),
        count,
        "every one of them is read, in the clear"
    );
    let exports = TempDir::new().unwrap();
    let export = |folder: &Path, name: &str| {
        for format in domain::operations::ExportFormat::ALL {
            let out = exports.path().join(format!("{name}.{format}"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_minutebook-for-tests"));
            command
                .arg("--data")
                .arg(folder)
                .args(["export", "--business", "acme", "--format", format.as_str(), "--out"])
                .arg(out);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    let (backup, folder) = (TempDir::new().unwrap(), installation.close().await);
    export(folder.path(), "before");
    let with_text = files(&folder.path().join("views"))
        .iter()
        .map(|(_, bytes)| canaries.found_in(bytes))
        .sum::<usize>();
    assert!(with_text > 0, "the test would find them in a file");
    for name in ["log.db", "keys.db"] {
        std::fs::copy(folder.path().join(name), backup.path().join(name)).unwrap();
    }
    let installation = Installation::open(folder).await;
    installation.forgets(business, ada).await;
    let after = installation.query(ASK).await.to_string();
    assert_eq!(canaries.found_in(after.as_bytes()), 0, "{after}");
    let subjects = "{ business(slug: \"acme\") { dataSubjects { nodes { subjectId namedIn { \
    aggregateKind } } } } }";
    let named = installation.query(subjects).await.to_string();
    for kind in ["TASK", "DECISION", "APPROVAL", "CALL", "FACT"] {
        assert!(named.contains(kind), "{kind}: {named}");
    }
    nothing_left(installation.folder.path(), &canaries);
    let folder = installation.close().await;
    export(folder.path(), "after");
    nothing_left(folder.path(), &canaries);
    nothing_left(exports.path(), &canaries);
    // Log and keys of the day before.
    for name in ["log.db", "keys.db"] {
        std::fs::copy(backup.path().join(name), folder.path().join(name)).unwrap();
    }
    let _ = std::fs::remove_dir_all(folder.path().join("views"));
    let restored = Installation::open(folder).await;
    restored.app.views.settled(Duration::from_secs(60)).await.unwrap();
    let again = restored.query(ASK).await.to_string();
    assert_eq!(canaries.found_in(again.as_bytes()), 0, "{again}");
    restored.verifies().await;
    nothing_left(restored.close().await.path(), &canaries);
}
