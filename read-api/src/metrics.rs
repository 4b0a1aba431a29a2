//! KPIs: values, targets, series, and the events that every figure is counted from.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use domain::limits::PAGE_MAX;
use domain::metrics::Direction;
use projections::metrics::evaluate::{Interval, Scope, ScopedKpi as Counted};
use rusqlite::types::Value as SqlValue;
use rust_decimal::prelude::ToPrimitive as _;

use crate::allowance::read;
use crate::audit::Event;
use crate::closed_sets::{EnumValue, KpiDirection, Team};
use crate::filter::Filter;
use crate::of_business::id_text;
use crate::page::{List, ListOrder, Page, client_error, list};
use crate::query::wait_for;
use crate::scalars::{DateTime, Decimal};
use crate::{Sources, Viewer};

/// Which events the KPIs are counted from.
#[derive(InputObject, Default, Clone)]
pub(crate) struct KpiFilter {
    /// Count only what happened at this time or later (not when it was recorded).
    pub(crate) happened_from: Option<DateTime>,
    /// Count only what happened before this time.
    pub(crate) happened_before: Option<DateTime>,
    /// Count only what is about this team.
    pub(crate) team: Option<Team>,
    /// Count only what is about this agent.
    pub(crate) agent_id: Option<ID>,
    /// Count only what is about this model, by name.
    pub(crate) model: Option<String>,
    /// Count only what is about this outside service, by name.
    pub(crate) connector: Option<String>,
    /// Count only what is about this operation, by name.
    pub(crate) operation: Option<String>,
}

/// How a KPI's value compares with its target.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KpiStatus {
    /// The value reaches the target.
    OnTarget,
    /// The value does not reach the target.
    OffTarget,
    /// The KPI has no target.
    NoTarget,
    /// There is no value: nothing was counted.
    NoData,
}

/// The length of a series' steps; times are UTC.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesStep {
    /// One value per hour.
    Hour,
    /// One value per day.
    Day,
    /// One value per ISO 8601 week, named by its Monday.
    Week,
    /// One value per month.
    Month,
}

/// The property by which a KPI is broken down.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakdownBy {
    /// One value per team.
    Team,
    /// One value per agent.
    Agent,
    /// One value per model.
    Model,
    /// One value per outside service.
    Connector,
    /// One value per operation.
    Operation,
}

/// The definition of a KPI.
#[derive(SimpleObject)]
pub(crate) struct KpiDefinition {
    /// What the KPI measures, in a sentence.
    text: String,
    /// Version of the definition: 1, 2, 3 …; a new version counts all of history anew.
    version: u32,
    /// Whether a higher or a lower value is better.
    direction: KpiDirection,
}

/// One value of a series or a breakdown.
#[derive(SimpleObject)]
pub(crate) struct KpiPoint {
    /// The time step, or the team, agent, model, connector or operation; empty where events name
    /// none.
    key: String,
    /// The value; null if nothing was counted.
    value: Option<f64>,
    /// The exact value; null if nothing was counted.
    exact: Option<Decimal>,
}

/// A KPI of one business, or of several together.
pub(crate) struct Kpi {
    counted: Counted,
    scope: Scope,
    value: Option<rust_decimal::Decimal>,
}

impl Kpi {
    /// Name and value of the KPI, to detect a change.
    pub(crate) fn change_key(&self) -> (String, String) {
        (self.counted.id.clone(), format!("{:?}", self.value))
    }
}

fn exact(value: rust_decimal::Decimal) -> Decimal {
    Decimal(value.to_string())
}

fn point((key, value): (String, Option<rust_decimal::Decimal>)) -> KpiPoint {
    KpiPoint { key, value: value.and_then(|v| v.to_f64()), exact: value.map(exact) }
}

/// The id of an agent as a column holds it; what is no id is nobody's.
fn agent(id: &str) -> SqlValue {
    // Nobody is no bytes.
    let other = if id.is_empty() { Vec::new() } else { vec![0] };
    let id = id.parse::<uuid::Uuid>();
    SqlValue::Blob(id.map_or(other, |id| id.as_bytes().to_vec()))
}

impl KpiFilter {
    pub(crate) fn scope(self, businesses: Vec<String>, currency: String) -> Scope {
        let columns = [
            ("team", self.team.map(|team| team.0.to_string().into())),
            ("agent", self.agent_id.map(|id| agent(&id))),
            ("model", self.model.map(Into::into)),
            ("connector", self.connector.map(Into::into)),
            ("operation", self.operation.map(Into::into)),
        ];
        let about = columns.into_iter().filter_map(|(column, value)| Some((column, value?)));
        Scope {
            businesses: businesses.iter().filter_map(|id| id.parse().ok()).collect(),
            currency,
            from: self.happened_from.and_then(|at| at.0.parse().ok()),
            before: self.happened_before.and_then(|at| at.0.parse().ok()),
            about: about.collect(),
        }
    }
}

/// Evaluates the KPIs of a scope: all of them, or those named in `ids`.
pub(crate) async fn kpis(
    ctx: &Context<'_>,
    scope: Scope,
    ids: Option<Vec<String>>,
) -> Result<Vec<Kpi>> {
    kpis_of(ctx.data::<Sources>()?, scope, ids).await
}

/// Evaluates KPIs like [`kpis`], for a subscription.
pub(crate) async fn kpis_of(
    sources: &Sources,
    scope: Scope,
    ids: Option<Vec<String>>,
) -> Result<Vec<Kpi>> {
    let sources = sources.clone();
    let found: (Vec<Kpi>, Option<(String, Vec<String>)>) = read(&sources, move |c| {
        let mut all = Counted::all(c, &scope)?;
        let unknown = ids
            .as_ref()
            .and_then(|ids| ids.iter().find(|id| !all.iter().any(|k| k.id == **id)).cloned())
            .map(|id| (id, all.iter().map(|kpi| kpi.id.clone()).collect()));
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
        (_, Some((id, all))) => {
            let shown: String = id.chars().take(64).collect();
            Err(client_error(
                "UNKNOWN_KPI",
                &format!("there is no KPI `{shown}`; the KPIs are {}", all.join(", ")),
                "use one of the names that the error lists",
            ))
        }
    }
}

/// A KPI of one business, or of several together.
#[Object]
impl Kpi {
    /// Name of the KPI.
    async fn id(&self) -> &str {
        &self.counted.id
    }

    /// Value of the KPI; null if nothing was counted.
    async fn value(&self) -> Option<f64> {
        self.value.and_then(|v| v.to_f64())
    }

    /// The value as an exact decimal, a ratio to 9 places; null if nothing was counted.
    async fn exact(&self) -> Option<Decimal> {
        self.value.map(exact)
    }

    /// Unit of the value: ratio, seconds, ms, tasks, rounds, tokens, or an ISO 4217 currency.
    async fn unit(&self) -> &str {
        if self.counted.unit == "money" { &self.scope.currency } else { &self.counted.unit }
    }

    /// The value that the KPI should reach; null = no target.
    async fn target(&self) -> Option<f64> {
        self.counted.target.and_then(|t| t.to_f64())
    }

    /// How the value compares with the target.
    async fn status(&self) -> KpiStatus {
        match (self.value, self.counted.target, self.counted.direction) {
            (None, ..) => KpiStatus::NoData,
            (Some(_), None, _) => KpiStatus::NoTarget,
            (Some(value), Some(target), Direction::Up) if value >= target => KpiStatus::OnTarget,
            (Some(value), Some(target), Direction::Down) if value <= target => KpiStatus::OnTarget,
            (Some(_), Some(_), Direction::Up | Direction::Down) => KpiStatus::OffTarget,
        }
    }

    /// The definition of the KPI.
    async fn definition(&self) -> KpiDefinition {
        let direction = EnumValue(self.counted.direction);
        KpiDefinition { text: self.counted.text.clone(), version: self.counted.version, direction }
    }

    /// The KPI's values over time, only for steps in which something was counted.
    #[graphql(complexity = "crate::page::times(50, child_complexity)")]
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

    /// The KPI's values by team, agent, model, connector or operation.
    #[graphql(complexity = "crate::page::times(20, child_complexity)")]
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

    /// The events that the KPI was counted from, oldest first; only for a single business.
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "The order of the rows; OLDEST_FIRST when left out.")] order_by: Option<
            ListOrder,
        >,
    ) -> Result<List<Event>> {
        let [business] = self.scope.businesses.as_slice() else {
            return Err(client_error(
                "BAD_ARGUMENT",
                "events are those of one business",
                "ask business(slug: …) { kpis { events { … } } }",
            ));
        };
        let (condition, values) = self.counted.events(&self.scope);
        let page =
            Page { first, after, last, before, order: order_by.unwrap_or_default(), on_row: false };
        list(ctx, Filter::of(&business.to_string()).all(condition, values), page).await
    }
}

/// All businesses that you may see, taken together.
pub(crate) struct Portfolio {
    pub(crate) businesses: Vec<String>,
}

/// All businesses that you may see, taken together.
#[Object]
impl Portfolio {
    /// How many businesses are counted.
    async fn business_count(&self) -> usize {
        self.businesses.len()
    }

    /// The KPIs of all businesses together; money in another currency than `currency` is left out.
    #[graphql(complexity = "crate::page::times(21, child_complexity)")]
    async fn kpis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Names of KPIs; all when left out.")] ids: Option<Vec<String>>,
        #[graphql(desc = "Which figures.")] filter: Option<KpiFilter>,
        #[graphql(desc = "Currency of money (ISO 4217); USD when left out.")] currency: Option<
            String,
        >,
    ) -> Result<Vec<Kpi>> {
        let currency = currency.unwrap_or_else(|| "USD".to_owned());
        if let Err(e) = currency.parse::<domain::values::Currency>() {
            return Err(client_error("BAD_VALUE", &e.to_string(), "write it as EUR"));
        }
        let scope = filter.unwrap_or_default().scope(self.businesses.clone(), currency);
        kpis(ctx, scope, ids).await
    }
}

/// The KPIs of a business.
#[derive(Clone)]
pub(crate) struct KpisOfBusiness {
    pub(crate) business: String,
    pub(crate) currency: String,
}

/// The KPIs of a business.
#[Object]
impl KpisOfBusiness {
    /// The KPIs of the business.
    #[graphql(complexity = "crate::page::times(21, child_complexity)")]
    async fn kpis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Names of KPIs; all when left out.")] ids: Option<Vec<String>>,
        #[graphql(desc = "Which figures.")] filter: Option<KpiFilter>,
    ) -> Result<Vec<Kpi>> {
        let of = vec![self.business.clone()];
        kpis(ctx, filter.unwrap_or_default().scope(of, self.currency.clone()), ids).await
    }
}

/// The part of the queries that is about all businesses together.
#[derive(Default)]
pub(crate) struct PortfolioQuery;

/// The part of the queries that is about all businesses together.
#[Object]
impl PortfolioQuery {
    /// All businesses that you may see, taken together; at most 200.
    async fn portfolio(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<Portfolio> {
        wait_for(ctx, min_position).await?;
        let (viewer, sources) = (ctx.data::<Viewer>()?.clone(), ctx.data::<Sources>()?.clone());
        let businesses = read(&sources, move |c| {
            let mut query = c.prepare_cached("SELECT id FROM businesses ORDER BY slug")?;
            let all = query
                .query_map([], |r| id_text(r, 0))?
                .collect::<rusqlite::Result<Vec<String>>>()?;
            Ok(all
                .into_iter()
                .filter(|b| b.parse().is_ok_and(|id| viewer.may_see(id)))
                .take(PAGE_MAX)
                .collect())
        })
        .await?;
        Ok(Portfolio { businesses })
    }
}
