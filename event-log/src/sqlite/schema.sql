-- The log of an installation. Events are never updated and never deleted.
CREATE TABLE IF NOT EXISTS events(
  position INTEGER PRIMARY KEY,      -- place in the whole log
  business BLOB    NOT NULL,
  seq      INTEGER NOT NULL,         -- place in the business, dense
  kind     TEXT    NOT NULL,
  id       BLOB    NOT NULL,
  version  INTEGER NOT NULL,         -- place in the aggregate, dense
  event_id BLOB    NOT NULL,
  leaf     BLOB    NOT NULL,         -- SHA-256(0x00 || bytes)
  bytes    BLOB    NOT NULL          -- the truth
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_seq ON events(business, seq);
CREATE UNIQUE INDEX IF NOT EXISTS events_by_aggregate ON events(business, id, kind, version);
CREATE UNIQUE INDEX IF NOT EXISTS events_by_id ON events(event_id);
CREATE INDEX IF NOT EXISTS events_of_erasures ON events(position) WHERE kind = 'erasure';

-- The end of each stream, written in the transaction of the append.
CREATE TABLE IF NOT EXISTS heads(
  business BLOB PRIMARY KEY,
  seq      INTEGER NOT NULL,
  frontier BLOB    NOT NULL          -- roots of the full subtrees, largest first
) STRICT, WITHOUT ROWID;
