//! The Merkle trees of the streams in tiles, for proofs that read a few rows instead of a stream. A
//! view is no authority: whoever makes a proof of tiles compares it with the head of the log.

use domain::BusinessId;
use proof::tree::tiles::{TILE_WIDTH, Tiles};
use proof::tree::{Hash, ProofError, leaf_hash, root};
use rusqlite::{Connection, OptionalExtension as _};

use crate::rows::{BusinessNumber, Tables, keyed_table};
use crate::{Applied, ApplyError};

/// Bytes of a hash.
const HASH_BYTES: usize = size_of::<Hash>();

keyed_table! {
    /// A tile: up to 64 hashes, one after another.
    Tile in "hash_tiles" by (business: BusinessNumber, level: u32, tile: u64) {
        hashes: Vec<u8>,
    }
}

/// The hashes of a tile.
fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<HASH_BYTES>().0.to_vec()
}

/// Adds an event to the tree of its stream. The leaf of an event that was skipped is zero: what it
/// is in leads nowhere.
pub(super) fn add_leaf(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let (business, mut level, mut index) = (a.business, 0, a.recorded.seq.previous().0);
    let mut hash = leaf_hash(&a.recorded.bytes);
    loop {
        let (tile, before) = (index / TILE_WIDTH, index % TILE_WIDTH);
        let new = || Tile { business, level, tile, hashes: Vec::new() };
        let of = tables.row_or(&(business, level, tile), new)?;
        let before = usize::try_from(before).unwrap_or(0);
        of.hashes.resize(before * HASH_BYTES, 0);
        of.hashes.extend(hash);
        if (before + 1) as u64 != TILE_WIDTH {
            return Ok(());
        }
        hash = root(&hashes(&of.hashes));
        (level, index) = (level + 1, tile);
    }
}

/// The tiles of one stream, as a connection to the views reads them.
pub struct StoredTiles<'c> {
    connection: &'c Connection,
    business: BusinessId,
}

impl<'c> StoredTiles<'c> {
    /// The tiles of the stream of a business.
    #[must_use]
    pub const fn new(connection: &'c Connection, business: BusinessId) -> Self {
        Self { connection, business }
    }

    /// How many leaves, from the first on, are in tiles.
    ///
    /// # Errors
    /// When the views can't be read.
    pub fn leaves(&self) -> rusqlite::Result<u64> {
        let sql = "SELECT tile, length(hashes) FROM hash_tiles WHERE business = (SELECT n FROM \
            business_numbers WHERE id = ?) AND level = 0 ORDER BY tile DESC LIMIT 1";
        let last: Option<(u64, u64)> = self
            .connection
            .prepare_cached(sql)?
            .query_row([self.business.0], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        Ok(last.map_or(0, |(tile, bytes)| tile * TILE_WIDTH + bytes / HASH_BYTES as u64))
    }
}

/// Why no path could be made of tiles.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The views can't be read.
    #[error(transparent)]
    Views(#[from] rusqlite::Error),
    /// The tiles do not have it.
    #[error(transparent)]
    Tree(#[from] ProofError),
}

impl Tiles for StoredTiles<'_> {
    type Error = TileError;

    fn tile(&mut self, level: u32, n: u64) -> Result<Vec<Hash>, TileError> {
        let sql = "SELECT hashes FROM hash_tiles WHERE business = (SELECT n FROM business_numbers \
            WHERE id = ?) AND level = ? AND tile = ?";
        let bytes: Option<Vec<u8>> = self
            .connection
            .prepare_cached(sql)?
            .query_row((self.business.0, level, n), |r| r.get(0))
            .optional()?;
        Ok(bytes.map_or_else(Vec::new, |bytes| hashes(&bytes)))
    }
}
