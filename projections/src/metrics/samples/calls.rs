//! Samples of calls to outside services.

use super::{About, SampleWriter, of_agent, whole};
use crate::metrics::rows::KpiCall;
use crate::rows::Tables;
use crate::{Applied, ApplyError};
use domain::integrations::Event as Integrations;
use domain::values::Amount;
use domain::{Cost, Usage};
use rust_decimal::Decimal;
use std::sync::Arc;

/// The outcome of a call, as its event reports it.
struct End<'a> {
    failed: bool,
    latency_ms: Option<u32>,
    usage: Option<&'a Usage>,
    cost: Option<&'a Cost>,
}

fn ended(tables: &mut Tables<'_>, a: &Applied<'_>, end: &End<'_>) -> Result<(), ApplyError> {
    let Some(call) = tables.row::<KpiCall>(&(a.business, a.stored.id))? else { return Ok(()) };
    let (agent, ambiguous) = (call.agent, call.ambiguous);
    let (connector, operation) =
        (Some(Arc::clone(&call.connector)), Some(Arc::clone(&call.operation)));
    let about = About { connector, operation, ..of_agent(tables, a, agent)? };
    let mut writer = SampleWriter::new(tables, a, about);
    // An ambiguous call that is cleared up later was counted when it became ambiguous.
    match (ambiguous, end.failed) {
        (false, failed) => {
            writer.one("call")?;
            if failed {
                writer.one("call_failed")?;
            }
        }
        // What was ambiguous and turned out well takes back that it was counted as failed.
        (true, false) => {
            writer.value("call_failed", Amount::rounded(Decimal::NEGATIVE_ONE), "")?;
        }
        (true, true) => {}
    }
    if let Some(ms) = end.latency_ms {
        writer.value("call_latency", whole(u64::from(ms)), "")?;
    }
    writer.spent(end.usage, end.cost)
}

pub(in super::super) fn calls(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Integrations,
) -> Result<(), ApplyError> {
    match event {
        Integrations::CallIntended(e) => tables.put(KpiCall {
            business: a.business,
            call: a.stored.id,
            connector: e.connector.as_str().into(),
            operation: e.operation.as_str().into(),
            agent: e.agent,
            ambiguous: false,
        }),
        Integrations::CallSucceeded(e) => {
            let (usage, cost) = (e.usage.as_ref(), e.cost.as_ref());
            ended(tables, a, &End { failed: false, latency_ms: e.latency_ms, usage, cost })
        }
        Integrations::CallFailed(e) => {
            let (usage, cost) = (e.usage.as_ref(), e.cost.as_ref());
            ended(tables, a, &End { failed: true, latency_ms: e.latency_ms, usage, cost })
        }
        Integrations::CallAmbiguous(_) => {
            ended(tables, a, &End { failed: true, latency_ms: None, usage: None, cost: None })?;
            if let Some(call) = tables.change::<KpiCall>(&(a.business, a.stored.id))? {
                call.ambiguous = true;
            }
            Ok(())
        }
    }
}
