//! Which samples are counted: of which businesses, of what time, about whom.

use domain::{BusinessId, Timestamp};
use rusqlite::types::Value;

use crate::metrics::samples::HOUR_MICROS;

/// Which samples a KPI is evaluated from.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The businesses, at least one.
    pub businesses: Vec<BusinessId>,
    /// Currency of amounts; samples in another currency are left out.
    pub currency: String,
    /// Only what happened at this time or later; `None` = from the beginning.
    pub from: Option<Timestamp>,
    /// Only what happened before this time; `None` = until now.
    pub before: Option<Timestamp>,
    /// Required values of columns: team, agent (16 bytes), model, connector, operation; empty =
    /// everything.
    pub about: Vec<(&'static str, Value)>,
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
    /// SQL that names the step in which a number of seconds since 1970 is.
    pub(super) fn sql(self, seconds: &str) -> String {
        match self {
            Self::Hour => format!("strftime('%Y-%m-%dT%H:00', {seconds}, 'unixepoch')"),
            Self::Day => format!("date({seconds}, 'unixepoch')"),
            Self::Week => format!("date({seconds}, 'unixepoch', 'weekday 0', '-6 days')"),
            Self::Month => format!("strftime('%Y-%m', {seconds}, 'unixepoch')"),
        }
    }
}

pub(super) type Args = Vec<Value>;

/// A table of samples, or of their sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Samples,
    Hours,
    Totals,
}

impl Table {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Samples => "sample_values",
            Self::Hours => "sample_hour_values",
            Self::Totals => "sample_total_values",
        }
    }

    /// The column that is summed.
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Samples => "value",
            Self::Hours | Self::Totals => "total",
        }
    }

    /// SQL of the time of a row, in seconds since 1970.
    pub(super) const fn seconds(self) -> &'static str {
        match self {
            // Rounded down, before 1970 too.
            Self::Samples => "(at - 999999 * (at < 0)) / 1000000",
            Self::Hours | Self::Totals => "hour * 3600",
        }
    }
}

impl Scope {
    /// The SQL condition on businesses and times.
    pub(super) fn bounds(&self, table: Table, args: &mut Args) -> String {
        // One is an equality, so that an index gives the order too.
        let mut sql = if self.businesses.len() == 1 {
            "business = (SELECT n FROM business_numbers WHERE id = ?)".to_owned()
        } else {
            let marks = vec!["?"; self.businesses.len()].join(", ");
            format!("business IN (SELECT n FROM business_numbers WHERE id IN ({marks}))")
        };
        args.extend(self.businesses.iter().map(|id| Value::Blob(id.0.as_bytes().to_vec())));
        for (op, bound) in [(">=", &self.from), ("<", &self.before)] {
            let Some(bound) = bound.map(Timestamp::as_micros) else { continue };
            let (column, bound) = match table {
                Table::Samples => ("at", bound),
                Table::Hours | Table::Totals => ("hour", bound.div_euclid(HOUR_MICROS)),
            };
            sql.push_str(&format!(" AND {column} {op} ?"));
            args.push(bound.into());
        }
        sql
    }

    /// The SQL condition on samples of the kind `sample`.
    pub(super) fn sql(&self, table: Table, sample: &str, args: &mut Args) -> String {
        let mut sql = self.bounds(table, args);
        args.push(sample.to_owned().into());
        sql.push_str(" AND sample = ?");
        if ["cost", "budget_spent", "budget_limit"].contains(&sample) {
            sql.push_str(" AND unit = ?");
            args.push(self.currency.clone().into());
        }
        for (column, value) in &self.about {
            sql.push_str(&format!(" AND {column} = ?"));
            args.push(value.clone());
        }
        sql
    }

    /// The smallest table that can answer.
    pub(super) fn table(&self) -> Table {
        let whole_hours = [self.from, self.before]
            .into_iter()
            .flatten()
            .all(|at| at.as_micros().rem_euclid(HOUR_MICROS) == 0);
        match (self.from.is_none() && self.before.is_none() && self.about.is_empty(), whole_hours) {
            (true, _) => Table::Totals,
            (false, true) => Table::Hours,
            (false, false) => Table::Samples,
        }
    }

    /// The smallest table that can answer for parts of the time or of what samples are about.
    pub(super) fn table_of_parts(&self) -> Table {
        match self.table() {
            Table::Samples => Table::Samples,
            Table::Hours | Table::Totals => Table::Hours,
        }
    }
}
