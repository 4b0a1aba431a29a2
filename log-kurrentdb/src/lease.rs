//! While the keys are in a file, only one process may serve a log in a cluster: a second one could
//! not open what the first seals, and would keep keys that the first destroys. A lease in the
//! cluster ensures this. A process appends nothing after the lease's end by its own clock, whatever
//! kept it from renewing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::cluster::{Cluster, ClusterError, Given};
use super::consumers::KurrentConsumers;
use event_log::consumers::{Consumers as _, LEASE};
use event_log::log::LogError;
use event_log::{Cause, chain};

/// Name of the lease; its stream is `lease-keyring`.
const NAME: &str = "keyring";
/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long before the lease's end this process stops appending.
const MARGIN: Duration = Duration::from_millis(500);

/// The stream that says where the keys of this log are kept.
const KEPT: &str = "keyring";

const ALREADY_SERVED: &str = "another process serves this log, and its keys are in a file: so only \
    one process may serve; stop that one. A log that several serve is made with a shared keyring, \
    --keys postgres://…";
const KEPT_IN_A_FILE: &str = "the keys of this log are in a file of the server that made it, and \
    what is sealed under them could not be read with those of --keys: leave --keys out, or copy \
    the log to PostgreSQL and from there to a new cluster with --keys";
const KEPT_TOGETHER: &str = "the keys of this log are in a shared keyring: give --keys \
    postgres://… as the other servers have it";

/// Where the keys of a log are kept; its first server decides this for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeysLocation {
    /// The keys are in a file beside the only server.
    File,
    /// The keys are in a keyring that all servers share.
    Shared,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    keys: KeysLocation,
}

/// Records where the keys are kept, unless that is recorded; refuses if they are kept elsewhere.
pub(super) async fn keep(cluster: &Cluster, keys: KeysLocation) -> Result<(), LogError> {
    let data = serde_json::to_vec(&LeaseRecord { keys }).map_err(LogError::storage)?;
    let said = Given {
        id: Uuid::now_v7(),
        event_type: "minutebook.keyring.v1".to_owned(),
        metadata: serde_json::json!({}),
        data,
    };
    let kept = match cluster.append(KEPT, None, vec![said]).await {
        Ok(_) => keys,
        // Somebody had, or just did.
        Err(ClusterError::WrongRevision(_)) => {
            let last = cluster
                .last(KEPT)
                .await?
                .ok_or_else(|| LogError::corrupt(format!("the stream {KEPT} is gone")))?;
            serde_json::from_slice::<LeaseRecord>(&last.data)
                .map_err(|e| {
                    LogError::Corrupt(Cause::new(
                        format!("the stream {KEPT} has an event that is not ours"),
                        e,
                    ))
                })?
                .keys
        }
        Err(e) => return Err(e.into()),
    };
    match kept {
        _ if kept == keys => Ok(()),
        KeysLocation::File => Err(LogError::Locked(KEPT_IN_A_FILE.to_owned())),
        KeysLocation::Shared => Err(LogError::Locked(KEPT_TOGETHER.to_owned())),
    }
}

/// Until when this process may append: the lease's end; `None` if it serves without a lease.
#[derive(Debug, Default)]
pub(super) struct Serving(Mutex<Option<Instant>>);

impl Serving {
    /// Refuses if this process may not append, and says why.
    pub(super) fn check(&self) -> Result<(), String> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_none_or(|until| Instant::now() < until) {
            return Ok(());
        }
        Err("this process can't say that it alone serves (its keys are in a file, and the lease in \
            KurrentDB could not be kept); try again".to_owned())
    }

    fn until(&self, instant: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(instant);
    }
}

/// The lease that lets this process serve with keys in a file.
pub(super) struct KeyringLease {
    leases: Arc<KurrentConsumers>,
    epoch: u64,
    renewing: JoinHandle<()>,
}

impl KeyringLease {
    /// Takes the lease; if a dead process did not give it back, only after it has run out. From
    /// then on `serving` tells whether this process holds it.
    pub(super) async fn take(
        cluster: Arc<Cluster>,
        serving: Arc<Serving>,
    ) -> Result<Self, LogError> {
        let leases = Arc::new(KurrentConsumers::over(cluster, "lease-"));
        let owner = Uuid::now_v7();
        let give_up = Instant::now() + LEASE + Duration::from_secs(2);
        let (claim, asked) = loop {
            let asked = Instant::now();
            match leases.claim(NAME, owner).await? {
                Some(claim) => break (claim, asked),
                None if asked > give_up => return Err(LogError::Locked(ALREADY_SERVED.to_owned())),
                None => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        };
        serving.until(asked + LEASE - MARGIN);
        let (renewed, epoch) = (Arc::clone(&leases), claim.epoch);
        let renewing = event_log::vital::task("keyring-lease", async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                fail::fail_point!("keyring-lease");
                let asked = Instant::now();
                match renewed.renew(NAME, epoch).await {
                    Ok(true) => serving.until(asked + LEASE - MARGIN),
                    // Away for a while: if another took it meanwhile, the next answer says so.
                    Err(e) => {
                        tracing::warn!(error = %chain(&e), "the keyring's lease could not be renewed")
                    }
                    Ok(false) => {
                        tracing::error!(
                            "the keyring's lease was taken by another process; nothing is appended \
                             any more"
                        );
                        serving.until(asked);
                        return;
                    }
                }
            }
        });
        Ok(Self { leases, epoch, renewing })
    }

    /// Gives the lease back.
    pub(super) async fn give_back(&self) {
        self.renewing.abort();
        if let Err(e) = self.leases.release(NAME, self.epoch).await {
            tracing::warn!(error = %chain(&e), "the keyring's lease could not be given back; it runs out \
                by itself");
        }
    }
}
