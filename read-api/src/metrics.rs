//! KPIs: values, targets, series, and the events that every figure opens to.

use async_graphql::{Context, Enum, InputObject, Object, Result, SimpleObject};
use domain::metrics::Direction;
use projections::metrics::evaluate::{Interval, Scope, ScopedKpi as Counted};
use rust_decimal::prelude::ToPrimitive as _;

use crate::Sources;
use crate::allowance::read;
use crate::audit::Event;
use crate::page::{Filter, List, Page, client_error, cost, list, time};

/// Which figures.
#[derive(InputObject, Default, Clone)]
pub(crate) struct KpiFilter {
    /// Counted from this RFC 3339 time on (when it happened, not when it was recorded).
    pub(crate) from: Option<String>,
    /// Counted before this RFC 3339 time.
    pub(crate) before: Option<String>,
    /// Of one team.
    pub(crate) team: Option<String>,
    /// Of one agent.
    pub(crate) agent: Option<String>,
    /// Of one model.
    pub(crate) model: Option<String>,
    /// Of one connector.
    pub(crate) connector: Option<String>,
    /// Of one operation.
    pub(crate) operation: Option<String>,
}

/// Where a value stands against its target.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KpiStatus {
    /// It reaches its target.
    OnTarget,
    /// It does not.
    OffTarget,
    /// There is none to reach.
    NoTarget,
    /// Nothing to count: the denominator is 0.
    NoData,
}

/// Which way is better.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KpiDirection {
    /// More.
    Up,
    /// Less.
    Down,
}

/// The steps of a series; times are UTC.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesStep {
    /// Hours.
    Hour,
    /// Days.
    Day,
    /// ISO 8601 weeks, named by their Monday.
    Week,
    /// Months.
    Month,
}

/// What a breakdown is by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakdownBy {
    /// By team.
    Team,
    /// By agent.
    Agent,
    /// By model.
    Model,
    /// By connector.
    Connector,
    /// By operation.
    Operation,
}

/// What a KPI is.
#[derive(SimpleObject)]
pub(crate) struct KpiDefinition {
    /// In a sentence.
    text: String,
    /// 1, 2, 3 …: a new one counts all of history anew.
    version: u32,
    /// Which way is better.
    direction: KpiDirection,
}

/// A value of a series or a breakdown.
#[derive(SimpleObject)]
pub(crate) struct KpiPoint {
    /// The step of time, or what the value is about; empty where the events do not say.
    key: String,
    /// The value; null where there is nothing to count.
    value: Option<f64>,
    /// The same as an exact decimal.
    exact: Option<String>,
}

/// A figure about one business or several.
pub(crate) struct Kpi {
    counted: Counted,
    scope: Scope,
    value: Option<rust_decimal::Decimal>,
}

impl Kpi {
    /// Name and value, to see whether it changed.
    pub(crate) fn change_key(&self) -> (String, String) {
        (self.counted.id.clone(), format!("{:?}", self.value))
    }
}

fn point((key, value): (String, Option<rust_decimal::Decimal>)) -> KpiPoint {
    KpiPoint { key, value: value.and_then(|v| v.to_f64()), exact: value.map(|v| v.to_string()) }
}

impl KpiFilter {
    pub(crate) fn scope(&self, businesses: Vec<String>, currency: String) -> Result<Scope> {
        let columns = [
            ("team", &self.team),
            ("agent", &self.agent),
            ("model", &self.model),
            ("connector", &self.connector),
            ("operation", &self.operation),
        ];
        let about = columns
            .into_iter()
            .filter_map(|(column, value)| Some((column, value.clone()?)))
            .collect();
        Ok(Scope {
            businesses,
            currency,
            from: time(self.from.as_ref())?,
            before: time(self.before.as_ref())?,
            about,
        })
    }
}

/// The KPIs of a scope, all or those named.
pub(crate) async fn kpis(
    ctx: &Context<'_>,
    scope: Scope,
    ids: Option<Vec<String>>,
) -> Result<Vec<Kpi>> {
    kpis_of(ctx.data::<Sources>()?, scope, ids).await
}

/// The same where no request is at hand.
pub(crate) async fn kpis_of(
    sources: &Sources,
    scope: Scope,
    ids: Option<Vec<String>>,
) -> Result<Vec<Kpi>> {
    let sources = sources.clone();
    let found: (Vec<Kpi>, Option<String>) = read(&sources, move |c| {
        let mut all = Counted::all(c, &scope)?;
        let unknown = ids
            .as_ref()
            .and_then(|ids| ids.iter().find(|id| !all.iter().any(|k| k.id == **id)).cloned());
        if let Some(ids) = &ids {
            all.retain(|k| ids.contains(&k.id));
        }
        let kpi = |counted: Counted| {
            Ok(Kpi { value: counted.value(c, &scope)?, scope: scope.clone(), counted })
        };
        Ok((all.into_iter().map(kpi).collect::<rusqlite::Result<_>>()?, unknown))
    })
    .await?;
    match found {
        (kpis, None) => Ok(kpis),
        (_, Some(id)) => Err(client_error(
            "UNKNOWN_KPI",
            &format!("there is no KPI `{id}`"),
            "ask for kpis { id } to see them all",
        )),
    }
}

/// A figure about one business or several.
#[Object]
impl Kpi {
    /// Its name.
    async fn id(&self) -> &str {
        &self.counted.id
    }

    /// Its value; null when there is nothing to count.
    async fn value(&self) -> Option<f64> {
        self.value.and_then(|v| v.to_f64())
    }

    /// The same as an exact decimal, to 9 places where it is a ratio.
    async fn exact(&self) -> Option<String> {
        self.value.map(|v| v.to_string())
    }

    /// Its unit: ratio, seconds, ms, tasks, rounds, tokens, or an ISO 4217 currency.
    async fn unit(&self) -> &str {
        if self.counted.unit == "money" { &self.scope.currency } else { &self.counted.unit }
    }

    /// What it should reach.
    async fn target(&self) -> Option<f64> {
        self.counted.target.and_then(|t| t.to_f64())
    }

    /// Where it stands against that.
    async fn status(&self) -> KpiStatus {
        match (self.value, self.counted.target, self.counted.direction) {
            (None, ..) => KpiStatus::NoData,
            (Some(_), None, _) => KpiStatus::NoTarget,
            (Some(value), Some(target), Direction::Up) if value >= target => KpiStatus::OnTarget,
            (Some(value), Some(target), Direction::Down) if value <= target => KpiStatus::OnTarget,
            (Some(_), Some(_), Direction::Up | Direction::Down) => KpiStatus::OffTarget,
        }
    }

    /// What it is.
    async fn definition(&self) -> KpiDefinition {
        let direction = match self.counted.direction {
            Direction::Up => KpiDirection::Up,
            Direction::Down => KpiDirection::Down,
        };
        KpiDefinition { text: self.counted.text.clone(), version: self.counted.version, direction }
    }

    /// Its value by the step of time, where something was counted.
    #[graphql(complexity = "50 * child_complexity")]
    async fn series(&self, ctx: &Context<'_>, by: SeriesStep) -> Result<Vec<KpiPoint>> {
        let step = match by {
            SeriesStep::Hour => Interval::Hour,
            SeriesStep::Day => Interval::Day,
            SeriesStep::Week => Interval::Week,
            SeriesStep::Month => Interval::Month,
        };
        let (sources, counted, scope) =
            (ctx.data::<Sources>()?.clone(), self.counted.clone(), self.scope.clone());
        let points = read(&sources, move |c| counted.series(c, &scope, step)).await?;
        Ok(points.into_iter().map(point).collect())
    }

    /// Its value by what it is about.
    #[graphql(complexity = "20 * child_complexity")]
    async fn breakdown(&self, ctx: &Context<'_>, by: BreakdownBy) -> Result<Vec<KpiPoint>> {
        let column = match by {
            BreakdownBy::Team => "team",
            BreakdownBy::Agent => "agent",
            BreakdownBy::Model => "model",
            BreakdownBy::Connector => "connector",
            BreakdownBy::Operation => "operation",
        };
        let (sources, counted, scope) =
            (ctx.data::<Sources>()?.clone(), self.counted.clone(), self.scope.clone());
        let points = read(&sources, move |c| counted.breakdown(c, &scope, column)).await?;
        Ok(points.into_iter().map(point).collect())
    }

    /// The events it was counted from, oldest first; of one business (not of a portfolio).
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Event>> {
        let [business] = self.scope.businesses.as_slice() else {
            return Err(client_error(
                "BAD_ARGUMENT",
                "events are those of one business",
                "ask business(slug: …) { kpis { events { … } } }",
            ));
        };
        let (condition, values) = self.counted.events(&self.scope);
        list(ctx, Filter::of(business).all(condition, values), Page { first, after, last, before })
            .await
    }
}

/// Everything the asker may see, as one.
pub(crate) struct Portfolio {
    pub(crate) businesses: Vec<String>,
}

/// Everything the asker may see, as one.
#[Object]
impl Portfolio {
    /// How many businesses.
    async fn business_count(&self) -> usize {
        self.businesses.len()
    }

    /// The KPIs over all of them together; money in one currency, other money is left out.
    #[graphql(complexity = "1 + 21 * child_complexity")]
    async fn kpis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Names of KPIs; all when left out.")] ids: Option<Vec<String>>,
        #[graphql(desc = "Which figures.")] filter: Option<KpiFilter>,
        #[graphql(desc = "Currency of money.", default = "USD")] currency: String,
    ) -> Result<Vec<Kpi>> {
        let scope = filter.unwrap_or_default().scope(self.businesses.clone(), currency)?;
        kpis(ctx, scope, ids).await
    }
}
