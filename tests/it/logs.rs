//! Logs: structured, with the ids that one needs, and without what nobody may read there.

use std::cell::RefCell;
use std::io::Write;

use serde_json::{Value, json};
use tests::installation::Installation;

thread_local! {
    /// What this thread logs, once it wants to know.
    static HERE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HERE.with_borrow_mut(|here| here.as_mut().map(|here| here.extend_from_slice(bytes)));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_lines_name_command_business_and_correlation_and_hold_no_canary() {
    // Global, because what a call site logs to is remembered across threads; each keeps its own.
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(|| Sink)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    HERE.set(Some(Vec::new()));
    // One thread, so that everything that is logged comes here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let secret = runtime.block_on(async {
        let installation = Installation::new().await;
        let business = installation.business("acme").await;
        let plan = json!({"title": "canary-title", "instructions": "canary-instructions",
            "team": "hr", "serves": business.derive_id("canary-person")});
        installation.must(business, "tasks.plan", None, plan).await;
        let actor = installation.app.operator_in(business).await.unwrap();
        let _ = installation
            .submit(
                &actor,
                business,
                "tasks.plan",
                None,
                json!({"title": {"a": "canary-wrong"}, "team": "hr"}),
            )
            .await;
        let _ =
            installation.submit(&actor, business, "tasks.offer", Some(business.0), json!({})).await;
        let (_, secret) = installation.app.issue_key(server::app::operator()).await.unwrap();
        installation
            .query(
                "{ business(slug: \"acme\") { tasks { nodes { title { text } } } } \
            }",
            )
            .await;
        installation.forgets(business, business.0).await;
        secret
    });
    let text = String::from_utf8(HERE.take().unwrap()).unwrap();
    assert!(!text.contains("canary-"), "{text}");
    assert!(!text.contains(secret.reveal()));
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let planned = lines
        .iter()
        .find(|l| l["span"]["command.type"] == "tasks.plan" && l["command.outcome"] == "accepted")
        .expect("the command is logged");
    assert!(
        planned["span"]["business.id"].is_string()
            && planned["span"].get("correlation.id").is_some()
            && planned["command.key"].is_string(),
        "{planned}"
    );
    assert!(
        lines.iter().any(|l| l["command.outcome"] == "wrong_kind"),
        "a refusal is logged by its name"
    );
}
