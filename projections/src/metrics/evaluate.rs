//! Evaluates a KPI from the samples: its value, its series, and the events behind it.

mod reported;
mod scope;

use reported::{aggregate, reported, reported_sql};
use scope::{Args, Table};
pub use scope::{Interval, Scope};
use std::collections::BTreeMap;
use std::str::FromStr as _;

use domain::metrics::{Aggregation, Direction};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use rust_decimal::Decimal;

use super::definitions::{DEFINITIONS, Definition, Formula};

/// Decimal places of a KPI's value.
const PLACES: u32 = 9;
/// Most points that a series may have.
const POINTS_MAX: usize = 10_000;

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

/// Reads a column that is a text or, of an agent, an id in bytes or none.
fn text(row: &rusqlite::Row<'_>, i: usize) -> rusqlite::Result<String> {
    let value = row.get_ref(i)?;
    let Ok(bytes) = value.as_blob() else { return row.get(i) };
    Ok(uuid::Uuid::from_slice(bytes).map_or_else(|_| String::new(), |id| id.to_string()))
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap_or_default()
}

/// Sums of samples, grouped by `key`, an SQL expression over the table.
fn sums(
    c: &Connection,
    scope: &Scope,
    sample: &str,
    table: Table,
    key: &str,
) -> rusqlite::Result<BTreeMap<String, Decimal>> {
    let mut args = Args::new();
    let conditions = scope.sql(table, sample, &mut args);
    let mut found: BTreeMap<String, Decimal> = BTreeMap::new();
    let (column, table) = (table.value(), table.name());
    let mut query =
        c.prepare_cached(&format!("SELECT {key}, {column} FROM {table} WHERE {conditions}"))?;
    let mut rows = query.query(params_from_iter(args))?;
    while let Some(row) = rows.next()? {
        *found.entry(text(row, 0)?).or_default() += decimal(&row.get::<_, String>(1)?);
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
    let conditions = scope.sql(Table::Samples, sample, &mut args);
    let count: u64 = c
        .prepare_cached(&format!("SELECT count(*) FROM sample_values WHERE {conditions}"))?
        .query_row(params_from_iter(&args), |r| r.get(0))?;
    if count == 0 {
        return Ok(None);
    }
    let rank = (count * u64::from(per_cent)).div_ceil(100).max(1) - 1;
    let sql = format!(
        "SELECT value FROM sample_values WHERE {conditions} ORDER BY number LIMIT 1 OFFSET {rank}"
    );
    let value: String = c.prepare_cached(&sql)?.query_row(params_from_iter(args), |r| r.get(0))?;
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
             kpi_definitions WHERE business = (SELECT n FROM business_numbers WHERE id = ?) GROUP \
             BY kpi ORDER BY kpi",
        )?;
        let own = query.query_map([business.0], |r| {
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
        let mut targets = c.prepare_cached(
            "SELECT kpi, target FROM kpi_targets WHERE business = (SELECT n FROM \
                business_numbers WHERE id = ?)",
        )?;
        let targets: BTreeMap<String, String> = targets
            .query_map([business.0], |r| Ok((r.get(0)?, r.get(1)?)))?
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
        table: Table,
        key: impl Fn(Table) -> String,
    ) -> rusqlite::Result<Vec<(String, Option<Decimal>)>> {
        let keyed: BTreeMap<String, Option<Decimal>> = match &self.fold {
            SampleFold::BuiltIn(Formula::Sum(of)) => sums(c, scope, of, table, &key(table))?
                .into_iter()
                .map(|(k, v)| (k, Some(v.normalize())))
                .collect(),
            SampleFold::BuiltIn(Formula::Ratio(of, over)) => {
                let key = key(table);
                let (of, over) =
                    (sums(c, scope, of, table, &key)?, sums(c, scope, over, table, &key)?);
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
                let conditions = scope.sql(Table::Samples, of, &mut args);
                let key = key(Table::Samples);
                let mut query = c.prepare_cached(&format!(
                    "SELECT {key}, value FROM sample_values WHERE {conditions} ORDER BY 1, number"
                ))?;
                let mut groups: BTreeMap<String, Vec<Decimal>> = BTreeMap::new();
                let mut rows = query.query(params_from_iter(args))?;
                while let Some(row) = rows.next()? {
                    let value = decimal(&row.get::<_, String>(1)?);
                    groups.entry(text(row, 0)?).or_default().push(value);
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
                let of = (measure.as_str(), self.unit_of(*how));
                for (k, v) in reported(c, scope, of, &key(Table::Samples))? {
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
        self.by(c, scope, scope.table_of_parts(), |table| step.sql(table.seconds()))
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
        let column = match self.fold {
            SampleFold::BuiltIn(_) => column,
            SampleFold::Own(..) => "coalesce(dimension, '')",
        };
        self.by(c, scope, scope.table_of_parts(), |_| column.to_owned())
    }

    /// An SQL condition on the place of events that selects those the KPI was counted from.
    #[must_use]
    pub fn events(&self, scope: &Scope) -> (String, Vec<Value>) {
        const PLACE: &str = "(business << 36) | seq";
        let mut args = Args::new();
        let parts: Vec<String> = match &self.fold {
            SampleFold::BuiltIn(formula) => {
                let part = |sample| {
                    let conditions = scope.sql(Table::Samples, sample, &mut args);
                    format!("SELECT {PLACE} FROM sample_values WHERE {conditions}")
                };
                formula.samples().into_iter().map(part).collect()
            }
            SampleFold::Own(measure, how) => {
                let conditions = reported_sql(scope, measure, self.unit_of(*how), &mut args);
                vec![format!("SELECT {PLACE} FROM measures WHERE {conditions}")]
            }
        };
        (format!("place IN ({})", parts.join(" UNION ")), args)
    }
}
