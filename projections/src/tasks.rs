//! Tasks: the status of each, whose turn it is, and the reviews.

use domain::ids::{AgentId, TaskId};
use domain::tasks::{
    ActivityRecorded, Escalated, Event as Tasks, Offered, Planned, Resolution, Reviewed,
    SourceMoney, Status, Submitted, Verdict,
};
use domain::{BusinessId, Event};
use rusqlite::{Connection, ToSql};
use rust_decimal::Decimal;

use crate::Views;
use crate::{Applied, Apply, ApplyError, Projection, cost_columns, run};

/// The projection of tasks.
pub const PROJECTION: Projection = Projection {
    name: "tasks",
    version: 6,
    sql: include_str!("tasks.sql"),
    indexes: &[
        ("tasks_by_seq", "tasks(business, seq)"),
        ("tasks_by_status", "tasks(business, status, seq)"),
        ("tasks_by_producer", "tasks(business, producer, seq) WHERE producer IS NOT NULL"),
        ("tasks_by_holder", "tasks(business, lease_agent, seq) WHERE lease_agent IS NOT NULL"),
        (
            "tasks_for_humans",
            "tasks(business, seq) WHERE next_actor >= 'human:' AND next_actor < 'human;'",
        ),
        ("reviews_by_task", "reviews(business, task, seq)"),
        ("activities_by_task", "activities(business, task, seq)"),
    ],
    tables: &[
        ("tasks", "business, id"),
        ("task_dependencies", "business, task, n"),
        ("reviews", "business, seq"),
        ("activities", "business, seq"),
        ("histories", "business, seq"),
    ],
    apply: Apply::Sealed(apply),
};

/// The tasks that an agent holds, as far as the views have followed the log.
///
/// # Errors
/// When the views can't be read.
pub fn held_by(
    views: &Views,
    business: BusinessId,
    agent: AgentId,
) -> Result<Vec<TaskId>, rusqlite::Error> {
    let ids = views.read(|c| {
        let mut query =
            c.prepare_cached("SELECT id FROM tasks WHERE business = ? AND lease_agent = ?")?;
        let ids = query
            .query_map([business.to_string(), agent.to_string()], |r| r.get::<_, String>(0))?;
        ids.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
}

/// SQL that sets `next_actor` from the row; a planned task waits for its first open dependency.
const NEXT_ACTOR: &str = "UPDATE tasks SET next_actor = CASE status
  WHEN 'planned' THEN coalesce((SELECT 'waiting:' || d.depends_on FROM task_dependencies d JOIN \
  tasks t ON t.business = d.business AND t.id = d.depends_on
    WHERE d.business = tasks.business AND d.task = tasks.id AND t.status <> 'completed' ORDER BY \
    d.n LIMIT 1), 'human:owner')
  WHEN 'offered' THEN 'team:' || team || '/producer'
  WHEN 'leased' THEN 'agent:' || lease_agent
  WHEN 'submitted' THEN 'team:' || team || '/qa'
  WHEN 'escalated' THEN 'human:' || coalesce(escalated_to, 'owner')
  WHEN 'quarantined' THEN 'human:owner'
  ELSE NULL END WHERE business = ? AND id = ?";

fn planned(tx: &Connection, a: &Applied<'_>, e: &Planned) -> Result<(), ApplyError> {
    run(
        tx,
        "INSERT INTO tasks(business, id, seq, title, instructions, team, priority, status, \
         status_since, planned_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?9, ?9)",
        &[
            &a.business(),
            &a.id(),
            &a.recorded.seq,
            &a.field("/data/title"),
            &a.optional_field(e.instructions.as_ref(), "/data/instructions"),
            &e.team.as_str(),
            &e.priority,
            &Status::Planned.as_str(),
            &a.at(),
        ],
    )?;
    for (n, task) in (0..).zip(&e.depends_on) {
        run(
            tx,
            "INSERT INTO task_dependencies VALUES (?, ?, ?, ?)",
            &[&a.business(), &a.id(), &(n as i64), &task.to_string()],
        )?;
    }
    Ok(())
}

/// Sets columns of the event's task.
fn set(
    tx: &Connection,
    a: &Applied<'_>,
    columns: &str,
    args: &[&dyn ToSql],
) -> Result<(), ApplyError> {
    let (business, id) = (a.business(), a.id());
    let mut all = args.to_vec();
    all.extend([&business as &dyn ToSql, &id]);
    run(tx, &format!("UPDATE tasks SET {columns} WHERE business = ? AND id = ?"), &all)
}

fn enter(tx: &Connection, a: &Applied<'_>, status: Status) -> Result<(), ApplyError> {
    let closed = (!status.is_open()).then(|| a.at());
    set(
        tx,
        a,
        "status = ?, status_since = ?, lease_agent = NULL, lease_expires_at = NULL, closed_at = ?",
        &[&status.as_str(), &a.at(), &closed],
    )?;
    if status == Status::Completed {
        let dependents: Vec<String> = tx
            .prepare_cached(
                "SELECT task FROM task_dependencies WHERE business = ? AND depends_on = ?",
            )?
            .query_map([a.business(), a.id()], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for task in dependents {
            run(tx, NEXT_ACTOR, &[&a.business(), &task])?;
        }
    }
    Ok(())
}

fn submitted(tx: &Connection, a: &Applied<'_>, e: &Submitted) -> Result<(), ApplyError> {
    enter(tx, a, Status::Submitted)?;
    let (cost, currency) = cost_columns(e.cost.as_ref());
    set(
        tx,
        a,
        "revision = ?, producer = ?, artifact_digest = ?, result = ?, cost = ?, cost_currency = ?",
        &[
            &e.revision,
            &e.agent.to_string(),
            &e.artifact.digest.to_string(),
            &a.optional_field(e.result.as_ref(), "/data/result"),
            &cost,
            &currency,
        ],
    )
}

fn reviewed(tx: &Connection, a: &Applied<'_>, e: &Reviewed) -> Result<(), ApplyError> {
    run(
        tx,
        "INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            &a.business(),
            &a.recorded.seq,
            &a.id(),
            &e.revision,
            &e.reviewer.to_string(),
            &e.verdict.as_str(),
            &e.r#final,
            &a.optional_field(e.findings.as_ref(), "/data/findings"),
            &a.at(),
        ],
    )?;
    let rework = i64::from(e.verdict == Verdict::ChangesRequested);
    set(tx, a, "rework_rounds = rework_rounds + ?", &[&rework])
}

fn add_customer_cost(
    tx: &Connection,
    a: &Applied<'_>,
    cost: &SourceMoney,
) -> Result<(), ApplyError> {
    let known: Option<String> = tx
        .prepare_cached("SELECT customer_cost FROM tasks WHERE business = ? AND id = ?")?
        .query_row([a.business(), a.id()], |r| r.get(0))?;
    let known: Decimal = known
        .as_deref()
        .unwrap_or("0")
        .parse()
        .map_err(|_| ApplyError::value("a sum of costs does not read"))?;
    let sum = known
        .checked_add(cost.amount.get())
        .ok_or_else(|| ApplyError::value("a sum of costs is too large"))?;
    set(
        tx,
        a,
        "customer_cost = ?, customer_cost_currency = ?",
        &[&sum.to_string(), &cost.currency.to_string()],
    )
}

fn offered(tx: &Connection, a: &Applied<'_>, e: &Offered) -> Result<(), ApplyError> {
    enter(tx, a, Status::Offered)?;
    let args: [&dyn ToSql; 3] = [&e.revision, &e.team.as_str(), &e.revision];
    // A new revision begins with nothing at hand.
    set(tx, a, "producer = iif(revision < ?, NULL, producer), team = ?", &args[..2])?;
    let columns = "artifact_digest = iif(producer IS NULL, NULL, artifact_digest), result = \
        iif(producer IS NULL, NULL, result), revision = ?";
    set(tx, a, columns, &args[2..])
}

fn escalated(tx: &Connection, a: &Applied<'_>, e: &Escalated) -> Result<(), ApplyError> {
    enter(tx, a, Status::Escalated)?;
    set(tx, a, "escalated = 1, escalated_to = ?", &[&e.to_role.as_str()])?;
    let (Some(artifact), Some(producer)) = (&e.artifact, e.producer) else { return Ok(()) };
    let args: [&dyn ToSql; 3] = [
        &producer.to_string(),
        &artifact.digest.to_string(),
        &a.optional_field(e.result.as_ref(), "/data/result"),
    ];
    set(tx, a, "producer = ?, artifact_digest = ?, result = ?", &args)
}

fn activity(tx: &Connection, a: &Applied<'_>, e: &ActivityRecorded) -> Result<(), ApplyError> {
    let usage = e.usage.clone().unwrap_or_default();
    let (cost, currency) = cost_columns(e.cost.as_ref());
    run(
        tx,
        "INSERT INTO activities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            &a.business(),
            &a.recorded.seq,
            &a.id(),
            &e.activity.as_str(),
            &e.lifecycle.as_ref().map(|l| l.as_str()),
            &e.resource.map(|r| r.to_string()),
            &usage.model.map(|m| m.to_string()),
            &usage.input_tokens,
            &usage.output_tokens,
            &cost,
            &currency,
            &a.optional_field(e.note.as_ref(), "/data/note"),
            &a.optional_field(e.attributes.as_ref(), "/data/attributes"),
            &serde_json::to_string(&e.clear_attributes)?,
            &e.source_time.as_ref().map(|t| t.as_str()),
            &a.at(),
        ],
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Tasks(event) = a.event else { return Ok(()) };
    match event {
        Tasks::Planned(e) => planned(tx, a, e)?,
        Tasks::Offered(e) => offered(tx, a, e)?,
        Tasks::Leased(e) => {
            let args: [&dyn ToSql; 5] = [
                &Status::Leased.as_str(),
                &a.at(),
                &e.fencing_token,
                &e.agent.to_string(),
                &e.expires_at.to_string(),
            ];
            set(
                tx,
                a,
                "status = ?, status_since = ?, fencing_token = ?, lease_agent = ?, \
                lease_expires_at = ?",
                &args,
            )?;
        }
        Tasks::LeaseExtended(e) => {
            set(tx, a, "lease_expires_at = ?", &[&e.expires_at.to_string()])?
        }
        Tasks::Released(_) | Tasks::LeaseExpired(_) => enter(tx, a, Status::Offered)?,
        Tasks::Submitted(e) => submitted(tx, a, e)?,
        Tasks::LateResultRecorded(_) | Tasks::HumanIntervened(_) => {}
        Tasks::Reviewed(e) => reviewed(tx, a, e)?,
        Tasks::Completed(e) => {
            enter(tx, a, Status::Completed)?;
            set(tx, a, "without_human = ?", &[&e.without_human])?;
        }
        Tasks::AttemptFailed(_) => {
            enter(tx, a, Status::Offered)?;
            set(tx, a, "attempts_failed = attempts_failed + 1", &[])?;
        }
        Tasks::Failed(e) => {
            enter(tx, a, Status::Failed)?;
            set(tx, a, "failure = ?", &[&e.reason.as_str()])?;
        }
        Tasks::Escalated(e) => escalated(tx, a, e)?,
        Tasks::Resolved(e) => enter(
            tx,
            a,
            match e.resolution {
                Resolution::Offered => Status::Offered,
                Resolution::Submitted => Status::Submitted,
                Resolution::Completed => Status::Completed,
                Resolution::Failed => Status::Failed,
                Resolution::Cancelled => Status::Cancelled,
            },
        )?,
        Tasks::Quarantined(_) => enter(tx, a, Status::Quarantined)?,
        Tasks::Cancelled(_) => enter(tx, a, Status::Cancelled)?,
        Tasks::ActivityRecorded(e) => {
            set(tx, a, "activities = activities + 1", &[])?;
            if let Some(cost) = &e.customer_cost {
                add_customer_cost(tx, a, cost)?;
            }
            return activity(tx, a, e);
        }
        Tasks::HistoryOpened(e) => {
            let args: [&dyn ToSql; 6] = [
                &a.business(),
                &a.recorded.seq,
                &a.id(),
                &e.format.as_str(),
                &a.field("/data/header"),
                &a.at(),
            ];
            return run(tx, "INSERT INTO histories VALUES (?, ?, ?, ?, ?, ?)", &args);
        }
        Tasks::HistoryClosed(e) => {
            enter(tx, a, if e.completed { Status::Completed } else { Status::Failed })?;
            let args: [&dyn ToSql; 3] = [
                &e.history.map(|h| h.to_string()),
                &e.place,
                &a.optional_field(e.attributes.as_ref(), "/data/attributes"),
            ];
            set(tx, a, "history = ?, history_place = ?, attributes = ?", &args)?;
        }
    }
    run(tx, NEXT_ACTOR, &[&a.business(), &a.id()])
}
