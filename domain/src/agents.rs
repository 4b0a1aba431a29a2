//! Agents. Aggregate: `agent`, one worker of a team, with what it may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{AgentId, BusinessId, PrincipalId, SubjectId, names};
use crate::integrations::DataClass;
use crate::personal::Text;
use crate::values::{Name, Team};

names! {
    /// Which half of a Producer + QA pair an agent is.
    AgentRole {
        /// The agent makes results.
        Producer = "producer",
        /// The agent reviews results that other agents made.
        Qa = "qa",
    }
}

/// The tools, outside services and data that an agent may use; an empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Names of tools: operations of outside services, and `report:<measure>` to report figures.
    pub tools: Vec<Name>,
    /// Names of the outside services that the agent may call.
    pub connectors: Vec<Name>,
    /// Names of data classes; the most secret one is the agent's clearance.
    pub data_classes: Vec<Name>,
}

impl Permissions {
    /// The most secret class of data that the agent may touch; it may touch less secret data too.
    /// `None` if no name in the list is a data class: then the agent may touch no data.
    #[must_use]
    pub fn clearance(&self) -> Option<DataClass> {
        self.data_classes.iter().filter_map(|name| name.as_str().parse().ok()).max()
    }
}

/// The model that an agent runs on, with the version of its prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The model's name.
    pub model: Name,
    /// Version of the agent's prompt; absent = not stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Name>,
}

events!("agents" {
    /// An agent joined a team.
    Enrolled = "enrolled" v 2 on Agent, Public {
        /// The agent's name.
        name: Name,
        /// The team whose tasks the agent works on.
        team: Team,
        /// Whether the agent makes results or reviews them.
        role: AgentRole,
        /// Names of the agent's skills.
        skills: Vec<Name>,
        /// The model that the agent runs on, with the version of its prompt.
        runtime: Runtime,
        /// The human who answers for the agent.
        owner: PrincipalId,
        /// The principal whose credentials the agent acts with.
        principal: PrincipalId,
        /// The tools, outside services and data that the agent may use.
        permissions: Permissions,
        /// How many tasks the agent may hold at once, 1 to 100.
        concurrency: u16,
    }

    /// An agent's skills, runtime, permissions or concurrency changed; what is absent stays.
    Changed = "changed" v 1 on Agent, Public {
        /// The new list of skills; absent = unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        skills: Option<Vec<Name>>,
        /// The new model and prompt version; absent = unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        runtime: Option<Runtime>,
        /// The new permissions; absent = unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Permissions>,
        /// The new number of tasks that the agent may hold at once, 1 to 100; absent = unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        concurrency: Option<u16>,
    }

    /// An agent was suspended: it takes no new work, but may still end the work that it holds.
    Suspended = "suspended" v 1 on Agent, Public {
        /// Why the agent was suspended; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// The data subject whose key seals the reason: the business.
        subject: SubjectId,
    }

    /// A suspended agent was resumed: it may work again.
    Resumed = "resumed" v 1 on Agent, Public {}

    /// An agent was retired: it left for good.
    Retired = "retired" v 1 on Agent, Public {}
});

names! {
    /// Whether an agent may work.
    AgentStatus {
        /// The agent may work.
        Active = "active",
        /// The agent takes no new work until it is resumed.
        Suspended = "suspended",
        /// The agent has left for good.
        Retired = "retired",
    }
}

/// An agent as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Agent {
    /// Whether the agent may work; `None` before it is enrolled.
    pub status: Option<AgentStatus>,
    /// The team whose tasks the agent works on; `None` before it is enrolled.
    pub team: Option<Team>,
    /// Whether the agent makes results or reviews them; `None` before it is enrolled.
    pub role: Option<AgentRole>,
    /// The human who answers for the agent.
    pub owner: PrincipalId,
    /// The principal whose credentials the agent acts with.
    pub principal: PrincipalId,
    /// The tools, outside services and data that the agent may use.
    pub permissions: Permissions,
    /// How many tasks the agent may hold at once.
    pub concurrency: u16,
    /// Names of the agent's skills.
    pub skills: Vec<Name>,
    /// The model and prompt version that the agent runs on; `None` before it is enrolled.
    pub runtime: Option<Runtime>,
}

impl AgentId {
    /// The id of the agent that acts with these credentials: a principal serves one agent of a
    /// business. Agents that were enrolled before this rule, and those of imported work, have other
    /// ids.
    #[must_use]
    pub fn of(business: BusinessId, principal: PrincipalId) -> Self {
        Self(business.derive_id(&format!("agent:{principal}")))
    }
}

impl Agent {
    /// Folds one event in.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::Enrolled(e) => {
                *self = Self {
                    status: Some(AgentStatus::Active),
                    team: Some(e.team),
                    role: Some(e.role),
                    owner: e.owner,
                    principal: e.principal,
                    permissions: e.permissions.clone(),
                    concurrency: e.concurrency,
                    skills: e.skills.clone(),
                    runtime: Some(e.runtime.clone()),
                };
            }
            Event::Changed(e) => {
                if let Some(skills) = &e.skills {
                    self.skills.clone_from(skills);
                }
                if let Some(runtime) = &e.runtime {
                    self.runtime = Some(runtime.clone());
                }
                if let Some(permissions) = &e.permissions {
                    self.permissions = permissions.clone();
                }
                if let Some(concurrency) = e.concurrency {
                    self.concurrency = concurrency;
                }
            }
            Event::Suspended(_) => self.status = Some(AgentStatus::Suspended),
            Event::Resumed(_) => self.status = Some(AgentStatus::Active),
            Event::Retired(_) => self.status = Some(AgentStatus::Retired),
        }
    }
}
