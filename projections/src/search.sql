-- Personal text in the clear: the one place where it is. Shredding a subject deletes its rows.
CREATE TABLE search_rows(
  n INTEGER PRIMARY KEY, business TEXT NOT NULL, seq INTEGER NOT NULL, pointer TEXT NOT NULL, subject TEXT NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL, id TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE search_text USING fts5(text);
INSERT INTO search_text(search_text, rank) VALUES ('secure-delete', 1);
-- The same as one row a text, without the numbers of rows: they say in which order rows came.
CREATE VIEW searchable_texts AS
  SELECT business, seq, pointer, subject, generation, kind, id, text FROM search_rows r JOIN search_text t ON t.rowid = r.n;
