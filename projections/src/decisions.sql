CREATE TABLE decisions(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, task TEXT, agent TEXT, actor TEXT NOT NULL, question TEXT,
  choice TEXT NOT NULL, rationale TEXT, confidence TEXT, risk TEXT NOT NULL, evidence TEXT NOT NULL, model TEXT, prompt_version TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER, cost TEXT, cost_currency TEXT, status TEXT NOT NULL, superseded_by TEXT, outcome TEXT,
  as_wanted INTEGER, recorded_at TEXT NOT NULL,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
