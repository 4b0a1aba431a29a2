//! What a viewer sees of a business: all of it, or, for an agent, what its work needs. Every object
//! declares what agents see of it, and every way to an object asks here.

use async_graphql::{Context, Result};
use domain::BusinessId;
use domain::agents::Permissions;
use domain::ids::AgentId;
use domain::integrations::DataClass;
use domain::values::Team;
use rusqlite::OptionalExtension as _;
use uuid::Uuid;

use crate::allowance::read_here;
use crate::node::Node;
use crate::of_business::{self, id_literal};
use crate::{Sources, Viewer};

/// Which rows of a table agents see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Agents see all rows.
    Always,
    /// Agents see no row.
    Never,
    /// Agents see rows whose column `team` is their own team.
    OfTeam,
    /// Agents see rows whose column `task` is a task of their team.
    OfTeamsTask,
    /// Agents see rows whose column `agent` is the agent itself.
    Own,
    /// Agents see the requests for approval that their own principal made.
    AskedFor,
    /// Agents see rows whose column `approval` is a request that their own principal made.
    OfAskedFor,
    /// Agents see rows whose text is of a data class that their clearance covers.
    OfDataClass,
    /// Agents see the events of aggregates that they see, and of KPIs and measures.
    Trail,
}

/// What one viewer sees of one business.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// The viewer sees everything.
    Whole,
    /// The viewer sees what an agent needs; `agent` is `None` if the principal stands for no agent.
    Agent {
        business: BusinessId,
        principal: domain::PrincipalId,
        agent: Option<(AgentId, Team, Option<DataClass>)>,
    },
}

impl Sight {
    /// What the viewer of a request sees of a business that it may know of.
    pub(crate) fn of(ctx: &Context<'_>, business: &str) -> Result<Self> {
        let (viewer, sources) = (ctx.data::<Viewer>()?, ctx.data::<Sources>()?);
        sources.allowance.sight(business, || Self::of_viewer(viewer, sources, business))
    }

    pub(crate) fn of_viewer(viewer: &Viewer, sources: &Sources, business: &str) -> Result<Self> {
        let business: BusinessId = business.parse()?;
        if viewer.reads_all(business) {
            return Ok(Self::Whole);
        }
        let (principal, sql) = (
            viewer.principal,
            format!(
                "SELECT id, team, permissions FROM agents WHERE {} AND principal = ? AND status <> \
                 'retired' LIMIT 1",
                of_business::condition("seq", "")
            ),
        );
        let row: Option<(Uuid, String, String)> = read_here(|| {
            sources.views.read(|c| {
                let row = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?));
                c.prepare_cached(&sql)?.query_row((business.0, principal.0), row).optional()
            })
        })?;
        let agent = row.and_then(|(id, team, permissions)| {
            Some((AgentId(id), team.parse().ok()?, clearance(&permissions)))
        });
        Ok(Self::Agent { business, principal, agent })
    }

    /// The SQL condition that a row of `N` must meet to be seen; `None` if all rows are seen. Only
    /// typed ids, teams and classes are in it, never text that somebody wrote.
    pub(crate) fn condition<N: Node>(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Agent { business, principal, agent } => {
                Some(of_agent(N::SEEN, *business, *principal, *agent))
            }
        }
    }

    /// The condition with ` AND ` before it, to extend a longer one; empty if all rows are seen.
    pub(crate) fn and<N: Node>(&self) -> String {
        self.condition::<N>().map(|c| format!(" AND ({c})")).unwrap_or_default()
    }
}

/// The most secret data class that an agent's permissions name.
fn clearance(permissions: &str) -> Option<DataClass> {
    serde_json::from_str::<Permissions>(permissions).ok()?.clearance()
}

type AgentScope = Option<(AgentId, Team, Option<DataClass>)>;

fn of_agent(
    seen: Seen,
    business: BusinessId,
    principal: domain::PrincipalId,
    agent: AgentScope,
) -> String {
    let within = |table: &str, condition: String| {
        let key = if table == "memory" { "item_place" } else { "seq" };
        let of = of_business::literal(key, business);
        format!("(SELECT id FROM {table} WHERE {of} AND {condition})")
    };
    let principal_id = id_literal(principal.0);
    let never = || "0".to_owned();
    let team = || agent.map(|(_, team, _)| format!("team = '{team}'"));
    match seen {
        Seen::Always => "1".to_owned(),
        Seen::Never => never(),
        Seen::OfTeam => team().unwrap_or_else(never),
        Seen::OfTeamsTask => {
            team().map_or_else(never, |team| format!("task IN {}", within("tasks", team)))
        }
        Seen::Own => agent.map_or_else(never, |(id, ..)| format!("agent = {}", id_literal(id.0))),
        Seen::AskedFor => format!("requested_by = {principal_id}"),
        Seen::OfAskedFor => {
            format!("approval IN {}", within("approvals", format!("requested_by = {principal_id}")))
        }
        // What is about the business itself is confidential, what is about a person restricted.
        Seen::OfDataClass => match agent.and_then(|(_, _, clearance)| clearance) {
            Some(DataClass::Restricted) => "1".to_owned(),
            Some(DataClass::Confidential) => {
                format!("subject = {}", id_literal(business.0))
            }
            Some(DataClass::Public | DataClass::Internal) | None => never(),
        },
        Seen::Trail => {
            let Some((id, ..)) = agent else { return never() };
            let of = |kind: &str, table: &str, seen| {
                format!(
                    "kind = '{kind}' AND id IN {}",
                    within(table, of_agent(seen, business, principal, agent))
                )
            };
            [
                "kind IN ('kpi', 'measure')".to_owned(),
                format!("kind = 'agent' AND id = {}", id_literal(id.0)),
                of("task", "tasks", Seen::OfTeam),
                of("decision", "decisions", Seen::Own),
                of("call", "calls", Seen::Own),
                of("approval", "approvals", Seen::AskedFor),
                of("fact", "memory", Seen::OfDataClass),
                of("document", "memory", Seen::OfDataClass),
            ]
            .join(" OR ")
        }
    }
}
