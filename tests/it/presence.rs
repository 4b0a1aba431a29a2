//! Nothing is made by looking; a folder serves one log, under that log's keys, and is its owner's
//! alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use domain::access::PrincipalKind;
use event_log::Seq;
use serde_json::json;
use server::app::{App, Handles, operator};
use server::config::Config;
use tempfile::TempDir;
use tests::Said as _;
use tests::installation::{Installation, config};

use crate::door::Door;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");

async fn minutebook(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(folder).args(arguments).envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn refused(config: &Config) -> String {
    App::open(config, Handles::default()).await.err().expect("it must not open").said()
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_look_make_nothing_where_there_is_nothing() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("nowhere");
    for verb in [
        &["verify"][..],
        &["query", "{ __typename }"],
        &["replay", "--business", "b"],
        &["keys", "list"],
        &["keys", "issue"],
        &["projections", "status"],
        &["consumers", "status"],
        &["do", r#"{"type":"businesses.register","data":{"slug":"a"}}"#],
        &["export", "--business", "b", "--out", "/dev/null"],
    ] {
        let output = minutebook(&folder, verb, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{verb:?}: {}", said(&output));
        assert!(
            said(&output).contains("there is no installation in the data folder"),
            "{verb:?}: {}",
            said(&output)
        );
        assert!(!folder.exists(), "{verb:?}");
    }
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(minutebook(&folder, &["verify"], &[]).await.status.code(), Some(1));
    assert!(names(&folder).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_not_served_without_its_keys_or_under_others() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let folder = installation.close().await;
    let keep = TempDir::new().unwrap();
    let (of, kept) = (|name: &str| folder.path().join(name), |name: &str| keep.path().join(name));
    for (name, why) in [
        ("keyring.key", "keyring.key wraps them and is not there"),
        ("keys.db", "keys.db is not there"),
        ("log.db", "its log.db is gone"),
    ] {
        std::fs::rename(of(name), kept(name)).unwrap();
        let before = names(folder.path());
        let says = refused(&config(folder.path())).await;
        assert!(says.contains(why), "{name}: {says}");
        assert_eq!(names(folder.path()), before, "nothing is left behind");
        std::fs::rename(kept(name), of(name)).unwrap();
    }
    let right = std::fs::read(of("keyring.key")).unwrap();
    std::fs::write(of("keyring.key"), "ab".repeat(32)).unwrap();
    let says = refused(&config(folder.path())).await;
    assert!(says.contains("keys.db does not open with this key file"), "{says}");
    std::fs::write(of("keyring.key"), right).unwrap();
    Installation::open(folder).await.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_installation_open_nothing_and_are_refused() {
    let installation = Installation::new().await;
    installation.business("acme").await;
    let folder = installation.close().await;
    // Another's, that was used, and one that is new: each opens with its own wrapping key.
    for used in [true, false] {
        let other = Installation::open(TempDir::new().unwrap()).await;
        if used {
            other.business("acme").await;
        }
        let other = other.close().await;
        for name in ["keys.db", "keyring.key"] {
            std::fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
        }
        let says = refused(&config(folder.path())).await;
        assert!(says.contains("are another installation's"), "{says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_made_in_an_empty_folder_and_touches_nobody_elses_files() {
    let folder = TempDir::new().unwrap();
    let (script, below) = (folder.path().join("run.sh"), folder.path().join("below"));
    std::fs::create_dir(&below).unwrap();
    for file in [&script, &below.join("tool")] {
        std::fs::write(file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(
        refused(&config(folder.path())).await.contains("an installation is made in an empty one")
    );
    assert_eq!(names(folder.path()), ["below", "run.sh"]);
    // A folder of ours with something of others in it.
    let installation = Installation::new().await;
    installation.business("acme").await;
    let ours = installation.close().await;
    std::fs::rename(&script, ours.path().join("run.sh")).unwrap();
    std::fs::rename(&below, ours.path().join("below")).unwrap();
    let opened = Installation::open(ours).await;
    opened.verifies().await;
    for file in ["run.sh", "below/tool"] {
        let mode = std::fs::metadata(opened.folder.path().join(file)).unwrap().permissions().mode()
            & 0o777;
        assert_eq!(mode, 0o755, "{file}");
    }
    let foreign = TempDir::new().unwrap();
    let database = rusqlite::Connection::open(foreign.path().join("log.db")).unwrap();
    database.execute_batch("CREATE TABLE t(x)").unwrap();
    drop(database);
    assert!(refused(&config(foreign.path())).await.contains("is a database of something else"));
    let left = rusqlite::Connection::open(foreign.path().join("log.db")).unwrap();
    assert_eq!(
        left.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get::<_, i64>(0)).unwrap(),
        1
    );
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_serves_one_log_and_no_other_and_not_none() {
    let installation = Installation::at(&tests::postgres::database().await).await;
    installation.business("acme").await;
    let folder = installation.close().await;
    let forgotten = refused(&config(folder.path())).await;
    assert!(
        forgotten.contains("its log is in PostgreSQL: name it with --log or MINUTEBOOK_LOG"),
        "{forgotten}"
    );
    assert!(!folder.path().join("log.db").exists());
    let empty = Config { log: tests::postgres::database().await, ..config(folder.path()) };
    assert!(refused(&empty).await.contains("and this one is empty"), "{}", refused(&empty).await);
    let other = tests::postgres::database().await;
    // Its first event has another time.
    let own = TempDir::new().unwrap();
    App::open(&Config { log: other.clone(), ..config(own.path()) }, Handles::default())
        .await
        .unwrap()
        .close()
        .await;
    let says = refused(&Config { log: other, ..config(folder.path()) }).await;
    assert!(says.contains("served another log, in PostgreSQL"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_and_every_file_in_it_are_their_owners_alone() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    installation.must(business, "tasks.plan", None, json!({"title": "x", "team": "hr"})).await;
    let folder = installation.close().await;
    // As an earlier version left it.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.path().join("log.db"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    let output = minutebook(folder.path(), &["verify"], &[]).await;
    assert!(output.status.success(), "{}", said(&output));
    let exported = folder.path().join("out.jsonl");
    let output = minutebook(
        folder.path(),
        &["export", "--business", "acme", "--out", exported.to_str().unwrap()],
        &[],
    )
    .await;
    assert!(output.status.success(), "{}", said(&output));
    let mut folders = vec![folder.path().to_owned()];
    while let Some(path) = folders.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
            folders.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_unknown_impossible_or_without_effect_are_refused() {
    let folder = TempDir::new().unwrap();
    for (name, value, why) in [
        ("MINUTEBOOK_LOGG", "x", "did you mean MINUTEBOOK_LOG?"),
        ("MINUTEBOOK_KEYS", "postgres://x", "has no effect without a log in KurrentDB"),
        ("MINUTEBOOK_KURRENTDB_HOST", "h", "has no effect without kurrentdb_listen"),
        ("MINUTEBOOK_WORKERS", "100000", "at most 1024"),
        ("MINUTEBOOK_LOGGING", "loud", "is no level and no filter"),
        ("MINUTEBOOK_KEYRING_PASSPHRASE", "", "is empty"),
        ("MINUTEBOOK_WORKERS", "many", "expected usize for key \"WORKERS\""),
        (
            "MINUTEBOOK_SIGNING_KEY_FILE",
            "/nowhere/signing.key",
            "is to sign checkpoints and is not there",
        ),
    ] {
        let output = minutebook(
            folder.path(),
            &["import", "documents", "/nowhere", "--business", "acme"],
            &[(name, value)],
        )
        .await;
        assert!(
            !output.status.success() && said(&output).contains(why),
            "{name}: {}",
            said(&output)
        );
        assert!(names(folder.path()).is_empty(), "{name}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_log_signs_under_one_name() {
    let url = tests::postgres::database().await;
    let (one, other) = (Installation::at(&url).await, Installation::at(&url).await);
    let business = one.business("acme").await;
    let ask = "{ business(slug: \"acme\") { signedCheckpoint { vkey } } }";
    let head = one.app.log.head(business).await.unwrap().unwrap();
    crate::processes::knows(&other, operator(), business).await;
    let signed = one.query(ask).await["business"]["signedCheckpoint"]["vkey"].clone();
    assert!(signed.is_string() && head.seq > Seq::START);
    assert_eq!(other.query(ask).await["business"]["signedCheckpoint"]["vkey"], signed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signing_key_of_an_earlier_version_goes_on_signing_from_the_keyring() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("signing.key"), "5a".repeat(32)).unwrap();
    let ask = "{ business(slug: \"acme\") { signedCheckpoint { vkey } } }";
    let installation = Installation::open(folder).await;
    installation.business("acme").await;
    let before = installation.query(ask).await["business"].clone();
    let folder = installation.close().await;
    std::fs::remove_file(folder.path().join("signing.key")).unwrap();
    let again = Installation::open(folder).await;
    assert_eq!(again.query(ask).await["business"], before);
    let other = Installation::open(TempDir::new().unwrap()).await;
    other.business("acme").await;
    assert_ne!(other.query(ask).await["business"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_listed_and_revoked_where_the_server_runs() {
    let door = Door::open().await;
    let (url, files) = (door.url().to_owned(), TempDir::new().unwrap());
    let first = files.path().join("first");
    std::fs::write(&first, door.key()).unwrap();
    let run = async |key: &Path, arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["--server", &url, "--key-file"]).arg(key).args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let listed = said(&run(&first, &["keys", "list"]).await);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let alone = run(&first, &["keys", "revoke", listed.trim()]).await;
    assert!(
        !alone.status.success() && said(&alone).contains("only key of the only operator"),
        "{}",
        said(&alone)
    );
    let second = files.path().join("second");
    let rotated = run(&first, &["keys", "rotate", "--out", second.to_str().unwrap()]).await;
    assert!(rotated.status.success() && !said(&rotated).contains("mb_"), "{}", said(&rotated));
    assert_eq!(std::fs::metadata(&second).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        said(&run(&first, &["keys", "list"]).await).contains("401"),
        "the old one opens nothing"
    );
    let now = said(&run(&second, &["keys", "list"]).await);
    assert!(now.lines().count() == 1 && now != listed, "{now}");
    let business = door.business;
    let ada = business.derive_id("ada");
    door.installation
        .must(business, "tasks.plan", None, json!({"title": "x", "team": "hr", "serves": ada}))
        .await;
    door.installation.app.caught_up(std::time::Duration::from_secs(30)).await.unwrap();
    let slug = "acme";
    let subjects = said(&run(&second, &["keys", "subjects", "--business", slug]).await);
    assert!(
        subjects.contains(&format!("{ada} in 1 aggregates")) && subjects.contains("  task "),
        "{subjects}"
    );
    let nobody = uuid::Uuid::now_v7().to_string();
    let shred =
        run(&second, &["keys", "shred", "--business", slug, "--subject", &nobody, "--yes"]).await;
    assert!(
        shred.status.code() == Some(1) && said(&shred).contains("404 nothing_to_forget"),
        "{}",
        said(&shred)
    );
    let shred = run(
        &second,
        &["keys", "shred", "--business", slug, "--subject", &ada.to_string(), "--yes"],
    )
    .await;
    assert!(
        shred.status.success()
            && said(&shred).contains("is forgotten; what names that id still:\n  task "),
        "{}",
        said(&shred)
    );
    let stranger =
        door.installation.principal(business, PrincipalKind::Human, Some("member")).await;
    let (_, theirs) = door.installation.app.issue_key(stranger.principal).await.unwrap();
    let path = format!("/v1/principals/{}/keys", operator());
    assert_eq!(door.send("GET", &path, Some(theirs.reveal()), &[], "").await.status, 403);
    let own = format!("/v1/principals/{}/keys", stranger.principal);
    assert_eq!(door.send("GET", &own, Some(theirs.reveal()), &[], "").await.status, 200);
}
