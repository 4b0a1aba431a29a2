//! What every committed import has always given: counts, event types and root, in a seeded
//! installation whose clock stands still. A change of the rules that moves any of them is seen
//! here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event_log::{Seed, Seq};
use importers::Format;
use serde_json::{Value, json};
use tests::installation::Installation;

use crate::metrics::import_at_once;

/// Every committed source with its format.
const SOURCES: &[(Format, &str)] = &[
    (&importers::Transcripts as importers::Format, "tau-bench/airline-slice.json"),
    (&importers::Langfuse, "langfuse/crewai-2025-07-11.trace.json"),
    (&importers::Langfuse, "langfuse/langgraph-python-2025-08-22.trace.json"),
    (&importers::Langfuse, "langfuse/llamaindex-2025-06-05.trace.json"),
    (&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json"),
    (&importers::Langfuse, "langfuse/pydantic-ai-tools-2025-06-06.trace.json"),
    (&importers::Langfuse, "langfuse/vercel-aisdk-2025-11-17.trace.json"),
    (&importers::Langfuse, "langfuse/vertex-ai-2025-08-01.trace.json"),
    (&importers::Openhands, "openhands/basic_gui_mode.json"),
    (&importers::SweAgent, "swe-agent/flash.traj"),
    (&importers::Xes, "process-logs/orders.xes"),
    (&importers::Csv, "process-logs/tickets.csv"),
    (&importers::Documents, "documents"),
];

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/imports.golden.json")
}

/// Imports one source, record by record so that the order is always the same.
async fn golden(format: Format, file: &str) -> Value {
    let installation = Installation::seeded(&Arc::new(Seed::apart())).await;
    let counts = import_at_once(&installation, format, file, "acme", 1).await;
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    for recorded in installation.app.log.read_business(business, Seq::START, 100_000).await.unwrap()
    {
        *types.entry(recorded.stored().unwrap().r#type.to_string()).or_default() += 1;
    }
    let head = installation.app.log.head(business).await.unwrap().unwrap();
    json!({"counts": counts, "types": types, "root": domain::values::Digest(head.root).to_string()})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_committed_import_gives_what_it_always_gave() {
    let mut found = serde_json::Map::new();
    for (format, file) in SOURCES {
        found.insert((*file).to_owned(), golden(*format, file).await);
    }
    let text = format!("{}\n", serde_json::to_string_pretty(&found).unwrap());
    if std::env::var_os("MINUTEBOOK_WRITE_GOLDEN").is_some() {
        std::fs::write(committed(), text).unwrap();
        return;
    }
    let was: serde_json::Map<String, Value> =
        serde_json::from_slice(&std::fs::read(committed()).unwrap()).unwrap();
    for (file, now) in &found {
        assert_eq!(
            now, &was[file],
            "{file}: `MINUTEBOOK_WRITE_GOLDEN=1 cargo test golden_imports` writes it anew, if that \
             is meant"
        );
    }
    assert_eq!(found.len(), was.len());
}

/// The strictest approval policy that there may be: everything that a rule can hold up is
/// forbidden.
fn strictest() -> Value {
    let may_be_held_up = |t: &&commands::CommandType| {
        !t.name.starts_with("approvals.")
            && !t.from.is_empty()
            && t.stream == commands::Stream::Business
    };
    let types: Vec<&str> = commands::AnyCommand::types()
        .filter(may_be_held_up)
        .map(|t| t.name)
        .filter(|n| *n != "businesses.register")
        .collect();
    json!({"rules": [{"name": "nothing", "when": {"command_types": types}, "quorum": 0,
        "roles": [], "separation_of_duties": true,
        "expires_after_seconds": 60, "escalate_to": []}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_committed_import_comes_in_under_the_strictest_policy() {
    let was: serde_json::Map<String, Value> =
        serde_json::from_slice(&std::fs::read(committed()).unwrap()).unwrap();
    for (format, file) in SOURCES {
        let installation = Installation::new().await;
        let business = installation.business("acme").await;
        installation.must(business, "approvals.define_policy", None, strictest()).await;
        let operator = installation.app.operator_in(business).await.unwrap();
        let held_up = installation
            .submit(&operator, business, "tasks.plan", None, json!({"title": "x", "team": "hr"}))
            .await;
        assert_eq!(held_up.unwrap_err().name(), "forbidden_by_approval_policy");
        let counts = import_at_once(&installation, *format, file, "acme", 1).await;
        let (now, then) = (serde_json::to_value(&counts).unwrap(), &was[*file]["counts"]);
        assert_eq!(now, *then, "{file}");
    }
}
