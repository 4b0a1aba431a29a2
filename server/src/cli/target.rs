//! The target of a command line: a data folder of its own, or a running server.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, AppError, Handles, graphql_request, operator};
use crate::client::Remote;
use crate::config::Config;
use crate::output;
use crate::presence::IfNone;
use crate::secret::Secret;

/// Longest time that a command line waits for the views of its own folder.
const CATCH_UP: Duration = Duration::from_secs(3_600);

pub(crate) enum Target {
    Local(Box<App>),
    Remote(Remote),
}

impl Target {
    pub(crate) async fn open(
        config: &Config,
        server: Option<&str>,
        key_file: Option<&Path>,
        if_none: IfNone,
    ) -> Result<Self, AppError> {
        let Some(url) = server else {
            let app = App::open(config, Handles { if_none, ..Handles::default() }).await?;
            if app.forgetting_is_pending() {
                let what = "another program reads the keyring's file and keeps its bytes there; \
                    close it, and run this again";
                output::note(format!(
                    "minutebook: a key that is forgotten on record is not yet destroyed: {what}"
                ));
            }
            return Ok(Self::Local(Box::new(app)));
        };
        let text = match key_file {
            Some(file) => {
                std::fs::read_to_string(file).map_err(|e| AppError::caused(file.display(), e))?
            }
            None => std::env::var("MINUTEBOOK_KEY").map_err(|_| {
                AppError::other("a server wants a key: give --key-file FILE or set MINUTEBOOK_KEY")
            })?,
        };
        Ok(Self::Remote(Remote::new(url, Secret::from_text(&text))))
    }

    /// Runs a GraphQL query and returns its `data`.
    pub(crate) async fn query(&self, graphql: &str, variables: Value) -> Result<Value, AppError> {
        match self {
            Self::Remote(remote) => {
                let (remote, body) =
                    (remote.clone(), json!({"query": graphql, "variables": variables}));
                blocking(move || remote.post("/graphql", &body, &[])).await
            }
            Self::Local(app) => {
                app.caught_up(CATCH_UP).await?;
                let viewer = app.viewer(operator()).await?;
                let request = graphql_request(graphql, viewer)
                    .variables(async_graphql::Variables::from_json(variables));
                serde_json::to_value(app.api.execute(request).await).map_err(AppError::other)
            }
        }
    }

    pub(crate) async fn close(self) {
        if let Self::Local(app) = self {
            app.close().await;
        }
    }
}

/// Name and type of GraphQL's `business` argument for this text: `id` for an id, else `slug`.
pub(crate) fn by(business: &str) -> (&'static str, &'static str) {
    if business.parse::<uuid::Uuid>().is_ok() { ("id", "ID") } else { ("slug", "String") }
}

/// Runs blocking work of the client on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    tokio::task::spawn_blocking(work).await.map_err(AppError::other)?
}
