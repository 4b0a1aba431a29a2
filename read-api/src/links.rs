//! Links from one object to others: each is read at once for all rows of a page.

use async_graphql::{Context, ID, OutputType, Result};
use domain::Kind;

use crate::agents::Agent;
use crate::approvals::Approval;
use crate::budgets::Budget;
use crate::businesses::Business;
use crate::children::newest;
use crate::decisions::Decision;
use crate::integrations::Call;
use crate::memory::Memory;
use crate::node::{AnyNode, Node};
use crate::operations::Export;
use crate::tasks::Task;

/// An id that an object may have.
pub(crate) trait MaybeId {
    /// The id; `None` if there is none.
    fn maybe(&self) -> Option<&str>;
}

impl MaybeId for ID {
    fn maybe(&self) -> Option<&str> {
        Some(self)
    }
}

impl MaybeId for Option<ID> {
    fn maybe(&self) -> Option<&str> {
        self.as_deref().map(String::as_str)
    }
}

/// Declares what an object is linked to, as fields of GraphQL. `one` are objects of the same
/// business, by id; `principals` are principals, by id; `pages` are the rows of another table whose
/// column has the value of a field; `bounded` are lists of at most 50 that a method of the object reads;
/// `fields` are fields of any other sort.
macro_rules! links {
    ($name:ident {
        one { $($(#[$one_doc:meta])* $one:ident: $one_node:ty = $one_id:ident;)* }
        principals { $($(#[$who_doc:meta])* $who:ident = $who_id:ident;)* }
        pages { $($(#[$page_doc:meta])* $page:ident: $page_node:ty,
            where $column:literal = $value:ident;)* }
        bounded { $($(#[$bounded_doc:meta])* $bounded:ident: $bounded_node:ty = $read:ident;)* }
        fields { $($fields:tt)* }
    }) => {
        #[async_graphql::ComplexObject]
        impl $name {
            /// The business that it belongs to.
            async fn business(
                &self,
                ctx: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<Option<$crate::businesses::Business>> {
                $crate::children::newest(ctx, &self.business, "id", &self.business).await
            }

            $(
                $(#[$one_doc])*
                async fn $one(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                ) -> async_graphql::Result<Option<$one_node>> {
                    $crate::links::one(ctx, &self.business, &self.$one_id).await
                }
            )*
            $(
                $(#[$who_doc])*
                async fn $who(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                ) -> async_graphql::Result<Option<$crate::principals::Principal>> {
                    $crate::principals::principal(ctx, &self.business, &self.$who_id).await
                }
            )*
            $(
                $(#[$page_doc])*
                #[graphql(complexity = "crate::page::cost_on_row(first, last, child_complexity)")]
                async fn $page(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                    #[graphql(desc = "The first rows: how many; 10 when left out, 200 at most.")]
                    first: Option<i32>,
                    #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
                    #[graphql(desc = "The last rows: how many, 200 at most.")]
                    last: Option<i32>,
                    #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
                    #[graphql(desc = "The order of the rows; OLDEST_FIRST when left out.")]
                    order_by: Option<$crate::page::ListOrder>,
                ) -> async_graphql::Result<$crate::page::List<$page_node>> {
                    let order = order_by.unwrap_or_default();
                    let page = $crate::page::Page { first, after, last, before, order,
                        on_row: true };
                    let value: &str = self.$value.as_ref();
                    $crate::children::list(ctx, &self.business, $column, value, page).await
                }
            )*
            $(
                $(#[$bounded_doc])*
                #[graphql(complexity = "crate::page::times(50, child_complexity)")]
                async fn $bounded(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                ) -> async_graphql::Result<Vec<$bounded_node>> {
                    self.$read(ctx).await
                }
            )*
            $($fields)*
        }
    };
}
pub(crate) use links;

/// The object of a business with this id; `None` if there is none that the viewer sees.
pub(crate) async fn one<N: Node + OutputType>(
    ctx: &Context<'_>,
    business: &str,
    id: &impl MaybeId,
) -> Result<Option<N>> {
    match id.maybe() {
        Some(id) => newest(ctx, business, "id", id).await,
        None => Ok(None),
    }
}

/// The object that an aggregate is shown as: of a fact or document the newest revision; `None` if
/// it
/// is shown as none, or the viewer does not see it.
pub(crate) async fn aggregate(
    ctx: &Context<'_>,
    business: &str,
    kind: Kind,
    id: &str,
) -> Result<Option<AnyNode>> {
    async fn of<N: Node + OutputType + Into<AnyNode>>(
        ctx: &Context<'_>,
        business: &str,
        id: &str,
    ) -> Result<Option<AnyNode>> {
        Ok(newest::<N>(ctx, business, "id", id).await?.map(Into::into))
    }
    match kind {
        Kind::Business => Ok(newest::<Business>(ctx, business, "id", id).await?.map(Into::into)),
        Kind::Agent => of::<Agent>(ctx, business, id).await,
        Kind::Task => of::<Task>(ctx, business, id).await,
        Kind::Decision => of::<Decision>(ctx, business, id).await,
        Kind::Approval => of::<Approval>(ctx, business, id).await,
        Kind::Budget => of::<Budget>(ctx, business, id).await,
        Kind::Call => of::<Call>(ctx, business, id).await,
        Kind::Fact | Kind::Document => of::<Memory>(ctx, business, id).await,
        Kind::Export => of::<Export>(ctx, business, id).await,
        Kind::Slug
        | Kind::Principal
        | Kind::ApprovalPolicy
        | Kind::History
        | Kind::Measure
        | Kind::Kpi
        | Kind::Projection
        | Kind::Clock
        | Kind::Erasure => Ok(None),
    }
}

/// The kind of the aggregate that a command of this type is for, as far as it is shown as an
/// object.
pub(crate) fn target_kind(command_type: &str) -> Option<Kind> {
    let (context, _) = command_type.split_once('.')?;
    Some(match context {
        "businesses" => Kind::Business,
        "agents" => Kind::Agent,
        "tasks" => Kind::Task,
        "decisions" => Kind::Decision,
        "approvals" => Kind::Approval,
        "budgets" => Kind::Budget,
        "integrations" => Kind::Call,
        "memory" => Kind::Fact,
        "operations" => Kind::Export,
        _ => return None,
    })
}
