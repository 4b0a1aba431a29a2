//! Agents: enrolled into a team, changed, suspended, resumed, retired.

use std::collections::BTreeSet;

use domain::access::PrincipalKind;
use domain::agents::{
    Agent, AgentRole, AgentStatus, Changed, Enrolled, Permissions, Resumed, Retired, Runtime,
    Suspended,
};
use domain::approvals::CarriedInputs;
use domain::ids::{AgentId, TaskId};
use domain::personal::Text;
use domain::values::{Name, Role, Team};
use domain::{AggregateRef, PrincipalId, SubjectId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::{ContextRules, Target, When, commands};
use crate::root::{Changes, Context, LoadedAggregates};

commands!("agents" {
    /// Takes an agent into a team.
    Enrol = "enrol" opens Agent {
        from: [Owner] of Business,
        target: Target::Derived(|c, business| AgentId::of(business, c.principal).0),
        carries: [Permissions],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Name of the agent.
        name: Name,
        /// Team of the agent.
        team: Team,
        /// Role of the agent: producer or QA.
        role: AgentRole,
        /// Skills of the agent, by name; absent = none.
        #[serde(default)]
        skills: Vec<Name>,
        /// Model and prompt version that the agent runs with.
        runtime: Runtime,
        /// The human who answers for the agent; absent = the owner of the business.
        #[serde(default)]
        owner: Option<PrincipalId>,
        /// The principal whose credentials the agent acts with.
        principal: PrincipalId,
        /// What the agent may use, such as connectors and tools; absent = nothing.
        #[serde(default)]
        permissions: Permissions,
        /// How many tasks the agent may hold at once, 1 to 100; absent = 1.
        #[serde(default)]
        concurrency: Option<u16>,
    }

    /// Changes an agent's skills, runtime, permissions or concurrency; absent fields stay as they
    /// are.
    Change = "change" acts Agent {
        from: [Owner] of Business,
        target: Target::Sent,
        carries: [Permissions],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Skills of the agent, in place of all earlier ones; absent = unchanged.
        #[serde(default)]
        skills: Option<Vec<Name>>,
        /// Model and prompt version that the agent runs with; absent = unchanged.
        #[serde(default)]
        runtime: Option<Runtime>,
        /// What the agent may use, in place of all earlier permissions; absent = unchanged.
        #[serde(default)]
        permissions: Option<Permissions>,
        /// How many tasks the agent may hold at once, 1 to 100; absent = unchanged.
        #[serde(default)]
        concurrency: Option<u16>,
    }

    /// Suspends an agent until it is resumed.
    Suspend = "suspend" acts Agent {
        from: [Owner, Member, Operator] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Why the agent is suspended.
        #[serde(default)]
        reason: Option<Text>,
    }

    /// Lets a suspended agent work again.
    Resume = "resume" acts Agent {
        from: [Owner] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Withheld,
    } with {}

    /// Retires an agent for good.
    Retire = "retire" acts Agent {
        from: [Owner] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}
});

/// Refuses the command if its declaration does not allow it for an agent in this state.
fn standing(ctx: &Context, id: AgentId, agent: &Agent) -> Result<(), Refusal> {
    let allowed = match agent.status {
        None => return Err(Refusal::Unknown { what: "agent" }),
        Some(AgentStatus::Active) => When::Allowed,
        Some(AgentStatus::Suspended) => ctx.command.when_suspended,
        Some(AgentStatus::Retired) => ctx.command.when_retired,
    };
    match allowed {
        When::Allowed => Ok(()),
        When::Refused => Err(Refusal::AgentInactive { agent: id }),
    }
}

/// If the actor is an agent, checks that this agent's state allows the command, whichever agent the
/// command names. An agent enrolled before agent ids were derived from credentials can't be found
/// by its credentials: it must name itself.
pub(crate) fn own_standing(
    ctx: &Context,
    loaded: &LoadedAggregates,
    names_an_agent: bool,
) -> Result<(), Refusal> {
    let Some(id) = ctx.own_agent() else { return Ok(()) };
    let agent = loaded.get(id)?;
    if agent.status.is_none() {
        return if names_an_agent { Ok(()) } else { Err(Refusal::AgentUnnamed) };
    }
    standing(ctx, id, agent)
}

/// Lets the actor act as this agent: an agent only with its own credentials; a service or a human
/// stands for others openly, and stays on record as the actor.
pub(crate) fn acting_as<'a>(
    ctx: &Context,
    loaded: &'a LoadedAggregates,
    id: AgentId,
) -> Result<&'a Agent, Refusal> {
    let agent = loaded.get(id)?;
    standing(ctx, id, agent)?;
    if ctx.actor.kind == PrincipalKind::Agent && ctx.actor.principal != agent.principal {
        return Err(Refusal::NotTheAgent { agent: id });
    }
    Ok(agent)
}

/// Returns the agent that the command names, if the actor may act as that agent; `None` if the
/// command names none. An agent as the actor must name itself.
pub(crate) fn at_work(
    ctx: &Context,
    loaded: &LoadedAggregates,
    named: Option<AgentId>,
) -> Result<Option<AgentId>, Refusal> {
    match named {
        Some(id) => acting_as(ctx, loaded, id).map(|_| Some(id)),
        None if ctx.actor.kind == PrincipalKind::Agent => Err(Refusal::AgentUnnamed),
        None => Ok(None),
    }
}

/// Refuses an agent what belongs to another team than its own; others are not held to teams.
pub(crate) fn own_team(
    ctx: &Context,
    loaded: &LoadedAggregates,
    named: Option<AgentId>,
    team: Option<Team>,
) -> Result<(), Refusal> {
    if ctx.actor.kind != PrincipalKind::Agent {
        return Ok(());
    }
    let Some(id) = named.or(ctx.own_agent()) else { return Ok(()) };
    if loaded.get(id)?.team == team {
        Ok(())
    } else {
        Err(Refusal::NotYours { who: "an agent of its team" })
    }
}

/// The person that the task serves; `None` without a task, or if the task serves only the business.
/// An agent is refused a task of another team.
pub(crate) fn person_of_task(
    ctx: &Context,
    loaded: &LoadedAggregates,
    named: Option<AgentId>,
    task: Option<TaskId>,
) -> Result<Option<SubjectId>, Refusal> {
    let Some(id) = task else { return Ok(None) };
    let task = loaded.get(id)?;
    if task.status.is_none() {
        return Err(Refusal::Unknown { what: "task" });
    }
    own_team(ctx, loaded, named, task.team)?;
    Ok(Some(task.subject).filter(|subject| *subject != ctx.business.as_subject()))
}

/// Refuses a change to somebody else's record. An owner may change every record, an agent also
/// what agents of its team recorded themselves, everybody else only their own records.
pub(crate) fn own_record(
    ctx: &Context,
    loaded: &LoadedAggregates,
    recorded_by: PrincipalId,
    agent: Option<AgentId>,
) -> Result<(), Refusal> {
    if ctx.by_owner() || recorded_by == ctx.actor.principal {
        return Ok(());
    }
    let by_human =
        ctx.people.principal(recorded_by).is_some_and(|p| p.kind == Some(PrincipalKind::Human));
    if let (Some(own), Some(other)) = (ctx.own_agent(), agent.filter(|_| !by_human)) {
        let team = loaded.get(other)?.team;
        if team.is_some() && loaded.get(own)?.team == team {
            return Ok(());
        }
    }
    Err(Refusal::NotYours { who: "whoever recorded it, an agent of the same team, or an owner" })
}

fn enrol(c: &Enrol, ctx: &Context, loaded: &LoadedAggregates) -> Result<Enrolled, Refusal> {
    let concurrency = checked(c.concurrency.unwrap_or(1))?;
    let owner = c.owner.unwrap_or(loaded.get(ctx.business)?.owner);
    // Work that was done elsewhere names agents that never act here: their credentials have no key.
    let principal = ctx.people.principal(c.principal);
    if principal.is_none_or(|p| p.kind != Some(PrincipalKind::Agent)) {
        return Err(Refusal::PrincipalNoAgent { principal: c.principal });
    }
    if !ctx.actor.historic {
        if !ctx.people.has_role(c.principal, ctx.business, &BTreeSet::from([Role::Agent])) {
            return Err(Refusal::PrincipalNoAgent { principal: c.principal });
        }
        let human =
            ctx.people.principal(owner).is_some_and(|p| p.kind == Some(PrincipalKind::Human));
        if !human || !ctx.people.is_known_in(owner, ctx.business) {
            return Err(Refusal::OwnerUnknown);
        }
    }
    Ok(Enrolled {
        name: c.name.clone(),
        team: c.team,
        role: c.role,
        skills: c.skills.clone(),
        runtime: c.runtime.clone(),
        owner,
        principal: c.principal,
        permissions: c.permissions.clone(),
        concurrency,
    })
}

fn changed(c: &Change, agent: &Agent) -> Option<Changed> {
    let skills = c.skills.clone().filter(|v| *v != agent.skills);
    let runtime = c.runtime.clone().filter(|v| Some(v) != agent.runtime.as_ref());
    let permissions = c.permissions.clone().filter(|v| *v != agent.permissions);
    let concurrency = c.concurrency.filter(|v| *v != agent.concurrency);
    let any =
        skills.is_some() || runtime.is_some() || permissions.is_some() || concurrency.is_some();
    any.then_some(Changed { skills, runtime, permissions, concurrency })
}

fn checked(concurrency: u16) -> Result<u16, Refusal> {
    if (1..=100).contains(&concurrency) {
        Ok(concurrency)
    } else {
        Err(Refusal::OutOfRange { field: "concurrency", rule: "1 to 100" })
    }
}

/// Refuses a change to an agent that is retired.
fn working(agent: &Agent) -> Result<(), Refusal> {
    match agent.status {
        Some(AgentStatus::Active | AgentStatus::Suspended) => Ok(()),
        Some(AgentStatus::Retired) | None => Err(Refusal::WrongStatus {
            what: "agent",
            status: "retired",
            wanted: "active or suspended",
        }),
    }
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        vec![ctx.business.into()]
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            Self::Enrol(c) => inputs.permissions = Some(c.permissions != Permissions::default()),
            Self::Change(c) => inputs.permissions = Some(c.permissions.is_some()),
            Self::Suspend(_) | Self::Resume(_) | Self::Retire(_) => {}
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = AgentId(ctx.target);
        let agent = loaded.get(id)?;
        let is = |status| agent.status == Some(status);
        let event: Option<domain::Event> = match self {
            Self::Enrol(c) => Some(enrol(c, ctx, loaded)?.into()),
            Self::Change(c) => {
                working(agent)?;
                c.concurrency.map_or(Ok(1), checked)?;
                changed(c, agent).map(Into::into)
            }
            Self::Suspend(_) if is(AgentStatus::Suspended) => None,
            Self::Suspend(c) => {
                working(agent)?;
                let subject = ctx.business.as_subject();
                Some(
                    Suspended { reason: c.reason.clone().map(|t| t.about(subject)), subject }
                        .into(),
                )
            }
            Self::Resume(_) if is(AgentStatus::Active) => None,
            Self::Resume(_) => {
                working(agent)?;
                Some(Resumed {}.into())
            }
            Self::Retire(_) if is(AgentStatus::Retired) => None,
            Self::Retire(_) => Some(Retired {}.into()),
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
