-- Personal text in the clear: the one place where it is. Shredding a subject deletes its rows.
CREATE TABLE search_rows(
  n INTEGER PRIMARY KEY, place INTEGER NOT NULL, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, pointer TEXT NOT NULL, subject BLOB NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL, id BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE search_text USING fts5(text);
INSERT INTO search_text(search_text, rank) VALUES ('secure-delete', 1);
-- The same as one row a text, without the numbers of rows: they say in which order rows came.
CREATE VIEW searchable_texts AS
  SELECT place, pointer, subject, generation, kind, id, text FROM search_rows r JOIN search_text t ON t.rowid = r.n;
