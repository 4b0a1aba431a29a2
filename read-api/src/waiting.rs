//! What waits for a human: approvals to vote on, tasks that a human must see to, calls whose
//! outcome
//! nobody knows, and results that no agent can review; by the time until which it must be decided.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use domain::Kind;

use crate::Viewer;
use crate::approvals::Approval;
use crate::businesses::Business;
use crate::by_text::ByText;
use crate::children::newest;
use crate::filter::Arg;
use crate::integrations::Call;
use crate::links::aggregate;
use crate::node::AnyNode;
use crate::of_business::{IDS, id_text};
use crate::page::{Page, Total, client_error};
use crate::query::wait_for;
use crate::row::FromColumn as _;
use crate::scalars::DateTime;
use crate::sight::Sight;
use crate::tasks::Task;

/// What a human is to do.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitingKind {
    /// Vote on a request for approval.
    Approval,
    /// See to a task: it is planned and waits for nothing but an offer, it was escalated or
    /// quarantined, or a task that it depends on will never be completed.
    Task,
    /// Find out what became of a call to an outside service.
    Call,
    /// Have a result reviewed: its team has no active QA agent but the one that made it.
    Review,
}

impl WaitingKind {
    const ALL: [Self; 4] = [Self::Approval, Self::Task, Self::Call, Self::Review];

    const fn of_aggregate(self) -> Kind {
        match self {
            Self::Approval => Kind::Approval,
            Self::Task | Self::Review => Kind::Task,
            Self::Call => Kind::Call,
        }
    }

    /// The columns and the condition of the rows; every condition is met by an index.
    const fn rows(self) -> &'static str {
        match self {
            Self::Approval => {
                "requested_at AS since, expires_at AS decide_by FROM b CROSS JOIN approvals t ON \
                 t.place BETWEEN b.first AND b.last WHERE status = 'requested'"
            }
            Self::Task => {
                "status_since AS since, NULL AS decide_by FROM b CROSS JOIN tasks t ON t.place \
                 BETWEEN b.first AND b.last WHERE next_actor >= 'human:' AND next_actor < 'human;'"
            }
            Self::Call => {
                "coalesce(ended_at, intended_at) AS since, NULL AS decide_by FROM b CROSS JOIN \
                 calls t ON t.place BETWEEN b.first AND b.last WHERE status = 'ambiguous'"
            }
            Self::Review => {
                "status_since AS since, NULL AS decide_by FROM b CROSS JOIN tasks t ON t.place \
                 BETWEEN b.first AND b.last WHERE status = 'submitted' AND NOT EXISTS (SELECT 1 \
                 FROM agents a WHERE a.place BETWEEN b.first AND b.last AND a.team = t.team AND \
                 a.role = 'qa' AND a.status = 'active' AND a.id IS NOT t.producer)"
            }
        }
    }

    fn seen(self, sight: &Sight) -> String {
        match self {
            Self::Approval => sight.and::<Approval>(),
            Self::Task | Self::Review => sight.and::<Task>(),
            Self::Call => sight.and::<Call>(),
        }
    }
}

/// Something that waits for a human.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct WaitingItem {
    /// What a human is to do.
    kind: WaitingKind,
    /// Id of the business.
    business_id: ID,
    /// Id of the request for approval, task or call.
    target_id: ID,
    /// Since when it waits.
    since: DateTime,
    /// Until when it must be decided; null = no time is set.
    decide_by: Option<DateTime>,
}

#[ComplexObject]
impl WaitingItem {
    /// The business.
    async fn business(&self, ctx: &Context<'_>) -> Result<Option<Business>> {
        newest(ctx, &self.business_id, "id", &self.business_id).await
    }

    /// The request for approval, task or call.
    async fn target(&self, ctx: &Context<'_>) -> Result<Option<AnyNode>> {
        aggregate(ctx, &self.business_id, self.kind.of_aggregate(), &self.target_id).await
    }
}

/// Which of what waits is asked for.
#[derive(InputObject, Default)]
pub(crate) struct WaitingFilter {
    /// Only what asks a human for one of these.
    kind: Option<Vec<WaitingKind>>,
    /// Only what must be decided before this time.
    decide_before: Option<DateTime>,
}

/// Businesses of which a viewer sees the same part.
struct Part {
    sight: Sight,
    /// Ids; `None` = every business there is.
    businesses: Option<Vec<String>>,
}

/// Most businesses of which a viewer sees only a part: each is a SELECT of its own.
const PARTS_MAX: usize = 50;

/// The parts of everything that the viewer sees.
fn parts(ctx: &Context<'_>) -> Result<Vec<Part>> {
    let viewer = ctx.data::<Viewer>()?;
    let Some(visible) = viewer.visible_businesses() else {
        return Ok(vec![Part { sight: Sight::Whole, businesses: None }]);
    };
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for business in visible {
        match Sight::of(ctx, &business)? {
            Sight::Whole => whole.push(business),
            sight @ Sight::Agent { .. } => {
                parts.push(Part { sight, businesses: Some(vec![business]) });
            }
        }
    }
    if parts.len() > PARTS_MAX {
        return Err(client_error(
            "BAD_ARGUMENT",
            &format!("you are an agent in more than {PARTS_MAX} businesses"),
            "ask business(slug: …) { waiting { … } }",
        ));
    }
    parts.push(Part { sight: Sight::Whole, businesses: Some(whole) });
    Ok(parts)
}

/// What is added to a time so that no time has a sign, which texts would not sort by.
const EPOCH: i64 = 1 << 62;
/// What stands for the time of what has none: it is later than all.
const NEVER: i64 = i64::MAX;

/// The rows of all that waits, as SQL, with the values of its `?`. `place` is the order: what must
/// be
/// decided first is first, and what has no such time is last.
fn rows(parts: &[Part], filter: WaitingFilter) -> (String, Vec<Arg>) {
    let (mut selects, mut args) = (Vec::new(), Vec::<Arg>::new());
    let kinds = filter.kind.unwrap_or_else(|| WaitingKind::ALL.to_vec());
    for (n, kind) in WaitingKind::ALL.iter().enumerate().filter(|(_, kind)| kinds.contains(kind)) {
        for part in parts {
            let of = match &part.businesses {
                Some(ids) => {
                    args.push(Box::new(serde_json::Value::from(ids.clone()).to_string()));
                    format!("WHERE id IN ({IDS})")
                }
                None => String::new(),
            };
            selects.push(format!(
                "SELECT * FROM (WITH b AS (SELECT id AS business, first, last FROM business_places \
                 {of}) SELECT {n} AS kind, b.business, id, seq, {}{})",
                kind.rows(),
                kind.seen(&part.sight)
            ));
        }
    }
    if selects.is_empty() {
        selects.push(
            "SELECT 0 AS kind, x'' AS business, x'' AS id, 0 AS seq, 0 AS since, NULL AS \
            decide_by WHERE 0"
                .to_owned(),
        );
    }
    let mut sql = format!(
        "SELECT *, printf('%019d %019d %s %012d', coalesce(decide_by + {EPOCH}, {NEVER}), since + \
         {EPOCH}, lower(hex(business)), seq) AS place FROM ({})",
        selects.join(" UNION ALL ")
    );
    if let Some(before) = filter.decide_before {
        sql.push_str(" WHERE decide_by < ?");
        args.push(Box::new(before));
    }
    (sql, args)
}

type WaitingPage = Connection<String, WaitingItem, Total>;

fn item(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<WaitingItem> {
    let kind = WaitingKind::ALL.get(row.get::<_, usize>(at)?).copied();
    Ok(WaitingItem {
        kind: kind.unwrap_or(WaitingKind::Task),
        business_id: ID(id_text(row, at + 1)?),
        target_id: ID(id_text(row, at + 2)?),
        since: DateTime::from_column(row, at + 3, "")?,
        decide_by: Option::from_column(row, at + 4, "")?,
    })
}

async fn waiting(
    ctx: &Context<'_>,
    parts: Vec<Part>,
    filter: Option<WaitingFilter>,
    page: Page,
) -> Result<WaitingPage> {
    let (rows, args) = rows(&parts, filter.unwrap_or_default());
    let columns = "kind, business, id, since, decide_by";
    ByText { name: "waiting_by_time", rows, args, columns, read: item }.page(ctx, page).await
}

/// What waits for a human in a business.
#[derive(Clone)]
pub(crate) struct WaitingOfBusiness(pub(crate) String);

/// What waits for a human in a business.
#[Object]
impl WaitingOfBusiness {
    /// What waits for a human in the business; what must be decided first is first.
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn waiting(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<WaitingFilter>,
    ) -> Result<WaitingPage> {
        let part = Part { sight: Sight::of(ctx, &self.0)?, businesses: Some(vec![self.0.clone()]) };
        waiting(ctx, vec![part], filter, Page { first, after, last, before, ..Page::default() })
            .await
    }
}

/// The part of the queries that is about what waits for a human.
#[derive(Default)]
pub(crate) struct WaitingQuery;

/// The part of the queries that is about what waits for a human.
#[Object]
impl WaitingQuery {
    /// What waits for a human in all businesses that you may see; what must be decided first is
    /// first.
    #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
    #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
    async fn waiting(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows: how many, 200 at most.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only rows that meet all of this.")] filter: Option<WaitingFilter>,
        #[graphql(desc = "Wait until the views are at least here.")] min_position: Option<u64>,
    ) -> Result<WaitingPage> {
        wait_for(ctx, min_position).await?;
        let page = Page { first, after, last, before, ..Page::default() };
        waiting(ctx, parts(ctx)?, filter, page).await
    }
}
