//! The views for their readers: read-only connections, progress, and requests to the runner.

mod error;
mod follower;
mod reading;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::personal::Generation;
use domain::values::Digest;
use domain::{BusinessId, SubjectId};
use event_log::{Position, Seq};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::{ProjectionSet, SEARCH, TABLES};
pub use error::ViewsError;
pub(crate) use follower::{Follower, PublishedState, Request};
pub(crate) use reading::{Served, read_only};

/// A business in which a projection stopped at an event that it can't apply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Name of the projection.
    pub projection: String,
    /// Id of the business.
    pub business: String,
    /// The `seq` of the event at which the projection stopped.
    pub seq: Seq,
    /// Why the projection can't apply the event.
    pub error: String,
}

/// Purpose of a shadow build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The views are filled from the log for the first time, and read meanwhile.
    Filling,
    /// The build replaces the current views.
    Rebuild,
    /// The previous views are brought up to date and replace the current ones.
    Rollback,
    /// The build is compared with the current views and then deleted.
    Audit,
}

impl Purpose {
    /// Name of the purpose, as it is stored and shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Rebuild => "rebuild",
            Self::Rollback => "rollback",
            Self::Audit => "audit",
        }
    }
}

/// A shadow build in progress.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Building {
    /// Purpose of the build.
    pub purpose: Purpose,
    /// The last position that the build has applied.
    pub position: Position,
    /// The last position that the current views have applied.
    pub of: Position,
}

/// How the last shadow build ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// Purpose of the build.
    pub purpose: Purpose,
    /// The position at which the build was compared with the current views.
    pub position: Position,
    /// Names of the projections whose rows differed at that position.
    pub differed: Vec<String>,
    /// Why the build was given up; `None` if it was not.
    pub failed: Option<String>,
    /// Number of the request that the build began with; each file of views has an outcome of it.
    #[serde(skip)]
    pub(crate) request: u64,
}

impl Outcome {
    /// The outcome of both files of views: of the later request, or of the one that both had.
    fn of_both(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(mut a), Some(b)) = (a.clone(), b.clone()) else { return a.or(b) };
        if a.request != b.request {
            return Some(if a.request > b.request { a } else { b });
        }
        a.position = a.position.min(b.position);
        a.differed.extend(b.differed);
        a.failed = a.failed.or(b.failed);
        Some(a)
    }
}

/// The state of the views as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ViewsHealth {
    /// Up to this position an audit found the rows equal to those that the log gives.
    pub verified: Option<Position>,
    /// How the last shadow build ended; `None` before the first.
    pub last: Option<Outcome>,
    /// True if the previous views are kept for a rollback.
    pub previous: bool,
    /// True while searchable tables are being filled, because the views began as a snapshot.
    pub search_pending: bool,
}

/// How far a projection has followed the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Name of the projection.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The last position it has applied.
    pub position: Position,
    /// Businesses in which the projection stopped at an event that it can't apply.
    pub failures: Vec<Failure>,
}

/// How long searchable text is shown without a confirmation that none of its keys was destroyed.
const TEXT_AGE_MAX: Duration = Duration::from_secs(30);

/// The views of this process.
#[derive(Clone)]
pub struct Views {
    pub(crate) tables: Follower,
    pub(crate) search: Follower,
    pub(crate) served: Served,
    /// When it was last confirmed that no searchable text belongs to a destroyed key.
    pub(crate) text: watch::Receiver<Instant>,
    /// How many rebuilds, rollbacks and audits were asked for.
    pub(crate) requests: Arc<AtomicU64>,
}

impl Views {
    pub(crate) fn followers(&self) -> [&Follower; 2] {
        [&self.tables, &self.search]
    }

    /// True if searchable text may be shown. False if for 30 s nobody could tell whether another
    /// process has destroyed keys, or text of a destroyed key could not be deleted.
    #[must_use]
    pub fn may_show_text(&self) -> bool {
        self.text.borrow().elapsed() < TEXT_AGE_MAX
    }

    /// The last position that every projection but the searchable text has applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.tables.position()
    }

    /// The last position that the searchable text has applied.
    #[must_use]
    pub fn text_position(&self) -> Position {
        self.search.position()
    }

    /// Why the views can't follow the log at the moment; `None` when they can.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<String> {
        let why = self.followers().into_iter().find_map(Follower::trouble);
        why.map(|why| format!("the views can't follow the log: {why}"))
    }

    /// [`Views::position`] as a channel that reports each move.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<Position> {
        self.tables.position.clone()
    }

    /// Waits until the views, but not the searchable text, have applied a position.
    ///
    /// # Errors
    /// [`ViewsError::Behind`] if they have not after `at_most`.
    pub async fn wait_for(&self, position: Position, at_most: Duration) -> Result<(), ViewsError> {
        self.tables.wait_for(position, at_most).await
    }

    /// Waits until the searchable text has applied a position.
    ///
    /// # Errors
    /// [`ViewsError::Behind`] if it has not after `at_most`.
    pub async fn wait_for_text(
        &self,
        position: Position,
        at_most: Duration,
    ) -> Result<(), ViewsError> {
        self.search.wait_for(position, at_most).await
    }

    /// The shadow build in progress; `None` if there is none.
    #[must_use]
    pub fn building(&self) -> Option<Building> {
        self.followers().into_iter().find_map(|f| f.building.borrow().clone())
    }

    /// The state of the views as a whole.
    #[must_use]
    pub fn health(&self) -> ViewsHealth {
        let (tables, search) = (self.tables.health(), self.search.health());
        ViewsHealth {
            verified: tables.verified.zip(search.verified).map(|(a, b)| a.min(b)),
            last: Outcome::of_both(tables.last, search.last),
            previous: tables.previous || search.previous,
            search_pending: search.search_pending,
        }
    }

    /// Waits until no shadow build is in progress; returns how the last one ended.
    ///
    /// # Errors
    /// If a build takes longer than `at_most`, or the last one was given up.
    pub async fn settled(&self, at_most: Duration) -> Result<Option<Outcome>, ViewsError> {
        let until = tokio::time::Instant::now() + at_most;
        for follower in self.followers() {
            let mut building = follower.building.clone();
            let waited = tokio::time::timeout_at(until, building.wait_for(Option::is_none)).await;
            match waited {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(ViewsError::Stopped),
                Err(_) => {
                    return Err(self.building().map_or(ViewsError::Stopped, ViewsError::Busy));
                }
            }
        }
        let last = self.health().last;
        match last.as_ref().and_then(|l| l.failed.clone()) {
            Some(why) => Err(ViewsError::storage(why)),
            None => Ok(last),
        }
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Begins to bring the previous views up to date, which then replace the current ones; returns
    /// once that has begun. A file of views that was not rebuilt stays.
    ///
    /// # Errors
    /// If there are no previous views that this program can update.
    pub async fn rollback(&self) -> Result<(), ViewsError> {
        let (n, search) = (self.next_request(), self.search.health().previous);
        if !search || self.tables.health().previous {
            self.tables.ask(|answer| Request::Rollback(n, answer)).await?;
        }
        if search { self.search.ask(|answer| Request::Rollback(n, answer)).await } else { Ok(()) }
    }

    /// Begins an audit: builds all projections from the log and compares them with the current
    /// views; returns once that has begun.
    ///
    /// # Errors
    /// If a shadow build is in progress.
    pub async fn audit(&self) -> Result<(), ViewsError> {
        let n = self.next_request();
        self.tables.ask(|answer| Request::Audit(n, answer)).await?;
        self.search.ask(|answer| Request::Audit(n, answer)).await
    }

    /// Begins to rebuild one projection, or all if `name` is `None`, from the log beside the
    /// current views; returns once that has begun.
    ///
    /// # Errors
    /// If no projection has that name, or a shadow build is in progress.
    pub async fn rebuild(&self, name: Option<String>) -> Result<(), ViewsError> {
        let n = self.next_request();
        let Some(name) = name else {
            self.tables.ask(|answer| Request::Rebuild(None, n, answer)).await?;
            return self.search.ask(|answer| Request::Rebuild(None, n, answer)).await;
        };
        for (follower, set) in [(&self.tables, TABLES), (&self.search, SEARCH)] {
            if let Some(projection) = set.projections.iter().find(|p| p.name == name) {
                let which = Some(projection.name);
                return follower.ask(|answer| Request::Rebuild(which, n, answer)).await;
            }
        }
        Err(ViewsError::Unknown(name))
    }

    /// Retries every business in which a projection stopped.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn retry(&self) -> Result<(), ViewsError> {
        self.tables.ask(Request::Retry).await?;
        self.search.ask(Request::Retry).await
    }

    /// Deletes searchable text that was sealed under a subject's keys up to a generation.
    ///
    /// # Errors
    /// When the tables can't be written.
    pub async fn purge(
        &self,
        business: BusinessId,
        subject: SubjectId,
        up_to: Generation,
    ) -> Result<(), ViewsError> {
        self.search.ask(|answer| Request::Purge(business, subject, up_to, answer)).await
    }

    /// How far each projection has followed the log.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn status(&self) -> Result<Vec<Status>, ViewsError> {
        self.read(|c| {
            let failures = [failures_in(c, "main")?, failures_in(c, "search")?].concat();
            let of = |(name, version, position): (String, u32, Position)| Status {
                failures: failures.iter().filter(|f| f.projection == name).cloned().collect(),
                name,
                version,
                position,
            };
            let mut query = c.prepare(
                "SELECT name, version, position FROM main.projections UNION ALL SELECT name, \
                 version, position FROM search.projections ORDER BY name",
            )?;
            let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            rows.map(|r| r.map(of).map_err(ViewsError::from)).collect()
        })
    }

    /// The digest of each projection's tables as they stand.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn digests(&self) -> Result<Vec<(String, Digest)>, ViewsError> {
        self.read(|c| Ok([digest_all(c, TABLES)?, digest_all(c, SEARCH)?].concat()))
    }
}

pub(crate) fn digest_all(
    connection: &Connection,
    set: ProjectionSet,
) -> Result<Vec<(String, Digest)>, ViewsError> {
    let digest = |p| crate::digest(connection, p);
    set.projections.iter().map(|p| Ok((p.name.to_owned(), digest(p)?))).collect()
}

/// The failures in one file.
pub(crate) fn failures(connection: &Connection) -> rusqlite::Result<Vec<Failure>> {
    failures_in(connection, "main")
}

fn failures_in(connection: &Connection, schema: &str) -> rusqlite::Result<Vec<Failure>> {
    connection
        .prepare_cached(&format!(
            "SELECT projection, business, seq, error FROM {schema}.failures ORDER BY projection, \
             business"
        ))?
        .query_map([], |r| {
            Ok(Failure {
                projection: r.get(0)?,
                business: r.get(1)?,
                seq: r.get(2)?,
                error: r.get(3)?,
            })
        })?
        .collect()
}
