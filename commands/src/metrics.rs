//! Metrics: figures are reported once, a business defines KPIs over them and sets targets.

use domain::AggregateRef;
use domain::approvals::CarriedInputs;
use domain::ids::{KpiId, MeasureId};
use domain::metrics::{Aggregation, Direction, Kpi, KpiDefined, Measured, TargetSet};
use domain::values::{Amount, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

commands!("metrics" {
    /// Reports a figure; `occurred_at` of the command says when it held.
    Report = "report" opens Measure {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Refused, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// Name of the measure, such as `revenue`.
        measure: Name,
        /// The figure: the value of the measure.
        value: Amount,
        /// Unit of the figure: an ISO 4217 code for money, else a word.
        unit: Name,
        /// What the figure was for, such as a plan or a channel.
        #[serde(default)]
        dimension: Option<Name>,
    }

    /// Defines a KPI over reported figures; the same again changes nothing, another one is a new
    /// version.
    DefineKpi = "define_kpi" sets Kpi {
        from: [Owner] of Business,
        target: Target::Derived(|c, business| KpiId::of(business, c.kpi.as_str()).0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Name of the KPI; the names of the built-in KPIs are taken.
        kpi: Name,
        /// What the KPI says, in a sentence.
        text: Name,
        /// Name of the measure whose figures the KPI is made of.
        measure: Name,
        /// The function that makes one number of the reported figures, such as `sum`.
        aggregation: Aggregation,
        /// Unit of the KPI.
        unit: Name,
        /// Whether a higher or a lower value is better.
        direction: Direction,
    }

    /// Says what a KPI, built-in or own, should reach.
    SetTarget = "set_target" sets Kpi {
        from: [Owner] of Business,
        target: Target::Derived(|c, business| KpiId::of(business, c.kpi.as_str()).0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Name of the KPI.
        kpi: Name,
        /// The value that the KPI should reach.
        target: Amount,
    }
});

fn define(c: &DefineKpi, kpi: &Kpi) -> Result<Option<KpiDefined>, Refusal> {
    if domain::metrics::BUILT_IN.contains(&c.kpi.as_str()) {
        return Err(Refusal::Exists { what: "KPI" });
    }
    let same = (c.measure.clone(), c.aggregation, c.unit.clone(), c.direction, c.text.clone());
    if kpi.definition.as_ref() == Some(&same) {
        return Ok(None);
    }
    Ok(Some(KpiDefined {
        kpi: c.kpi.clone(),
        definition_version: kpi.definition_version + 1,
        text: c.text.clone(),
        measure: c.measure.clone(),
        aggregation: c.aggregation,
        unit: c.unit.clone(),
        direction: c.direction,
    }))
}

/// Refuses an agent a figure that its permissions don't name as the tool `report:<measure>`, and a
/// figure of another time than now.
fn may_report(c: &Report, ctx: &Context, loaded: &LoadedAggregates) -> Result<(), Refusal> {
    let Some(id) = ctx.own_agent() else { return Ok(()) };
    let tool = format!("report:{}", c.measure);
    if !loaded.get(id)?.permissions.tools.iter().any(|t| t.as_str() == tool) {
        return Err(Refusal::MeasureNotAllowed { agent: id, measure: c.measure.to_string() });
    }
    if ctx.backdated {
        return Err(Refusal::NotYours { who: "a human or a service" });
    }
    Ok(())
}

impl ContextRules for Command {
    fn reads(&self, _: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        Vec::new()
    }

    fn carried_inputs(&self, _: &mut CarriedInputs) {}

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = KpiId(ctx.target);
        let event: Option<domain::Event> = match self {
            Self::Report(c) => {
                may_report(c, ctx, loaded)?;
                let event = Measured {
                    measure: c.measure.clone(),
                    value: c.value,
                    unit: c.unit.clone(),
                    dimension: c.dimension.clone(),
                };
                return Ok(vec![(MeasureId(ctx.target).into(), event.into())]);
            }
            Self::DefineKpi(c) => define(c, loaded.get(id)?)?.map(Into::into),
            Self::SetTarget(c) => {
                let kpi = loaded.get(id)?;
                if kpi.definition_version == 0
                    && !domain::metrics::BUILT_IN.contains(&c.kpi.as_str())
                {
                    return Err(Refusal::Unknown { what: "KPI" });
                }
                (kpi.target != Some(c.target))
                    .then(|| TargetSet { kpi: c.kpi.clone(), target: c.target }.into())
            }
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
