//! The Merkle tree of one stream (RFC 6962, section 2.1; RFC 9162, section 2.1.3 and 2.1.4).
//!
//! Leaf = SHA-256(0x00 ‖ stored bytes), node = SHA-256(0x01 ‖ left ‖ right); the index of a leaf is
//! its `seq` less one. A [`Frontier`] is what an appender keeps of a tree: the roots of its full
//! subtrees, largest first, one per set bit of the size. That is enough to append and to give the
//! root.

pub mod tiles;

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Why a proof was not accepted or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index lies outside the tree, or the sizes are in the wrong order.
    #[error("the index or sizes do not fit the tree")]
    OutOfRange,
    /// The proof has too many or too few hashes.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
    /// A stored frontier is not one hash per set bit of its size.
    #[error("the stored frontier does not fit its size")]
    BrokenFrontier,
}

/// The hash of a leaf from its stored bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of an inner node.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves: the hash of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The roots of a tree's full subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
            size >>= 1;
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(&last) = peaks.next() else { return empty_root() };
        peaks.fold(last, |right, left| node_hash(left, &right))
    }

    /// The peaks one after another, 32 bytes each: how a store keeps a frontier beside its size.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// A frontier from its stored form.
    ///
    /// # Errors
    /// [`ProofError::BrokenFrontier`] unless there is one hash per set bit of `size`.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, ProofError> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || chunks.len() as u64 != u64::from(size.count_ones()) {
            return Err(ProofError::BrokenFrontier);
        }
        Ok(Self { size, peaks: chunks.to_vec() })
    }
}

/// The root over all leaf hashes.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The largest power of two below `n`, for `n` ≥ 2.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

/// The audit path of the leaf at `index`, nearest sibling first.
///
/// # Errors
/// [`ProofError::OutOfRange`] when there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Result<Vec<Hash>, ProofError> {
    if index >= leaves.len() {
        return Err(ProofError::OutOfRange);
    }
    if leaves.len() == 1 {
        return Ok(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (inclusion_proof(left, index)?, root(right))
    } else {
        (inclusion_proof(right, index - left.len())?, root(left))
    };
    path.push(sibling);
    Ok(path)
}

/// The proof that the tree of the first `size` leaves is a prefix of the tree of all.
///
/// # Errors
/// [`ProofError::OutOfRange`] unless 0 < `size` ≤ number of leaves.
pub fn consistency_proof(leaves: &[Hash], size: usize) -> Result<Vec<Hash>, ProofError> {
    if size == 0 || size > leaves.len() {
        return Err(ProofError::OutOfRange);
    }
    Ok(subproof(leaves, size, true))
}

fn subproof(leaves: &[Hash], size: usize, whole: bool) -> Vec<Hash> {
    if size == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if size <= left.len() {
        (subproof(left, size, whole), root(right))
    } else {
        (subproof(right, size - left.len(), false), root(left))
    };
    path.push(sibling);
    path
}

/// Checks that `leaf` is the leaf at `index` of the tree of `size` leaves with this root
/// (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`ProofError`] says what does not fit.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if snode == 0 {
            return Err(ProofError::WrongLength);
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node_hash(step, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    match (snode, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::RootMismatch),
        (1.., _) => Err(ProofError::WrongLength),
    }
}

/// Checks that the tree of `size1` leaves is a prefix of the tree of `size2` leaves
/// (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// [`ProofError`] says what does not fit.
pub fn verify_consistency(
    size1: u64,
    size2: u64,
    proof: &[Hash],
    root1: &Hash,
    root2: &Hash,
) -> Result<(), ProofError> {
    if size1 > size2 {
        return Err(ProofError::OutOfRange);
    }
    if size1 == size2 {
        return match (proof.is_empty(), root1 == root2) {
            (false, _) => Err(ProofError::WrongLength),
            (true, false) => Err(ProofError::RootMismatch),
            (true, true) => Ok(()),
        };
    }
    if size1 == 0 {
        // Every tree has the empty tree as a prefix, so such a claim proves nothing.
        return Err(ProofError::OutOfRange);
    }
    let mut steps = proof.iter();
    let mut next = || steps.next().copied().ok_or(ProofError::WrongLength);
    let (mut fnode, mut snode) = (size1 - 1, size2 - 1);
    let down = fnode.trailing_ones();
    fnode >>= down;
    snode >>= down;
    let seed = if size1.is_power_of_two() { *root1 } else { next()? };
    let (mut first, mut second) = (seed, seed);
    for step in steps {
        if snode == 0 {
            return Err(ProofError::WrongLength);
        }
        if fnode & 1 == 1 || fnode == snode {
            first = node_hash(step, &first);
            second = node_hash(step, &second);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            second = node_hash(&second, step);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    if snode != 0 {
        return Err(ProofError::WrongLength);
    }
    if first == *root1 && second == *root2 { Ok(()) } else { Err(ProofError::RootMismatch) }
}
