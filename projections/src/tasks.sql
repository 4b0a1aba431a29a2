CREATE TABLE tasks(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, title TEXT NOT NULL, instructions TEXT, team TEXT NOT NULL,
  priority INTEGER NOT NULL, status TEXT NOT NULL, status_since INTEGER NOT NULL, revision INTEGER NOT NULL, fencing_token INTEGER NOT NULL,
  lease_agent BLOB, lease_expires_at INTEGER, producer BLOB, artifact_digest BLOB, result TEXT, next_actor TEXT, escalated_to TEXT,
  escalated INTEGER NOT NULL, without_human INTEGER, rework_rounds INTEGER NOT NULL, attempts_failed INTEGER NOT NULL, failure TEXT,
  cost TEXT, cost_currency TEXT, customer_cost TEXT, customer_cost_currency TEXT, activities INTEGER NOT NULL, planned_at INTEGER NOT NULL,
  closed_at INTEGER, history BLOB, history_place INTEGER, attributes TEXT) STRICT;
CREATE INDEX tasks_by_id ON tasks(id);
CREATE TABLE task_dependencies(
  business INTEGER NOT NULL, task BLOB NOT NULL, n INTEGER NOT NULL, depends_on BLOB NOT NULL,
  PRIMARY KEY (business, task, n)) STRICT, WITHOUT ROWID;
CREATE INDEX task_dependents ON task_dependencies(business, depends_on);
CREATE TABLE reviews(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, task BLOB NOT NULL, revision INTEGER NOT NULL, reviewer BLOB NOT NULL, verdict TEXT NOT NULL,
  final_revision INTEGER NOT NULL, findings TEXT, at INTEGER NOT NULL) STRICT;
CREATE TABLE activities(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, task BLOB NOT NULL, activity TEXT NOT NULL, lifecycle TEXT, resource BLOB, model TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cost TEXT, cost_currency TEXT, note TEXT, attributes TEXT, clear_attributes TEXT NOT NULL,
  source_time TEXT, at INTEGER NOT NULL) STRICT;
CREATE TABLE histories(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, format TEXT NOT NULL, header TEXT NOT NULL, opened_at INTEGER NOT NULL) STRICT;
