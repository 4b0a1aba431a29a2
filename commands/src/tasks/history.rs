//! Work that was done elsewhere: its activities, with everything the source says of them.

use domain::ids::HistoryId;
use domain::tasks::{
    ActivityRecorded, Attribute, HistoryClosed, HistoryOpened, SourceMoney, Status, Task,
};
use domain::{Personal, SubjectId};

use super::{CloseHistory, Decided, OpenHistory, RecordActivity, SourceCost, wrong};
use crate::Refusal;
use crate::cost::CostInput;
use crate::root::{Changes, Context};

/// Most attributes of one record, nested ones included.
const ATTRIBUTES_MAX: usize = 2_000;
/// Deepest nesting of attributes.
const ATTRIBUTE_DEPTH_MAX: usize = 16;

fn count(list: &[Attribute], depth: usize) -> Result<usize, Refusal> {
    if depth > ATTRIBUTE_DEPTH_MAX {
        return Err(Refusal::OutOfRange { field: "attributes", rule: "nested at most 16 deep" });
    }
    list.iter().try_fold(list.len(), |n, attribute| Ok(n + count(&attribute.children, depth + 1)?))
}

pub(super) fn check_attributes(given: Option<&Personal<Vec<Attribute>>>) -> Result<(), Refusal> {
    let list = given.and_then(|p| p.clear());
    if list.is_some_and(|list| count(list, 1).map_or(true, |n| n > ATTRIBUTES_MAX)) {
        return Err(Refusal::OutOfRange {
            field: "attributes",
            rule: "at most 2000, nested at most 16 deep",
        });
    }
    Ok(())
}

fn personal(
    given: Option<&Personal<Vec<Attribute>>>,
    subject: SubjectId,
) -> Result<Option<Personal<Vec<Attribute>>>, Refusal> {
    check_attributes(given)?;
    let list = given.and_then(|p| p.clear()).filter(|list| !list.is_empty());
    Ok(list.map(|list| Personal::new(subject, list.clone())))
}

fn customer_cost(c: &RecordActivity) -> Result<Option<SourceMoney>, Refusal> {
    let bad = |_| Refusal::OutOfRange {
        field: "customer_cost",
        rule: "a decimal number of zero or more",
    };
    c.customer_cost.clone().map(SourceCost::into_source_money).transpose().map_err(bad)
}

pub(super) fn check_activity(c: &RecordActivity) -> Result<(), Refusal> {
    customer_cost(c)?;
    check_attributes(c.attributes.as_ref())
}

pub(super) fn record_activity(c: &RecordActivity, task: &Task) -> Decided {
    let customer_cost = customer_cost(c)?;
    let listed = c.attributes.as_ref().and_then(|p| p.clear()).map_or(&[][..], Vec::as_slice);
    Ok(vec![
        ActivityRecorded {
            activity: c.activity.clone(),
            lifecycle: c.lifecycle.clone(),
            resource: c.resource,
            customer_cost,
            usage: c.usage.clone(),
            cost: c.cost.as_ref().map(CostInput::cost).transpose()?,
            source_time: c.source_time.clone(),
            attributes: personal(c.attributes.as_ref(), task.subject)?,
            clear_attributes: listed.iter().filter(|a| c.clear.contains(&a.key)).cloned().collect(),
            note: c.note.clone().map(|t| t.about(task.subject)),
            subject: task.subject,
        }
        .into(),
    ])
}

pub(super) fn open(c: &OpenHistory, ctx: &Context) -> Changes {
    let subject = ctx.business.as_subject();
    let opened = HistoryOpened {
        format: c.format.clone(),
        header: c.header.clone().about(subject),
        subject,
    };
    vec![(HistoryId(ctx.target).into(), opened.into())]
}

pub(super) fn close(c: &CloseHistory, task: &Task, status: Status) -> Decided {
    let ended = if c.completed { Status::Completed } else { Status::Failed };
    if status == ended {
        return Ok(Vec::new());
    }
    // A case of a log may have no events; work that nobody did and no log speaks of was not done.
    if status != Status::Planned || (task.activities == 0 && c.history.is_none()) {
        return Err(wrong(status, "planned, with recorded activities"));
    }
    let attributes = personal(c.attributes.as_ref(), task.subject)?;
    let subject = attributes.is_some().then_some(task.subject);
    Ok(vec![
        HistoryClosed {
            completed: c.completed,
            history: c.history,
            place: c.place,
            attributes,
            subject,
        }
        .into(),
    ])
}
