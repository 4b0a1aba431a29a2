CREATE TABLE memory(
  business TEXT NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL, pointer TEXT NOT NULL, item TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
  title TEXT, text TEXT NOT NULL, subject TEXT NOT NULL, value TEXT, topic TEXT, agent TEXT, source TEXT, valid_from TEXT, valid_to TEXT, confidence TEXT, sources TEXT NOT NULL,
  revision INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'standing', known_from TEXT NOT NULL, known_to TEXT,
  place INTEGER NOT NULL GENERATED ALWAYS AS (seq * 1000000 + n) VIRTUAL,
  PRIMARY KEY (business, seq, n)) STRICT, WITHOUT ROWID;
CREATE INDEX memory_by_id ON memory(business, id, revision);
-- The same with what a search adds.
CREATE VIEW memory_items AS SELECT *, NULL AS snippet, NULL AS score FROM memory;
