CREATE TABLE budgets(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, id BLOB NOT NULL, scope TEXT NOT NULL, window TEXT NOT NULL, amount TEXT NOT NULL,
  currency TEXT NOT NULL, overruns INTEGER NOT NULL) STRICT;
CREATE INDEX budgets_by_id ON budgets(id);
CREATE TABLE budget_periods(
  business INTEGER NOT NULL, budget BLOB NOT NULL, period TEXT NOT NULL, reserved TEXT NOT NULL, spent TEXT NOT NULL,
  -- The periods of a budget in order: 20261122, 202647, 202611; 0 for the one without an end.
  n INTEGER NOT NULL GENERATED ALWAYS AS (CAST(replace(replace(period, '-', ''), 'W', '') AS INTEGER)) VIRTUAL,
  PRIMARY KEY (business, budget, period)) STRICT, WITHOUT ROWID;
CREATE TABLE reservations(
  business INTEGER NOT NULL, budget BLOB NOT NULL, reservation BLOB NOT NULL, amount TEXT NOT NULL, period TEXT NOT NULL,
  PRIMARY KEY (business, budget, reservation)) STRICT, WITHOUT ROWID;
