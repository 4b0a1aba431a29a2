CREATE TABLE tasks(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, title TEXT NOT NULL, instructions TEXT, team TEXT NOT NULL,
  priority INTEGER NOT NULL, status TEXT NOT NULL, status_since TEXT NOT NULL, revision INTEGER NOT NULL DEFAULT 0, fencing_token INTEGER NOT NULL DEFAULT 0,
  lease_agent TEXT, lease_expires_at TEXT, producer TEXT, artifact_digest TEXT, result TEXT, next_actor TEXT, escalated_to TEXT,
  escalated INTEGER NOT NULL DEFAULT 0, without_human INTEGER, rework_rounds INTEGER NOT NULL DEFAULT 0,
  attempts_failed INTEGER NOT NULL DEFAULT 0, failure TEXT, cost TEXT, cost_currency TEXT, customer_cost TEXT, customer_cost_currency TEXT,
  activities INTEGER NOT NULL DEFAULT 0, planned_at TEXT NOT NULL, closed_at TEXT,
  history TEXT, history_place INTEGER, attributes TEXT,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
CREATE TABLE task_dependencies(
  business TEXT NOT NULL, task TEXT NOT NULL, n INTEGER NOT NULL, depends_on TEXT NOT NULL,
  PRIMARY KEY (business, task, n)) STRICT, WITHOUT ROWID;
CREATE INDEX task_dependents ON task_dependencies(business, depends_on);
CREATE TABLE reviews(
  business TEXT NOT NULL, seq INTEGER NOT NULL, task TEXT NOT NULL, revision INTEGER NOT NULL, reviewer TEXT NOT NULL, verdict TEXT NOT NULL,
  final_revision INTEGER NOT NULL, findings TEXT, at TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE activities(
  business TEXT NOT NULL, seq INTEGER NOT NULL, task TEXT NOT NULL, activity TEXT NOT NULL, lifecycle TEXT, resource TEXT, model TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cost TEXT, cost_currency TEXT, note TEXT, attributes TEXT, clear_attributes TEXT NOT NULL,
  source_time TEXT, at TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE histories(
  business TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, format TEXT NOT NULL, header TEXT NOT NULL, opened_at TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
