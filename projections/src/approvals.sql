CREATE TABLE approvals(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, command_type TEXT NOT NULL, target TEXT NOT NULL, preview TEXT NOT NULL,
  rule TEXT NOT NULL, approval_policy_version INTEGER NOT NULL, quorum INTEGER NOT NULL, roles TEXT NOT NULL, amount TEXT, currency TEXT,
  risk TEXT, requested_by TEXT NOT NULL, status TEXT NOT NULL, escalated INTEGER NOT NULL DEFAULT 0, requested_at TEXT NOT NULL,
  expires_at TEXT NOT NULL, closed_at TEXT, consumed_at TEXT, built_in INTEGER NOT NULL, effects TEXT NOT NULL, task TEXT,
  alone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
CREATE TABLE votes(
  business TEXT NOT NULL, seq INTEGER NOT NULL, approval TEXT NOT NULL, voter TEXT NOT NULL, delegated_by TEXT, choice TEXT NOT NULL,
  comment TEXT, at TEXT NOT NULL, PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE approval_policies(
  business TEXT PRIMARY KEY, version INTEGER NOT NULL, rules TEXT NOT NULL, operation_classes TEXT NOT NULL, defined_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
