//! Agents.

use async_graphql::{ID, SimpleObject};
use rusqlite::Row;
use serde::Deserialize;

use crate::closed_sets::{AgentRole, AgentStatus, Team};
use crate::decisions::Decision;
use crate::filter::filter;
use crate::integrations::Call;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;

use crate::row::{Column, FromColumn, ReadAnswer};
use crate::scalars::{DateTime, json_column};
use crate::tasks::Task;

/// The tools, outside services and data that an agent may use; an empty list allows nothing.
#[derive(SimpleObject, Deserialize, Clone)]
pub(crate) struct AgentPermissions {
    /// Names of tools: operations of outside services, and `report:<measure>` to report figures.
    tools: Vec<String>,
    /// Names of the outside services that the agent may call.
    connectors: Vec<String>,
    /// Names of data classes; the most secret one is the agent's clearance.
    data_classes: Vec<String>,
}

impl FromColumn for AgentPermissions {
    fn from_column(row: &Row<'_>, i: usize, _: &str) -> rusqlite::Result<Self> {
        json_column(row, i)
    }
}

impl Column for AgentPermissions {
    const ANSWER: Option<ReadAnswer> = None;
}

node! {
    /// An agent of a business: a worker that acts with the credentials of one principal.
    Agent in "agents" by "seq", agents see OfTeam {
        /// Id of the agent.
        id: ID,
        /// Name of the agent.
        name: String,
        /// Team of the agent.
        team: Team,
        /// Whether the agent makes results or reviews them.
        role: AgentRole,
        /// Whether the agent may work.
        status: AgentStatus,
        /// Names of the agent's skills.
        skills: Vec<String>,
        /// Name of the model that the agent runs on.
        model: String,
        /// Version of the agent's prompt; null = not stated.
        prompt_version: Option<String>,
        /// Id of the human who answers for the agent.
        owner_id: ID = "owner",
        /// Id of the principal with whose credentials the agent acts.
        principal_id: ID = "principal",
        /// What the agent may use.
        permissions: AgentPermissions,
        /// How many tasks the agent may hold at once.
        concurrency: i64,
        /// When the agent was enrolled.
        enrolled_at: DateTime,
    } money {}
}

links! { Agent {
    one {}
    principals {
        /// The human who answers for the agent.
        owner = owner_id;
        /// The principal with whose credentials the agent acts.
        principal = principal_id;
    }
    pages {
        /// Tasks that the agent holds.
        holds: Task, where "lease_agent" = id;
        /// Tasks whose newest result the agent made.
        produced: Task, where "producer" = id;
        /// Decisions that the agent made.
        decisions: Decision, where "agent" = id;
        /// Calls to outside services on the agent's work.
        calls: Call, where "agent" = id;
    }
    bounded {}
    fields {}
} }

filter! {
    /// Which agents are asked for.
    AgentFilter {
        /// Agents with one of these ids.
        id: ID, in "id";
        /// Agents of one of these teams.
        team: Team, in "team";
        /// Agents of one of these roles.
        role: AgentRole, in "role";
        /// Agents with one of these statuses.
        status: AgentStatus, in "status";
        /// Agents that act with the credentials of one of these principals.
        principal_id: ID, in "principal";
    }
}

lists! {
    /// The agents of a business.
    AgentsOfBusiness {
        /// The agents of the business.
        agents: Agent, by AgentFilter;
    }
}
