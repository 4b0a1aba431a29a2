CREATE TABLE events(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, event_id BLOB NOT NULL, event_type TEXT NOT NULL, schema INTEGER NOT NULL, kind TEXT NOT NULL,
  id BLOB NOT NULL, version INTEGER NOT NULL, recorded_at INTEGER NOT NULL, occurred_at INTEGER, actor BLOB NOT NULL, on_behalf_of BLOB,
  command_id TEXT NOT NULL, causation BLOB, correlation BLOB NOT NULL) STRICT;
-- The Merkle tree of each stream, in tiles of 64 hashes of 32 bytes: the `tile`th of a level, from 0.
CREATE TABLE hash_tiles(
  business INTEGER NOT NULL, level INTEGER NOT NULL, tile INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (business, level, tile)) STRICT;
