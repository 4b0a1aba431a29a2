//! Agents with the tools, connectors and data classes that they may use.

use domain::Event;
use domain::agents::{AgentStatus, Changed, Enrolled, Event as Agents};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of agents.
pub const PROJECTION: Projection = Projection {
    name: "agents",
    version: 2,
    sql: include_str!("agents.sql"),
    indexes: &[
        ("agents_by_seq", "agents(business, seq)"),
        ("agents_by_principal", "agents(business, principal, seq)"),
    ],
    tables: &[("agents", "business, id")],
    apply: Apply::Sealed(apply),
};

fn enrolled(tx: &Connection, a: &Applied<'_>, e: &Enrolled) -> Result<(), ApplyError> {
    run(
        tx,
        "INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            &a.business(),
            &a.id(),
            &a.recorded.seq,
            &e.name.as_str(),
            &e.team.as_str(),
            &e.role.as_str(),
            &serde_json::to_string(&e.skills)?,
            &e.runtime.model.as_str(),
            &e.runtime.prompt_version.as_ref().map(|v| v.as_str()),
            &e.owner.to_string(),
            &e.principal.to_string(),
            &serde_json::to_string(&e.permissions)?,
            &e.concurrency,
            &AgentStatus::Active.as_str(),
            &a.at(),
        ],
    )
}

fn changed(tx: &Connection, a: &Applied<'_>, e: &Changed) -> Result<(), ApplyError> {
    let skills = e.skills.as_ref().map(serde_json::to_string).transpose()?;
    let permissions = e.permissions.as_ref().map(serde_json::to_string).transpose()?;
    run(
        tx,
        "UPDATE agents SET skills = coalesce(?, skills), permissions = coalesce(?, permissions), \
         concurrency = coalesce(?, concurrency) WHERE business = ? AND id = ?",
        &[&skills, &permissions, &e.concurrency, &a.business(), &a.id()],
    )?;
    let Some(runtime) = &e.runtime else { return Ok(()) };
    run(
        tx,
        "UPDATE agents SET model = ?, prompt_version = ? WHERE business = ? AND id = ?",
        &[
            &runtime.model.as_str(),
            &runtime.prompt_version.as_ref().map(|v| v.as_str()),
            &a.business(),
            &a.id(),
        ],
    )
}

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Agents(event) = a.event else { return Ok(()) };
    let status = match event {
        Agents::Enrolled(e) => return enrolled(tx, a, e),
        Agents::Changed(e) => return changed(tx, a, e),
        Agents::Suspended(_) => AgentStatus::Suspended,
        Agents::Resumed(_) => AgentStatus::Active,
        Agents::Retired(_) => AgentStatus::Retired,
    };
    run(
        tx,
        "UPDATE agents SET status = ? WHERE business = ? AND id = ?",
        &[&status.as_str(), &a.business(), &a.id()],
    )
}
