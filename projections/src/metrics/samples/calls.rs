//! Samples of calls to outside services.

use super::{Dimensions, SampleWriter, of_agent, whole};
use crate::{Applied, ApplyError, run};
use domain::integrations::Event as Integrations;
use domain::values::Amount;
use domain::{Cost, Usage};
use rusqlite::Connection;

/// The outcome of a call, as its event reports it.
pub(super) struct End<'a> {
    pub(super) failed: bool,
    pub(super) latency_ms: Option<u32>,
    pub(super) usage: Option<&'a Usage>,
    pub(super) cost: Option<&'a Cost>,
}

pub(super) fn ended(tx: &Connection, a: &Applied<'_>, end: &End<'_>) -> Result<(), ApplyError> {
    let (connector, operation, agent, ambiguous): (String, String, String, bool) = tx
        .prepare_cached(
            "SELECT connector, operation, agent, ambiguous FROM kpi_calls WHERE \
            business = ? AND call = ?",
        )?
        .query_row([a.business(), a.id()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
    let about = of_agent(tx, a, agent.parse().ok())?;
    let mut writer = SampleWriter::new(tx, a, Dimensions { connector, operation, ..about });
    // An ambiguous call that is cleared up later was counted when it became ambiguous.
    match (ambiguous, end.failed) {
        (false, failed) => {
            writer.one("call")?;
            if failed {
                writer.one("call_failed")?;
            }
        }
        // What was ambiguous and turned out well takes back that it was counted as failed.
        (true, false) => writer.value("call_failed", "-1".parse().unwrap_or(Amount::ZERO), "")?,
        (true, true) => {}
    }
    if let Some(ms) = end.latency_ms {
        writer.value("call_latency", whole(u64::from(ms)), "")?;
    }
    writer.spent(end.usage, end.cost)
}

pub(in super::super) fn calls(
    tx: &Connection,
    a: &Applied<'_>,
    event: &Integrations,
) -> Result<(), ApplyError> {
    match event {
        Integrations::CallIntended(e) => run(
            tx,
            "INSERT INTO kpi_calls(business, call, connector, operation, agent) VALUES (?, ?, ?, \
             ?, ?)",
            &[
                &a.business(),
                &a.id(),
                &e.connector.as_str(),
                &e.operation.as_str(),
                &e.agent.map(|i| i.to_string()).unwrap_or_default(),
            ],
        ),
        Integrations::CallSucceeded(e) => ended(
            tx,
            a,
            &End {
                failed: false,
                latency_ms: e.latency_ms,
                usage: e.usage.as_ref(),
                cost: e.cost.as_ref(),
            },
        ),
        Integrations::CallFailed(e) => ended(
            tx,
            a,
            &End {
                failed: true,
                latency_ms: e.latency_ms,
                usage: e.usage.as_ref(),
                cost: e.cost.as_ref(),
            },
        ),
        Integrations::CallAmbiguous(_) => {
            ended(tx, a, &End { failed: true, latency_ms: None, usage: None, cost: None })?;
            run(
                tx,
                "UPDATE kpi_calls SET ambiguous = 1 WHERE business = ? AND call = ?",
                &[&a.business(), &a.id()],
            )
        }
    }
}
