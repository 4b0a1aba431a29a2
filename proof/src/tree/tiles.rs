//! A tree in tiles, so that a proof takes a few reads however long the stream is.
//!
//! A tile holds the hashes of 64 neighbours of one level; the hash over a full tile is one hash of
//! the level above, six levels of the tree further up. That is C2SP tlog-tiles with a height of 6
//! instead of 8, and with no promise to anybody outside: tiles may be lost, or hold anything, so
//! whoever makes a proof of them checks where it leads.

use std::collections::HashMap;

use super::{Hash, ProofError, node_hash, root};

/// Levels of the tree that a tile covers.
pub const TILE_HEIGHT: u32 = 6;
/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// Most tiles that one proof reads: more than those of the longest stream, if none is missing.
const TILES_MAX: usize = 64;

/// The largest power of two below `n`, for `n` ≥ 2.
const fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Where tiles come from.
pub trait Tiles {
    /// Why a tile could not be read.
    type Error: From<ProofError>;

    /// The hashes of the `n`th tile of a level of tiles, from 0, as far as they are there.
    ///
    /// # Errors
    /// When it can't be read.
    fn tile(&mut self, level: u32, n: u64) -> Result<Vec<Hash>, Self::Error>;
}

/// A tree whose first leaves are in tiles.
pub struct TiledTree<T> {
    tiles: T,
    read: HashMap<(u32, u64), Vec<Hash>>,
    /// The index of the first leaf of `tail`.
    tail_from: u64,
    /// The leaves that may be in no tile yet.
    tail: Vec<Hash>,
}

impl<T: Tiles> TiledTree<T> {
    /// A tree of what is in `tiles`, and of `tail`, whose first leaf has the index `tail_from`.
    pub fn new(tiles: T, tail_from: u64, tail: Vec<Hash>) -> Self {
        Self { tiles, read: HashMap::new(), tail_from, tail }
    }

    /// The audit path of the leaf at `index` in the tree of the first `size` leaves, nearest
    /// sibling first. It reads a tile for every six levels of the tree, twice at most.
    ///
    /// # Errors
    /// [`ProofError::OutOfRange`] when there is no such leaf, or too many tiles are missing; or
    /// that a tile can't be read.
    pub fn inclusion_proof(&mut self, size: u64, index: u64) -> Result<Vec<Hash>, T::Error> {
        if index >= size {
            return Err(ProofError::OutOfRange.into());
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.root_of(middle, end)?);
                end = middle;
            } else {
                path.push(self.root_of(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The root over the leaves from `start` to before `end`.
    fn root_of(&mut self, start: u64, end: u64) -> Result<Hash, T::Error> {
        let n = end - start;
        if n.is_power_of_two() && start.is_multiple_of(n) {
            return self.node(n.ilog2(), start / n);
        }
        let middle = start + split(n);
        Ok(node_hash(&self.root_of(start, middle)?, &self.root_of(middle, end)?))
    }

    /// The `i`th node of a level of the tree; the leaves have level 0.
    fn node(&mut self, level: u32, i: u64) -> Result<Hash, T::Error> {
        let (tile_level, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // The node covers neighbours of one tile.
        let first = i << above;
        let (tile, from) = (first / TILE_WIDTH, first % TILE_WIDTH);
        let hashes = self.hashes(tile_level, tile)?;
        let (from, n) = (usize::try_from(from), 1_usize << above);
        if let Some(covered) = from.ok().and_then(|from| hashes.get(from..from + n)) {
            return Ok(root(covered));
        }
        if level == 0 {
            let in_tail = i.checked_sub(self.tail_from).and_then(|i| usize::try_from(i).ok());
            let leaf = in_tail.and_then(|i| self.tail.get(i)).copied();
            return leaf.ok_or_else(|| ProofError::OutOfRange.into());
        }
        Ok(node_hash(&self.node(level - 1, 2 * i)?, &self.node(level - 1, 2 * i + 1)?))
    }

    fn hashes(&mut self, level: u32, n: u64) -> Result<&[Hash], T::Error> {
        if !self.read.contains_key(&(level, n)) {
            if self.read.len() >= TILES_MAX {
                return Err(ProofError::OutOfRange.into());
            }
            let hashes = self.tiles.tile(level, n)?;
            self.read.insert((level, n), hashes);
        }
        Ok(self.read.get(&(level, n)).map_or(&[], Vec::as_slice))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may"
)]
mod tests {
    use super::*;
    use crate::tree::{inclusion_proof, leaf_hash, root, verify_inclusion};

    /// The tiles of some leaves, made as an appender makes them.
    struct Made(HashMap<(u32, u64), Vec<Hash>>);

    impl Made {
        fn of(leaves: &[Hash]) -> Self {
            let mut tiles: HashMap<(u32, u64), Vec<Hash>> = HashMap::new();
            for (leaf, index) in leaves.iter().zip(0..) {
                let (mut hash, mut level, mut index) = (*leaf, 0, index);
                loop {
                    let tile = tiles.entry((level, index / TILE_WIDTH)).or_default();
                    tile.push(hash);
                    if tile.len() < TILE_WIDTH as usize {
                        break;
                    }
                    hash = root(tile);
                    (level, index) = (level + 1, index / TILE_WIDTH);
                }
            }
            Self(tiles)
        }
    }

    impl Tiles for &Made {
        type Error = ProofError;
        fn tile(&mut self, level: u32, n: u64) -> Result<Vec<Hash>, ProofError> {
            Ok(self.0.get(&(level, n)).cloned().unwrap_or_default())
        }
    }

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn a_path_of_tiles_is_the_path_of_all_leaves() {
        let all = leaves(4_500);
        for size in [1, 2, 3, 63, 64, 65, 127, 128, 129, 1_000, 4_095, 4_096, 4_097, 4_500] {
            let (of_tree, tail) = all.split_at(size - size / 3);
            let tiles = Made::of(of_tree);
            let tail = tail.get(..size / 3).unwrap().to_vec();
            let mut tree = TiledTree::new(&tiles, of_tree.len() as u64, tail);
            let root = root(&all[..size]);
            for index in (0..size).step_by(1 + size / 50) {
                let path = tree.inclusion_proof(size as u64, index as u64).unwrap();
                assert_eq!(
                    path,
                    inclusion_proof(&all[..size], index).unwrap(),
                    "{index} of {size}"
                );
                let (index, size) = (index as u64, size as u64);
                verify_inclusion(index, size, &all[index as usize], &path, &root).unwrap();
            }
        }
    }

    #[test]
    fn what_no_tile_and_no_tail_has_is_out_of_range() {
        let tiles = Made::of(&leaves(10));
        let mut tree = TiledTree::new(&tiles, 10, Vec::new());
        assert_eq!(tree.inclusion_proof(10, 10), Err(ProofError::OutOfRange));
        assert_eq!(tree.inclusion_proof(11, 3), Err(ProofError::OutOfRange));
        assert!(tree.inclusion_proof(10, 9).is_ok());
    }
}
