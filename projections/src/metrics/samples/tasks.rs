//! Samples of tasks.

use super::{Dimensions, SampleWriter, of_agent, seconds, set, time, whole};
use crate::{Applied, ApplyError, run};
use domain::Timestamp;
use domain::tasks::{Event as Tasks, Verdict};
use rusqlite::Connection;

/// State of a task that is kept from one event to the next.
pub(super) struct Task {
    pub(super) about: Dimensions,
    pub(super) began: Timestamp,
    pub(super) last: Timestamp,
    pub(super) human: bool,
    pub(super) reviews: u64,
    pub(super) rework: u64,
}

pub(super) fn task(tx: &Connection, a: &Applied<'_>) -> Result<Task, ApplyError> {
    type Row = (String, String, String, String, bool, u64, u64);
    let (team, agent, began, last, human, reviews, rework): Row = tx
        .prepare_cached(
            "SELECT team, agent, began, last, human, reviews, rework FROM kpi_tasks \
            WHERE business = ? AND task = ?",
        )?
        .query_row([a.business(), a.id()], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?))
        })?;
    Ok(Task {
        about: Dimensions { team, agent, ..Dimensions::default() },
        began: time(&began)?,
        last: time(&last)?,
        human,
        reviews,
        rework,
    })
}

pub(super) fn closed(
    tx: &Connection,
    a: &Applied<'_>,
    completed: Option<bool>,
) -> Result<(), ApplyError> {
    let task = task(tx, a)?;
    let mut writer = SampleWriter::new(tx, a, task.about);
    writer.one("closed")?;
    // Who resolved it to completed is a human, and so is everybody who had a hand in it before.
    if task.human || completed == Some(false) {
        writer.one("closed_with_human")?;
    }
    let Some(alone) = completed else { return Ok(()) };
    writer.one("completed")?;
    if alone {
        writer.one("completed_alone")?;
    }
    writer.value("rework", whole(task.rework), "")?;
    writer.one("done")?;
    writer.value("cycle_seconds", seconds(task.began, a.stored.happened_at()), "")
}

pub(super) fn reviewed(tx: &Connection, a: &Applied<'_>, passed: bool) -> Result<(), ApplyError> {
    let task = task(tx, a)?;
    let mut writer = SampleWriter::new(tx, a, task.about);
    writer.one("review")?;
    if !passed {
        writer.one("review_failed")?;
    }
    if task.reviews == 0 {
        writer.one("first_review")?;
        if passed {
            writer.one("first_review_passed")?;
        }
    }
    set(
        tx,
        a,
        if passed { "reviews = reviews + 1" } else { "reviews = reviews + 1, rework = rework + 1" },
    )
}

pub(in super::super) fn tasks(
    tx: &Connection,
    a: &Applied<'_>,
    event: &Tasks,
) -> Result<(), ApplyError> {
    match event {
        Tasks::Planned(e) => run(
            tx,
            "INSERT INTO kpi_tasks(business, task, team, began, last) VALUES (?, ?, ?, ?, ?)",
            &[&a.business(), &a.id(), &e.team.as_str(), &a.at(), &a.at()],
        ),
        Tasks::Submitted(e) => {
            SampleWriter::new(tx, a, of_agent(tx, a, Some(e.agent))?)
                .spent(e.usage.as_ref(), e.cost.as_ref())?;
            let args: [&dyn rusqlite::ToSql; 4] =
                [&e.agent.to_string(), &e.by_human, &a.business(), &a.id()];
            run(
                tx,
                "UPDATE kpi_tasks SET agent = ?, human = max(human, ?) WHERE business = ? AND task \
                 = ?",
                &args,
            )
        }
        Tasks::Reviewed(e) => reviewed(tx, a, e.verdict == Verdict::Passed),
        Tasks::Completed(e) => closed(tx, a, Some(e.without_human)),
        Tasks::Failed(_) | Tasks::Cancelled(_) => closed(tx, a, None),
        Tasks::Escalated(_)
        | Tasks::Quarantined(_)
        | Tasks::Resolved(_)
        | Tasks::HumanIntervened(_) => set(tx, a, "human = 1"),
        Tasks::ActivityRecorded(e) => {
            let task = task(tx, a)?;
            SampleWriter::new(tx, a, Dimensions { model: String::new(), ..task.about })
                .spent(e.usage.as_ref(), e.cost.as_ref())?;
            // Cases of a log may come in any order of time.
            let args: [&dyn rusqlite::ToSql; 5] =
                [&a.at(), &a.at(), &a.at(), &a.business(), &a.id()];
            run(
                tx,
                "UPDATE kpi_tasks SET began = iif(activities = 0, ?, min(began, ?)), last = \
                 iif(activities = 0, ?3, max(last, ?3)), activities = activities + 1
                 WHERE business = ? AND task = ?",
                &args,
            )
        }
        Tasks::HistoryClosed(e) => {
            let task = task(tx, a)?;
            let mut writer = SampleWriter::new(tx, a, task.about);
            if !e.completed {
                return Ok(());
            }
            writer.one("done")?;
            writer.value("cycle_seconds", seconds(task.began, task.last), "")
        }
        Tasks::Offered(_)
        | Tasks::Leased(_)
        | Tasks::LeaseExtended(_)
        | Tasks::Released(_)
        | Tasks::LeaseExpired(_)
        | Tasks::LateResultRecorded(_)
        | Tasks::AttemptFailed(_)
        | Tasks::HistoryOpened(_) => Ok(()),
    }
}
