-- Ids alone: of whom there is text, in which aggregates, and who is forgotten. `n` orders the subjects of a business.
CREATE TABLE data_subjects(
  business INTEGER NOT NULL, subject BLOB NOT NULL, n INTEGER NOT NULL, aggregates INTEGER NOT NULL, forgotten_at INTEGER,
  PRIMARY KEY (business, subject)) STRICT, WITHOUT ROWID;
CREATE TABLE named_in(
  business INTEGER NOT NULL, subject BLOB NOT NULL, kind TEXT NOT NULL, id BLOB NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (business, subject, kind, id)) STRICT, WITHOUT ROWID;
CREATE TABLE forgettings(
  business INTEGER NOT NULL, subject BLOB NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (business, subject, generation)) STRICT, WITHOUT ROWID;
