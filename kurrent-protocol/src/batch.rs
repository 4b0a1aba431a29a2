//! Many appends on one call, answered as they become durable. An append may come in several
//! messages with one correlation id; the last of them says that it is.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::convert::{
    UuidForm, expected_from, expected_of, status, stream_identifier, stream_name, to_uuid, uuid,
};
use crate::model::{Appended, Expected, Proposed, Store};
use crate::read::all_position;
use crate::wire::streams::batch_append_resp::{self, Result as Outcome, Success, success};
use crate::wire::streams::{BatchAppendReq, BatchAppendResp, batch_append_req};
use crate::{APPEND_BYTES_MAX, Refusal};

/// Most appends of one call that are incomplete, or complete but not answered.
const OPEN_MAX: usize = 512;
/// Most bytes of the incomplete appends of one call.
const OPEN_BYTES_MAX: usize = 4 * APPEND_BYTES_MAX;
const KIB: usize = 1 << 10;

struct Begun {
    stream: String,
    expected: Expected,
    events: Vec<Proposed>,
    bytes: usize,
    /// Why the append is refused already; its remaining parts are received and dropped.
    refused: Option<Refusal>,
}

/// A complete append.
struct Whole {
    correlation: Uuid,
    begun: Begun,
}

/// Assembles appends from their parts.
#[derive(Default)]
struct Parts {
    open: HashMap<Uuid, Begun>,
    bytes: usize,
}

impl Parts {
    fn begin(options: Option<batch_append_req::Options>) -> Result<Begun, Refusal> {
        let options = options.ok_or_else(|| {
            Refusal::BadRequest("the first message of an append must have options".to_owned())
        })?;
        let expected = expected_from!(
            options.expected_stream_position,
            batch_append_req::options::ExpectedStreamPosition,
            StreamPosition
        );
        Ok(Begun {
            stream: stream_name(options.stream_identifier)?,
            expected,
            events: Vec::new(),
            bytes: 0,
            refused: None,
        })
    }

    fn take(&mut self, message: BatchAppendReq) -> Result<Option<Whole>, Refusal> {
        let correlation = uuid(message.correlation_id)?;
        if !self.open.contains_key(&correlation) {
            if self.open.len() >= OPEN_MAX {
                return Err(Refusal::BadRequest(format!(
                    "{OPEN_MAX} appends were begun on this call and not finished"
                )));
            }
            self.open.insert(correlation, Self::begin(message.options)?);
        }
        let Some(begun) = self.open.get_mut(&correlation) else { return Ok(None) };
        for part in message.proposed_messages {
            match Proposed::try_from(part) {
                Ok(event) if begun.refused.is_none() => {
                    begun.bytes += event.bytes();
                    self.bytes += event.bytes();
                    begun.events.push(event);
                }
                Ok(_) => {}
                Err(refusal) => begun.refused = Some(refusal),
            }
            if begun.bytes > APPEND_BYTES_MAX {
                begun.refused = Some(Refusal::TooLarge);
            }
            if begun.refused.is_some() {
                self.bytes -= std::mem::take(&mut begun.bytes);
                begun.events.clear();
            }
        }
        if self.bytes > OPEN_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        if !message.is_final {
            return Ok(None);
        }
        let whole = self.open.remove(&correlation).map(|begun| Whole { correlation, begun });
        self.bytes -= whole.as_ref().map_or(0, |w| w.begun.bytes);
        Ok(whole)
    }
}

fn answer(
    correlation: Uuid,
    stream: &str,
    expected: Expected,
    result: Result<Appended, Refusal>,
) -> BatchAppendResp {
    let result = match result {
        Ok(done) => Outcome::Success(Success {
            current_revision_option: Some(done.revision.map_or(
                success::CurrentRevisionOption::NoStream(()),
                success::CurrentRevisionOption::CurrentRevision,
            )),
            position_option: Some(
                done.position.map_or(success::PositionOption::NoPosition(()), |at| {
                    success::PositionOption::Position(all_position(at))
                }),
            ),
        }),
        Err(refusal) => Outcome::Error(refusal.in_batch()),
    };
    BatchAppendResp {
        correlation_id: Some(to_uuid(correlation, UuidForm::Text)),
        stream_identifier: Some(stream_identifier(stream)),
        expected_stream_position: Some(expected_of!(
            expected,
            batch_append_resp::ExpectedStreamPosition,
            StreamPosition,
            Any,
            NoStream,
            StreamExists
        )),
        result: Some(result),
    }
}

/// Answers each append of a call; they reach the store in the order in which they were completed.
pub(crate) fn appends<S: Store>(
    store: Arc<S>,
    caller: S::Caller,
    messages: Streaming<BatchAppendReq>,
) -> impl Stream<Item = Result<BatchAppendResp, Status>> {
    let room = Arc::new(Semaphore::new(OPEN_BYTES_MAX / KIB));
    let whole = async_stream::try_stream! {
        let (mut messages, mut parts) = (messages, Parts::default());
        while let Some(message) = messages.message().await? {
            if let Some(whole) = parts.take(message).map_err(status)? {
                // More is taken once there is room for it: what is not answered yet is held in
                // memory.
                let size = u32::try_from(whole.begun.bytes / KIB + 1).unwrap_or(u32::MAX);
                let room = Arc::clone(&room).acquire_many_owned(size).await.map_err(|e| Status::internal(e.to_string()))?;
                yield (whole, room);
            }
        }
    };
    // Unconstrained: each goes on until it is queued at its first poll, so that they are queued in
    // order.
    let append = move |whole: Result<(Whole, OwnedSemaphorePermit), Status>| {
        let (store, caller) = (Arc::clone(&store), caller.clone());
        tokio::task::unconstrained(async move {
            let (
                Whole { correlation, begun: Begun { stream, expected, events, refused, .. } },
                _room,
            ) = whole?;
            let result = match refused {
                Some(refusal) => Err(refusal),
                None => store.append(&caller, &stream, expected, events).await,
            };
            Ok(answer(correlation, &stream, expected, result))
        })
    };
    whole.map(append).buffered(OPEN_MAX)
}
