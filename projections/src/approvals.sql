CREATE TABLE approvals(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, command_type TEXT NOT NULL, target BLOB NOT NULL, preview TEXT NOT NULL,
  rule TEXT NOT NULL, approval_policy_version INTEGER NOT NULL, quorum INTEGER NOT NULL, roles TEXT NOT NULL, amount TEXT, currency TEXT,
  risk TEXT, requested_by BLOB NOT NULL, status TEXT NOT NULL, escalated INTEGER NOT NULL, requested_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, closed_at INTEGER, consumed_at INTEGER, built_in INTEGER NOT NULL, effects TEXT NOT NULL, task BLOB,
  alone INTEGER NOT NULL) STRICT;
CREATE INDEX approvals_by_id ON approvals(id);
CREATE TABLE votes(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, approval BLOB NOT NULL, voter BLOB NOT NULL, delegated_by BLOB, choice TEXT NOT NULL,
  comment TEXT, at INTEGER NOT NULL) STRICT;
CREATE TABLE approval_policies(
  business INTEGER PRIMARY KEY, version INTEGER NOT NULL, rules TEXT NOT NULL, operation_classes TEXT NOT NULL, defined_at INTEGER NOT NULL) STRICT;
