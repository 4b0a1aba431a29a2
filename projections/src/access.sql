CREATE TABLE principals(
  principal BLOB PRIMARY KEY, kind TEXT NOT NULL, operator INTEGER NOT NULL, display_name TEXT NOT NULL, added_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE roles(
  business INTEGER NOT NULL, principal BLOB NOT NULL, role TEXT NOT NULL, seq INTEGER NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY (business, principal, role)) STRICT, WITHOUT ROWID;
-- Roles in the order in which they were granted.
CREATE VIEW members AS SELECT r.business, r.principal, r.role, r.seq AS n, r.since, p.operator FROM roles r JOIN principals p USING (principal);
