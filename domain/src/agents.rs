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
        /// Makes results.
        Producer = "producer",
        /// Reviews results of others.
        Qa = "qa",
    }
}

/// What an agent may use; empty lists allow nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Tools by name.
    pub tools: Vec<Name>,
    /// Connectors by name.
    pub connectors: Vec<Name>,
    /// Classes of data by name.
    pub data_classes: Vec<Name>,
}

impl Permissions {
    /// The most secret class of data that it may touch; what is less secret it may touch too. A
    /// name that is no class of data allows nothing.
    #[must_use]
    pub fn clearance(&self) -> Option<DataClass> {
        self.data_classes.iter().filter_map(|name| name.as_str().parse().ok()).max()
    }
}

/// What an agent runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The model's name.
    pub model: Name,
    /// Version of its prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Name>,
}

events!("agents" {
    /// An agent joined a team.
    Enrolled = "enrolled" v 2 on Agent, Public {
        /// Its name.
        name: Name,
        /// Its team.
        team: Team,
        /// Producer or QA.
        role: AgentRole,
        /// What it is good at.
        skills: Vec<Name>,
        /// Model and prompt version.
        runtime: Runtime,
        /// The human who answers for it.
        owner: PrincipalId,
        /// The credentials it acts with.
        principal: PrincipalId,
        /// What it may use.
        permissions: Permissions,
        /// How many tasks it may hold at once.
        concurrency: u16,
    }

    /// Its skills, runtime, permissions or concurrency changed; what is absent stays.
    Changed = "changed" v 1 on Agent, Public {
        /// What it is good at.
        #[serde(skip_serializing_if = "Option::is_none")]
        skills: Option<Vec<Name>>,
        /// Model and prompt version.
        #[serde(skip_serializing_if = "Option::is_none")]
        runtime: Option<Runtime>,
        /// What it may use.
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Permissions>,
        /// How many tasks it may hold at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        concurrency: Option<u16>,
    }

    /// It may not take or finish work for now.
    Suspended = "suspended" v 1 on Agent, Public {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
        /// Whom the reason is about.
        subject: SubjectId,
    }

    /// It may work again.
    Resumed = "resumed" v 1 on Agent, Public {}

    /// It left for good.
    Retired = "retired" v 1 on Agent, Public {}
});

names! {
    /// Whether an agent may work.
    AgentStatus {
        /// It may.
        Active = "active",
        /// Not for now.
        Suspended = "suspended",
        /// Never again.
        Retired = "retired",
    }
}

/// An agent as the rules see it; `None` before it is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Agent {
    /// Whether it may work; `None` before it is enrolled.
    pub status: Option<AgentStatus>,
    /// Its team.
    pub team: Option<Team>,
    /// Producer or QA.
    pub role: Option<AgentRole>,
    /// The human who answers for it.
    pub owner: PrincipalId,
    /// The credentials it acts with.
    pub principal: PrincipalId,
    /// What it may use.
    pub permissions: Permissions,
    /// How many tasks it may hold at once.
    pub concurrency: u16,
    /// What it is good at.
    pub skills: Vec<Name>,
    /// Model and prompt version.
    pub runtime: Option<Runtime>,
}

impl AgentId {
    /// The id of the agent that acts with these credentials: a principal serves one agent of a
    /// business, by construction. Agents that were enrolled before this rule, and those that come
    /// in with other people's records, have ids of their own.
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
