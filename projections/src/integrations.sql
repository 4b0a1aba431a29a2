CREATE TABLE calls(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, connector TEXT NOT NULL, operation TEXT NOT NULL, class TEXT NOT NULL,
  agent TEXT, task TEXT, decision TEXT, arguments TEXT NOT NULL, arguments_digest TEXT NOT NULL, cost_max TEXT, cost_max_currency TEXT,
  status TEXT NOT NULL, status_code INTEGER, latency_ms INTEGER, result TEXT, error TEXT, cost TEXT, cost_currency TEXT,
  intended_at TEXT NOT NULL, ended_at TEXT, data_class TEXT,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
