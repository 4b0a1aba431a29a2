//! The cluster as this store needs it. Nothing else here knows which client crate is used.
//!
//! The client's own connection can end for good, and says so in many ways; so after every failure
//! that may be the connection's, a client is made anew. Its first one installs the process's TLS
//! provider, and panics when there is one already: [`Cluster::open`] must come before whoever else
//! does that.

mod error;

pub(super) use error::ClusterError;
use error::failed;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, Error, EventData, ExpectedRevision,
    ReadAllOptions, ReadStreamOptions, StreamMetadataBuilder, StreamPosition,
    SubscribeToAllOptions, SubscriptionEvent, SubscriptionFilter,
};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use uuid::Uuid;

use event_log::log::LogError;
use event_log::{Cause, Position, Seq, chain};

/// Longest time of a call.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How often a call is redirected to another node, and the wait before each time.
const REDIRECTS_MAX: u32 = 20;
const REDIRECT_PAUSE: Duration = Duration::from_millis(100);
/// The gRPC status of an invalid request.
const INVALID_ARGUMENT: i32 = 3;
/// Most events that wait for the mirror.
const READY_MAX: usize = 64;

/// An event that was read from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) stream: String,
    /// Revision of the event in its stream: 0, 1, 2 …
    pub(super) revision: u64,
    /// Commit position of the event.
    pub(super) position: Position,
    pub(super) id: Uuid,
    pub(super) metadata: Vec<u8>,
    pub(super) data: Vec<u8>,
}

impl Found {
    /// The event's `seq`: revisions count from 0.
    pub(super) fn seq(&self) -> Seq {
        Seq(self.revision).next()
    }
}

/// An event to append.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) id: Uuid,
    pub(super) event_type: String,
    pub(super) metadata: Value,
    pub(super) data: Vec<u8>,
}

/// A message of the subscription to the mirror.
pub(super) enum Heard {
    Event(Found),
    /// There are no further events at the moment.
    CaughtUp,
    /// A sign of life: the subscription is alive, and the followed streams had no event for a
    /// while.
    Sign,
    /// The subscription ended.
    Ended(ClusterError),
}

/// The future of a call's answer.
type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

pub(super) struct Cluster {
    settings: ClientSettings,
    /// The client, and how often it was replaced.
    client: Mutex<(u64, Client)>,
}

impl Cluster {
    pub(super) fn open(address: &str) -> Result<Self, LogError> {
        let settings: ClientSettings = address.parse().map_err(|e| {
            LogError::Storage(Cause::new(
                "the address of KurrentDB is not understood; it is like \
                 esdb://user:password@host:2113",
                e,
            ))
        })?;
        // Where there is a provider already that is not its own, the first client would panic.
        static FIRST: OnceLock<bool> = OnceLock::new();
        if !FIRST.get_or_init(|| rustls::crypto::CryptoProvider::get_default().is_none()) {
            return Err(LogError::storage(
                "KurrentDB's client must be the first in the process to speak TLS; this is a \
                 mistake in how the program is put together",
            ));
        }
        let client = Mutex::new((0, Self::connect(&settings)?));
        Ok(Self { settings, client })
    }

    fn connect(settings: &ClientSettings) -> Result<Client, LogError> {
        Client::new(settings.clone()).map_err(|e| LogError::Storage(Cause::new("KurrentDB", e)))
    }

    fn client(&self) -> (u64, Client) {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        (client.0, client.1.clone())
    }

    /// Replaces the client, unless somebody already did since `made`.
    fn renew(&self, made: u64) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.0 == made {
            match Self::connect(&self.settings) {
                Ok(new) => *client = (made + 1, new),
                Err(e) => {
                    tracing::error!(error = %chain(&e), "no new client of KurrentDB could be made")
                }
            }
        }
    }

    /// Makes a call within [`CALL_MAX`]. A client whose connection may be lost is replaced; one
    /// that was redirected is not, because it remembers the other node.
    async fn call<T>(&self, action: impl Fn(Client) -> Answer<T>) -> Result<T, ClusterError> {
        for _ in 0..REDIRECTS_MAX {
            let (made, client) = self.client();
            let result = match tokio::time::timeout(CALL_MAX, action(client)).await {
                Ok(result) => result.map_err(failed),
                Err(_) => Err(ClusterError::Unknown(Cause::of(format!(
                    "no answer in {} s",
                    CALL_MAX.as_secs()
                )))),
            };
            match result {
                Err(ClusterError::Elsewhere) => tokio::time::sleep(REDIRECT_PAUSE).await,
                Err(ClusterError::Unknown(why)) => {
                    self.renew(made);
                    return Err(ClusterError::Unknown(why));
                }
                result => return result,
            }
        }
        Err(ClusterError::Unknown(Cause::of("no node of KurrentDB leads")))
    }

    /// Appends after a revision, or to a stream that must not exist if it is `None`; returns the
    /// position of the last event.
    pub(super) async fn append(
        &self,
        stream: &str,
        after: Option<u64>,
        events: Vec<Given>,
    ) -> Result<u64, ClusterError> {
        let expected = after.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
        self.write(stream, expected, events).await
    }

    /// Appends at whatever revision the stream has.
    pub(super) async fn append_anywhere(
        &self,
        stream: &str,
        event: Given,
    ) -> Result<u64, ClusterError> {
        self.write(stream, ExpectedRevision::Any, vec![event]).await
    }

    async fn write(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: Vec<Given>,
    ) -> Result<u64, ClusterError> {
        let options = AppendToStreamOptions::default()
            .expected_revision(expected)
            .requires_leader(true)
            .deadline(CALL_MAX);
        let events: Vec<EventData> = events.into_iter().map(event).collect();
        let append = |client: Client| -> Answer<_> {
            let (stream, options, events) = (stream.to_owned(), options.clone(), events.clone());
            Box::pin(async move { client.append_to_stream(stream, &options, events).await })
        };
        self.call(append).await.map(|done| done.position.commit)
    }

    /// Sets the stream to keep only its newest event.
    pub(super) async fn keep_one(&self, stream: &str) -> Result<(), ClusterError> {
        let options = AppendToStreamOptions::default()
            .expected_revision(ExpectedRevision::Any)
            .requires_leader(true)
            .deadline(CALL_MAX);
        let metadata = StreamMetadataBuilder::new().max_count(1).build();
        let set = |client: Client| -> Answer<_> {
            let (stream, options, metadata) =
                (stream.to_owned(), options.clone(), metadata.clone());
            Box::pin(async move { client.set_stream_metadata(stream, &options, &metadata).await })
        };
        self.call(set).await.map(drop)
    }

    /// Reads the newest event of a stream; `None` if it has none.
    pub(super) async fn last(&self, stream: &str) -> Result<Option<Found>, ClusterError> {
        let options = ReadStreamOptions::default()
            .backwards()
            .position(StreamPosition::End)
            .max_count(1)
            .requires_leader(true);
        Ok(self.read(stream, &options).await?.pop())
    }

    /// Reads all events of a short stream.
    pub(super) async fn whole(&self, stream: &str) -> Result<Vec<Found>, ClusterError> {
        self.read(stream, &ReadStreamOptions::default().requires_leader(true)).await
    }

    /// Reads the event at a revision of a stream.
    pub(super) async fn at(
        &self,
        stream: &str,
        revision: u64,
    ) -> Result<Option<Found>, ClusterError> {
        let options = ReadStreamOptions::default()
            .position(StreamPosition::Position(revision))
            .max_count(1)
            .requires_leader(true);
        Ok(self.read(stream, &options).await?.pop().filter(|e| e.revision == revision))
    }

    /// The position of the newest event of all streams; 0 if there is none.
    pub(super) async fn end(&self) -> Result<Position, ClusterError> {
        let read = |client: Client| -> Answer<_> {
            Box::pin(async move {
                let options = ReadAllOptions::default()
                    .backwards()
                    .position(StreamPosition::End)
                    .max_count(1)
                    .requires_leader(true);
                let newest = client.read_all(&options).await?.next().await?;
                Ok(newest
                    .map_or(Position::START, |e| Position(e.get_original_event().position.commit)))
            })
        };
        self.call(read).await
    }

    async fn read(
        &self,
        stream: &str,
        options: &ReadStreamOptions,
    ) -> Result<Vec<Found>, ClusterError> {
        let read = |client: Client| -> Answer<_> {
            let (stream, options) = (stream.to_owned(), options.clone());
            Box::pin(async move {
                match read(&client, &stream, &options).await {
                    // There is nothing in a stream that is not there.
                    Err(Error::ResourceNotFound) => Ok(Vec::new()),
                    result => result,
                }
            })
        };
        self.call(read).await
    }

    /// Follows the streams with these prefixes after a position, until the subscription ends.
    pub(super) fn follow(&self, after: Position, prefixes: &[&str]) -> mpsc::Receiver<Heard> {
        let (hear, heard) = mpsc::channel(READY_MAX);
        let (made, client) = self.client();
        let filter = prefixes
            .iter()
            .fold(SubscriptionFilter::on_stream_name(), |filter, prefix| filter.add_prefix(prefix));
        let position = if after == Position::START {
            StreamPosition::Start
        } else {
            StreamPosition::Position(eventstore::Position { commit: after.0, prepare: after.0 })
        };
        let options = SubscribeToAllOptions::default()
            .position(position)
            .filter(filter.max(1_000))
            .requires_leader(false);
        tokio::spawn(async move {
            tracing::debug!(kurrentdb.client = made, kurrentdb.after = after.0, "following");
            let mut subscription = client.subscribe_to_all(&options).await;
            loop {
                let next = match subscription.next_subscription_event().await {
                    Ok(SubscriptionEvent::EventAppeared(event)) => {
                        Heard::Event(found(event.get_original_event()))
                    }
                    Ok(SubscriptionEvent::CaughtUp) => Heard::CaughtUp,
                    Ok(SubscriptionEvent::Checkpoint(_)) => Heard::Sign,
                    Ok(_) => continue,
                    Err(e) => {
                        let _ = hear.send(Heard::Ended(failed(e))).await;
                        return;
                    }
                };
                if hear.send(next).await.is_err() {
                    return;
                }
            }
        });
        heard
    }

    /// Prepares a new start after a subscription ended with its connection, or gives no sign of
    /// life.
    pub(super) fn start_over(&self) {
        let (made, _) = self.client();
        self.renew(made);
    }
}

async fn read(
    client: &Client,
    stream: &str,
    options: &ReadStreamOptions,
) -> Result<Vec<Found>, Error> {
    let mut events = Vec::new();
    let mut stream = client.read_stream(stream, options).await?;
    while let Some(event) = stream.next().await? {
        events.push(found(event.get_original_event()));
    }
    Ok(events)
}

/// The client's form of an event: our bytes unchanged, declared as JSON if they are JSON.
fn event(given: Given) -> EventData {
    let json = std::str::from_utf8(&given.data)
        .ok()
        .and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        .filter(|raw| raw.get().len() == given.data.len());
    let data = match json.map(|raw| EventData::json(&given.event_type, &raw)) {
        Some(Ok(data)) => data,
        Some(Err(_)) | None => EventData::binary(&given.event_type, given.data.clone().into()),
    };
    data.id(given.id).metadata(given.metadata.to_string().into_bytes().into())
}

fn found(event: &eventstore::RecordedEvent) -> Found {
    Found {
        stream: event.stream_id.clone(),
        revision: event.revision,
        position: Position(event.position.commit),
        id: event.id,
        metadata: event.custom_metadata.to_vec(),
        data: event.data.to_vec(),
    }
}
