//! Single reads and subscriptions. Both are pulled by the connection: a slow reader holds one page
//! and its position, falls behind, and catches up from the store; writers never wait for it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::Stream;
use prost_types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;
use uuid::Uuid;

use crate::Refusal;
use crate::convert::{UuidForm, read_event, status, stream_identifier, stream_name};
use crate::filter::Filter;
use crate::model::{Credentials, Cursor, Direction, Page, Store};
use crate::wire::AllStreamPosition;
use crate::wire::streams::read_req::options::{
    self, CountOption, FilterOption, StreamOption, all_options, stream_options, uuid_option,
};
use crate::wire::streams::read_resp::{
    CaughtUp, Checkpoint, Content, FellBehind, Position, StreamNotFound, SubscriptionConfirmation,
};
use crate::wire::streams::{ReadResp, read_req};

/// How many events are read at once.
const PAGE: usize = 250;
/// How many events the first page of a read has; it is small because many ask for one event.
const FIRST_PAGE: usize = 32;

/// A stream, or `$all`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReadSource {
    Stream(String),
    All,
}

/// A read or a subscription, and how far it is.
pub(crate) struct Reading<S: Store> {
    store: Arc<S>,
    credentials: Option<Credentials>,
    caller: S::Caller,
    of: ReadSource,
    from: Cursor,
    direction: Direction,
    filter: Option<Arc<Filter>>,
    form: UuidForm,
    /// Compatibility level that the client states; from 1 on it understands messages about a
    /// stream's ends.
    compatibility: u32,
}

/// How many events a request asks for.
pub(crate) enum Count {
    Events(u64),
    Follow,
}

fn said(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

fn now() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    })
}

impl<S: Store> Reading<S> {
    /// Parses a request.
    ///
    /// # Errors
    /// If the request makes no sense.
    pub(crate) fn asked(
        store: Arc<S>,
        credentials: Option<Credentials>,
        caller: S::Caller,
        wire: read_req::Options,
    ) -> Result<(Self, Count), Refusal> {
        let missing =
            |what: &str| Refusal::BadRequest(format!("`{what}` is missing in the request"));
        let direction = if wire.read_direction() == options::ReadDirection::Forwards {
            Direction::Forwards
        } else {
            Direction::Backwards
        };
        let (of, from) = match wire.stream_option.ok_or_else(|| missing("stream_option"))? {
            StreamOption::Stream(s) => {
                use stream_options::RevisionOption as R;
                let from = match s.revision_option {
                    Some(R::Revision(n)) => Cursor::At(n),
                    Some(R::End(_)) => Cursor::End,
                    Some(R::Start(_)) | None => Cursor::Start,
                };
                (ReadSource::Stream(stream_name(s.stream_identifier)?), from)
            }
            StreamOption::All(a) => {
                use all_options::AllOption as A;
                let from = match a.all_option {
                    // Beyond what a place can be: some clients say "the end" so.
                    Some(A::Position(p)) if i64::try_from(p.commit_position).is_err() => {
                        Cursor::End
                    }
                    Some(A::Position(p)) => Cursor::At(p.commit_position),
                    Some(A::End(_)) => Cursor::End,
                    Some(A::Start(_)) | None => Cursor::Start,
                };
                (ReadSource::All, from)
            }
        };
        let filter = match wire.filter_option {
            Some(FilterOption::Filter(f)) if of == ReadSource::All => Some(Filter::new(f)?),
            Some(FilterOption::Filter(_)) => {
                return Err(Refusal::BadRequest("only $all can be filtered".to_owned()));
            }
            Some(FilterOption::NoFilter(_)) | None => None,
        };
        let count = match wire.count_option.ok_or_else(|| missing("count_option"))? {
            CountOption::Count(n) => Count::Events(n),
            CountOption::Subscription(_) if direction == Direction::Backwards => {
                return Err(Refusal::BadRequest("a subscription goes forwards only".to_owned()));
            }
            CountOption::Subscription(_) => Count::Follow,
        };
        let structured = matches!(
            wire.uuid_option.and_then(|o| o.content),
            Some(uuid_option::Content::Structured(_)) | None
        );
        let form = if structured { UuidForm::Structured } else { UuidForm::Text };
        let compatibility = wire.control_option.map_or(0, |c| c.compatibility);
        Ok((
            Self { store, credentials, caller, of, from, direction, filter, form, compatibility },
            count,
        ))
    }

    /// Reads a page in a task of its own, so that one page is read while another is sent.
    fn page(&self, from: Cursor, limit: usize) -> JoinHandle<Result<Option<Page>, Refusal>> {
        let (store, caller, of, direction) =
            (Arc::clone(&self.store), self.caller.clone(), self.of.clone(), self.direction);
        tokio::spawn(async move {
            match of {
                ReadSource::Stream(name) => {
                    store.stream(&caller, &name, from, direction, limit).await
                }
                ReadSource::All => store.all(&caller, from, direction, limit).await.map(Some),
            }
        })
    }

    fn wants(&self, event: &crate::Event) -> Result<bool, Refusal> {
        self.filter.as_ref().map_or(Ok(true), |f| f.wants(event))
    }

    async fn check_place(&self) -> Result<(), Refusal> {
        match (&self.of, self.from) {
            (ReadSource::All, Cursor::At(place)) => self.store.check_place(place).await,
            (ReadSource::All, Cursor::Start | Cursor::End) | (ReadSource::Stream(_), _) => Ok(()),
        }
    }

    /// Sends at most `count` events. A failure of the first page is returned before anything is
    /// sent, so that the call itself fails.
    pub(crate) async fn once(
        self,
        count: u64,
    ) -> Result<impl Stream<Item = Result<ReadResp, Status>>, Refusal> {
        self.check_place().await?;
        let most = if self.filter.is_some() {
            PAGE
        } else {
            usize::try_from(count).unwrap_or(FIRST_PAGE).min(FIRST_PAGE)
        };
        let first = joined(self.page(self.from, most)).await?;
        Ok(self.pages(count, first))
    }

    fn pages(
        mut self,
        count: u64,
        first: Option<Page>,
    ) -> impl Stream<Item = Result<ReadResp, Status>> {
        async_stream::try_stream! {
            let (mut left, mut now) = (count, first);
            match (&now, &self.of) {
                (None, ReadSource::Stream(name)) => {
                    yield said(Content::StreamNotFound(StreamNotFound { stream_identifier: Some(stream_identifier(name)) }));
                }
                (Some(page), _) if self.compatibility > 0
                    && let Some(first) = self.begins_later(page) => {
                    yield said(Content::FirstStreamPosition(first));
                }
                (None, ReadSource::All) | (Some(_), ReadSource::Stream(_) | ReadSource::All) => {}
            }
            while let Some(page) = now.take().filter(|_| left > 0) {
                let enough = self.filter.is_none() && page.events.len() as u64 >= left;
                let mut ahead = None;
                if let Some(next) = page.next.filter(|_| !enough) {
                    self.caller = self.store.admit(self.credentials.as_ref()).await.map_err(status)?;
                    ahead = Some(self.page(Cursor::At(next), PAGE));
                }
                for event in page.events {
                    if left > 0 && self.wants(&event).map_err(status)? {
                        left -= 1;
                        yield said(read_event(event, self.form));
                    }
                }
                if page.next.is_none() && self.compatibility > 0
                    && self.direction == Direction::Forwards && let Some((_, last)) = page.ends {
                    yield said(Content::LastStreamPosition(last));
                }
                if let Some(ahead) = ahead.filter(|_| left > 0) {
                    now = joined(ahead).await.map_err(status)?;
                }
            }
        }
    }

    /// The first revision that the stream still has, if it is after the one that was asked for.
    fn begins_later(&self, page: &Page) -> Option<u64> {
        let asked = match self.from {
            Cursor::At(n) => n,
            Cursor::Start => 0,
            Cursor::End => return None,
        };
        page.ends
            .map(|(first, _)| first)
            .filter(|first| *first > asked && self.direction == Direction::Forwards)
    }

    /// Where a subscription begins: after the place that the client names.
    async fn begin(&self) -> Result<u64, Refusal> {
        match self.from {
            Cursor::Start => Ok(0),
            Cursor::At(n) => Ok(n.saturating_add(1)),
            Cursor::End => match &self.of {
                ReadSource::All => {
                    let last: u64 = (*self.store.moved().borrow()).into();
                    Ok(last.saturating_add(1))
                }
                ReadSource::Stream(name) => {
                    let page = self
                        .store
                        .stream(&self.caller, name, Cursor::End, Direction::Backwards, 1)
                        .await?;
                    Ok(page.and_then(|p| p.ends).map_or(0, |(_, last)| last + 1))
                }
            },
        }
    }

    fn place(&self, resume: u64) -> (Option<i64>, Option<Position>) {
        let before = resume.checked_sub(1);
        match self.of {
            ReadSource::Stream(_) => (before.and_then(|n| i64::try_from(n).ok()), None),
            ReadSource::All => {
                (None, before.map(|n| Position { commit_position: n, prepare_position: n }))
            }
        }
    }

    fn checkpoint(at: u64) -> ReadResp {
        said(Content::Checkpoint(Checkpoint {
            commit_position: at,
            prepare_position: at,
            timestamp: now(),
        }))
    }

    /// Sends all events from its place on, and later ones as they come. Ends only with an error: a
    /// client that gets OK would subscribe again at once, for ever.
    pub(crate) async fn follow(
        self,
        stop: watch::Receiver<bool>,
    ) -> Result<impl Stream<Item = Result<ReadResp, Status>>, Refusal> {
        self.check_place().await?;
        let mut moved = self.store.moved();
        moved.borrow_and_update();
        let resume = self.begin().await?;
        let first = joined(self.page(Cursor::At(resume), PAGE)).await?;
        Ok(self.updates(resume, first, moved, stop))
    }

    fn fell_behind(&self, at: u64) -> ReadResp {
        let (stream_revision, position) = self.place(at);
        said(Content::FellBehind(FellBehind { timestamp: now(), stream_revision, position }))
    }

    fn caught_up(&self, at: u64) -> ReadResp {
        let (stream_revision, position) = self.place(at);
        said(Content::CaughtUp(CaughtUp { timestamp: now(), stream_revision, position }))
    }

    fn updates(
        mut self,
        mut resume: u64,
        first: Option<Page>,
        mut moved: watch::Receiver<S::Place>,
        mut stop: watch::Receiver<bool>,
    ) -> impl Stream<Item = Result<ReadResp, Status>> {
        async_stream::try_stream! {
            yield said(Content::Confirmation(SubscriptionConfirmation { subscription_id: Uuid::now_v7().to_string() }));
            let mut ready = Some(first);
            let (mut live, mut looked, mut ahead) = (false, 0u32, None);
            loop {
                if *stop.borrow() {
                    Err(stopping())?;
                }
                let page = match (ready.take(), ahead.take()) {
                    (Some(ready), _) => ready,
                    (None, Some(ahead)) => joined(ahead).await.map_err(status)?,
                    (None, None) => {
                        // Seen before it is read: what is written in between wakes the wait below.
                        moved.borrow_and_update();
                        self.caller = self.store.admit(self.credentials.as_ref()).await.map_err(status)?;
                        joined(self.page(Cursor::At(resume), PAGE)).await.map_err(status)?
                    }
                };
                let page = page.unwrap_or(Page { resume, ..Page::default() });
                resume = page.resume;
                if let Some(next) = page.next {
                    if live {
                        live = false;
                        yield self.fell_behind(resume);
                    }
                    self.caller = self.store.admit(self.credentials.as_ref()).await.map_err(status)?;
                    ahead = Some(self.page(Cursor::At(next), PAGE));
                }
                let (window, hidden) = (self.filter.as_ref().map(|f| f.window),
                    page.looked_at.saturating_sub(u32::try_from(page.events.len()).unwrap_or(0)));
                for event in page.events {
                    let at = event.position;
                    if self.wants(&event).map_err(status)? {
                        yield said(read_event(event, self.form));
                    }
                    looked += 1;
                    if window.is_some_and(|w| looked >= w) {
                        looked = 0;
                        yield Self::checkpoint(at);
                    }
                }
                looked = looked.saturating_add(hidden);
                if let (Some(window), Some(reached)) = (window, page.reached) && looked >= window {
                    looked = 0;
                    yield Self::checkpoint(reached);
                }
                if ahead.is_none() {
                    if !live {
                        live = true;
                        yield self.caught_up(resume);
                    }
                    let open = tokio::select! {
                        changed = moved.changed() => changed.is_ok(),
                        _ = stop.wait_for(|stop| *stop) => false,
                    };
                    if !open {
                        Err(stopping())?;
                    }
                }
            }
        }
    }
}

fn stopping() -> Status {
    Status::unavailable("the server is stopping; subscribe again from your last place")
}

async fn joined(page: JoinHandle<Result<Option<Page>, Refusal>>) -> Result<Option<Page>, Refusal> {
    page.await.unwrap_or_else(|e| Err(Refusal::Unavailable(format!("reading failed: {e}"))))
}

/// The message with the last position of `$all`, with which some reads end.
pub(crate) fn all_position(at: u64) -> AllStreamPosition {
    AllStreamPosition { commit_position: at, prepare_position: at }
}
