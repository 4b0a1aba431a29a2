//! The Merkle tree against the vectors of others and two other implementations; the golden vector.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::values::Digest;
use event_log::{Seed, Seq, Stored};
use proof::tree::{self, Frontier, Hash};
use serde_json::{Value, json};
use tests::installation::Installation;

fn vectors(folder: &str) -> Vec<(PathBuf, Value)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("data/rfc6962-merkle").join(folder),
        &mut found,
    );
    found
        .into_iter()
        .map(|p| (p.clone(), serde_json::from_slice(&std::fs::read(p).unwrap()).unwrap()))
        .collect()
}

/// A hash of the vectors; `None` when it has not 32 bytes, which is to be refused.
fn hash(value: &Value) -> Option<Hash> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap().try_into().ok()
}

fn hashes(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |list| list.iter().map(hash).collect())
}

#[test]
fn the_inclusion_vectors_are_judged_as_their_authors_say() {
    let all = vectors("inclusion");
    assert!(all.len() > 40 && all.iter().any(|(_, v)| v["wantErr"] == json!(false)));
    for (path, v) in all {
        let accepted = (|| {
            let (leaf, root, proof) =
                (hash(&v["leafHash"])?, hash(&v["root"])?, hashes(&v["proof"])?);
            tree::verify_inclusion(
                v["leafIdx"].as_u64()?,
                v["treeSize"].as_u64()?,
                &leaf,
                &proof,
                &root,
            )
            .ok()
        })();
        assert_eq!(accepted.is_none(), v["wantErr"] == json!(true), "{}", path.display());
    }
}

#[test]
fn the_consistency_vectors_are_judged_as_their_authors_say() {
    let all = vectors("consistency");
    assert!(all.len() > 40 && all.iter().any(|(_, v)| v["wantErr"] == json!(false)));
    for (path, v) in all {
        let (size1, size2) = (v["size1"].as_u64().unwrap(), v["size2"].as_u64().unwrap());
        let accepted = (|| {
            let (root1, root2, proof) =
                (hash(&v["root1"])?, hash(&v["root2"])?, hashes(&v["proof"])?);
            tree::verify_consistency(size1, size2, &proof, &root1, &root2).ok()
        })();
        // Where the roots are no hashes at all the authors "don't care"; we do: lengths are
        // checked.
        let no_hashes = hash(&v["root1"]).is_none() || hash(&v["root2"]).is_none();
        assert_eq!(
            accepted.is_none(),
            no_hashes || v["wantErr"] == json!(true),
            "{}",
            path.display()
        );
    }
}

struct Reader<'a>(&'a [tlog_tiles::Hash]);

impl tlog_tiles::HashReader for Reader<'_> {
    fn read_hashes(
        &self,
        indexes: &[u64],
    ) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|i| self.0[usize::try_from(*i).unwrap()]).collect())
    }
}

#[test]
fn two_other_implementations_agree_for_every_size_to_256() {
    let mut stored: Vec<tlog_tiles::Hash> = Vec::new();
    let mut other =
        ct_merkle::mem_backed_tree::MemoryBackedTree::<ct_merkle_sha2::Sha256, Vec<u8>>::new();
    let (mut frontier, mut leaves) = (Frontier::default(), Vec::new());
    assert_eq!(frontier.root(), tree::empty_root());
    for n in 0..256_u64 {
        let data = format!("event {n}").into_bytes();
        stored.extend(tlog_tiles::stored_hashes(n, &data, &Reader(&stored)).unwrap());
        leaves.push(tree::leaf_hash(&data));
        frontier.push(tree::leaf_hash(&data));
        other.push(data);
        let (size, root) = (n + 1, frontier.root());
        assert_eq!(root, tree::root(&leaves));
        assert_eq!(root, tlog_tiles::tree_hash(size, &Reader(&stored)).unwrap().0, "size {size}");
        assert_eq!(root.as_slice(), other.root().as_bytes().as_slice(), "size {size}");
        assert_eq!(Frontier::from_bytes(size, &frontier.to_bytes()).unwrap(), frontier);
        for index in [0, n / 3, n / 2, n] {
            let i = usize::try_from(index).unwrap();
            let path = tree::inclusion_proof(&leaves, i).unwrap();
            tree::verify_inclusion(index, size, &leaves[i], &path, &root).unwrap();
            assert_eq!(path.concat(), other.prove_inclusion(i).as_bytes());
            let theirs = tlog_tiles::prove_record(size, index, &Reader(&stored)).unwrap();
            assert_eq!(path, theirs.iter().map(|h| h.0).collect::<Vec<_>>());
        }
        for old in [1, size / 2, size] {
            if old == 0 {
                continue;
            }
            let path = tree::consistency_proof(&leaves, usize::try_from(old).unwrap()).unwrap();
            let old_root = tree::root(&leaves[..usize::try_from(old).unwrap()]);
            tree::verify_consistency(old, size, &path, &old_root, &root).unwrap();
            if old < size {
                assert!(tree::verify_consistency(old, size, &path, &root, &root).is_err());
            }
        }
    }
}

/// Enrols an agent as the vector has it, whose ids and permissions were the caller's own then: only
/// what was done elsewhere still comes in like that.
async fn enrolled_as_then(
    installation: &Installation,
    seed: &Seed,
    business: domain::BusinessId,
    role: &str,
    name: &str,
) -> uuid::Uuid {
    let operator = installation.app.operator_in(business).await.unwrap();
    let above = installation.app.operator_in(domain::ids::INSTALLATION).await.unwrap();
    let (drawn, principal) = (seed.drawn(), business.derive_id(name));
    let add = json!({"kind": "agent", "display_name": name});
    let add = commands::Submission::new(
        domain::ids::INSTALLATION,
        above,
        format!("add-{name}"),
        "access.add_principal",
        Some(principal),
        &add,
    );
    installation.app.bus.submit(add).await.unwrap();
    seed.back_to(drawn);
    let key = installation.key();
    let id = event_log::envelope::event_id(business, operator.principal, &key, u32::MAX).0;
    let data = json!({
        "name": role, "team": "sales", "role": role, "runtime": {"model": "m"},
        "principal": principal,
        "permissions": {"tools": [], "connectors": ["crm"], "data_classes": []},
    });
    let actor = commands::Actor { historic: true, ..operator };
    // The vector's command had no id, and what was asked is in its digest.
    let enrol = commands::Submission {
        id: None,
        ..commands::Submission::new(business, actor, key, "agents.enrol", Some(id), &data)
    };
    installation.app.bus.submit(enrol).await.unwrap().events[0].id
}

/// Ten events of one business, made with a fixed clock and fixed randomness: once committed, their
/// bytes, leaf hashes and roots never change.
#[tokio::test(flavor = "multi_thread")]
async fn the_golden_vector_stays_what_it_is() {
    let seed = Arc::new(Seed::default());
    let installation = Installation::seeded(&seed).await;
    let business = installation.business("golden").await;
    let producer = enrolled_as_then(&installation, &seed, business, "producer", "p").await;
    let qa = enrolled_as_then(&installation, &seed, business, "qa", "q").await;
    let plan = json!({"title": "Write the offer — für \
        Zoë", "team": "sales", "serves": business.derive_id("customer")});
    let task = installation.must(business, "tasks.plan", None, plan).await.events[0].id;
    installation.must(business, "tasks.offer", Some(task), json!({})).await;
    installation.must(business, "tasks.lease", Some(task), json!({"agent": producer})).await;
    let submit = json!({"agent": producer, "fencing_token": 1, "result": "\u{1F4DC} done\n",
        "cost": {"amount": "0.002067500", "currency": "USD"}});
    installation.must(business, "tasks.submit", Some(task), submit).await;
    let digest = installation
        .query("{ business(slug: \"golden\") { tasks(first: 1) { nodes { artifactDigest } } } }")
        .await;
    let digest = digest["business"]["tasks"]["nodes"][0]["artifactDigest"].clone();
    let review = json!({"reviewer": qa, "artifact_digest": digest, "verdict": "passed"});
    installation.must(business, "tasks.review", Some(task), review).await;
    installation.must(business, "businesses.advance", None, json!({"to": "planning"})).await;
    let (mut tree, mut events) = (Frontier::default(), Vec::new());
    for recorded in installation.app.log.read_business(business, Seq::START, 100).await.unwrap() {
        let leaf = tree::leaf_hash(&recorded.bytes);
        tree.push(leaf);
        let canonical: Value = serde_json::from_slice(&recorded.bytes).unwrap();
        assert_eq!(
            proof::canonical::to_bytes(&canonical).unwrap(),
            recorded.bytes,
            "the bytes are canonical"
        );
        Stored::parse(&recorded.bytes).unwrap().event().unwrap();
        let bytes = String::from_utf8(recorded.bytes).unwrap();
        events.push(json!({"bytes": bytes, "leaf": Digest(leaf), "root": Digest(tree.root())}));
    }
    assert_eq!(events.len(), 10);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proof/golden/ten-events.json");
    let text = format!(
        "{}\n",
        serde_json::to_string_pretty(&json!({"stream": business.stream_name(), "events": events}))
            .unwrap()
    );
    if !path.exists() && std::env::var_os("MINUTEBOOK_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    // An event whose schema has grown since is stored under its new version; all else is to the
    // letter.
    let then: Value = serde_json::from_str(&committed).unwrap();
    for (then, now) in then["events"].as_array().unwrap().iter().zip(&events) {
        let (then, now) = (then["bytes"].as_str().unwrap(), now["bytes"].as_str().unwrap());
        let old = Stored::parse(then.as_bytes()).unwrap();
        old.event().unwrap();
        let current = domain::Event::types().find(|t| t.name == old.r#type).unwrap().schema;
        let grown =
            then.replace(&format!("\"schema\":{},", old.schema), &format!("\"schema\":{current},"));
        assert!(
            grown == now,
            "stored bytes changed: what is stored is promised for good\n{grown}\n{now}"
        );
    }
    installation.close().await;
}

#[test]
fn the_golden_vector_checks_with_nothing_but_the_proof_crate() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proof/golden/ten-events.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut frontier, mut leaves) = (Frontier::default(), Vec::new());
    for event in golden["events"].as_array().unwrap() {
        let leaf = tree::leaf_hash(event["bytes"].as_str().unwrap().as_bytes());
        leaves.push(leaf);
        frontier.push(leaf);
        assert_eq!(json!(Digest(leaf)), event["leaf"]);
        assert_eq!(json!(Digest(frontier.root())), event["root"]);
    }
    let path = tree::inclusion_proof(&leaves, 6).unwrap();
    tree::verify_inclusion(6, 10, &leaves[6], &path, &frontier.root()).unwrap();
    assert!(tree::verify_inclusion(7, 10, &leaves[6], &path, &frontier.root()).is_err());
}
