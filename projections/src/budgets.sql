CREATE TABLE budgets(
  business TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, scope TEXT NOT NULL, window TEXT NOT NULL, amount TEXT NOT NULL,
  currency TEXT NOT NULL, overruns INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (business, id)) STRICT, WITHOUT ROWID;
CREATE TABLE budget_periods(
  business TEXT NOT NULL, budget TEXT NOT NULL, period TEXT NOT NULL, reserved TEXT NOT NULL, spent TEXT NOT NULL,
  -- The periods of a budget in order: 20261122, 202647, 202611; 0 for the one without an end.
  n INTEGER NOT NULL GENERATED ALWAYS AS (CAST(replace(replace(period, '-', ''), 'W', '') AS INTEGER)) VIRTUAL,
  PRIMARY KEY (business, budget, period)) STRICT, WITHOUT ROWID;
CREATE TABLE reservations(
  business TEXT NOT NULL, budget TEXT NOT NULL, reservation TEXT NOT NULL, amount TEXT NOT NULL, period TEXT NOT NULL,
  PRIMARY KEY (business, budget, reservation)) STRICT, WITHOUT ROWID;
