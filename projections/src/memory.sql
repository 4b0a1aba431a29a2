CREATE TABLE memory(
  business INTEGER NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL, pointer TEXT NOT NULL, item TEXT NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL,
  title TEXT, text TEXT NOT NULL, subject BLOB NOT NULL, value TEXT, topic TEXT, agent BLOB, source TEXT, valid_from INTEGER, valid_to INTEGER,
  confidence TEXT, sources TEXT NOT NULL, revision INTEGER NOT NULL, status TEXT NOT NULL, known_from INTEGER NOT NULL, known_to INTEGER,
  item_place INTEGER NOT NULL GENERATED ALWAYS AS (seq * 1000000 + n) VIRTUAL,
  PRIMARY KEY (business, seq, n)) STRICT, WITHOUT ROWID;
CREATE INDEX memory_by_id ON memory(business, id, revision);
-- The same with what a search adds.
CREATE VIEW memory_items AS SELECT *, NULL AS snippet, NULL AS score FROM memory;
