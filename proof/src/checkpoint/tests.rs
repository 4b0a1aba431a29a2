#![allow(clippy::unwrap_used, reason = "tests may")]
use super::*;
use crate::tree::{inclusion_proof, root};

/// The example of golang.org/x/mod/sumdb/note, which C2SP signed-note describes.
const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know \
    what your problem is.\n\n— PeterNeumann \
    x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn the_note_of_others_opens_and_a_changed_one_does_not() {
    let peter: Verifier = VKEY.parse().unwrap();
    assert_eq!(peter.to_string(), VKEY);
    assert!(peter.open(NOTE).unwrap().starts_with("If you think"));
    assert_eq!(
        peter.open(&NOTE.replace("answer", "Answer")),
        Err(CheckpointError::BadSignature("PeterNeumann".to_owned()))
    );
    assert!(VKEY.replace("c74f20a3", "c74f20a4").parse::<Verifier>().is_err());
}

fn proof(signer: &Signer) -> EventProof {
    let events = ["one", "two", "three"];
    let leaves: Vec<Hash> = events.iter().map(|e| leaf_hash(e.as_bytes())).collect();
    let checkpoint = signer.checkpoint("business-1", 3, &root(&leaves));
    EventProof::new(
        "two".to_owned(),
        2,
        &inclusion_proof(&leaves, 1).unwrap(),
        checkpoint,
        &signer.verifier(),
    )
}

#[test]
fn an_event_is_proved_by_its_bytes_its_path_and_a_signed_root() {
    let signer = Signer::new("minutebook.example/1", &[7; 32]);
    let proof = proof(&signer);
    assert_eq!(
        proof.verify(&signer.verifier()).unwrap(),
        Checkpoint {
            stream: "business-1".to_owned(),
            size: 3,
            root: proof.verify(&signer.verifier()).unwrap().root
        }
    );
    let other = Signer::new("minutebook.example/1", &[8; 32]);
    assert!(matches!(proof.verify(&other.verifier()), Err(CheckpointError::NotSignedBy(_))));
    let moved = EventProof { seq: 3, ..proof.clone() };
    assert!(matches!(moved.verify(&signer.verifier()), Err(CheckpointError::NotIncluded(_))));
    let changed = EventProof { event: "Two".to_owned(), ..proof.clone() };
    assert!(matches!(changed.verify(&signer.verifier()), Err(CheckpointError::NotIncluded(_))));
    let cut = EventProof { path: Vec::new(), ..proof };
    assert!(cut.verify(&signer.verifier()).is_err());
}
