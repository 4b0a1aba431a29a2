//! Events that an answer reads from the log: for their data, and for the personal texts that rows
//! of
//! the views only refer to. All events that a page needs are read at once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, Result};
use domain::BusinessId;
use domain::personal::SealedField;
use event_log::{Recorded, Seq};

use crate::Sources;
use crate::children::{BatchLoader, batches, grouped};
use crate::page::client_error;
use crate::store::of_store;

/// Key of an event in the log: the event's business and `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RecordedKey {
    business: BusinessId,
    seq: Seq,
}

/// Key of an event whose personal texts are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TextsKey(RecordedKey);

/// An event with its personal fields by their JSON pointers.
pub(crate) struct EventTexts {
    recorded: Recorded,
    sealed: HashMap<String, Arc<SealedField>>,
}

/// A text of an event: sealed, or in the clear where an early version of the event has it so.
pub(crate) enum StoredText {
    Sealed(Arc<SealedField>),
    Clear(String),
}

impl EventTexts {
    fn of(recorded: Recorded) -> Result<Self> {
        let sealed = recorded.stored()?.personal_fields().into_iter().collect();
        Ok(Self { recorded, sealed })
    }

    /// The text at a pointer; `None` if the event has none there.
    pub(crate) fn text(&self, pointer: &str) -> Result<Option<StoredText>> {
        if let Some(field) = self.sealed.get(pointer) {
            return Ok(Some(StoredText::Sealed(Arc::clone(field))));
        }
        let data: serde_json::Value = serde_json::from_str(self.recorded.stored()?.data.get())?;
        let text = pointer.strip_prefix("/data").and_then(|inside| data.pointer(inside)?.as_str());
        Ok(text.map(|text| StoredText::Clear(text.to_owned())))
    }
}

/// Reads events, with one question to the log for each business and page of bytes; a request reads
/// only so many bytes, a few pages at once.
async fn read_events(sources: &Sources, keys: &[RecordedKey]) -> Result<Vec<Recorded>> {
    let mut found = Vec::new();
    for group in grouped(keys, |k| k.business) {
        let Some(business) = group.first().map(|k| k.business) else { continue };
        let mut seqs: Vec<Seq> = group.into_iter().map(|k| k.seq).collect();
        seqs.sort_unstable();
        while !seqs.is_empty() {
            let _place = sources.allowance.read_of_log().await?;
            let page = of_store(sources.log.read_events(business, &seqs)).await?;
            sources.allowance.spend_log(page.iter().map(|r| r.bytes.len()).sum())?;
            match page.last().map(|r| r.seq) {
                Some(last) => seqs.retain(|seq| *seq > last),
                None => seqs.clear(),
            }
            found.extend(page);
        }
    }
    Ok(found)
}

fn key(recorded: &Recorded) -> RecordedKey {
    RecordedKey { business: recorded.business, seq: recorded.seq }
}

impl Loader<RecordedKey> for BatchLoader {
    type Value = Arc<Recorded>;
    type Error = async_graphql::Error;
    async fn load(&self, keys: &[RecordedKey]) -> Result<HashMap<RecordedKey, Self::Value>> {
        let found = read_events(&self.0, keys).await?;
        Ok(found.into_iter().map(|r| (key(&r), Arc::new(r))).collect())
    }
}

impl Loader<TextsKey> for BatchLoader {
    type Value = Arc<EventTexts>;
    type Error = async_graphql::Error;
    async fn load(&self, keys: &[TextsKey]) -> Result<HashMap<TextsKey, Self::Value>> {
        let keys: Vec<RecordedKey> = keys.iter().map(|k| k.0.clone()).collect();
        let found = read_events(&self.0, &keys).await?;
        found.into_iter().map(|r| Ok((TextsKey(key(&r)), Arc::new(EventTexts::of(r)?)))).collect()
    }
}

/// The error of an event that the views name and the log does not have.
pub(crate) fn no_such_event() -> async_graphql::Error {
    client_error("NOT_FOUND", "the log does not have this event", "run `minutebook verify`")
}

/// Loads the event with this `seq` in a business.
pub(crate) async fn recorded(
    ctx: &Context<'_>,
    business: BusinessId,
    seq: Seq,
) -> Result<Arc<Recorded>> {
    batches(ctx)?.load_one(RecordedKey { business, seq }).await?.ok_or_else(no_such_event)
}

/// Loads the event with this `seq` in a business, with its personal fields.
pub(crate) async fn texts(
    ctx: &Context<'_>,
    business: BusinessId,
    seq: Seq,
) -> Result<Arc<EventTexts>> {
    let key = TextsKey(RecordedKey { business, seq });
    batches(ctx)?.load_one(key).await?.ok_or_else(no_such_event)
}
