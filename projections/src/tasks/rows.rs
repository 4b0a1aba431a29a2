//! The tables of tasks.

use domain::ids::{AgentId, HistoryId, TaskId};
use domain::tasks::{FailureReason, Status, Verdict};
use domain::values::{Amount, Currency, Digest, Role, Team};
use domain::{PrincipalId, Timestamp};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::rows::{BusinessNumber, Field, Place, aggregate_table, table};

aggregate_table! {
    /// A task, and whose turn it is.
    Task in "tasks" {
        title: Field,
        instructions: Option<Field>,
        team: Team,
        priority: u8,
        status: Status,
        status_since: Timestamp,
        revision: u32,
        fencing_token: u32,
        lease_agent: Option<AgentId>,
        lease_expires_at: Option<Timestamp>,
        producer: Option<AgentId>,
        artifact_digest: Option<Digest>,
        result: Option<Field>,
        next_actor: Option<String>,
        escalated_to: Option<Role>,
        escalated: bool,
        without_human: Option<bool>,
        rework_rounds: u32,
        attempts_failed: u32,
        failure: Option<FailureReason>,
        cost: Option<Amount>,
        cost_currency: Option<Currency>,
        customer_cost: Option<Decimal>,
        customer_cost_currency: Option<Currency>,
        activities: u32,
        planned_at: Timestamp,
        closed_at: Option<Timestamp>,
        history: Option<HistoryId>,
        history_place: Option<u32>,
        attributes: Option<Field>,
    }
}

table! {
    /// That a task waits for another one: its `n`th dependency.
    Dependency in "task_dependencies" {
        business: BusinessNumber,
        task: Uuid,
        n: u32,
        depends_on: TaskId,
    }
}

table! {
    /// A review of a task's result.
    Review in "reviews" {
        place: Place,
        task: Uuid,
        revision: u32,
        reviewer: AgentId,
        verdict: Verdict,
        final_revision: bool,
        findings: Option<Field>,
        at: Timestamp,
    }
}

table! {
    /// A step of the work on a task. `clear_attributes` is JSON.
    Activity<'a> in "activities" {
        place: Place,
        task: Uuid,
        activity: &'a str,
        lifecycle: Option<&'a str>,
        resource: Option<PrincipalId>,
        model: Option<&'a str>,
        input_tokens: Option<u32>,
        output_tokens: Option<u32>,
        cost: Option<Amount>,
        cost_currency: Option<Currency>,
        note: Option<Field>,
        attributes: Option<Field>,
        clear_attributes: String,
        source_time: Option<&'a str>,
        at: Timestamp,
    }
}

table! {
    /// A file that an importer read, with what it says of all its histories.
    History<'a> in "histories" {
        place: Place,
        id: Uuid,
        format: &'a str,
        header: Field,
        opened_at: Timestamp,
    }
}
