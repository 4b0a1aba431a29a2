//! The checkpoints of consumers, stored as events: each consumer has the stream `consumer-<name>`,
//! of which only the newest event counts and is kept. Every change expects the revision that it was
//! decided on, so of two concurrent changes one is refused: this fences the consumer.
//!
//! Clocks are not compared: a process that wants to act for a consumer waits until it has seen, by
//! its own clock, that the lease holder wrote nothing for the length of a lease.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::KurrentLog;
use super::cluster::{Cluster, ClusterError, Given};
use event_log::consumers::{Claim, Consumer, Consumers, LEASE};
use event_log::log::LogError;
use event_log::{Cause, Position};

/// How often a change is decided again because another process came first.
const TRIES_MAX: u32 = 20;
/// The stream with the names of all consumers.
const NAMES: &str = "consumers";
/// Prefix of a consumer's stream.
const CONSUMER: &str = "consumer-";
/// Type of a consumer's events.
const EVENT: &str = "minutebook.consumer.v1";

/// The content of a consumer's event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ConsumerRecord {
    position: Position,
    epoch: u64,
    owner: Option<Uuid>,
    paused: bool,
}

/// The newest event of a consumer.
#[derive(Debug, Clone, Default)]
struct ConsumerHead {
    /// Revision of the event; `None` if there is none yet.
    revision: Option<u64>,
    said: ConsumerRecord,
}

/// The consumers of a log in a KurrentDB cluster.
pub struct KurrentConsumers {
    cluster: Arc<Cluster>,
    prefix: &'static str,
    /// The revision of each consumer that was last seen, and since when.
    seen: Mutex<HashMap<String, (u64, Instant)>>,
}

impl KurrentConsumers {
    /// The consumers of a log.
    #[must_use]
    pub fn of(log: &KurrentLog) -> Self {
        Self::over(Arc::clone(&log.cluster), CONSUMER)
    }

    pub(super) fn over(cluster: Arc<Cluster>, prefix: &'static str) -> Self {
        Self { cluster, prefix, seen: Mutex::default() }
    }

    fn stream(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn known(&self, name: &str) -> Result<ConsumerHead, LogError> {
        let Some(last) = self.cluster.last(&self.stream(name)).await? else {
            return Ok(ConsumerHead::default());
        };
        let said = serde_json::from_slice(&last.data).map_err(|e| {
            let stream = self.stream(name);
            LogError::Corrupt(Cause::new(
                format!("the stream {stream} has an event that is not ours"),
                e,
            ))
        })?;
        Ok(ConsumerHead { revision: Some(last.revision), said })
    }

    /// Writes a consumer's new state; returns false if its stream has changed since `known` was
    /// read.
    async fn say(
        &self,
        name: &str,
        known: &ConsumerHead,
        said: &ConsumerRecord,
    ) -> Result<bool, LogError> {
        if known.revision.is_none() {
            self.introduce(name).await?;
        }
        // The same decision on the same revision is the same event, if it is sent again.
        let id = Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!("{name} {:?} {}", known.revision, json!(said)).as_bytes(),
        );
        let event = Given {
            id,
            event_type: EVENT.to_owned(),
            metadata: json!({}),
            data: json!(said).to_string().into_bytes(),
        };
        let stream = self.stream(name);
        let mut result = self.cluster.append(&stream, known.revision, vec![event.clone()]).await;
        if let Err(ClusterError::Unknown(_)) = result {
            result = self.cluster.append(&stream, known.revision, vec![event]).await;
        }
        match result {
            Ok(_) => Ok(true),
            Err(ClusterError::WrongRevision(_)) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Prepares a consumer's stream before its first event: keeps only the newest event, and adds
    /// the name to the list. Repeating it changes nothing.
    async fn introduce(&self, name: &str) -> Result<(), LogError> {
        let stream = self.stream(name);
        self.cluster.keep_one(&stream).await?;
        if self.prefix == CONSUMER {
            let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, stream.as_bytes());
            let named = Given {
                id,
                event_type: EVENT.to_owned(),
                metadata: json!({}),
                data: json!({"name": name}).to_string().into_bytes(),
            };
            self.cluster.append_anywhere(NAMES, named).await?;
        }
        Ok(())
    }

    /// Changes a consumer; `change` returns the new state, or `None` to change nothing.
    async fn change(
        &self,
        name: &str,
        change: impl Fn(&ConsumerHead) -> Option<ConsumerRecord>,
    ) -> Result<Option<ConsumerRecord>, LogError> {
        for _ in 0..TRIES_MAX {
            let known = self.known(name).await?;
            let Some(said) = change(&known) else { return Ok(None) };
            if self.say(name, &known, &said).await? {
                return Ok(Some(said));
            }
        }
        Err(LogError::storage(format!(
            "the consumer {name} was changed by others {TRIES_MAX} times in between; try again"
        )))
    }

    /// True if a consumer wrote nothing for the length of a lease.
    fn silent(&self, name: &str, revision: u64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, since) = seen.entry(name.to_owned()).or_insert_with(|| (revision, Instant::now()));
        if *at != revision {
            (*at, *since) = (revision, Instant::now());
        }
        since.elapsed() > LEASE
    }

    /// Changes a consumer if a process still holds the lease of that epoch; returns false if none
    /// does.
    async fn held(
        &self,
        name: &str,
        epoch: u64,
        said: impl Fn(&ConsumerRecord) -> ConsumerRecord,
    ) -> Result<bool, LogError> {
        let change = |known: &ConsumerHead| {
            Some(&known.said).filter(|s| s.epoch == epoch && s.owner.is_some()).map(&said)
        };
        Ok(self.change(name, change).await?.is_some())
    }
}

#[async_trait]
impl Consumers for KurrentConsumers {
    async fn claim(&self, name: &str, owner: Uuid) -> Result<Option<Claim>, LogError> {
        let known = self.known(name).await?;
        let free = match (&known.said.owner, known.revision) {
            (None, _) | (_, None) => true,
            (Some(other), Some(revision)) => *other == owner || self.silent(name, revision),
        };
        if known.said.paused {
            return Ok(None);
        }
        if !free {
            return Ok(None);
        }
        let said = ConsumerRecord { epoch: known.said.epoch + 1, owner: Some(owner), ..known.said };
        let taken = self.say(name, &known, &said).await?;
        Ok(taken.then_some(Claim { epoch: said.epoch, position: said.position }))
    }

    async fn renew(&self, name: &str, epoch: u64) -> Result<bool, LogError> {
        Ok(self
            .change(name, |k| {
                Some(k.said.clone()).filter(|s| s.epoch == epoch && s.owner.is_some() && !s.paused)
            })
            .await?
            .is_some())
    }

    async fn advance(&self, name: &str, epoch: u64, position: Position) -> Result<bool, LogError> {
        self.held(name, epoch, |s| ConsumerRecord { position, ..s.clone() }).await
    }

    async fn release(&self, name: &str, epoch: u64) -> Result<(), LogError> {
        self.held(name, epoch, |s| ConsumerRecord { owner: None, ..s.clone() }).await.map(drop)
    }

    async fn rewind(&self, name: &str, position: Position) -> Result<bool, LogError> {
        let change = |k: &ConsumerHead| {
            k.revision.map(|_| ConsumerRecord {
                position,
                epoch: k.said.epoch + 1,
                owner: None,
                ..k.said
            })
        };
        Ok(self.change(name, change).await?.is_some())
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, LogError> {
        Ok(self
            .change(name, |k| k.revision.map(|_| ConsumerRecord { paused, ..k.said.clone() }))
            .await?
            .is_some())
    }

    async fn list(&self) -> Result<Vec<Consumer>, LogError> {
        #[derive(Deserialize)]
        struct NamedConsumer {
            name: String,
        }
        let mut all = Vec::new();
        for event in self.cluster.whole(NAMES).await? {
            let Ok(NamedConsumer { name }) = serde_json::from_slice(&event.data) else { continue };
            let known = self.known(&name).await?;
            if known.revision.is_none() {
                continue;
            }
            let owner =
                known.said.owner.filter(|_| known.revision.is_some_and(|r| !self.silent(&name, r)));
            all.push(Consumer {
                name,
                position: known.said.position,
                epoch: known.said.epoch,
                owner,
                paused: known.said.paused,
            });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    async fn put(&self, c: &Consumer) -> Result<(), LogError> {
        let change = |k: &ConsumerHead| {
            let epoch = if k.revision.is_some() { k.said.epoch.max(c.epoch) + 1 } else { c.epoch };
            Some(ConsumerRecord { position: c.position, epoch, owner: None, paused: c.paused })
        };
        self.change(&c.name, change).await.map(drop)
    }
}
