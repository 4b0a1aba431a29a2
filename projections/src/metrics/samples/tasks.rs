//! Samples of tasks.

use super::{About, SampleWriter, of_agent, seconds, whole};
use crate::metrics::rows::KpiTask;
use crate::rows::Tables;
use crate::{Applied, ApplyError};
use domain::tasks::{ActivityRecorded, Event as Tasks, Submitted, Verdict};

impl KpiTask {
    fn about(&self) -> About {
        About { team: Some(self.team.as_str().into()), agent: self.agent, ..About::default() }
    }
}

fn known(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<Option<KpiTask>, ApplyError> {
    Ok(tables.row::<KpiTask>(&(a.business, a.stored.id))?.cloned())
}

fn change(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    change: impl FnOnce(&mut KpiTask),
) -> Result<(), ApplyError> {
    if let Some(task) = tables.change::<KpiTask>(&(a.business, a.stored.id))? {
        change(task);
    }
    Ok(())
}

fn closed(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    completed: Option<bool>,
) -> Result<(), ApplyError> {
    let Some(task) = known(tables, a)? else { return Ok(()) };
    let mut writer = SampleWriter::new(tables, a, task.about());
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
    writer.value("rework", whole(u64::from(task.rework)), "")?;
    writer.one("done")?;
    writer.value("cycle_seconds", seconds(task.began, a.at()), "")
}

fn reviewed(tables: &mut Tables<'_>, a: &Applied<'_>, passed: bool) -> Result<(), ApplyError> {
    let Some(task) = known(tables, a)? else { return Ok(()) };
    let mut writer = SampleWriter::new(tables, a, task.about());
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
    change(tables, a, |task| {
        task.reviews += 1;
        task.rework += u32::from(!passed);
    })
}

fn submitted(tables: &mut Tables<'_>, a: &Applied<'_>, e: &Submitted) -> Result<(), ApplyError> {
    let about = of_agent(tables, a, Some(e.agent))?;
    SampleWriter::new(tables, a, about).spent(e.usage.as_ref(), e.cost.as_ref())?;
    change(tables, a, |task| {
        task.agent = Some(e.agent);
        task.human |= e.by_human;
    })
}

fn activity(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    e: &ActivityRecorded,
) -> Result<(), ApplyError> {
    let at = a.at();
    let Some(task) = tables.change::<KpiTask>(&(a.business, a.stored.id))? else { return Ok(()) };
    // Cases of a log may come in any order of time.
    (task.began, task.last) = match task.activities {
        0 => (at, at),
        _ => (task.began.min(at), task.last.max(at)),
    };
    task.activities += 1;
    if e.usage.is_none() && e.cost.is_none() {
        return Ok(());
    }
    let about = task.about();
    SampleWriter::new(tables, a, about).spent(e.usage.as_ref(), e.cost.as_ref())
}

pub(in super::super) fn tasks(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Tasks,
) -> Result<(), ApplyError> {
    match event {
        Tasks::Planned(e) => tables.put(KpiTask {
            business: a.business,
            task: a.stored.id,
            team: e.team,
            agent: None,
            began: a.at(),
            last: a.at(),
            human: false,
            reviews: 0,
            rework: 0,
            activities: 0,
        }),
        Tasks::Submitted(e) => submitted(tables, a, e),
        Tasks::Reviewed(e) => reviewed(tables, a, e.verdict == Verdict::Passed),
        Tasks::Completed(e) => closed(tables, a, Some(e.without_human)),
        Tasks::Failed(_) | Tasks::Cancelled(_) => closed(tables, a, None),
        Tasks::Escalated(_)
        | Tasks::Quarantined(_)
        | Tasks::Resolved(_)
        | Tasks::HumanIntervened(_) => change(tables, a, |task| task.human = true),
        Tasks::ActivityRecorded(e) => activity(tables, a, e),
        Tasks::HistoryClosed(e) => {
            let Some(task) = known(tables, a)?.filter(|_| e.completed) else { return Ok(()) };
            let mut writer = SampleWriter::new(tables, a, task.about());
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
