//! How far the views are, for operators.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use projections::{Outcome, Purpose};

use crate::page::client_error;
use crate::{Sources, Viewer};

/// The purpose of a shadow build.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum BuildPurpose {
    /// The views are filled from the log for the first time, and read meanwhile.
    Filling,
    /// The build replaces the current views.
    Rebuild,
    /// The previous views are brought up to date and replace the current ones.
    Rollback,
    /// The build is compared with the current views and then deleted.
    Audit,
}

impl From<Purpose> for BuildPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Filling => Self::Filling,
            Purpose::Rebuild => Self::Rebuild,
            Purpose::Rollback => Self::Rollback,
            Purpose::Audit => Self::Audit,
        }
    }
}

/// How far a projection has followed the log.
#[derive(SimpleObject)]
struct ProjectionStatus {
    /// Name of the projection.
    name: String,
    /// Version of the projection.
    version: u32,
    /// The last position that the projection has applied.
    position: u64,
    /// How many positions the projection is behind the log.
    lag: u64,
    /// Businesses in which the projection stopped at an event that it can't apply.
    failures: Vec<ProjectionFailure>,
}

/// A business in which a projection stopped at an event that it can't apply.
#[derive(SimpleObject)]
struct ProjectionFailure {
    /// Id of the business.
    business_id: ID,
    /// The `seq` of the event at which the projection stopped.
    seq: u64,
    /// Why the projection can't apply the event.
    error: String,
}

/// A shadow build: views that are built beside the ones that queries read.
#[derive(SimpleObject)]
struct ViewsBuilding {
    /// Purpose of the build.
    purpose: BuildPurpose,
    /// The last position that the build has applied.
    position: u64,
    /// The last position that the current views have applied.
    of: u64,
}

/// How the last shadow build ended.
#[derive(SimpleObject)]
struct ViewsOutcome {
    /// Purpose of the build.
    purpose: BuildPurpose,
    /// The position at which the build was compared with the current views.
    position: u64,
    /// Names of the projections whose rows differed at that position.
    differed: Vec<String>,
    /// Why the build was given up; null if it was not.
    failed: Option<String>,
}

/// The state of the views as a whole.
#[derive(SimpleObject)]
struct ViewsStatus {
    /// Up to this position an audit found the rows equal to those that the log gives; null before
    /// the first audit.
    verified_position: Option<u64>,
    /// The shadow build in progress; null if there is none.
    building: Option<ViewsBuilding>,
    /// How the last shadow build ended; null before the first.
    last: Option<ViewsOutcome>,
    /// True if the views from before the last rebuild are kept, for `minutebook projections
    /// rollback`.
    previous_kept: bool,
}

fn only_operators(ctx: &Context<'_>) -> Result<()> {
    if ctx.data::<Viewer>()?.operator() {
        return Ok(());
    }
    Err(client_error(
        "FORBIDDEN",
        "only operators may see the projections",
        "ask with an operator's key",
    ))
}

/// The part of the queries that is about the views.
#[derive(Default)]
pub(crate) struct ViewsQuery;

/// The part of the queries that is about the views.
#[Object]
impl ViewsQuery {
    /// How far each projection has followed the log; for operators, null with an error
    /// for others.
    async fn projections(&self, ctx: &Context<'_>) -> Result<Option<Vec<ProjectionStatus>>> {
        only_operators(ctx)?;
        let sources = ctx.data::<Sources>()?.clone();
        let log = std::sync::Arc::clone(&sources.log);
        let failure = |f: projections::Failure| ProjectionFailure {
            business_id: ID(f.business),
            seq: f.seq.0,
            error: f.error,
        };
        let mut all = Vec::new();
        for s in tokio::task::spawn_blocking(move || sources.views.status()).await?? {
            let (lag, failures) =
                (log.lag(s.position).await?, s.failures.into_iter().map(failure).collect());
            all.push(ProjectionStatus {
                name: s.name,
                version: s.version,
                position: s.position.0,
                lag,
                failures,
            });
        }
        Ok(Some(all))
    }

    /// The state of the views as a whole: the last audit, and shadow builds; for operators,
    /// null with an error for others.
    async fn views(&self, ctx: &Context<'_>) -> Result<Option<ViewsStatus>> {
        only_operators(ctx)?;
        let views = &ctx.data::<Sources>()?.views;
        let health = views.health();
        let outcome = |l: Outcome| ViewsOutcome {
            purpose: l.purpose.into(),
            position: l.position.0,
            differed: l.differed,
            failed: l.failed,
        };
        Ok(Some(ViewsStatus {
            verified_position: health.verified.map(u64::from),
            building: views.building().map(|b| ViewsBuilding {
                purpose: b.purpose.into(),
                position: b.position.0,
                of: b.of.0,
            }),
            last: health.last.map(outcome),
            previous_kept: health.previous,
        }))
    }
}
