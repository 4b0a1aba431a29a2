//! The tables of metrics.

use domain::Timestamp;
use domain::budgets::Window;
use domain::ids::AgentId;
use domain::metrics::{Aggregation, Direction};
use domain::values::{Amount, Currency, Team};
use rust_decimal::Decimal;
use std::sync::Arc;
use uuid::Uuid;

use crate::rows::{BusinessNumber, keyed_table, numbered, table};

numbered! {
    /// What is counted in a business.
    pub(super) SampleKind in "sample_kinds" by "sample_kind" {
        business: BusinessNumber,
        sample: &'static str,
    }
}

numbered! {
    /// The unit of a sample, and what it is about; empty = nothing of that sort.
    pub(super) Dimensions in "sample_dimensions" by "dimensions" {
        unit: Arc<str>,
        team: Arc<str>,
        agent: MaybeAgent,
        model: Arc<str>,
        connector: Arc<str>,
        operation: Arc<str>,
    }
}

table! {
    /// One thing that counts.
    Sample in "samples" {
        sample_kind: i64,
        seq: event_log::Seq,
        n: u32,
        at: Timestamp,
        value: Amount,
        number: f64,
        dimensions: i64,
    }
}

keyed_table! {
    /// The sum of the samples of one hour; hours count from 1970.
    HourSum in "sample_hours" by (sample_kind: i64, hour: i64, dimensions: i64) {
        count: u64,
        total: Decimal,
    }
}

keyed_table! {
    /// The sum of all samples.
    TotalSum in "sample_totals" by (sample_kind: i64, unit: Arc<str>) {
        count: u64,
        total: Decimal,
    }
}

keyed_table! {
    /// What samples need to know of an agent.
    KpiAgent in "kpi_agents" by (business: BusinessNumber, agent: Uuid) {
        team: Arc<str>,
        model: Arc<str>,
    }
}

keyed_table! {
    /// What samples need to know of a task.
    KpiTask in "kpi_tasks" by (business: BusinessNumber, task: Uuid) {
        team: Team,
        agent: Option<AgentId>,
        began: Timestamp,
        last: Timestamp,
        human: bool,
        reviews: u32,
        rework: u32,
        activities: u32,
    }
}

keyed_table! {
    /// What samples need to know of a call.
    KpiCall in "kpi_calls" by (business: BusinessNumber, call: Uuid) {
        connector: Arc<str>,
        operation: Arc<str>,
        agent: Option<AgentId>,
        ambiguous: bool,
    }
}

keyed_table! {
    /// What samples need to know of a request for approval.
    KpiApproval in "kpi_approvals" by (business: BusinessNumber, approval: Uuid) {
        requested: Timestamp,
        decided: bool,
    }
}

keyed_table! {
    /// What samples need to know of a budget; `period` is the last one whose limit was counted.
    KpiBudget in "kpi_budgets" by (business: BusinessNumber, budget: Uuid) {
        window: Window,
        amount: Amount,
        currency: Currency,
        period: String,
    }
}

table! {
    /// A figure that was reported.
    Measure<'a> in "measures" {
        business: BusinessNumber,
        seq: event_log::Seq,
        id: Uuid,
        measure: &'a str,
        value: Amount,
        unit: &'a str,
        dimension: Option<&'a str>,
        at: Timestamp,
    }
}

table! {
    /// A version of a KPI that the business defined.
    KpiDefinition<'a> in "kpi_definitions" {
        business: BusinessNumber,
        kpi: &'a str,
        version: u32,
        text: &'a str,
        measure: &'a str,
        aggregation: Aggregation,
        unit: &'a str,
        direction: Direction,
    }
}

keyed_table! {
    /// The value that a KPI should reach.
    Target in "kpi_targets" by (business: BusinessNumber, kpi: String) {
        target: Amount,
    }
}

/// The agent that a sample is about. Nobody is written as no bytes: with NULL, no two dimensions
/// would be the same to a unique index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MaybeAgent(pub(super) Option<AgentId>);

impl crate::rows::Column for MaybeAgent {
    fn bind(&self) -> rusqlite::types::ToSqlOutput<'_> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        match &self.0 {
            Some(agent) => ToSqlOutput::Borrowed(ValueRef::Blob(agent.0.as_bytes())),
            None => ToSqlOutput::Borrowed(ValueRef::Blob(&[])),
        }
    }
    fn read(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        if bytes.is_empty() { Ok(Self(None)) } else { AgentId::read(value).map(|a| Self(Some(a))) }
    }
}
