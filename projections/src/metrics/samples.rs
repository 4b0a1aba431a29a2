//! Makes samples of events. The definitions that fold a sample say what it means.

mod approvals;
mod budgets;
mod calls;
mod tasks;
pub(super) use approvals::approvals;
pub(super) use budgets::budgets;
pub(super) use calls::calls;
pub(super) use tasks::tasks;

use std::sync::Arc;

use domain::agents::Event as Agents;
use domain::decisions::Event as Decisions;
use domain::ids::AgentId;
use domain::values::Amount;
use domain::{Cost, Timestamp, Usage};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::rows::{Dimensions, HourSum, KpiAgent, MaybeAgent, Sample, SampleKind, TotalSum};
use crate::rows::Tables;
use crate::{Applied, ApplyError};

/// Microseconds in an hour.
pub(super) const HOUR_MICROS: i64 = 3_600_000_000;

/// What the samples of one event are about.
#[derive(Default, Clone)]
struct About {
    team: Option<Arc<str>>,
    agent: Option<AgentId>,
    model: Option<Arc<str>>,
    connector: Option<Arc<str>>,
    operation: Option<Arc<str>>,
}

/// Writes the samples that one event gives.
struct SampleWriter<'a, 'c> {
    tables: &'a mut Tables<'c>,
    applied: &'a Applied<'a>,
    about: About,
    n: u32,
}

impl<'a, 'c> SampleWriter<'a, 'c> {
    fn new(tables: &'a mut Tables<'c>, applied: &'a Applied<'a>, about: About) -> Self {
        Self { tables, applied, about, n: 0 }
    }

    fn one(&mut self, sample: &'static str) -> Result<(), ApplyError> {
        self.value(sample, whole(1), "")
    }

    fn value(&mut self, sample: &'static str, value: Amount, unit: &str) -> Result<(), ApplyError> {
        let (a, unit) = (self.applied, Arc::<str>::from(unit));
        let at = a.at();
        let sample_kind = self.tables.number(SampleKind { business: a.business, sample })?;
        let dimensions = self.tables.number(self.dimensions(&unit))?;
        self.tables.add(&Sample {
            sample_kind,
            seq: a.recorded.seq,
            n: self.n,
            at,
            value,
            number: value.get().to_f64().unwrap_or(0.0),
            dimensions,
        })?;
        self.n += 1;
        let hour = at.as_micros().div_euclid(HOUR_MICROS);
        let of_hour = self.tables.row_or(&(sample_kind, hour, dimensions), || HourSum {
            sample_kind,
            hour,
            dimensions,
            count: 0,
            total: Decimal::ZERO,
        })?;
        (of_hour.count, of_hour.total) = (of_hour.count + 1, sum(of_hour.total, value)?);
        let key = (sample_kind, Arc::clone(&unit));
        let new = || TotalSum { sample_kind, unit, count: 0, total: Decimal::ZERO };
        let of_all = self.tables.row_or(&key, new)?;
        (of_all.count, of_all.total) = (of_all.count + 1, sum(of_all.total, value)?);
        Ok(())
    }

    fn dimensions(&self, unit: &Arc<str>) -> Dimensions {
        let word = |word: &Option<Arc<str>>| word.clone().unwrap_or_default();
        Dimensions {
            unit: Arc::clone(unit),
            team: word(&self.about.team),
            agent: MaybeAgent(self.about.agent),
            model: word(&self.about.model),
            connector: word(&self.about.connector),
            operation: word(&self.about.operation),
        }
    }

    fn spent(&mut self, usage: Option<&Usage>, cost: Option<&Cost>) -> Result<(), ApplyError> {
        if let Some(model) = usage.and_then(|u| u.model.as_ref()) {
            self.about.model = Some(model.as_str().into());
        }
        for (sample, tokens) in [
            ("input_tokens", usage.and_then(|u| u.input_tokens)),
            ("output_tokens", usage.and_then(|u| u.output_tokens)),
        ] {
            if let Some(tokens) = tokens {
                self.value(sample, whole(u64::from(tokens)), "")?;
            }
        }
        match cost {
            Some(cost) => self.value("cost", cost.amount, &cost.currency.to_string()),
            None => Ok(()),
        }
    }
}

fn sum(of: Decimal, more: Amount) -> Result<Decimal, ApplyError> {
    of.checked_add(more.get()).ok_or_else(|| ApplyError::value("a sum is too large"))
}

fn whole(n: u64) -> Amount {
    Amount::rounded(Decimal::from(n))
}

fn seconds(from: Timestamp, to: Timestamp) -> Amount {
    let micros = to.as_micros().saturating_sub(from.as_micros()).max(0);
    Amount::rounded(Decimal::new(micros, 6))
}

/// What is known of an agent, as what a sample is about.
fn of_agent(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    agent: Option<AgentId>,
) -> Result<About, ApplyError> {
    let Some(id) = agent else { return Ok(About::default()) };
    let known = tables.row::<KpiAgent>(&(a.business, id.0))?;
    let (team, model) = known.map(|k| (Arc::clone(&k.team), Arc::clone(&k.model))).unzip();
    Ok(About { team, agent, model, ..About::default() })
}

pub(super) fn agents(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Agents,
) -> Result<(), ApplyError> {
    let key = (a.business, a.stored.id);
    match event {
        Agents::Enrolled(e) => tables.set(KpiAgent {
            business: a.business,
            agent: a.stored.id,
            team: e.team.as_str().into(),
            model: e.runtime.model.as_str().into(),
        }),
        Agents::Changed(e) => {
            let agent = tables.change::<KpiAgent>(&key)?;
            if let Some((agent, runtime)) = agent.zip(e.runtime.as_ref()) {
                agent.model = runtime.model.as_str().into();
            }
            Ok(())
        }
        Agents::Suspended(_) | Agents::Resumed(_) | Agents::Retired(_) => Ok(()),
    }
}

pub(super) fn decisions(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Decisions,
) -> Result<(), ApplyError> {
    match event {
        Decisions::Recorded(e) => {
            let about = of_agent(tables, a, e.agent)?;
            SampleWriter::new(tables, a, about).spent(e.usage.as_ref(), e.cost.as_ref())
        }
        Decisions::Superseded(_) | Decisions::Reversed(_) | Decisions::OutcomeObserved(_) => Ok(()),
    }
}
