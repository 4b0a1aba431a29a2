//! Sealed texts and the keys that open them.

use domain::personal::Generation;
use event_log::keyring::{IfMissing, LocalKeyring, Wrapping};
use event_log::{Entropy, Keyring as _, Seq};
use serde_json::json;
use tempfile::TempDir;

use crate::bus::Bus;

#[tokio::test]
async fn a_keyring_opens_with_its_own_key_only_and_a_destroyed_key_is_gone_from_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.db");
    let own = Wrapping::from_file(&folder.path().join("k"), &Entropy::System).unwrap();
    let (business, subject) =
        (crate::samples::business(1), domain::SubjectId(uuid::Uuid::from_u128(5)));
    let keyring = LocalKeyring::open(&path, &own, Entropy::System, IfMissing::Make).unwrap();
    assert_eq!(keyring.sealing_key(business, subject).await.unwrap().0.generation, Generation(1));
    drop(keyring);
    let other = Wrapping::Passphrase(String::from("guess").into());
    assert!(
        LocalKeyring::open(&path, &other, Entropy::System, IfMissing::Make)
            .err()
            .unwrap()
            .to_string()
            .contains("does not open")
    );
    let keyring = LocalKeyring::open(&path, &own, Entropy::System, IfMissing::Make).unwrap();
    let wrapped: Vec<u8> = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT wrapped FROM keys", [], |r| r.get(0))
        .unwrap();
    assert_eq!(keyring.destroy(business, subject, Generation(1)).await.unwrap(), 1);
    assert!(keyring.opening_key(business, subject, Generation(1)).await.unwrap().is_none());
    assert_eq!(
        keyring.destroy(business, subject, Generation(1)).await.unwrap(),
        0,
        "twice is once"
    );
    assert_eq!(
        keyring.sealing_key(business, subject).await.unwrap().0.generation,
        Generation(2),
        "later data has a key of its own"
    );
    drop(keyring);
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{suffix}", path.display())).unwrap_or_default();
        assert!(
            !bytes.windows(wrapped.len()).any(|w| w == wrapped),
            "the wrapped key is still in keys.db{suffix}"
        );
    }
    assert!(folder.path().join("k").metadata().unwrap().len() == 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ciphertext_opens_at_its_own_place_only() {
    let bus = Bus::new().await;
    let business = bus.business("acme").await;
    bus.must(
        business,
        "tasks.plan",
        None,
        json!({"title": "a", "instructions": "b", "team": "sales"}),
    )
    .await;
    let recorded = bus.log.read_business(business, Seq(1), 1).await.unwrap().remove(0);
    let stored = recorded.stored().unwrap();
    let fields = stored.personal_fields();
    assert_eq!(
        fields.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(),
        ["/data/instructions", "/data/title"]
    );
    let keyring = &*bus.keyring;
    for (_, field) in &fields {
        event_log::unseal::<String>(keyring, field).await.unwrap();
        let mut moved = (**field).clone();
        moved.aad = moved.aad.replace("/data/", "/other/");
        let refused = event_log::unseal::<String>(keyring, &moved).await.unwrap_err();
        assert!(event_log::chain(&refused).to_string().contains("at its place"));
        let mut forged = (**field).clone();
        forged.commit = fields[0].1.commit.chars().rev().collect();
        assert!(event_log::unseal::<String>(keyring, &forged).await.is_err());
    }
}
