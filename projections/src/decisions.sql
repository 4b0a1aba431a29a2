CREATE TABLE decisions(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, task BLOB, agent BLOB, actor BLOB NOT NULL, question TEXT,
  choice TEXT NOT NULL, rationale TEXT, confidence TEXT, risk TEXT NOT NULL, evidence TEXT NOT NULL, model TEXT, prompt_version TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER, cost TEXT, cost_currency TEXT,
  status TEXT NOT NULL, superseded_by BLOB, outcome TEXT, as_wanted INTEGER, recorded_at INTEGER NOT NULL) STRICT;
CREATE INDEX decisions_by_id ON decisions(id);
