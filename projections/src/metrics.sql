-- What is counted in a business, such as `cost`.
CREATE TABLE sample_kinds(
  sample_kind INTEGER PRIMARY KEY, business INTEGER NOT NULL, sample TEXT NOT NULL, UNIQUE (business, sample)) STRICT;
-- The unit of a sample, and what it is about.
CREATE TABLE sample_dimensions(
  dimensions INTEGER PRIMARY KEY, unit TEXT NOT NULL, team TEXT NOT NULL, agent BLOB NOT NULL, model TEXT NOT NULL, connector TEXT NOT NULL,
  operation TEXT NOT NULL, UNIQUE (unit, team, agent, model, connector, operation)) STRICT;
-- What KPIs are folded from: one row a thing that counts, with the event it comes from.
CREATE TABLE samples(
  sample_kind INTEGER NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, value TEXT NOT NULL, number REAL NOT NULL,
  dimensions INTEGER NOT NULL,
  PRIMARY KEY (sample_kind, seq, n)) STRICT, WITHOUT ROWID;
-- The same, summed by the hour (hours since 1970), so that a page does not depend on how much happened.
CREATE TABLE sample_hours(
  sample_kind INTEGER NOT NULL, hour INTEGER NOT NULL, dimensions INTEGER NOT NULL, count INTEGER NOT NULL, total TEXT NOT NULL,
  PRIMARY KEY (sample_kind, hour, dimensions)) STRICT, WITHOUT ROWID;
-- And over all time.
CREATE TABLE sample_totals(
  sample_kind INTEGER NOT NULL, unit TEXT NOT NULL, count INTEGER NOT NULL, total TEXT NOT NULL,
  PRIMARY KEY (sample_kind, unit)) STRICT, WITHOUT ROWID;
-- Each of them with its words.
CREATE VIEW sample_values AS SELECT k.business, k.sample, s.seq, s.n, s.at, s.value, s.number, d.unit, d.team, d.agent, d.model, d.connector, d.operation
  FROM sample_kinds k JOIN samples s USING (sample_kind) JOIN sample_dimensions d USING (dimensions);
CREATE VIEW sample_hour_values AS SELECT k.business, k.sample, s.hour, d.unit, d.team, d.agent, d.model, d.connector, d.operation, s.count, s.total
  FROM sample_kinds k JOIN sample_hours s USING (sample_kind) JOIN sample_dimensions d USING (dimensions);
CREATE VIEW sample_total_values AS SELECT k.business, k.sample, s.unit, s.count, s.total FROM sample_kinds k JOIN sample_totals s USING (sample_kind);
-- What must be remembered between events.
CREATE TABLE kpi_agents(business INTEGER NOT NULL, agent BLOB NOT NULL, team TEXT NOT NULL, model TEXT NOT NULL, PRIMARY KEY (business, agent)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_tasks(
  business INTEGER NOT NULL, task BLOB NOT NULL, team TEXT NOT NULL, agent BLOB, began INTEGER NOT NULL, last INTEGER NOT NULL,
  human INTEGER NOT NULL, reviews INTEGER NOT NULL, rework INTEGER NOT NULL, activities INTEGER NOT NULL,
  PRIMARY KEY (business, task)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_calls(
  business INTEGER NOT NULL, call BLOB NOT NULL, connector TEXT NOT NULL, operation TEXT NOT NULL, agent BLOB, ambiguous INTEGER NOT NULL,
  PRIMARY KEY (business, call)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_approvals(business INTEGER NOT NULL, approval BLOB NOT NULL, requested INTEGER NOT NULL, decided INTEGER NOT NULL, PRIMARY KEY (business, approval)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_budgets(
  business INTEGER NOT NULL, budget BLOB NOT NULL, window TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, period TEXT NOT NULL,
  PRIMARY KEY (business, budget)) STRICT, WITHOUT ROWID;
-- Figures that were reported, the business's own KPIs over them, and targets.
CREATE TABLE measures(
  business INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, measure TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL, dimension TEXT,
  at INTEGER NOT NULL,
  PRIMARY KEY (business, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_definitions(
  business INTEGER NOT NULL, kpi TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL, measure TEXT NOT NULL, aggregation TEXT NOT NULL,
  unit TEXT NOT NULL, direction TEXT NOT NULL,
  PRIMARY KEY (business, kpi, version)) STRICT, WITHOUT ROWID;
CREATE TABLE kpi_targets(business INTEGER NOT NULL, kpi TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (business, kpi)) STRICT, WITHOUT ROWID;
