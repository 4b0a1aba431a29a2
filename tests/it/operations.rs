//! What leaves the system: exports and proofs that are checked without it, and their being on
//! record.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::PROOFS_MAX;
use domain::operations::ExportFormat;
use event_log::{Seq, prove};
use proof::checkpoint::{EventProof, Signer, Verifier};
use serde_json::{Value, json};
use server::export::{manifest_path, verify};
use tests::installation::Installation;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_events_proof_checks_with_the_proof_crate_alone() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Langfuse,
        "langfuse/langgraph-python-2025-08-22.trace.json",
        "acme",
    )
    .await;
    let head = installation
        .query(
            "{ business(slug: \"acme\") { signedCheckpoint { text vkey seq root } head { seq \
            root } events(first: 200) { nodes { id seq } } } }",
        )
        .await;
    let business = &head["business"];
    assert_eq!(
        (&business["signedCheckpoint"]["seq"], &business["signedCheckpoint"]["root"]),
        (&business["head"]["seq"], &business["head"]["root"])
    );
    let vkey: Verifier = business["signedCheckpoint"]["vkey"].as_str().unwrap().parse().unwrap();
    for event in business["events"]["nodes"].as_array().unwrap() {
        let query = format!(
            "{{ business(slug: \"acme\") {{ inclusionProof(eventId: \"{}\") {{ bundle seq }} }} }}",
            event["id"].as_str().unwrap()
        );
        let answer = installation.query(&query).await;
        let proof: EventProof =
            serde_json::from_str(answer["business"]["inclusionProof"]["bundle"].as_str().unwrap())
                .unwrap();
        assert_eq!(json!(proof.seq), event["seq"]);
        proof.verify(&vkey).unwrap();
        let changed = EventProof { event: proof.event.replacen("\"v\":1", "\"v\":2", 1), ..proof };
        assert!(changed.verify(&vkey).is_err());
    }
    let none = installation
        .query(&format!(
            "{{ business(slug: \"acme\") {{ inclusionProof(eventId: \"{}\") {{ seq }} }} }}",
            Uuid::from_u128(1)
        ))
        .await;
    assert_eq!(none["business"]["inclusionProof"], Value::Null);
}

/// The proof of the event with this `seq`, checked, with the hashes of its path.
async fn proof_of(installation: &Installation, seq: usize) -> Vec<Value> {
    let events = installation
        .query(&format!(
            "{{ business(slug: \"acme\") {{ events(last: 1, before: \"{}\") {{ nodes {{ id seq \
             }} }} signedCheckpoint {{ vkey }} }} }}",
            URL_SAFE_NO_PAD.encode(format!("events:{}", seq + 1))
        ))
        .await;
    let event = &events["business"]["events"]["nodes"][0];
    assert_eq!(event["seq"], json!(seq));
    let answer = installation
        .query(&format!(
            "{{ business(slug: \"acme\") {{ inclusionProof(eventId: \"{}\") {{ bundle path }} }} }}",
            event["id"].as_str().unwrap()
        ))
        .await;
    let proof = &answer["business"]["inclusionProof"];
    let bundle: EventProof = serde_json::from_str(proof["bundle"].as_str().unwrap()).unwrap();
    let vkey = events["business"]["signedCheckpoint"]["vkey"].as_str().unwrap().parse().unwrap();
    bundle.verify(&vkey).unwrap();
    proof["path"].as_array().unwrap().clone()
}

/// Tiles of the views give the path that the whole stream gives. Where one is changed, the path
/// leads nowhere, and the stream is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_made_of_tiles_and_of_the_stream_where_they_lie() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "acme",
    )
    .await;
    installation.app.caught_up(Duration::from_secs(60)).await.unwrap();
    let business = installation.app.business("acme").await.unwrap().unwrap();
    let end = installation.app.log.head(business).await.unwrap().unwrap().seq.0;
    let end = usize::try_from(end).unwrap();
    assert!(end > 64 * 2, "{end} events are no two full tiles");
    let some = [1, 2, 63, 64, 65, 128, 129, end - 1, end];
    let (signer, mut of_stream) = (Signer::new("anybody", &[1; 32]), Vec::new());
    for seq in some {
        let app = &installation.app;
        let before = Seq(seq as u64 - 1);
        let event = app.log.read_business(business, before, 1).await.unwrap().remove(0);
        let id = event.stored().unwrap().event_id;
        let proof = prove::event(&*app.log, &signer, business, id).await.unwrap().unwrap();
        of_stream.push(proof.path.iter().map(|hash| json!(hash)).collect::<Vec<_>>());
    }
    // Reading a stream needs a place.
    let all = u32::try_from(PROOFS_MAX).unwrap();
    let places = installation.app.proofs.acquire_many(all).await.unwrap();
    for (seq, path) in some.into_iter().zip(&of_stream) {
        assert_eq!(&proof_of(&installation, seq).await, path, "{seq}");
    }
    drop(places);
    let lie = |folder: &Path| {
        let views = folder.join("views");
        let named: Value =
            serde_json::from_slice(&std::fs::read(views.join("generations.json")).unwrap())
                .unwrap();
        let file = views.join(format!("{}.db", named["current"]));
        let sql = "UPDATE hash_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0";
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
        0
    };
    let installation = installation.reopen_after(lie).await;
    for (seq, path) in some.into_iter().zip(&of_stream) {
        assert_eq!(&proof_of(&installation, seq).await, path, "{seq}");
    }
}

fn minutebook(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_minutebook-for-tests"))
        .arg("--data")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    (
        out.status.code().unwrap(),
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_offline_and_a_changed_or_cut_one_is_not() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "acme",
    )
    .await;
    let folder = installation.close().await;
    let out = folder.path().join("acme.jsonl");
    let file = out.to_str().unwrap();
    let (code, said) = minutebook(folder.path(), &["export", "--business", "acme", "--out", file]);
    assert_eq!(code, 0, "{said}");
    let manifest = verify(&out, None).unwrap();
    assert_eq!(
        (manifest.format, said.contains(&manifest.events.to_string())),
        (ExportFormat::Jsonl, true)
    );
    assert_eq!(minutebook(folder.path(), &["verify", file, "--vkey", &manifest.vkey]).0, 0);
    let whole = std::fs::read_to_string(&out).unwrap();
    for (n, broken) in [
        whole.replacen("\"v\":1", "\"v\":3", 1),
        whole[..whole.len() / 2].to_owned(),
        whole.replacen('\n', "\n{}\n", 1),
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(&out, broken).unwrap();
        assert!(verify(&out, None).is_err(), "{n}");
        assert_eq!(minutebook(folder.path(), &["verify", file]).0, 3);
    }
    // It is on record, and the tree goes on from what was exported.
    let (code, said) = minutebook(
        folder.path(),
        &[
            "query",
            "{ business(slug: \"acme\") { exports { nodes { format events digest actorId } } \
            head { \
             seq } } }",
        ],
    );
    assert_eq!(code, 0);
    let answer: Value = serde_json::from_str(&said[..=said.rfind('}').unwrap()]).unwrap();
    let exported = &answer["data"]["business"]["exports"]["nodes"][0];
    assert_eq!(
        (exported["events"].as_u64(), exported["digest"].as_str()),
        (Some(manifest.events), Some(manifest.digest.to_string().as_str()))
    );
    assert_eq!(answer["data"]["business"]["head"]["seq"].as_u64(), Some(manifest.events + 1));
    for format in ["csv", "cloudevents"] {
        let other = folder.path().join(format);
        assert_eq!(
            minutebook(
                folder.path(),
                &[
                    "export",
                    "--business",
                    "acme",
                    "--format",
                    format,
                    "--out",
                    other.to_str().unwrap()
                ]
            )
            .0,
            0
        );
        let text = std::fs::read_to_string(&other).unwrap();
        assert!(manifest_path(&other).exists() && text.lines().count() as u64 > manifest.events);
        if format == "cloudevents" {
            let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!(
                (&first["specversion"], &first["type"]),
                (&json!("1.0"), &json!("minutebook.businesses.registered.v1"))
            );
            let schema: Value =
                serde_json::from_str(include_str!("../data/cloudevents/cloudevents.schema.json"))
                    .unwrap();
            let schema = jsonschema::validator_for(&schema).unwrap();
            assert!(
                !schema.is_valid(&json!({"specversion": "1.0", "type": "x"})),
                "it would notice"
            );
            for line in text.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                assert!(schema.is_valid(&event), "{event:#}");
            }
        }
    }
    assert_eq!(
        minutebook(folder.path(), &["verify", folder.path().join("csv").to_str().unwrap()]).0,
        3
    );
}

/// The sentence with which a changed export is refused.
fn refused(file: &Path, lines: &[Vec<u8>]) -> String {
    let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
    std::fs::write(file, text).unwrap();
    verify(file, None).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_that_is_changed_missing_doubled_or_swapped_is_named() {
    let installation = Installation::new().await;
    crate::metrics::import(
        &installation,
        &importers::Transcripts,
        "tau-bench/airline-slice.json",
        "acme",
    )
    .await;
    let folder = installation.close().await;
    let out = folder.path().join("acme.jsonl");
    assert_eq!(
        minutebook(
            folder.path(),
            &["export", "--business", "acme", "--out", out.to_str().unwrap()]
        )
        .0,
        0
    );
    let whole: Vec<Vec<u8>> = std::fs::read(&out)
        .unwrap()
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let n = whole.len();
    assert!(n > 20);
    // A bit of any byte of any event, the ends of the lines among them.
    let bytes = whole.iter().map(|line| line.len() + 1).sum::<usize>();
    for flip in 0..60 {
        let at = (flip * 7_919 + 13) * bytes / (60 * 7_919);
        let mut text: Vec<u8> =
            whole.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        let event = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
        text[at] ^= 1 << (flip % 7);
        std::fs::write(&out, text).unwrap();
        let said = verify(&out, None).unwrap_err();
        assert!(
            said.starts_with(&format!("line {event}: "))
                && said.contains(&format!("event {event} ")),
            "byte {at} of event {event}: {said}"
        );
    }
    let without = |gone: usize| {
        whole
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != gone)
            .map(|(_, line)| line.clone())
            .collect::<Vec<_>>()
    };
    for gone in [0, 7, n - 1] {
        assert!(
            refused(&out, &without(gone)).contains(&format!("event {} is missing", gone + 1)),
            "{gone}"
        );
    }
    let mut doubled = whole.clone();
    doubled.insert(9, whole[8].clone());
    assert!(
        refused(&out, &doubled)
            .starts_with("line 10: event 10 is not here, but one that stood before")
    );
    let mut more = whole.clone();
    more.push(whole[n - 1].clone());
    assert!(refused(&out, &more).contains("1 events more"));
    let mut swapped = whole.clone();
    swapped.swap(4, 11);
    assert_eq!(
        refused(&out, &swapped),
        "line 5: event 5 stands further down, and event 12 in its place: they are swapped"
    );
    // The list itself is believed only where it gives the signed root.
    std::fs::write(
        &out,
        whole.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<_>>(),
    )
    .unwrap();
    verify(&out, None).unwrap();
    let manifest = std::fs::read_to_string(manifest_path(&out)).unwrap();
    let mut other: Value = serde_json::from_str(&manifest).unwrap();
    let leaves = other["leaves"].as_str().unwrap().to_owned();
    other["leaves"] = json!(
        format!("{}A{}", if leaves.starts_with('A') { "B" } else { "" }, &leaves[1..])
            .chars()
            .take(leaves.len())
            .collect::<String>()
    );
    std::fs::write(manifest_path(&out), other.to_string()).unwrap();
    assert!(verify(&out, None).unwrap_err().contains("leaf hashes"));
    other.as_object_mut().unwrap().remove("leaves");
    std::fs::write(manifest_path(&out), other.to_string()).unwrap();
    verify(&out, None).expect("a manifest of an earlier version has none");
}

#[test]
fn a_cell_is_never_a_formula() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("x.csv");
    let mut writer = server::export::ExportWriter::begin(&file, ExportFormat::Csv).unwrap();
    let golden: Value =
        serde_json::from_str(include_str!("../../proof/golden/ten-events.json")).unwrap();
    let event = golden["events"][0]["bytes"].as_str().unwrap();
    let wicked = event.replace("\"command_id\":\"", "\"command_id\":\"=HYPERLINK(1)");
    assert_ne!(event, wicked);
    writer.event(&wicked).unwrap();
    assert!(!file.exists(), "a file gets its name when it is whole");
    writer.end().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"'=HYPERLINK(1)"));
}
