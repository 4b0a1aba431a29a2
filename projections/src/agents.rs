//! Agents with the tools, connectors and data classes that they may use.

use domain::agents::{AgentRole, AgentStatus, Changed, Enrolled, Event as Agents};
use domain::values::Team;
use domain::{Event, PrincipalId, Timestamp};

use crate::rows::{Tables, aggregate_table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of agents.
pub const PROJECTION: Projection = Projection {
    name: "agents",
    version: 3,
    sql: include_str!("agents.sql"),
    indexes: &[("agents_by_principal", "agents(principal)")],
    tables: &[("agents", "place")],
    apply: Apply::Sealed(apply),
};

aggregate_table! {
    /// An agent. `skills` and `permissions` are JSON.
    Agent in "agents" {
        name: String,
        team: Team,
        role: AgentRole,
        skills: String,
        model: String,
        prompt_version: Option<String>,
        owner: PrincipalId,
        principal: PrincipalId,
        permissions: String,
        concurrency: u16,
        status: AgentStatus,
        enrolled_at: Timestamp,
    }
}

fn enrolled(a: &Applied<'_>, e: &Enrolled) -> Result<Agent, ApplyError> {
    Ok(Agent {
        place: a.place,
        id: a.stored.id,
        name: e.name.to_string(),
        team: e.team,
        role: e.role,
        skills: serde_json::to_string(&e.skills)?,
        model: e.runtime.model.to_string(),
        prompt_version: e.runtime.prompt_version.as_ref().map(ToString::to_string),
        owner: e.owner,
        principal: e.principal,
        permissions: serde_json::to_string(&e.permissions)?,
        concurrency: e.concurrency,
        status: AgentStatus::Active,
        enrolled_at: a.at(),
    })
}

fn change(agent: &mut Agent, e: &Changed) -> Result<(), ApplyError> {
    if let Some(skills) = &e.skills {
        agent.skills = serde_json::to_string(skills)?;
    }
    if let Some(permissions) = &e.permissions {
        agent.permissions = serde_json::to_string(permissions)?;
    }
    if let Some(concurrency) = e.concurrency {
        agent.concurrency = concurrency;
    }
    if let Some(runtime) = &e.runtime {
        agent.model = runtime.model.to_string();
        agent.prompt_version = runtime.prompt_version.as_ref().map(ToString::to_string);
    }
    Ok(())
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Agents(event) = a.event else { return Ok(()) };
    if let Agents::Enrolled(e) = event {
        return tables.put(enrolled(a, e)?);
    }
    let Some(agent) = tables.change::<Agent>(&a.aggregate())? else { return Ok(()) };
    match event {
        Agents::Enrolled(_) => {}
        Agents::Changed(e) => change(agent, e)?,
        Agents::Suspended(_) => agent.status = AgentStatus::Suspended,
        Agents::Resumed(_) => agent.status = AgentStatus::Active,
        Agents::Retired(_) => agent.status = AgentStatus::Retired,
    }
    Ok(())
}
