//! The form of our events in the cluster: the names of streams, and the metadata.

use domain::ids::EventId;
use domain::{AggregateRef, BusinessId};
use serde::Deserialize;
use uuid::Uuid;

use super::cluster::Found;
use event_log::envelope::Stored;
use event_log::{NewEvent, Version};

/// The part of an event's metadata that says where the event belongs in our log.
#[derive(Deserialize)]
struct Claims {
    mbkind: String,
    mbid: Uuid,
    mbversion: Version,
    /// How many more events of the same append follow.
    #[serde(default)]
    mbmore: usize,
}

/// The metadata of an event after which `more` of the same append follow, with standard members.
pub(super) fn metadata(event: &NewEvent, more: usize) -> (String, serde_json::Value) {
    let stored = Stored::parse(&event.bytes).ok();
    let event_type = stored.as_ref().map_or_else(
        || "minutebook.event".to_owned(),
        |s| format!("minutebook.{}.v{}", s.r#type, s.schema),
    );
    let mut metadata = serde_json::json!({"mbkind": event.aggregate.kind.as_str(),
        "mbid": event.aggregate.id, "mbversion": event.version, "mbmore": more});
    if let (Some(stored), Some(members)) = (stored, metadata.as_object_mut()) {
        members.insert("$correlationId".to_owned(), serde_json::json!(stored.correlation));
        members.extend(stored.causation.map(|c| ("$causationId".to_owned(), serde_json::json!(c))));
    }
    (event_type, metadata)
}

/// The business whose stream has this name; `None` if it is no stream of ours.
pub(super) fn business(stream: &str) -> Option<BusinessId> {
    if stream == domain::ids::INSTALLATION.stream_name() {
        return Some(domain::ids::INSTALLATION);
    }
    stream.strip_prefix("business-").filter(|id| id.len() == 32)?.parse().ok()
}

pub(super) fn taken(found: &Found) -> Result<(NewEvent, usize), String> {
    let claims: Claims = serde_json::from_slice(&found.metadata)
        .map_err(|e| format!("its metadata is not ours: {e}"))?;
    let kind = claims.mbkind.parse().map_err(|_| {
        format!("its metadata names the kind `{}`, which is not known", claims.mbkind)
    })?;
    let new = NewEvent {
        aggregate: AggregateRef::new(kind, claims.mbid),
        version: claims.mbversion,
        event_id: EventId(found.id),
        bytes: found.data.clone(),
    };
    Ok((new, claims.mbmore))
}
