//! Tasks: the status of each, whose turn it is, and the reviews.

mod rows;

use domain::ids::{AgentId, TaskId};
use domain::tasks::{
    ActivityRecorded, Escalated, Event as Tasks, HistoryClosed, Leased, Offered, Planned,
    Resolution, Reviewed, SourceMoney, Status, Submitted, Verdict,
};
use domain::values::Role;
use domain::{BusinessId, Event};
use uuid::Uuid;

use crate::Views;
use crate::rows::{AggregateKey, Tables};
use crate::{Applied, Apply, ApplyError, Projection};
use rows::{Activity, Dependency, History, Review, Task};

/// The projection of tasks.
pub const PROJECTION: Projection = Projection {
    name: "tasks",
    version: 7,
    sql: include_str!("tasks.sql"),
    indexes: &[
        ("tasks_by_status", "tasks(status)"),
        ("tasks_by_producer", "tasks(producer) WHERE producer IS NOT NULL"),
        ("tasks_by_holder", "tasks(lease_agent) WHERE lease_agent IS NOT NULL"),
        ("tasks_for_humans", "tasks(place) WHERE next_actor >= 'human:' AND next_actor < 'human;'"),
        ("reviews_by_task", "reviews(task)"),
        ("activities_by_task", "activities(task)"),
    ],
    tables: &[
        ("tasks", "place"),
        ("task_dependencies", "business, task, n"),
        ("reviews", "place"),
        ("activities", "place"),
        ("histories", "place"),
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
    views.read(|c| {
        let mut query = c.prepare_cached(
            "SELECT id FROM tasks WHERE lease_agent = ?1 AND place BETWEEN (SELECT first FROM \
             business_places WHERE id = ?2) AND (SELECT last FROM business_places WHERE id = ?2)",
        )?;
        let ids = query.query_map((agent.0, business.0), |r| r.get(0).map(TaskId))?;
        ids.collect()
    })
}

fn planned(a: &Applied<'_>, e: &Planned) -> Task {
    Task {
        place: a.place,
        id: a.stored.id,
        title: a.field("/data/title"),
        instructions: a.optional_field(e.instructions.as_ref(), "/data/instructions"),
        team: e.team,
        priority: e.priority,
        status: Status::Planned,
        status_since: a.at(),
        revision: 0,
        fencing_token: 0,
        lease_agent: None,
        lease_expires_at: None,
        producer: None,
        artifact_digest: None,
        result: None,
        next_actor: None,
        escalated_to: None,
        escalated: false,
        without_human: None,
        rework_rounds: 0,
        attempts_failed: 0,
        failure: None,
        cost: None,
        cost_currency: None,
        customer_cost: None,
        customer_cost_currency: None,
        activities: 0,
        planned_at: a.at(),
        closed_at: None,
        history: None,
        history_place: None,
        attributes: None,
    }
}

impl Task {
    fn enter(&mut self, a: &Applied<'_>, status: Status) {
        (self.status, self.status_since) = (status, a.at());
        (self.lease_agent, self.lease_expires_at) = (None, None);
        self.closed_at = (!status.is_open()).then(|| a.at());
    }

    fn offer(&mut self, a: &Applied<'_>, e: &Offered) {
        self.enter(a, Status::Offered);
        // A new revision begins with nothing at hand.
        if self.revision < e.revision {
            self.producer = None;
        }
        if self.producer.is_none() {
            (self.artifact_digest, self.result) = (None, None);
        }
        (self.team, self.revision) = (e.team, e.revision);
    }

    fn lease(&mut self, a: &Applied<'_>, e: &Leased) {
        (self.status, self.status_since) = (Status::Leased, a.at());
        self.fencing_token = e.fencing_token;
        (self.lease_agent, self.lease_expires_at) = (Some(e.agent), Some(e.expires_at));
    }

    fn submit(&mut self, a: &Applied<'_>, e: &Submitted) {
        self.enter(a, Status::Submitted);
        (self.revision, self.producer) = (e.revision, Some(e.agent));
        self.artifact_digest = Some(e.artifact.digest);
        self.result = a.optional_field(e.result.as_ref(), "/data/result");
        (self.cost, self.cost_currency) = e.cost.as_ref().map(|c| (c.amount, c.currency)).unzip();
    }

    fn escalate(&mut self, a: &Applied<'_>, e: &Escalated) {
        self.enter(a, Status::Escalated);
        (self.escalated, self.escalated_to) = (true, Some(e.to_role));
        let (Some(artifact), Some(producer)) = (&e.artifact, e.producer) else { return };
        (self.producer, self.artifact_digest) = (Some(producer), Some(artifact.digest));
        self.result = a.optional_field(e.result.as_ref(), "/data/result");
    }

    fn resolve(&mut self, a: &Applied<'_>, resolution: Resolution) {
        let status = match resolution {
            Resolution::Offered => Status::Offered,
            Resolution::Submitted => Status::Submitted,
            Resolution::Completed => Status::Completed,
            Resolution::Failed => Status::Failed,
            Resolution::Cancelled => Status::Cancelled,
        };
        self.enter(a, status);
    }

    fn add_customer_cost(&mut self, cost: &SourceMoney) -> Result<(), ApplyError> {
        let sum = self.customer_cost.unwrap_or_default().checked_add(cost.amount.get());
        self.customer_cost = Some(sum.ok_or_else(|| ApplyError::value("a sum is too large"))?);
        self.customer_cost_currency = Some(cost.currency);
        Ok(())
    }

    fn close_history(&mut self, a: &Applied<'_>, e: &HistoryClosed) {
        self.enter(a, if e.completed { Status::Completed } else { Status::Failed });
        (self.history, self.history_place) = (e.history, e.place);
        self.attributes = a.optional_field(e.attributes.as_ref(), "/data/attributes");
    }

    fn apply(&mut self, a: &Applied<'_>, event: &Tasks) -> Result<(), ApplyError> {
        match event {
            Tasks::Offered(e) => self.offer(a, e),
            Tasks::Leased(e) => self.lease(a, e),
            Tasks::LeaseExtended(e) => self.lease_expires_at = Some(e.expires_at),
            Tasks::Released(_) | Tasks::LeaseExpired(_) => self.enter(a, Status::Offered),
            Tasks::Submitted(e) => self.submit(a, e),
            Tasks::Reviewed(e) => {
                self.rework_rounds += u32::from(e.verdict == Verdict::ChangesRequested);
            }
            Tasks::Completed(e) => {
                self.enter(a, Status::Completed);
                self.without_human = Some(e.without_human);
            }
            Tasks::AttemptFailed(_) => {
                self.enter(a, Status::Offered);
                self.attempts_failed += 1;
            }
            Tasks::Failed(e) => {
                self.enter(a, Status::Failed);
                self.failure = Some(e.reason);
            }
            Tasks::Escalated(e) => self.escalate(a, e),
            Tasks::Resolved(e) => self.resolve(a, e.resolution),
            Tasks::Quarantined(_) => self.enter(a, Status::Quarantined),
            Tasks::Cancelled(_) => self.enter(a, Status::Cancelled),
            Tasks::ActivityRecorded(e) => {
                self.activities += 1;
                e.customer_cost.as_ref().map_or(Ok(()), |cost| self.add_customer_cost(cost))?;
            }
            Tasks::HistoryClosed(e) => self.close_history(a, e),
            Tasks::Planned(_)
            | Tasks::LateResultRecorded(_)
            | Tasks::HumanIntervened(_)
            | Tasks::HistoryOpened(_) => {}
        }
        Ok(())
    }

    /// Whose turn it is; a planned task waits for a task, which `waits_for` names.
    fn turn(&self, waits_for: Option<TaskId>) -> Option<String> {
        Some(match self.status {
            Status::Planned => match waits_for {
                Some(task) => format!("waiting:{task}"),
                None => "human:owner".to_owned(),
            },
            Status::Offered => format!("team:{}/producer", self.team),
            Status::Leased => format!("agent:{}", self.lease_agent?),
            Status::Submitted => format!("team:{}/qa", self.team),
            Status::Escalated => format!("human:{}", self.escalated_to.unwrap_or(Role::Owner)),
            Status::Quarantined => "human:owner".to_owned(),
            Status::Completed | Status::Failed | Status::Cancelled => return None,
        })
    }
}

/// The task that a planned task waits for: the first dependency that is open. `None` if there is
/// none, or if a dependency will never be completed, which a human must see to.
fn waits_for(tables: &mut Tables<'_>, of: AggregateKey) -> Result<Option<TaskId>, ApplyError> {
    let dependencies: Vec<TaskId> = tables.all(
        "SELECT depends_on FROM task_dependencies WHERE business = ? AND task = ? ORDER BY n",
        &[&of.business, &of.id],
    )?;
    let mut first = None;
    for depends_on in dependencies {
        let key = AggregateKey { id: depends_on.0, ..of };
        let status = tables.row::<Task>(&key)?.map(|task| task.status);
        let Some(status) = status.filter(|s| *s != Status::Completed) else { continue };
        if !status.is_open() {
            return Ok(None);
        }
        first = first.or(Some(depends_on));
    }
    Ok(first)
}

/// Says anew whose turn it is.
fn set_turn(tables: &mut Tables<'_>, of: AggregateKey) -> Result<(), ApplyError> {
    let is_planned = tables.row::<Task>(&of)?.is_some_and(|t| t.status == Status::Planned);
    let waits_for = if is_planned { waits_for(tables, of)? } else { None };
    if let Some(task) = tables.change::<Task>(&of)? {
        task.next_actor = task.turn(waits_for);
    }
    Ok(())
}

/// Says anew whose turn it is in the tasks that depend on a closed one.
fn set_turn_of_dependents(tables: &mut Tables<'_>, of: AggregateKey) -> Result<(), ApplyError> {
    let dependents: Vec<Uuid> = tables.all(
        "SELECT task FROM task_dependencies WHERE business = ? AND depends_on = ?",
        &[&of.business, &of.id],
    )?;
    dependents.into_iter().try_for_each(|id| set_turn(tables, AggregateKey { id, ..of }))
}

fn reviewed(a: &Applied<'_>, e: &Reviewed) -> Review {
    Review {
        place: a.place,
        task: a.stored.id,
        revision: e.revision,
        reviewer: e.reviewer,
        verdict: e.verdict,
        final_revision: e.r#final,
        findings: a.optional_field(e.findings.as_ref(), "/data/findings"),
        at: a.at(),
    }
}

fn activity<'a>(a: &Applied<'_>, e: &'a ActivityRecorded) -> Result<Activity<'a>, ApplyError> {
    let usage = e.usage.as_ref();
    let (cost, cost_currency) = e.cost.as_ref().map(|c| (c.amount, c.currency)).unzip();
    Ok(Activity {
        place: a.place,
        task: a.stored.id,
        activity: e.activity.as_str(),
        lifecycle: e.lifecycle.as_ref().map(|l| l.as_str()),
        resource: e.resource,
        model: usage.and_then(|u| u.model.as_ref()).map(|m| m.as_str()),
        input_tokens: usage.and_then(|u| u.input_tokens),
        output_tokens: usage.and_then(|u| u.output_tokens),
        cost,
        cost_currency,
        note: a.optional_field(e.note.as_ref(), "/data/note"),
        attributes: a.optional_field(e.attributes.as_ref(), "/data/attributes"),
        clear_attributes: serde_json::to_string(&e.clear_attributes)?,
        source_time: e.source_time.as_ref().map(|t| t.as_str()),
        at: a.at(),
    })
}

/// Adds the rows that the event alone makes.
fn add(tables: &mut Tables<'_>, a: &Applied<'_>, event: &Tasks) -> Result<(), ApplyError> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "events that add rows are named here")]
    match event {
        Tasks::Planned(e) => {
            let (business, task) = (a.business, a.stored.id);
            for (n, &depends_on) in (0..).zip(&e.depends_on) {
                tables.add(&Dependency { business, task, n, depends_on })?;
            }
            tables.put(planned(a, e))
        }
        Tasks::Reviewed(e) => tables.add(&reviewed(a, e)),
        Tasks::ActivityRecorded(e) => tables.add(&activity(a, e)?),
        Tasks::HistoryOpened(e) => tables.add(&History {
            place: a.place,
            id: a.stored.id,
            format: e.format.as_str(),
            header: a.field("/data/header"),
            opened_at: a.at(),
        }),
        _ => Ok(()),
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Tasks(event) = a.event else { return Ok(()) };
    add(tables, a, event)?;
    if matches!(event, Tasks::HistoryOpened(_)) {
        return Ok(());
    }
    let key = a.aggregate();
    let Some(task) = tables.change::<Task>(&key)? else { return Ok(()) };
    let was_open = task.status.is_open();
    task.apply(a, event)?;
    let closed = was_open && !task.status.is_open();
    // An activity is no turn.
    if !matches!(event, Tasks::ActivityRecorded(_)) {
        set_turn(tables, key)?;
    }
    if closed { set_turn_of_dependents(tables, key) } else { Ok(()) }
}
