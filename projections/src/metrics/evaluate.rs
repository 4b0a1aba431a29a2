//! Evaluates a KPI from the samples: its value, its series, and the events behind it.

mod reported;

use reported::{aggregate, reported, reported_sql};
use std::collections::BTreeMap;
use std::str::FromStr as _;

use domain::metrics::{Aggregation, Direction};
use rusqlite::{Connection, ToSql};
use rust_decimal::Decimal;

use super::definitions::{DEFINITIONS, Definition, Formula};

/// Decimal places of a KPI's value.
const PLACES: u32 = 9;
/// Most points that a series may have.
const POINTS_MAX: usize = 10_000;

/// Which samples a KPI is evaluated from.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Ids of the businesses, at least one.
    pub businesses: Vec<String>,
    /// Currency of amounts; samples in another currency are left out.
    pub currency: String,
    /// Only what happened at this time or later; `None` = from the beginning.
    pub from: Option<String>,
    /// Only what happened before this time; `None` = until now.
    pub before: Option<String>,
    /// Required values of columns: team, agent, model, connector, operation; empty = everything.
    pub about: Vec<(&'static str, String)>,
}

/// How the value of a KPI is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleFold {
    /// The formula of a built-in KPI.
    BuiltIn(Formula),
    /// An aggregation of a figure that the business reports, by the figure's name.
    Own(String, Aggregation),
}

/// A KPI as it is defined in a scope.
#[derive(Debug, Clone)]
pub struct ScopedKpi {
    /// Name of the KPI.
    pub id: String,
    /// Version of its definition.
    pub version: u32,
    /// What the KPI measures, in a sentence.
    pub text: String,
    /// Unit of the value; `money` stands for the scope's currency.
    pub unit: String,
    /// Whether a higher or a lower value is better.
    pub direction: Direction,
    /// The value that the KPI should reach; `None` = no target.
    pub target: Option<Decimal>,
    /// How the value is computed.
    pub fold: SampleFold,
}

/// The length of a series' steps, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// One value per hour.
    Hour,
    /// One value per day.
    Day,
    /// One value per ISO 8601 week, named by its Monday.
    Week,
    /// One value per month.
    Month,
}

impl Interval {
    fn sql(self, column: &str) -> String {
        match self {
            Self::Hour => format!("substr({column}, 1, 13) || ':00'"),
            Self::Day => format!("substr({column}, 1, 10)"),
            Self::Week => format!("date(substr({column}, 1, 10), 'weekday 0', '-6 days')"),
            Self::Month => format!("substr({column}, 1, 7)"),
        }
    }
}

type Args = Vec<String>;

impl Scope {
    /// The SQL condition on businesses and times; `time` is the column of time.
    fn bounds(&self, time: &str, args: &mut Args) -> String {
        let mut sql = format!("business IN ({})", vec!["?"; self.businesses.len()].join(", "));
        args.extend(self.businesses.iter().cloned());
        for (op, bound) in [(">=", &self.from), ("<", &self.before)] {
            if let Some(bound) = bound {
                sql.push_str(&format!(" AND {time} {op} ?"));
                args.push(if time == "hour" {
                    bound.get(..13).unwrap_or(bound).to_owned()
                } else {
                    bound.clone()
                });
            }
        }
        sql
    }

    /// The SQL condition on samples of the kind `sample`; `time` is the column of time.
    fn sql(&self, time: &str, sample: &str, args: &mut Args) -> String {
        let mut sql = self.bounds(time, args);
        args.push(sample.to_owned());
        sql.push_str(" AND sample = ?");
        if ["cost", "budget_spent", "budget_limit"].contains(&sample) {
            sql.push_str(" AND unit = ?");
            args.push(self.currency.clone());
        }
        for (column, value) in &self.about {
            sql.push_str(&format!(" AND {column} = ?"));
            args.push(value.clone());
        }
        sql
    }

    /// The smallest table that can answer, with the names of its columns of time and of sums.
    fn table(&self) -> (&'static str, &'static str, &'static str) {
        let whole_hours = [&self.from, &self.before]
            .into_iter()
            .flatten()
            .all(|t| t.get(13..).is_some_and(|rest| rest == ":00:00.000000Z"));
        match (self.from.is_none() && self.before.is_none() && self.about.is_empty(), whole_hours) {
            (true, _) => ("sample_totals", "business", "total"),
            (false, true) => ("sample_hours", "hour", "total"),
            (false, false) => ("samples", "at", "value"),
        }
    }
}

fn refs(args: &Args) -> Vec<&dyn ToSql> {
    args.iter().map(|a| a as &dyn ToSql).collect()
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap_or_default()
}

/// Sums of samples, grouped by `key`, an SQL expression over the table.
fn sums(
    c: &Connection,
    scope: &Scope,
    sample: &str,
    (table, time, column): (&str, &str, &str),
    key: &str,
) -> rusqlite::Result<BTreeMap<String, Decimal>> {
    let mut args = Args::new();
    let conditions = scope.sql(time, sample, &mut args);
    let mut found: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut query =
        c.prepare_cached(&format!("SELECT {key}, {column} FROM {table} WHERE {conditions}"))?;
    let mut rows = query.query(&*refs(&args))?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        *found.entry(key).or_default() += decimal(&value);
    }
    Ok(found)
}

fn ratio(of: Decimal, over: Decimal) -> Option<Decimal> {
    of.checked_div(over).map(|v| v.round_dp(PLACES).normalize())
}

fn percentile(
    c: &Connection,
    scope: &Scope,
    sample: &str,
    per_cent: u8,
) -> rusqlite::Result<Option<Decimal>> {
    let mut args = Args::new();
    let conditions = scope.sql("at", sample, &mut args);
    let count: u64 = c
        .prepare_cached(&format!("SELECT count(*) FROM samples WHERE {conditions}"))?
        .query_row(&*refs(&args), |r| r.get(0))?;
    if count == 0 {
        return Ok(None);
    }
    let rank = (count * u64::from(per_cent)).div_ceil(100).max(1) - 1;
    let sql = format!(
        "SELECT value FROM samples WHERE {conditions} ORDER BY number LIMIT 1 OFFSET {rank}"
    );
    let value: String = c.prepare_cached(&sql)?.query_row(&*refs(&args), |r| r.get(0))?;
    Ok(Some(decimal(&value).normalize()))
}

impl ScopedKpi {
    /// The KPIs of a scope: the built-in ones, then, for a single business, its own definitions.
    ///
    /// # Errors
    /// When the views can't be read.
    pub fn all(c: &Connection, scope: &Scope) -> rusqlite::Result<Vec<Self>> {
        let of = |d: &Definition| Self {
            id: d.id.to_owned(),
            version: d.version,
            text: d.text.to_owned(),
            unit: d.unit.to_owned(),
            direction: d.direction,
            target: d.target.map(decimal),
            fold: SampleFold::BuiltIn(d.formula),
        };
        let mut all: Vec<Self> = DEFINITIONS.iter().map(of).collect();
        let [business] = scope.businesses.as_slice() else { return Ok(all) };
        let mut query = c.prepare_cached(
            "SELECT kpi, max(version), text, unit, direction, measure, aggregation FROM \
             kpi_definitions WHERE business = ? GROUP BY kpi ORDER BY kpi",
        )?;
        let own = query.query_map([business], |r| {
            Ok(Self {
                id: r.get(0)?,
                version: r.get(1)?,
                text: r.get(2)?,
                unit: r.get(3)?,
                direction: r.get::<_, String>(4)?.parse().unwrap_or(Direction::Up),
                target: None,
                fold: SampleFold::Own(
                    r.get(5)?,
                    r.get::<_, String>(6)?.parse().unwrap_or(Aggregation::Sum),
                ),
            })
        })?;
        for kpi in own {
            all.push(kpi?);
        }
        let mut targets =
            c.prepare_cached("SELECT kpi, target FROM kpi_targets WHERE business = ?")?;
        let targets: BTreeMap<String, String> = targets
            .query_map([business], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for kpi in &mut all {
            kpi.target = targets.get(&kpi.id).map(|t| decimal(t)).or(kpi.target);
        }
        Ok(all)
    }

    /// The unit that reported figures must have; `None` if only their number counts.
    fn unit_of(&self, how: Aggregation) -> Option<&str> {
        (how != Aggregation::Count).then_some(self.unit.as_str())
    }

    /// The value of the KPI; `None` if nothing was counted.
    ///
    /// # Errors
    /// When the views can't be read.
    pub fn value(&self, c: &Connection, scope: &Scope) -> rusqlite::Result<Option<Decimal>> {
        let sum = |sample: &str| -> rusqlite::Result<Option<Decimal>> {
            Ok(sums(c, scope, sample, scope.table(), "''")?.remove(""))
        };
        match &self.fold {
            SampleFold::BuiltIn(Formula::Sum(of)) => {
                Ok(Some(sum(of)?.unwrap_or_default().normalize()))
            }
            SampleFold::BuiltIn(Formula::Ratio(of, over)) => {
                Ok(ratio(sum(of)?.unwrap_or_default(), sum(over)?.unwrap_or_default()))
            }
            SampleFold::BuiltIn(Formula::Percentile(of, per_cent)) => {
                percentile(c, scope, of, *per_cent)
            }
            SampleFold::Own(measure, how) => {
                let values: Vec<Decimal> = reported(c, scope, (measure, self.unit_of(*how)), "''")?
                    .into_iter()
                    .map(|(_, v)| v)
                    .collect();
                Ok(aggregate(*how, &values))
            }
        }
    }

    fn by(
        &self,
        c: &Connection,
        scope: &Scope,
        table: (&'static str, &'static str, &'static str),
        key: &str,
    ) -> rusqlite::Result<Vec<(String, Option<Decimal>)>> {
        let keyed: BTreeMap<String, Option<Decimal>> = match &self.fold {
            SampleFold::BuiltIn(Formula::Sum(of)) => sums(c, scope, of, table, key)?
                .into_iter()
                .map(|(k, v)| (k, Some(v.normalize())))
                .collect(),
            SampleFold::BuiltIn(Formula::Ratio(of, over)) => {
                let (of, over) =
                    (sums(c, scope, of, table, key)?, sums(c, scope, over, table, key)?);
                let keys: Vec<String> = of.keys().chain(over.keys()).cloned().collect();
                keys.into_iter()
                    .map(|k| {
                        (
                            k.clone(),
                            ratio(
                                of.get(&k).copied().unwrap_or_default(),
                                over.get(&k).copied().unwrap_or_default(),
                            ),
                        )
                    })
                    .collect()
            }
            SampleFold::BuiltIn(Formula::Percentile(of, per_cent)) => {
                let mut args = Args::new();
                let conditions = scope.sql("at", of, &mut args);
                let key =
                    if table.1 == "hour" { key.replace("hour", "at") } else { key.to_owned() };
                let mut query = c.prepare_cached(&format!(
                    "SELECT {key}, value FROM samples WHERE {conditions} ORDER BY 1, number"
                ))?;
                let mut groups: BTreeMap<String, Vec<Decimal>> = BTreeMap::new();
                let mut rows = query.query(&*refs(&args))?;
                while let Some(row) = rows.next()? {
                    groups.entry(row.get(0)?).or_default().push(decimal(&row.get::<_, String>(1)?));
                }
                groups
                    .into_iter()
                    .map(|(k, v)| {
                        (
                            k,
                            v.get((v.len() * usize::from(*per_cent)).div_ceil(100).max(1) - 1)
                                .map(Decimal::normalize),
                        )
                    })
                    .collect()
            }
            SampleFold::Own(measure, how) => {
                let mut groups: BTreeMap<String, Vec<Decimal>> = BTreeMap::new();
                for (k, v) in
                    reported(c, scope, (measure, self.unit_of(*how)), &key.replace("hour", "at"))?
                {
                    groups.entry(k).or_default().push(v);
                }
                groups.into_iter().map(|(k, v)| (k, aggregate(*how, &v))).collect()
            }
        };
        Ok(keyed.into_iter().take(POINTS_MAX).collect())
    }

    /// The values of the KPI over time, one for each step in which something was counted.
    ///
    /// # Errors
    /// When the views can't be read.
    pub fn series(
        &self,
        c: &Connection,
        scope: &Scope,
        step: Interval,
    ) -> rusqlite::Result<Vec<(String, Option<Decimal>)>> {
        let table = match scope.table() {
            ("samples", ..) => ("samples", "at", "value"),
            _ => ("sample_hours", "hour", "total"),
        };
        self.by(c, scope, table, &step.sql(table.1))
    }

    /// The values of the KPI by a column: team, agent, model, connector or operation.
    ///
    /// # Errors
    /// When the views can't be read.
    pub fn breakdown(
        &self,
        c: &Connection,
        scope: &Scope,
        column: &'static str,
    ) -> rusqlite::Result<Vec<(String, Option<Decimal>)>> {
        let table = match scope.table() {
            ("samples", ..) => ("samples", "at", "value"),
            _ => ("sample_hours", "hour", "total"),
        };
        if matches!(self.fold, SampleFold::Own(..)) {
            return self.by(c, scope, table, "coalesce(dimension, '')");
        }
        self.by(c, scope, table, column)
    }

    /// An SQL condition on `business` and `seq` that selects the events the KPI was counted from.
    #[must_use]
    pub fn events(&self, scope: &Scope) -> (String, Vec<String>) {
        let mut args = Args::new();
        let parts: Vec<String> = match &self.fold {
            SampleFold::BuiltIn(formula) => {
                let part = |sample| {
                    format!("SELECT seq FROM samples WHERE {}", scope.sql("at", sample, &mut args))
                };
                formula.samples().into_iter().map(part).collect()
            }
            SampleFold::Own(measure, how) => {
                let conditions = reported_sql(scope, measure, self.unit_of(*how), &mut args);
                vec![format!("SELECT seq FROM measures WHERE {conditions}")]
            }
        };
        (format!("seq IN ({})", parts.join(" UNION ")), args)
    }
}
