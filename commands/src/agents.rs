//! Agents: enrolled into a team, changed, suspended, resumed, retired.

use domain::access::PrincipalKind;
use domain::agents::{Agent, AgentRole, AgentStatus, Changed, Enrolled, Permissions, Resumed, Retired, Runtime, Suspended};
use domain::approvals::ActionFacts;
use domain::ids::AgentId;
use domain::personal::Text;
use domain::values::{Name, Team};
use domain::{AggregateRef, PrincipalId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("agents" {
    /// Takes an agent into a team.
    Enrol = "enrol" opens Agent,
    /// Changes what it is or may use.
    Change = "change" on Agent,
    /// Stops it for now.
    Suspend = "suspend" on Agent,
    /// Lets it work again.
    Resume = "resume" on Agent,
    /// Ends it for good.
    Retire = "retire" on Agent,
});

/// Takes an agent into a team.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// Its name.
    pub name: Name,
    /// Its team.
    pub team: Team,
    /// Producer or QA.
    pub role: AgentRole,
    /// What it is good at.
    #[serde(default)]
    pub skills: Vec<Name>,
    /// Model and prompt version.
    pub runtime: Runtime,
    /// The human who answers for it; the business's owner when it is left out.
    #[serde(default)]
    pub owner: Option<PrincipalId>,
    /// The credentials it acts with.
    pub principal: PrincipalId,
    /// What it may use; nothing when it is left out.
    #[serde(default)]
    pub permissions: Permissions,
    /// How many tasks it may hold at once; 1 when it is left out.
    #[serde(default)]
    pub concurrency: Option<u16>,
}

/// Changes what it is or may use; what is left out stays.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What it is good at.
    #[serde(default)]
    pub skills: Option<Vec<Name>>,
    /// Model and prompt version.
    #[serde(default)]
    pub runtime: Option<Runtime>,
    /// What it may use.
    #[serde(default)]
    pub permissions: Option<Permissions>,
    /// How many tasks it may hold at once.
    #[serde(default)]
    pub concurrency: Option<u16>,
}

/// Stops it for now.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// Why.
    #[serde(default)]
    pub reason: Option<Text>,
}

/// Lets it work again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {}

/// Ends it for good.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retire {}

/// Lets the actor act as this agent: an agent only with its own credentials; a service or a human
/// stands for others openly, and stays on record as the actor.
pub(crate) fn acting_as(ctx: &Context, id: AgentId, agent: &Agent) -> Result<(), Refusal> {
    match agent.status {
        None => return Err(Refusal::Unknown { what: "agent" }),
        Some(AgentStatus::Suspended | AgentStatus::Retired) => return Err(Refusal::AgentInactive { agent: id }),
        Some(AgentStatus::Active) => {}
    }
    own_credentials(ctx, id, agent)
}

/// Refuses an agent that acts for another one, whatever that other's state.
pub(crate) fn own_credentials(ctx: &Context, id: AgentId, agent: &Agent) -> Result<(), Refusal> {
    if ctx.actor.kind == PrincipalKind::Agent && ctx.actor.principal != agent.principal {
        return Err(Refusal::NotTheAgent { agent: id });
    }
    Ok(())
}

/// The agent that is named; an agent must name itself, so that nothing of its rules is passed by.
pub(crate) fn named(ctx: &Context, agent: Option<AgentId>) -> Result<Option<AgentId>, Refusal> {
    if agent.is_none() && ctx.actor.kind == PrincipalKind::Agent { Err(Refusal::AgentUnnamed) } else { Ok(agent) }
}

fn changed(c: &Change, agent: &Agent) -> Option<Changed> {
    let skills = c.skills.clone().filter(|v| *v != agent.skills);
    let runtime = c.runtime.clone().filter(|v| Some(v) != agent.runtime.as_ref());
    let permissions = c.permissions.clone().filter(|v| *v != agent.permissions);
    let concurrency = c.concurrency.filter(|v| *v != agent.concurrency);
    let any = skills.is_some() || runtime.is_some() || permissions.is_some() || concurrency.is_some();
    any.then_some(Changed { skills, runtime, permissions, concurrency })
}

fn checked(concurrency: u16) -> Result<u16, Refusal> {
    if (1..=100).contains(&concurrency) { Ok(concurrency) } else { Err(Refusal::OutOfRange { field: "concurrency", rule: "1 to 100" }) }
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        vec![AgentId(ctx.target).into(), ctx.business.into()]
    }

    fn facts(&self, facts: &mut ActionFacts) {
        if let Self::Change(c) = self {
            facts.permissions = c.permissions.is_some();
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = AgentId(ctx.target);
        let agent = seen.agent(id);
        let one = |event: domain::Event| Ok(vec![(id.into(), event)]);
        if let Self::Enrol(c) = self {
            if agent.status.is_some() {
                return Err(Refusal::Exists { what: "agent" });
            }
            let owner = c.owner.unwrap_or(seen.business(ctx.business).owner);
            let concurrency = checked(c.concurrency.unwrap_or(1))?;
            return one(Enrolled {
                name: c.name.clone(),
                team: c.team,
                role: c.role,
                skills: c.skills.clone(),
                runtime: c.runtime.clone(),
                owner,
                principal: c.principal,
                permissions: c.permissions.clone(),
                concurrency,
            }
            .into());
        }
        let Some(status) = agent.status else { return Err(Refusal::Unknown { what: "agent" }) };
        if status == AgentStatus::Retired && !matches!(self, Self::Retire(_)) {
            return Err(Refusal::WrongStatus { what: "agent", status: "retired", wanted: "active or suspended" });
        }
        match self {
            Self::Enrol(_) => Ok(Vec::new()),
            Self::Change(c) => {
                if let Some(concurrency) = c.concurrency {
                    checked(concurrency)?;
                }
                changed(c, &agent).map_or(Ok(Vec::new()), |event| one(event.into()))
            }
            Self::Suspend(c) => {
                if status == AgentStatus::Suspended {
                    return Ok(Vec::new());
                }
                let subject = ctx.business.as_subject();
                one(Suspended { reason: c.reason.clone().map(|t| t.about(subject)), subject }.into())
            }
            Self::Resume(_) => {
                if status == AgentStatus::Active {
                    Ok(Vec::new())
                } else {
                    one(Resumed {}.into())
                }
            }
            Self::Retire(_) => {
                if status == AgentStatus::Retired {
                    Ok(Vec::new())
                } else {
                    one(Retired {}.into())
                }
            }
        }
    }
}
