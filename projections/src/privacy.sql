-- Ids alone: of whom there is text, in which aggregates, and who is forgotten.
CREATE TABLE data_subjects(
  business TEXT NOT NULL, n INTEGER NOT NULL, subject TEXT NOT NULL, aggregates INTEGER NOT NULL, forgotten_at TEXT,
  PRIMARY KEY (business, n)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX data_subjects_by_subject ON data_subjects(business, subject);
CREATE TABLE named_in(
  business TEXT NOT NULL, subject TEXT NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  PRIMARY KEY (business, subject, n)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX named_in_once ON named_in(business, subject, kind, id);
CREATE TABLE forgettings(
  business TEXT NOT NULL, subject TEXT NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (business, subject, generation)) STRICT, WITHOUT ROWID;
