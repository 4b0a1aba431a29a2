CREATE TABLE agents(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, team TEXT NOT NULL, role TEXT NOT NULL,
  skills TEXT NOT NULL, model TEXT NOT NULL, prompt_version TEXT, owner TEXT NOT NULL, principal TEXT NOT NULL,
  permissions TEXT NOT NULL, concurrency INTEGER NOT NULL, status TEXT NOT NULL, enrolled_at TEXT NOT NULL,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
