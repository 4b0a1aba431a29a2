//! The gRPC services: each call authenticates its caller, then reads or writes.

use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{Semaphore, watch};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming, async_trait};
use uuid::Uuid;

use crate::batch;
use crate::convert::{UuidForm, expected_from, expected_of, status, stream_name, to_uuid};
use crate::model::{Appended, Credentials, Expected, Proposed, Store};
use crate::read::{Count, Reading};
use crate::wire::gossip::{self, ClusterInfo, EndPoint, MemberInfo, member_info::VNodeState};
use crate::wire::persistent_subscriptions::{self as persistent, ListReq, ListResp};
use crate::wire::server_features::{self as features, SupportedMethod, SupportedMethods};
use crate::wire::streams::{self, append_req, append_resp, delete_resp, tombstone_resp};
use crate::wire::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq,
    ReadResp, TombstoneReq, TombstoneResp,
};
use crate::{APPEND_BYTES_MAX, Refusal, wire};

/// The version of KurrentDB that clients are told; this protocol is a subset of that version's.
const VERSION: &str = "24.10.0";

/// The name and port that a request was sent to (`:authority`, RFC 9113, section 8.3.1; `Host` of
/// HTTP/1.1).
#[derive(Debug, Clone)]
pub(crate) struct AskedAs {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl AskedAs {
    /// Where a request says that it was sent to; `None` if it does not say.
    pub(crate) fn of<B>(request: &axum::http::Request<B>) -> Option<Self> {
        let authority = request.uri().authority().cloned();
        let host = || request.headers().get(axum::http::header::HOST)?.to_str().ok()?.parse().ok();
        let authority: axum::http::uri::Authority = authority.or_else(host)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: authority.port_u16() })
    }
}

/// The gRPC services of a store.
pub(crate) struct Service<S> {
    pub(crate) store: Arc<S>,
    /// Host that gossip names to a client whose request does not say which name it used.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) instance: Uuid,
    /// Changes to true when the listener stops; subscriptions then end.
    pub(crate) stop: watch::Receiver<bool>,
    /// Bounds the readers at once.
    pub(crate) readers: Arc<Semaphore>,
}

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            host: self.host.clone(),
            port: self.port,
            instance: self.instance,
            stop: self.stop.clone(),
            readers: Arc::clone(&self.readers),
        }
    }
}

/// Parses HTTP's basic authentication (RFC 7617); `None` if the request has none.
fn credentials(metadata: &MetadataMap) -> Result<Option<Credentials>, Refusal> {
    let Some(value) = metadata.get("authorization") else { return Ok(None) };
    let bad = || {
        Refusal::NotAuthenticated(
            "only basic authentication is known: a user's name and an API key as the password"
                .to_owned(),
        )
    };
    let text = value.to_str().map_err(|_| bad())?;
    let encoded = text
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .ok_or_else(bad)?
        .1;
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(encoded.trim()).map_err(|_| bad())?;
    let decoded = String::from_utf8(decoded).map_err(|_| bad())?;
    let (user, password) = decoded.split_once(':').ok_or_else(bad)?;
    Ok(Some(Credentials { user: user.to_owned(), password: password.to_owned() }))
}

impl<S: Store> Service<S> {
    async fn admit(
        &self,
        metadata: &MetadataMap,
    ) -> Result<(S::Caller, Option<Credentials>), Refusal> {
        let credentials = credentials(metadata)?;
        Ok((self.store.admit(credentials.as_ref()).await?, credentials))
    }

    async fn take_append(
        mut messages: Streaming<AppendReq>,
    ) -> Result<(String, Expected, Vec<Proposed>), Status> {
        use append_req::Content;
        let first = messages.message().await?.and_then(|m| m.content);
        let Some(Content::Options(options)) = first else {
            return Err(Refusal::BadRequest(
                "the first message of an append must be its options".to_owned(),
            )
            .into());
        };
        let expected = expected_from!(
            options.expected_stream_revision,
            append_req::options::ExpectedStreamRevision,
            Revision
        );
        let stream = stream_name(options.stream_identifier).map_err(status)?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(message) = messages.message().await? {
            let Some(Content::ProposedMessage(message)) = message.content else {
                return Err(Refusal::BadRequest(
                    "an append has its options once, then events".to_owned(),
                )
                .into());
            };
            let event = Proposed::try_from(message).map_err(status)?;
            bytes += event.bytes();
            if bytes > APPEND_BYTES_MAX {
                return Err(Refusal::TooLarge.into());
            }
            events.push(event);
        }
        Ok((stream, expected, events))
    }
}

fn appended(done: Appended) -> append_resp::Result {
    use append_resp::success::{CurrentRevisionOption, PositionOption};
    append_resp::Result::Success(append_resp::Success {
        current_revision_option: Some(done.revision.map_or(
            CurrentRevisionOption::NoStream(wire::Empty {}),
            CurrentRevisionOption::CurrentRevision,
        )),
        position_option: Some(done.position.map_or(
            PositionOption::NoPosition(wire::Empty {}),
            |at| {
                PositionOption::Position(append_resp::Position {
                    commit_position: at,
                    prepare_position: at,
                })
            },
        )),
    })
}

/// A conflict as a response, not an error; stated in two ways, for older and newer clients.
fn conflict(expected: Expected, actual: Option<u64>) -> append_resp::Result {
    use append_resp::wrong_expected_version::{
        CurrentRevisionOption as Now, CurrentRevisionOption2060 as NowOld,
        ExpectedRevisionOption2060 as Old,
    };
    let old = match expected {
        Expected::Revision(n) => Some(Old::ExpectedRevision2060(n)),
        Expected::Any => Some(Old::Any2060(wire::Empty {})),
        Expected::Exists => Some(Old::StreamExists2060(wire::Empty {})),
        Expected::NoStream => None,
    };
    append_resp::Result::WrongExpectedVersion(append_resp::WrongExpectedVersion {
        current_revision_option_20_6_0: Some(
            actual.map_or(NowOld::NoStream2060(wire::Empty {}), NowOld::CurrentRevision2060),
        ),
        expected_revision_option_20_6_0: old,
        current_revision_option: Some(
            actual.map_or(Now::CurrentNoStream(wire::Empty {}), Now::CurrentRevision),
        ),
        expected_revision_option: Some(expected_of!(
            expected,
            append_resp::wrong_expected_version::ExpectedRevisionOption,
            ExpectedRevision,
            ExpectedAny,
            ExpectedNoStream,
            ExpectedStreamExists,
            wire::Empty {}
        )),
    })
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl<S: Store> streams::streams_server::Streams for Service<S> {
    type ReadStream = Answers<ReadResp>;
    type BatchAppendStream = Answers<BatchAppendResp>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let (caller, credentials) = self.admit(request.metadata()).await.map_err(status)?;
        let options = request
            .into_inner()
            .options
            .ok_or_else(|| Refusal::BadRequest("`options` is missing in the request".to_owned()))?;
        let (reading, count) =
            Reading::asked(Arc::clone(&self.store), credentials, caller, options)?;
        let full = |_| {
            Refusal::Unavailable("too many read here at once; come back in a moment".to_owned())
        };
        let place = Arc::clone(&self.readers).try_acquire_owned().map_err(full)?;
        let answers: Answers<ReadResp> = match count {
            Count::Events(n) => Box::pin(reading.once(n).await?),
            Count::Follow => Box::pin(reading.follow(self.stop.clone()).await?),
        };
        // The place is given back with the last answer.
        Ok(Response::new(Box::pin(answers.inspect(move |_| {
            let _held = &place;
        }))))
    }

    async fn append(
        &self,
        request: Request<Streaming<AppendReq>>,
    ) -> Result<Response<AppendResp>, Status> {
        let (caller, _) = self.admit(request.metadata()).await.map_err(status)?;
        self.store.writable()?;
        let (stream, expected, events) = Self::take_append(request.into_inner()).await?;
        let result = match self.store.append(&caller, &stream, expected, events).await {
            Ok(done) => appended(done),
            Err(Refusal::WrongVersion { expected, actual, .. }) => conflict(expected, actual),
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        use delete_resp::{Position, PositionOption};
        let (caller, _) = self.admit(request.metadata()).await.map_err(status)?;
        let options = request.into_inner().options.unwrap_or_default();
        let expected = expected_from!(
            options.expected_stream_revision,
            streams::delete_req::options::ExpectedStreamRevision,
            Revision
        );
        let stream = stream_name(options.stream_identifier)?;
        let at = self.store.delete(&caller, &stream, expected, false).await?;
        let position_option = at.map_or(PositionOption::NoPosition(wire::Empty {}), |at| {
            PositionOption::Position(Position { commit_position: at, prepare_position: at })
        });
        Ok(Response::new(DeleteResp { position_option: Some(position_option) }))
    }

    async fn tombstone(
        &self,
        request: Request<TombstoneReq>,
    ) -> Result<Response<TombstoneResp>, Status> {
        use tombstone_resp::{Position, PositionOption};
        let (caller, _) = self.admit(request.metadata()).await.map_err(status)?;
        let options = request.into_inner().options.unwrap_or_default();
        let expected = expected_from!(
            options.expected_stream_revision,
            streams::tombstone_req::options::ExpectedStreamRevision,
            Revision
        );
        let stream = stream_name(options.stream_identifier)?;
        let at = self.store.delete(&caller, &stream, expected, true).await?;
        let position_option = at.map_or(PositionOption::NoPosition(wire::Empty {}), |at| {
            PositionOption::Position(Position { commit_position: at, prepare_position: at })
        });
        Ok(Response::new(TombstoneResp { position_option: Some(position_option) }))
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        let (caller, _) = self.admit(request.metadata()).await.map_err(status)?;
        self.store.writable()?;
        Ok(Response::new(Box::pin(batch::appends(
            Arc::clone(&self.store),
            caller,
            request.into_inner(),
        ))))
    }
}

#[async_trait]
impl<S: Store> gossip::gossip_server::Gossip for Service<S> {
    async fn read(&self, request: Request<wire::Empty>) -> Result<Response<ClusterInfo>, Status> {
        // Whoever asks goes on where it asked: it may know this by another name than the one that
        // is set.
        let asked = request.extensions().get::<AskedAs>();
        let address = asked.map_or_else(|| self.host.clone(), |asked| asked.host.clone());
        let port = asked.and_then(|asked| asked.port).unwrap_or(self.port);
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(ClusterInfo {
            members: vec![MemberInfo {
                instance_id: Some(to_uuid(self.instance, UuidForm::Structured)),
                time_stamp: i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX),
                state: VNodeState::Leader.into(),
                is_alive: true,
                http_end_point: Some(EndPoint { address, port: port.into() }),
            }],
        }))
    }
}

#[async_trait]
impl<S: Store> features::server_features_server::ServerFeatures for Service<S> {
    async fn get_supported_methods(
        &self,
        _: Request<wire::Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        let method = |service: &str, name: &str, features: &[&str]| SupportedMethod {
            method_name: name.to_owned(),
            service_name: service.to_owned(),
            features: features.iter().map(|f| (*f).to_owned()).collect(),
        };
        let streams = "event_store.client.streams.streams";
        let mut methods: Vec<_> = ["append", "batchappend", "delete", "tombstone"]
            .map(|name| method(streams, name, &[]))
            .into();
        methods.push(method(streams, "read", &["position", "events"]));
        methods.push(method("event_store.client.gossip.gossip", "read", &[]));
        methods.push(method(
            "event_store.client.server_features.serverfeatures",
            "getsupportedmethods",
            &[],
        ));
        methods.push(method(
            "event_store.client.persistent_subscriptions.persistentsubscriptions",
            "list",
            &[],
        ));
        Ok(Response::new(SupportedMethods {
            methods,
            event_store_server_version: VERSION.to_owned(),
        }))
    }
}

#[async_trait]
impl<S: Store> persistent::persistent_subscriptions_server::PersistentSubscriptions for Service<S> {
    async fn list(&self, request: Request<ListReq>) -> Result<Response<ListResp>, Status> {
        self.admit(request.metadata()).await.map_err(status)?;
        Ok(Response::new(ListResp {}))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::AskedAs;

    #[test]
    fn the_name_that_was_asked_is_the_authority_or_the_host() {
        let asked = |uri: &str, host: Option<&str>| {
            let request = axum::http::Request::builder().uri(uri);
            let request = host
                .into_iter()
                .fold(request, |request, host| request.header("host", host))
                .body(())
                .unwrap();
            AskedAs::of(&request).map(|asked| (asked.host, asked.port))
        };
        assert_eq!(
            asked("https://minutes.example.com:2113/x", None),
            Some(("minutes.example.com".to_owned(), Some(2113)))
        );
        assert_eq!(asked("/x", Some("[::1]:7119")), Some(("::1".to_owned(), Some(7119))));
        assert_eq!(asked("/x", Some("localhost")), Some(("localhost".to_owned(), None)));
        assert_eq!(asked("/x", None), None);
    }
}
