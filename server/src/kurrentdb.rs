//! The listener for KurrentDB clients, which may read and follow businesses, but not write.
//!
//! A business is the stream `business-<id>`, an event's revision is its `seq` − 1, its position in
//! `$all` is its position. `$all` has the events of businesses that the client may see, in their
//! public form, as in the feed. A client that may verify a business (its owners and auditors) gets
//! every event as its stored bytes. Revisions of events without a public form are left out.

mod certificate;

use std::sync::Arc;

use async_trait::async_trait;
use domain::values::Role;
use domain::{BusinessId, PrincipalId};
use event_log::{LogError, Position, Recorded, Seq, chain, is_last};
use kurrent_protocol::{
    Appended, Credentials, Cursor, Direction, Event, Expected, Listening, Page, Proposed, Refusal,
    Store, StreamName,
};
use read_api::Viewer;
use serde_json::json;
use tokio::sync::watch;

use crate::app::{App, AppError};
use crate::config::Config;

/// Serves an installation's log through KurrentDB's protocol.
pub(crate) struct BusinessDoor(pub(crate) Arc<App>);

/// An authenticated client, with its roles.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Viewer>);

/// Opens the listener if the settings name an address; returns the connection string without a key.
///
/// # Errors
/// If the address can't be bound, or the certificate can't be read.
pub async fn listen(
    config: &Config,
    app: Arc<App>,
    stop: watch::Receiver<bool>,
) -> Result<(Listening, String), AppError> {
    let tls = certificate::of(config)?;
    let door = Arc::new(BusinessDoor(app));
    let listening = kurrent_protocol::listen(
        door,
        &config.kurrentdb_listen,
        &config.kurrentdb_host,
        tls.as_ref(),
        stop,
    )
    .await
    .map_err(AppError::other)?;
    let query = match &tls {
        None => "?tls=false".to_owned(),
        Some(tls) if tls.certificate == config.kurrentdb_certificate => String::new(),
        Some(tls) => format!("?tlsCaFile={}", tls.certificate.display()),
    };
    let host = if config.kurrentdb_host.is_empty() {
        listening.address.ip().to_string()
    } else {
        config.kurrentdb_host.clone()
    };
    let port = listening.address.port();
    Ok((listening, format!("{host}:{port}{query}")))
}

const READ_ONLY: &str = "this door is read-only: what happens in a business comes about by \
    commands, through the HTTP door";

fn unavailable(e: &LogError) -> Refusal {
    Refusal::Unavailable(chain(e).to_string())
}

/// The business that a stream's name stands for.
fn business(name: &str) -> Option<BusinessId> {
    let id = name.strip_prefix("business-").filter(|id| id.len() == 32)?;
    id.parse().ok()
}

impl Reader {
    /// True if the client may verify a business, and so gets its stored bytes.
    fn verifies(&self, business: BusinessId) -> bool {
        let roles = self.0.known.roles.get(&business);
        roles.is_some_and(|all| all.contains(&Role::Owner) || all.contains(&Role::Auditor))
    }

    /// The event in the form that this client gets; `None` if it gets none.
    fn event(&self, recorded: &Recorded, stream: &StreamName) -> Result<Option<Event>, Refusal> {
        let unreadable = |e: serde_json::Error| {
            Refusal::Unavailable(format!(
                "a stored event can't be read: {}; run `minutebook verify`",
                chain(&e)
            ))
        };
        let stored = recorded.stored().map_err(unreadable)?;
        let data = if self.verifies(recorded.business) {
            recorded.bytes.clone()
        } else {
            match hub::public::cloud_event(recorded).map_err(unreadable)? {
                Some(event) => event.to_string().into_bytes(),
                None => return Ok(None),
            }
        };
        let mut metadata = json!({"$correlationId": stored.correlation});
        if let (Some(causation), Some(members)) = (stored.causation, metadata.as_object_mut()) {
            members.insert("$causationId".to_owned(), json!(causation));
        }
        Ok(Some(Event {
            id: stored.event_id.0,
            stream: Arc::clone(stream),
            revision: recorded.seq.previous().0,
            position: recorded.position.0,
            created: stored.recorded_at.as_micros().saturating_mul(10),
            event_type: format!("minutebook.{}.v{}", stored.r#type, stored.schema).into(),
            content_type: "application/json".into(),
            metadata: metadata.to_string().into_bytes().into(),
            data: data.into(),
        }))
    }
}

impl BusinessDoor {
    /// The last `limit` events of a business up to the `seq` `high`, newest first. If they have too
    /// many bytes for one read, the oldest of them are left out.
    async fn back(
        &self,
        business: BusinessId,
        high: Seq,
        limit: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let mut low = Seq(high.0.saturating_sub(limit as u64));
        loop {
            let mut page = self
                .0
                .log
                .read_business(business, low, usize::try_from(high.0 - low.0).unwrap_or(limit))
                .await?;
            match page.last() {
                Some(last) if last.seq < high => low = last.seq,
                Some(_) | None => {
                    page.reverse();
                    return Ok(page);
                }
            }
        }
    }
}

#[async_trait]
impl Store for BusinessDoor {
    type Caller = Reader;
    type Place = Position;

    async fn admit(&self, credentials: Option<&Credentials>) -> Result<Reader, Refusal> {
        let denied = |why: &str| {
            Refusal::NotAuthenticated(format!(
                "{why}: the password is an API key, such as kdb://key:mb_…@host:2113"
            ))
        };
        let key = &credentials.ok_or_else(|| denied("no password came"))?.password;
        let busy =
            |e: &(dyn std::error::Error + 'static)| Refusal::Unavailable(chain(e).to_string());
        let principal: Option<PrincipalId> =
            self.0.bus.directory().principal_of(key.trim()).await.map_err(|e| busy(&e))?;
        let viewer = self
            .0
            .viewer(principal.ok_or_else(|| denied("this key is not known, or was revoked"))?)
            .await
            .map_err(|e| busy(&e))?;
        // Who sees no business whole learns not even which positions there are.
        if !viewer.reads_any() {
            return Err(Refusal::AccessDenied(
                "this key may follow no business; ask an owner for a \
                role (agents follow their work over GraphQL)"
                    .to_owned(),
            ));
        }
        Ok(Reader(Arc::new(viewer)))
    }

    fn writable(&self) -> Result<(), Refusal> {
        Err(Refusal::AccessDenied(READ_ONLY.to_owned()))
    }

    async fn check_place(&self, at: u64) -> Result<(), Refusal> {
        let is_place =
            async |position| self.0.log.is_place(position).await.map_err(|e| unavailable(&e));
        if is_place(Position(at)).await? || is_place(Position(at).previous()).await? {
            return Ok(());
        }
        Err(Refusal::BadRequest(format!(
            "no event of this log has the position {at}; perhaps the log was moved since: follow \
             each `business-<id>` stream from the revision you have, or $all from its start"
        )))
    }

    async fn stream(
        &self,
        reader: &Reader,
        name: &str,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Page>, Refusal> {
        let Some(business) = business(name).filter(|b| reader.0.reads_all(*b)) else {
            // Who goes on from a place had the business before: it must not wait for ever.
            return match (direction, from) {
                (Direction::Forwards, Cursor::At(1..)) => Err(Refusal::AccessDenied(
                    "there is no such business that this key may see (any more)".to_owned(),
                )),
                (Direction::Forwards, Cursor::Start | Cursor::At(0) | Cursor::End)
                | (Direction::Backwards, _) => Ok(None),
            };
        };
        let Some(head) = self.0.log.head(business).await.map_err(|e| unavailable(&e))? else {
            return Ok(None);
        };
        let forwards = direction == Direction::Forwards;
        let found = if forwards {
            let after = match from {
                Cursor::Start => 0,
                Cursor::At(revision) => revision,
                Cursor::End => head.seq.0,
            };
            self.0
                .log
                .read_business(business, Seq(after.min(i64::MAX.cast_unsigned())), limit)
                .await
        } else {
            let high = match from {
                Cursor::Start => 1.min(head.seq.0),
                Cursor::At(revision) => revision.saturating_add(1).min(head.seq.0),
                Cursor::End => head.seq.0,
            };
            self.back(business, Seq(high), limit).await
        };
        let found = found.map_err(|e| unavailable(&e))?;
        let stream: StreamName = name.into();
        let (next, resume) = match found.last() {
            Some(last) if forwards => {
                (Some(last.seq.0).filter(|_| !is_last(&found, limit)), last.seq.0)
            }
            Some(last) => (last.seq.previous().0.checked_sub(1), 0),
            None => (None, if let Cursor::At(revision) = from { revision } else { head.seq.0 }),
        };
        let page = page(reader, &found, |_| Some(Arc::clone(&stream)))?;
        Ok(Some(Page { next, resume, ends: Some((0, head.seq.previous().0)), ..page }))
    }

    async fn all(
        &self,
        reader: &Reader,
        from: Cursor,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let log = &self.0.log;
        let forwards = direction == Direction::Forwards;
        let at = match from {
            Cursor::Start => 0,
            Cursor::At(position) => position,
            Cursor::End => log.end().next().0,
        };
        let found = if forwards {
            log.read_all(Position(at).previous(), limit).await
        } else {
            log.read_back(Position(at), limit).await
        };
        let found = found.map_err(|e| unavailable(&e))?;
        let end = found.last().map(|r| r.position.0);
        let next = match end {
            Some(end) if forwards => Some(end + 1).filter(|_| !is_last(&found, limit)),
            Some(end) => Some(end).filter(|_| !is_last(&found, limit)),
            None => None,
        };
        let page = page(reader, &found, |b| reader.0.reads_all(b).then(|| b.stream_name().into()))?;
        Ok(Page { next, resume: end.map_or(at, |end| end + 1), ..page })
    }

    fn moved(&self) -> watch::Receiver<Position> {
        self.0.log.position()
    }

    async fn append(
        &self,
        _: &Reader,
        _: &str,
        _: Expected,
        _: Vec<Proposed>,
    ) -> Result<Appended, Refusal> {
        Err(Refusal::AccessDenied(READ_ONLY.to_owned()))
    }

    async fn delete(
        &self,
        _: &Reader,
        _: &str,
        _: Expected,
        _: bool,
    ) -> Result<Option<u64>, Refusal> {
        Err(Refusal::AccessDenied(READ_ONLY.to_owned()))
    }
}

/// The page that a client gets of some events; `stream` names the streams that it may see.
fn page(
    reader: &Reader,
    found: &[Recorded],
    stream: impl Fn(BusinessId) -> Option<StreamName>,
) -> Result<Page, Refusal> {
    let mut events = Vec::with_capacity(found.len());
    for recorded in found {
        if let Some(stream) = stream(recorded.business) {
            events.extend(reader.event(recorded, &stream)?);
        }
    }
    Ok(Page {
        events,
        looked_at: u32::try_from(found.len()).unwrap_or(u32::MAX),
        reached: found.last().map(|r| r.position.0),
        ..Page::default()
    })
}
