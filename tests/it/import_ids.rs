//! Ids and keys of imports: no text of a source is in them, and what an earlier version imported
//! stays what it is.

use domain::personal::Generation;
use event_log::Seq;
use importers::Importer as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::installation::Installation;

use crate::metrics::import_at_once;

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

async fn earlier() -> Installation {
    let folder = TempDir::new().unwrap();
    for file in ["log.db", "keys.db", "keyring.key"] {
        std::fs::copy(data().join("earlier-installation").join(file), folder.path().join(file))
            .unwrap();
    }
    Installation::open(folder).await
}

/// What stands in the clear in the events of a business after a seq: everything but what is sealed.
async fn in_the_clear(
    installation: &Installation,
    business: domain::BusinessId,
    after: Seq,
) -> String {
    let events = installation.app.log.read_business(business, after, 10_000).await.unwrap();
    let clear = |recorded: &event_log::Recorded| {
        let mut event: Value = serde_json::from_slice(&recorded.bytes).unwrap();
        // Three letters of a name come by in ciphertexts, too.
        event.as_object_mut().unwrap().remove("sealed");
        event.to_string()
    };
    events.iter().map(clear).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_imported_is_recognised_and_what_is_new_has_no_name_in_the_clear() {
    let installation = earlier().await;
    let business =
        |slug: &'static str| async { installation.app.business(slug).await.unwrap().unwrap() };
    let (bank, studio) = (business("bank").await, business("studio").await);
    let seq = async |b| installation.app.log.head(b).await.unwrap().unwrap().seq;
    let (before, other) = (seq(bank).await, seq(studio).await);
    assert!(
        in_the_clear(&installation, bank, Seq::START).await.contains("T-1"),
        "the earlier version had it in the clear"
    );
    for (format, file, slug) in [
        (&importers::Csv as importers::Format, "process-logs/tickets.csv", "bank"),
        (&importers::Documents, "documents", "bank"),
        (&importers::Langfuse, "langfuse/microsoft-agent-2025-12-17.trace.json", "studio"),
    ] {
        let counts = import_at_once(&installation, format, file, slug, 1).await;
        assert_eq!(
            serde_json::to_value(&counts).unwrap()["events_written"],
            json!(0),
            "{file}: {counts:?}"
        );
    }
    assert_eq!(
        (seq(bank).await, seq(studio).await),
        (before, other),
        "the same again is nothing new"
    );
    // The file grew: a new case, by somebody known and somebody new.
    let (grown, added) = (
        TempDir::new().unwrap(),
        "T-77,open,2026-05-01 08:00:00+02:00,Ana,mail\nT-77,close,2026-05-01 \
         09:00:00+02:00,Zacharias,mail\n",
    );
    let file = grown.path().join("tickets.csv");
    std::fs::write(
        &file,
        std::fs::read_to_string(data().join("process-logs/tickets.csv")).unwrap() + added,
    )
    .unwrap();
    import_at_once(&installation, &importers::Csv, file.to_str().unwrap(), "bank", 1).await;
    let new = in_the_clear(&installation, bank, before).await;
    assert!(new.contains("tasks.planned") && new.contains("tasks.history_closed"), "{new}");
    for name in ["T-77", "T-1", "Ana", "Zacharias", "tickets.csv"] {
        assert!(!new.contains(name), "{name}: {new}");
    }
    let now = seq(bank).await;
    import_at_once(&installation, &importers::Csv, file.to_str().unwrap(), "bank", 1).await;
    assert_eq!(seq(bank).await, now, "and the same again is nothing new");
    // An earlier case goes on: its end is on record already, and that it is said otherwise is
    // reported.
    let more =
        std::fs::read_to_string(&file).unwrap() + "T-1,reopen,2026-05-02 08:00:00+02:00,Ana,mail\n";
    std::fs::write(&file, more).unwrap();
    let settings = importers::Settings {
        business: "bank".to_owned(),
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
    let columns = importers::csv::Columns {
        case: "ticket".to_owned(),
        activity: "step".to_owned(),
        time: "when".to_owned(),
        resource: Some("who".to_owned()),
        ..Default::default()
    };
    let mut reported = Vec::new();
    let reading = importers::source::Reading { columns, ..Default::default() };
    for record in importers::Csv.open(&file, &reading).unwrap() {
        reported.extend(importer.record(&record.unwrap().bytes.unwrap()).await.err());
    }
    assert!(reported.is_empty(), "a case that has grown is not broken: {reported:?}");
    let grown = in_the_clear(&installation, bank, now).await;
    assert!(
        grown.contains("reopen") && !grown.contains("T-1") && !grown.contains("tickets"),
        "{grown}"
    );
    assert!(
        new.contains(&bank.derive_id("Ana").to_string()),
        "whom an earlier version knows keeps the id"
    );
    assert!(
        !new.contains(&bank.derive_id("Zacharias").to_string()),
        "whom it does not can't be guessed"
    );
    installation.verifies().await;
    installation.views_are_rebuilt_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_the_first_version_shows_where_it_is_from_and_a_new_one_seals_it() {
    let installation = earlier().await;
    let bank = installation.app.business("bank").await.unwrap().unwrap();
    let ask =
        "{ business(slug: \"bank\") { memory(first: 20) { nodes { source { text state } } } } }";
    let seen = installation.query(ask).await.to_string();
    assert!(seen.contains("doc_savings_accounts_gold_account_002"), "{seen}");
    let before = installation.app.log.head(bank).await.unwrap().unwrap().seq;
    installation
        .must(
            bank,
            "memory.add_document",
            None,
            json!({"title": "t", "text": "x", "source": "letter-of-ada.md"}),
        )
        .await;
    assert!(!in_the_clear(&installation, bank, before).await.contains("letter-of-ada"));
    assert!(installation.query(ask).await.to_string().contains("letter-of-ada.md"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_businesses_and_two_installations_share_no_id_of_the_same_record() {
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let installation = Installation::open(TempDir::new().unwrap()).await;
        for slug in ["acme", "other"] {
            let business = installation.business(slug).await;
            import_at_once(&installation, &importers::Csv, "process-logs/tickets.csv", slug, 1)
                .await;
            let clear = in_the_clear(&installation, business, Seq::START).await;
            for name in ["T-1", "Ana", "tickets.csv"] {
                assert!(!clear.contains(name), "{name}");
            }
            for line in clear.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                if event["type"] == "tasks.planned" {
                    assert!(
                        keys.insert((
                            slug,
                            event["command_id"].as_str().unwrap().to_owned(),
                            installation.folder.path().to_owned()
                        )),
                        "{event}"
                    );
                }
            }
        }
    }
    let keys: Vec<&String> = keys.iter().map(|(_, key, _)| key).collect();
    assert!(
        keys.iter()
            .all(|key| key.starts_with("csv:")
                && key.split(':').nth(1).is_some_and(|h| h.len() == 64)),
        "{keys:?}"
    );
    assert_eq!(
        keys.iter().collect::<std::collections::BTreeSet<_>>().len(),
        keys.len(),
        "each business has a secret of its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_imports_goes_with_the_businesss_own_key_and_is_forgotten_by_nobody_alone() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    import_at_once(&installation, &importers::Csv, "process-logs/tickets.csv", "acme", 1).await;
    let name = domain::privacy::import_secret(business);
    let operator = installation.app.operator_in(business).await.unwrap();
    let refused =
        installation.app.forget_subject(business, operator, name, None).await.unwrap_err();
    assert_eq!(refused.name(), "nothing_to_forget");
    let has_key = async || {
        let keyring = &installation.app.keyring;
        keyring.opening_key(business, name, Generation::FIRST).await.unwrap().is_some()
    };
    assert!(has_key().await);
    installation.forgets(business, business.0).await;
    assert!(!has_key().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_show_keys_and_types_that_somebody_made_up_to_nobody() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let actor = installation.app.operator_in(business).await.unwrap();
    for key in ["canary-key-of-ada", "canary-key-of-ada", "another"] {
        let plan = json!({"title": "x", "team": "hr"});
        let sent =
            commands::Submission::new(business, actor.clone(), key, "tasks.plan", None, &plan);
        installation.app.bus.submit(sent).await.unwrap();
    }
    let odd = commands::Submission::new(business, actor, "k", "canary.type", None, &json!({}));
    installation.app.bus.submit(odd).await.unwrap_err();
    installation.app.bus.attempts().flush().await;
    let (rows, _) = installation.app.bus.attempts().list(business, None, 100).await.unwrap();
    let shown: Vec<(String, String)> =
        rows.into_iter().map(|(_, a)| (a.command_type, a.key)).collect();
    assert!(
        shown.iter().all(|(kind, key)| !kind.contains("canary")
            && !key.contains("canary")
            && key.len() == 64),
        "{shown:?}"
    );
    let planned: Vec<&String> =
        shown.iter().filter(|(kind, _)| kind == "tasks.plan").map(|(_, key)| key).collect();
    assert!(
        planned[1] == planned[2] && planned[0] != planned[1],
        "the same key is seen to be the same: {planned:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_forgetting_that_is_applied_again_leaves_what_was_made_since_alone() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.forgets(business, business.0).await;
    import_at_once(&installation, &importers::Csv, "process-logs/tickets.csv", "acme", 1).await;
    let folder = installation.close().await;
    std::fs::remove_file(folder.path().join("forgotten")).unwrap();
    let installation = Installation::open(folder).await;
    assert_eq!(
        std::fs::read_to_string(installation.folder.path().join("forgotten"))
            .unwrap()
            .lines()
            .count(),
        1,
        "the list is made anew"
    );
    let counts =
        import_at_once(&installation, &importers::Csv, "process-logs/tickets.csv", "acme", 1).await;
    assert_eq!(
        serde_json::to_value(&counts).unwrap()["events_written"],
        json!(0),
        "nothing doubles"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_an_earlier_version_lose_their_keys() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let folder = installation.close().await;
    let attempts = rusqlite::Connection::open(folder.path().join("attempts.db")).unwrap();
    attempts.execute("UPDATE attempts SET key = 'canary-of-an-old-key'", []).unwrap();
    attempts.pragma_update(None, "user_version", 0).unwrap();
    drop(attempts);
    let installation = Installation::open(folder).await;
    let (rows, _) =
        installation.app.bus.attempts().list(domain::ids::INSTALLATION, None, 10).await.unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|(_, a)| a.key.is_empty()));
    let folder = installation.close().await;
    let raw = std::fs::read(folder.path().join("attempts.db")).unwrap();
    assert!(!raw.windows(6).any(|w| w == b"canary"));
}
