//! GraphQL requests of all listeners: how many run at once, for each principal, and for how long.

use std::time::Duration;

use async_graphql::{Request, Response};
use domain::PrincipalId;
use domain::limits::{
    GRAPHQL_QUERIES_MAX, GRAPHQL_QUERIES_PER_PRINCIPAL_MAX, GRAPHQL_QUERY_MS_MAX,
    MIN_POSITION_WAIT_MS_MAX, PROOF_MS_MAX,
};
use read_api::{Api, Viewer};
use tokio::sync::Semaphore;

use super::slots::Slots;

/// Longest time of a request, with its waits for a slot, for `minPosition` and for a proof.
const LONGEST: Duration =
    Duration::from_millis(GRAPHQL_QUERY_MS_MAX + MIN_POSITION_WAIT_MS_MAX + PROOF_MS_MAX);

/// The slots for GraphQL requests that run.
pub(crate) struct Questions {
    all: Semaphore,
    of_principal: Slots<PrincipalId>,
}

/// The request took too long, and its work was ended.
pub(crate) struct TooSlow;

impl Default for Questions {
    fn default() -> Self {
        Self {
            all: Semaphore::new(GRAPHQL_QUERIES_MAX),
            of_principal: Slots::new(GRAPHQL_QUERIES_PER_PRINCIPAL_MAX),
        }
    }
}

impl Questions {
    /// How many requests run at the moment.
    pub(crate) fn running(&self) -> usize {
        GRAPHQL_QUERIES_MAX - self.all.available_permits()
    }

    /// Answers a request once it has a slot: first one of its principal's own, so that a busy
    /// principal waits only for itself.
    pub(crate) async fn ask(
        &self,
        api: &Api,
        viewer: Viewer,
        request: Request,
    ) -> Result<Response, TooSlow> {
        let answer = async {
            let _own = self.of_principal.wait(viewer.principal, 1).await;
            let _all = self.all.acquire().await;
            api.execute(request.data(viewer)).await
        };
        tokio::time::timeout(LONGEST, answer).await.map_err(|_| TooSlow)
    }
}
