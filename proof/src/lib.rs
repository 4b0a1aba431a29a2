//! PROOFS: the canonical bytes of what is stored, and the Merkle tree of a stream.
//!
//! Pure and with few dependencies on purpose: whoever wants to check a stream without us builds
//! this crate alone.
//!
//! - [`canonical`]: RFC 8785 bytes, and the I-JSON gate in front of them.
//! - [`tree`]: RFC 6962 leaf and node hashes, the frontier of a growing tree, inclusion and
//!   consistency proofs.
//! - [`checkpoint`]: signed checkpoints (C2SP), and an event with the proof of its place.

pub mod canonical;
pub mod checkpoint;
pub mod tree;
