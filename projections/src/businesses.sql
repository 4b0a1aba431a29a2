CREATE TABLE businesses(
  business TEXT PRIMARY KEY, slug TEXT NOT NULL, name TEXT NOT NULL, idea TEXT, home_region TEXT NOT NULL,
  currency TEXT NOT NULL, owner TEXT NOT NULL, phase TEXT NOT NULL, registered_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX businesses_by_slug ON businesses(slug);
CREATE TABLE phases(
  business TEXT NOT NULL, seq INTEGER NOT NULL, phase TEXT NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
