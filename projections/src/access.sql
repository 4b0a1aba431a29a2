CREATE TABLE principals(
  principal TEXT PRIMARY KEY, kind TEXT NOT NULL, operator INTEGER NOT NULL, display_name TEXT NOT NULL, added_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE roles(
  business TEXT NOT NULL, seq INTEGER NOT NULL, principal TEXT NOT NULL, role TEXT NOT NULL, since TEXT NOT NULL,
  PRIMARY KEY (business, principal, role)) STRICT, WITHOUT ROWID;
-- Roles in the order in which they were granted.
CREATE VIEW members AS SELECT r.*, p.operator FROM roles r JOIN principals p USING (principal);
