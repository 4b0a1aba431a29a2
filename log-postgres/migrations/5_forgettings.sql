-- Forgettings are found without a scan: every start and every restore applies those it has not seen.
CREATE INDEX events_of_erasures ON events(position) WHERE kind = 'erasure';

-- Up to where the forgettings of which log were applied to these keys. A copy of the keys into another
-- place does not take it along.
CREATE TABLE minutebook_keys.applied(
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  log      bytea  NOT NULL,         -- leaf hash of the log's first event
  position bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON minutebook_keys.applied TO minutebook_keys;
