//! `minutebook consumers`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::target::{Target, blocking};
use crate::app::AppError;
use crate::output;

#[derive(Subcommand)]
pub(crate) enum Consumers {
    /// Show the checkpoint of each consumer, and which process acts for it.
    Status,
    /// Move a consumer to a position; it then acts again on every event after that position.
    Rewind {
        /// Name of the consumer, such as amqp.
        name: String,
        /// Position in the log; 0 = the beginning.
        #[arg(long)]
        to: u64,
    },
    /// Pause a consumer; it keeps its checkpoint.
    Pause {
        /// Name of the consumer, such as amqp.
        name: String,
    },
    /// Resume a paused consumer.
    Resume {
        /// Name of the consumer, such as amqp.
        name: String,
    },
}

pub(crate) async fn consumers(target: Target, verb: Consumers) -> Result<(), AppError> {
    let change = match verb {
        Consumers::Status => None,
        Consumers::Rewind { name, to } => Some(json!({"name": name, "rewind": to})),
        Consumers::Pause { name } => Some(json!({"name": name, "paused": true})),
        Consumers::Resume { name } => Some(json!({"name": name, "paused": false})),
    };
    let result = ask(&target, change).await;
    target.close().await;
    output::json(&result?);
    Ok(())
}

async fn ask(target: &Target, change: Option<Value>) -> Result<Value, AppError> {
    match target {
        Target::Local(app) => {
            if let Some(change) = change {
                let change = serde_json::from_value(change).map_err(AppError::other)?;
                crate::http::change_consumer(app, change).await.map_err(AppError::other)?;
            }
            crate::http::consumers_status(app).await.map_err(AppError::from)
        }
        Target::Remote(remote) => {
            let remote = remote.clone();
            blocking(move || {
                remote.post("/v1/consumers", &change.unwrap_or_else(|| json!({})), &[])
            })
            .await
        }
    }
}
