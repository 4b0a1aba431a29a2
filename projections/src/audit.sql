CREATE TABLE events(
  business TEXT NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, event_type TEXT NOT NULL, schema INTEGER NOT NULL, kind TEXT NOT NULL,
  id TEXT NOT NULL, version INTEGER NOT NULL, recorded_at TEXT NOT NULL, occurred_at TEXT, actor TEXT NOT NULL, on_behalf_of TEXT,
  command_id TEXT NOT NULL, causation TEXT, correlation TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
