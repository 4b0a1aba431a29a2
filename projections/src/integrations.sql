CREATE TABLE calls(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, connector TEXT NOT NULL, operation TEXT NOT NULL, class TEXT NOT NULL,
  agent BLOB, task BLOB, decision BLOB, arguments TEXT NOT NULL, arguments_digest BLOB NOT NULL, cost_max TEXT, cost_max_currency TEXT,
  status TEXT NOT NULL, status_code INTEGER, latency_ms INTEGER, result TEXT, error TEXT, cost TEXT, cost_currency TEXT,
  intended_at INTEGER NOT NULL, ended_at INTEGER, data_class TEXT) STRICT;
CREATE INDEX calls_by_id ON calls(id);
