//! Makes samples of events. The definitions that fold a sample say what it means.

mod calls;
mod tasks;
pub(super) use calls::calls;
pub(super) use tasks::tasks;

use domain::agents::Event as Agents;
use domain::approvals::{Choice, Event as Approvals};
use domain::budgets::{Event as Budgets, Window};
use domain::decisions::Event as Decisions;
use domain::ids::AgentId;
use domain::values::Amount;
use domain::{Cost, Money, Timestamp, Usage};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::sums::SumOf;
use crate::{Applied, ApplyError, run};

/// A vote that comes sooner than this after its request counts as not thought about, in
/// microseconds.
const STAMP_MICROS: i64 = 5_000_000;

/// The team, agent, model, connector and operation that a sample is about.
#[derive(Default, Clone, PartialEq, Eq, Hash)]
pub(super) struct Dimensions {
    pub(super) team: String,
    pub(super) agent: String,
    pub(super) model: String,
    pub(super) connector: String,
    pub(super) operation: String,
}

/// Writes the samples that one event gives.
struct SampleWriter<'a> {
    tx: &'a Connection,
    applied: &'a Applied<'a>,
    about: Dimensions,
    n: u32,
}

impl<'a> SampleWriter<'a> {
    fn new(tx: &'a Connection, applied: &'a Applied<'a>, about: Dimensions) -> Self {
        Self { tx, applied, about, n: 0 }
    }

    fn one(&mut self, sample: &'static str) -> Result<(), ApplyError> {
        self.value(sample, "1".parse().unwrap_or(Amount::ZERO), "")
    }

    fn value(&mut self, sample: &'static str, value: Amount, unit: &str) -> Result<(), ApplyError> {
        let (a, d) = (self.applied, &self.about);
        let (business, at) = (a.business(), a.at());
        let number: f64 = value.to_string().parse().unwrap_or(0.0);
        run(
            self.tx,
            "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                &business,
                &sample,
                &at,
                &a.recorded.seq,
                &self.n,
                &value.to_string(),
                &number,
                &unit,
                &d.team,
                &d.agent,
                &d.model,
                &d.connector,
                &d.operation,
            ],
        )?;
        self.n += 1;
        let hour = at.get(..13).unwrap_or_default().to_owned();
        let mut sums = a.sums.borrow_mut();
        for hour in [Some((hour, d.clone())), None] {
            let (business, unit) = (business.to_owned(), unit.to_owned());
            sums.add(self.tx, SumOf { business, sample, unit, hour }, value)?;
        }
        Ok(())
    }

    fn spent(&mut self, usage: Option<&Usage>, cost: Option<&Cost>) -> Result<(), ApplyError> {
        if let Some(model) = usage.and_then(|u| u.model.as_ref()) {
            model.as_str().clone_into(&mut self.about.model);
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

fn whole(n: u64) -> Amount {
    n.to_string().parse().unwrap_or(Amount::ZERO)
}

fn seconds(from: Timestamp, to: Timestamp) -> Amount {
    let micros = to.as_micros().saturating_sub(from.as_micros()).max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).parse().unwrap_or(Amount::ZERO)
}

fn time(text: &str) -> Result<Timestamp, ApplyError> {
    text.parse().map_err(ApplyError::value)
}

fn of_agent(
    tx: &Connection,
    a: &Applied<'_>,
    agent: Option<AgentId>,
) -> Result<Dimensions, ApplyError> {
    let Some(agent) = agent.map(|id| id.to_string()) else { return Ok(Dimensions::default()) };
    let known: Option<(String, String)> = tx
        .prepare_cached("SELECT team, model FROM kpi_agents WHERE business = ? AND agent = ?")?
        .query_row(params![a.business(), agent], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let (team, model) = known.unwrap_or_default();
    Ok(Dimensions { team, agent, model, ..Dimensions::default() })
}

pub(super) fn agents(tx: &Connection, a: &Applied<'_>, event: &Agents) -> Result<(), ApplyError> {
    match event {
        Agents::Enrolled(e) => run(
            tx,
            "INSERT OR REPLACE INTO kpi_agents VALUES (?, ?, ?, ?)",
            &[&a.business(), &a.id(), &e.team.as_str(), &e.runtime.model.as_str()],
        ),
        Agents::Changed(e) => match &e.runtime {
            Some(runtime) => run(
                tx,
                "UPDATE kpi_agents SET model = ? WHERE business = ? AND agent = ?",
                &[&runtime.model.as_str(), &a.business(), &a.id()],
            ),
            None => Ok(()),
        },
        Agents::Suspended(_) | Agents::Resumed(_) | Agents::Retired(_) => Ok(()),
    }
}

pub(super) fn decisions(
    tx: &Connection,
    a: &Applied<'_>,
    event: &Decisions,
) -> Result<(), ApplyError> {
    match event {
        Decisions::Recorded(e) => SampleWriter::new(tx, a, of_agent(tx, a, e.agent)?)
            .spent(e.usage.as_ref(), e.cost.as_ref()),
        Decisions::Superseded(_) | Decisions::Reversed(_) | Decisions::OutcomeObserved(_) => Ok(()),
    }
}

fn set(tx: &Connection, a: &Applied<'_>, columns: &str) -> Result<(), ApplyError> {
    run(
        tx,
        &format!("UPDATE kpi_tasks SET {columns} WHERE business = ? AND task = ?"),
        &[&a.business(), &a.id()],
    )
}

fn requested(tx: &Connection, a: &Applied<'_>) -> Result<Timestamp, ApplyError> {
    let at: String = tx
        .prepare_cached("SELECT requested FROM kpi_approvals WHERE business = ? AND approval = ?")?
        .query_row([a.business(), a.id()], |r| r.get(0))?;
    time(&at)
}

fn decided(tx: &Connection, a: &Applied<'_>) -> Result<bool, ApplyError> {
    let mut query =
        tx.prepare_cached("SELECT decided FROM kpi_approvals WHERE business = ? AND approval = ?")?;
    Ok(query.query_row([a.business(), a.id()], |r| r.get(0))?)
}

pub(super) fn approvals(
    tx: &Connection,
    a: &Applied<'_>,
    event: &Approvals,
) -> Result<(), ApplyError> {
    let mut writer = SampleWriter::new(tx, a, Dimensions::default());
    match event {
        Approvals::Requested(_) => run(
            tx,
            "INSERT OR REPLACE INTO kpi_approvals VALUES (?, ?, ?, 0)",
            &[&a.business(), &a.id(), &a.at()],
        ),
        Approvals::Voted(e) if e.choice == Choice::Approve => {
            writer.one("approved")?;
            let waited = a.stored.happened_at().as_micros() - requested(tx, a)?.as_micros();
            if waited < STAMP_MICROS { writer.one("stamped") } else { Ok(()) }
        }
        Approvals::Granted(_) | Approvals::Rejected(_) => {
            writer.one("approval_decided")?;
            writer.one("approval_ended")?;
            if matches!(event, Approvals::Rejected(_)) {
                writer.one("approval_rejected")?;
            }
            let took = seconds(requested(tx, a)?, a.stored.happened_at());
            writer.value("approval_seconds", took, "")?;
            run(
                tx,
                "UPDATE kpi_approvals SET decided = 1 WHERE business = ? AND approval = ?",
                &[&a.business(), &a.id()],
            )
        }
        // What was granted and ran out unused was decided all the same.
        Approvals::Expired(_) if decided(tx, a)? => Ok(()),
        Approvals::Expired(_) => {
            writer.one("approval_ended")?;
            writer.one("approval_expired")
        }
        Approvals::Voted(_)
        | Approvals::Commented(_)
        | Approvals::Delegated(_)
        | Approvals::DelegationRevoked(_)
        | Approvals::Escalated(_)
        | Approvals::Withdrawn(_)
        | Approvals::Consumed(_)
        | Approvals::PolicyDefined(_) => Ok(()),
    }
}

fn limit(tx: &Connection, a: &Applied<'_>, limit: Money) -> Result<(), ApplyError> {
    let (amount, currency) = (limit.amount.to_string(), limit.currency.to_string());
    let (known, window, period): (String, String, String) = tx
        .prepare_cached(
            "SELECT amount, window, period FROM kpi_budgets WHERE business = ? AND budget = ?",
        )?
        .query_row([a.business(), a.id()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let window: Window = window.parse().map_err(|e: String| ApplyError::value(e))?;
    if period == window.period(a.stored.recorded_at) {
        // This period's limit was counted as it was: the difference is counted too.
        let known: Amount = known.parse().map_err(ApplyError::value)?;
        let difference =
            limit.amount.minus(known).ok_or_else(|| ApplyError::value("a limit is too large"))?;
        SampleWriter::new(tx, a, Dimensions::default()).value(
            "budget_limit",
            difference,
            &currency,
        )?;
    }
    run(
        tx,
        "UPDATE kpi_budgets SET amount = ?, currency = ? WHERE business = ? AND budget = ?",
        &[&amount, &currency, &a.business(), &a.id()],
    )
}

pub(super) fn budgets(tx: &Connection, a: &Applied<'_>, event: &Budgets) -> Result<(), ApplyError> {
    match event {
        Budgets::LimitSet(e) => {
            let args: [&dyn rusqlite::ToSql; 3] = [&a.business(), &a.id(), &e.window.as_str()];
            run(
                tx,
                "INSERT OR IGNORE INTO kpi_budgets(business, budget, window, amount, currency) \
                 VALUES (?, ?, ?, '0', '')",
                &args,
            )?;
            limit(tx, a, e.limit)
        }
        Budgets::Raised(e) => limit(tx, a, e.limit),
        Budgets::Settled(e) => {
            let (window, amount, currency, known): (String, String, String, String) = tx
                .prepare_cached(
                    "SELECT window, amount, currency, period FROM kpi_budgets WHERE \
                    business = ? AND budget = ?",
                )?
                .query_row([a.business(), a.id()], |r| {
                    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
                })?;
            let window: Window = window.parse().map_err(|e: String| ApplyError::value(e))?;
            let period = window.period(a.stored.recorded_at);
            let mut writer = SampleWriter::new(tx, a, Dimensions::default());
            if period != known {
                let amount = amount.parse().map_err(ApplyError::value)?;
                writer.value("budget_limit", amount, &currency)?;
                run(
                    tx,
                    "UPDATE kpi_budgets SET period = ? WHERE business = ? AND budget = ?",
                    &[&period, &a.business(), &a.id()],
                )?;
            }
            writer.value("budget_spent", e.amount.amount, &currency)
        }
        Budgets::Reserved(_) | Budgets::Released(_) | Budgets::Overrun(_) => Ok(()),
    }
}
