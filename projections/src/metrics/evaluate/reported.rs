//! Figures that a business reports itself, folded as its definition says.

use super::{Args, Scope, Table, decimal, ratio, text};
use domain::metrics::Aggregation;
use rusqlite::{Connection, params_from_iter};
use rust_decimal::Decimal;

/// SQL conditions on the reported figures of a KPI; reported figures name no team, agent, model,
/// connector or operation.
pub(super) fn reported_sql(
    scope: &Scope,
    measure: &str,
    unit: Option<&str>,
    args: &mut Args,
) -> String {
    let whole = Scope { about: Vec::new(), ..scope.clone() };
    let mut sql = whole.bounds(Table::Samples, args);
    sql.push_str(" AND measure = ?");
    args.push(measure.to_owned().into());
    if let Some(unit) = unit {
        sql.push_str(" AND unit = ?");
        args.push(unit.to_owned().into());
    }
    if !scope.about.is_empty() {
        sql.push_str(" AND 0");
    }
    sql
}

pub(super) fn reported(
    c: &Connection,
    scope: &Scope,
    (measure, unit): (&str, Option<&str>),
    key: &str,
) -> rusqlite::Result<Vec<(String, Decimal)>> {
    let mut args = Args::new();
    let conditions = reported_sql(scope, measure, unit, &mut args);
    let mut query = c.prepare_cached(&format!(
        "SELECT {key}, value FROM measures WHERE {conditions} ORDER BY at, seq"
    ))?;
    let row = |r: &rusqlite::Row<'_>| Ok((text(r, 0)?, decimal(&r.get::<_, String>(1)?)));
    query.query_map(params_from_iter(args), row)?.collect()
}

pub(super) fn aggregate(how: Aggregation, values: &[Decimal]) -> Option<Decimal> {
    let sum: Decimal = values.iter().sum();
    match how {
        Aggregation::Sum => (!values.is_empty()).then_some(sum),
        Aggregation::Mean => ratio(sum, Decimal::from(values.len())),
        Aggregation::Last => values.last().copied(),
        Aggregation::Min => values.iter().min().copied(),
        Aggregation::Max => values.iter().max().copied(),
        Aggregation::Count => Some(Decimal::from(values.len())),
    }
}
