-- What KPIs are folded from: one row a thing that counts, with the event it comes from.
CREATE TABLE samples(
  business TEXT NOT NULL, sample TEXT NOT NULL, at TEXT NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL, value TEXT NOT NULL, number REAL NOT NULL,
  unit TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, connector TEXT NOT NULL, operation TEXT NOT NULL,
  PRIMARY KEY (business, sample, seq, n)) STRICT, WITHOUT ROWID;
-- The same, summed by the hour, so that a page does not depend on how much happened.
CREATE TABLE sample_hours(
  business TEXT NOT NULL, sample TEXT NOT NULL, hour TEXT NOT NULL, unit TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL,
  connector TEXT NOT NULL, operation TEXT NOT NULL, count INTEGER NOT NULL, total TEXT NOT NULL,
  PRIMARY KEY (business, sample, hour, unit, team, agent, model, connector, operation)) STRICT, WITHOUT ROWID;
-- And over all time.
CREATE TABLE sample_totals(
  business TEXT NOT NULL, sample TEXT NOT NULL, unit TEXT NOT NULL, count INTEGER NOT NULL, total TEXT NOT NULL,
  PRIMARY KEY (business, sample, unit)) STRICT, WITHOUT ROWID;
-- What must be remembered between events.
CREATE TABLE kpi_agents(business TEXT NOT NULL, agent TEXT NOT NULL, team TEXT NOT NULL, model TEXT NOT NULL, PRIMARY KEY (business, agent)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_tasks(
  business TEXT NOT NULL, task TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL DEFAULT '', began TEXT NOT NULL, last TEXT NOT NULL,
  human INTEGER NOT NULL DEFAULT 0, reviews INTEGER NOT NULL DEFAULT 0, rework INTEGER NOT NULL DEFAULT 0, activities INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (business, task)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_calls(
  business TEXT NOT NULL, call TEXT NOT NULL, connector TEXT NOT NULL, operation TEXT NOT NULL, agent TEXT NOT NULL, ambiguous INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (business, call)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_approvals(business TEXT NOT NULL, approval TEXT NOT NULL, requested TEXT NOT NULL, decided INTEGER NOT NULL, PRIMARY KEY (business, approval)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_budgets(
  business TEXT NOT NULL, budget TEXT NOT NULL, window TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, period TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (business, budget)) STRICT, WITHOUT ROWID;
-- Figures that were reported, the business's own KPIs over them, and targets.
CREATE TABLE measures(
  business TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, measure TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL, dimension TEXT, at TEXT NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_definitions(
  business TEXT NOT NULL, kpi TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL, measure TEXT NOT NULL, aggregation TEXT NOT NULL,
  unit TEXT NOT NULL, direction TEXT NOT NULL,
  PRIMARY KEY (business, kpi, version)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_targets(business TEXT NOT NULL, kpi TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (business, kpi)) STRICT, WITHOUT ROWID;
