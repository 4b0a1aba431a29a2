//! The version of a projection stands for its tables and rows: a server that finds another version
//! in its files builds them anew, and one that finds the same reads them as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::personal::Generation;
use domain::values::Digest;
use event_log::Seed;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use tests::installation::Installation;

use crate::metrics::import_at_once;

/// A projection as it was last committed.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone)]
struct Committed {
    version: u32,
    /// SHA-256 of the SQL of the tables and indexes, and of the rows that the script gives.
    digest: Digest,
}

/// What every projection makes of one script of commands.
#[derive(Serialize, Deserialize)]
struct Golden {
    /// SHA-256 of the roots of all streams that the script writes.
    log: Digest,
    projections: BTreeMap<String, Committed>,
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/views.golden.json")
}

fn sha256<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut hash = sha2::Sha256::new();
    parts.for_each(|part| hash.update(part));
    Digest(hash.finalize().into())
}

/// Runs every command there is and an import, in a seeded installation whose clock stands still.
async fn made_now() -> Golden {
    let installation = Installation::seeded(&Arc::new(Seed::apart())).await;
    let business = installation.business("acme").await;
    crate::command_bus::every_command(&installation, business).await;
    let file = "tau-bench/airline-slice.json";
    import_at_once(&installation, &importers::Transcripts, file, "imported", 1).await;
    installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let heads = installation.app.log.heads().await.unwrap();
    // What was forgotten is gone once its key is, which another task destroys.
    let (keyring, subject) = (&installation.app.keyring, business.as_subject());
    while keyring.opening_key(business, subject, Generation(1)).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rows: BTreeMap<String, Digest> = installation.rebuilt_digests().await.into_iter().collect();
    let projections = projections::ALL.iter().map(|p| {
        let indexes = p.indexes.iter().flat_map(|(name, of)| [name.as_bytes(), of.as_bytes()]);
        let parts = [p.sql.as_bytes(), &rows[p.name].0].into_iter().chain(indexes);
        (p.name.to_owned(), Committed { version: p.version, digest: sha256(parts) })
    });
    Golden {
        log: sha256(heads.iter().map(|head| head.root.as_slice())),
        projections: projections.collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_whose_tables_or_rows_changed_has_a_higher_version() {
    let (was, now): (Option<Golden>, Golden) = (
        std::fs::read(committed()).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap()),
        made_now().await,
    );
    let same_log = was.as_ref().is_some_and(|was| was.log == now.log);
    let before = was.map(|was| was.projections).unwrap_or_default();
    // Other events give other rows under the same rules; the tables are compared by their SQL with
    // the next log that is the same.
    for (name, now) in now.projections.iter().filter(|_| same_log) {
        let Some(was) = before.get(name) else { continue };
        assert!(
            now.digest == was.digest || now.version > was.version,
            "the tables or rows of the projection `{name}` changed: raise its `version`, or files \
             that are there keep the old rows"
        );
    }
    if std::env::var_os("MINUTEBOOK_WRITE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&now).unwrap();
        std::fs::write(committed(), format!("{text}\n")).unwrap();
        return;
    }
    assert_eq!(
        now.projections, before,
        "`MINUTEBOOK_WRITE_GOLDEN=1 cargo test view_versions` writes it anew, if that is meant"
    );
}
