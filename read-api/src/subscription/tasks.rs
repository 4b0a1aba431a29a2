//! Tasks and requests for approval that change.

use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use futures_util::{Stream, StreamExt as _};

use super::{SubscriptionCursor, changed, follow};
use crate::approvals::Approval;
use crate::tasks::Task;

/// A task that changed.
#[derive(SimpleObject)]
struct TaskChange {
    /// The `seq` of the last event that changed the task; pass it as `after` to continue from here.
    seq: i64,
    /// The task as it stands now.
    task: Task,
}

/// A request for approval that changed.
#[derive(SimpleObject)]
struct ApprovalChange {
    /// The `seq` of the last event that changed the request; pass it as `after` to continue from
    /// here.
    seq: i64,
    /// The request as it stands now.
    approval: Approval,
}

/// The part of the subscriptions that is about tasks.
#[derive(Default)]
pub(crate) struct TaskChanges;

/// The part of the subscriptions that is about tasks.
#[Subscription]
impl TaskChanges {
    /// Tasks of the business that change, after the `seq` in `after`; from now on when left out.
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        slug: Option<String>,
        id: Option<ID>,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<TaskChange>> + use<>> {
        let place = SubscriptionCursor::open(ctx, slug, id, after)?;
        let changes = follow(place, |c: &rusqlite::Connection, place: &SubscriptionCursor| {
            changed::<Task>(c, "task", place)
        });
        Ok(changes.map(|r| r.map(|(seq, task)| TaskChange { seq, task })))
    }
}

/// The part of the subscriptions that is about requests for approval.
#[derive(Default)]
pub(crate) struct ApprovalChanges;

/// The part of the subscriptions that is about requests for approval.
#[Subscription]
impl ApprovalChanges {
    /// Requests for approval that change, after the `seq` in `after`; from now on when left out.
    async fn approvals(
        &self,
        ctx: &Context<'_>,
        slug: Option<String>,
        id: Option<ID>,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<ApprovalChange>> + use<>> {
        let place = SubscriptionCursor::open(ctx, slug, id, after)?;
        let changes = follow(place, |c: &rusqlite::Connection, place: &SubscriptionCursor| {
            changed::<Approval>(c, "approval", place)
        });
        Ok(changes.map(|r| r.map(|(seq, approval)| ApprovalChange { seq, approval })))
    }
}
