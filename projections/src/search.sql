-- Personal text in the clear: the one place where it is. Shredding a subject deletes its rows.
CREATE TABLE search_rows(
  n INTEGER PRIMARY KEY, business TEXT NOT NULL, seq INTEGER NOT NULL, pointer TEXT NOT NULL, subject TEXT NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL, id TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX search_by_place ON search_rows(business, seq, pointer);
CREATE INDEX search_by_subject ON search_rows(business, subject);
CREATE VIRTUAL TABLE search_text USING fts5(text);
INSERT INTO search_text(search_text, rank) VALUES ('secure-delete', 1);
